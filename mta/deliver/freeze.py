"""Freezing a message over which delivery processes die, until somebody has looked at it.

Runs as:  the mail user, in a child of the runner: what they died of may be in reading it.
"""

from __future__ import annotations

from dataclasses import replace

from mta.base import clock
from mta.base.errors import MtaError
from mta.log import events
from mta.log.sink import Log
from mta.spool.layout import Spool
from mta.spool.reader import Message
from mta.unix import process


def run(log: Log, spool: Spool, message_id: str) -> int:
    """Freeze a message, unless it is gone or somebody is at it."""
    process.set_title(f"mta: freeze {message_id}")
    try:
        message = Message.open(spool, message_id)
        if message is None:
            return 0
        with message:
            frozen = replace(
                message.envelope, deliver_firsttime=False, frozen_at=int(clock.now())
            )
            message.rewrite(frozen)
        events.frozen(log, message_id, "delivery processes ended in errors over it")
    except MtaError as error:
        events.note(log, message_id, f"cannot be frozen: {error}")
    return 0
