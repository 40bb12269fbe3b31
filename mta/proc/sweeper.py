"""The sweeper: removes from the spool what crashes have left there and no message needs.

uid           the mail user, in a child of the runner
reads         the directories of SPOOL/input
removes       a -D or -J without -H, a -H under its other name, when it is older than a day
              and nobody holds its lock; retry times that are too old to matter
"""

from __future__ import annotations

from mta.base import clock
from mta.hints.retry import RetryHints
from mta.log import events
from mta.log.sink import Log
from mta.spool import scan
from mta.spool.layout import Spool
from mta.unix import process


def run(log: Log, spool: Spool, expire: int) -> int:
    """Sweep once; what is known of failures goes after `expire` seconds."""
    process.set_title("mta: sweeper")
    for name in scan.sweep(spool, clock.now()):
        events.note(log, "", f"removed {name}: left by a reception that never ended")
    hints = RetryHints(f"{spool.path}/db/retry.sqlite", expire)
    hints.tidy(clock.now())
    hints.close()
    return 0
