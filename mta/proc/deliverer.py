"""A delivery process: attempts one message after another, one at a time.

    uid           the mail user
    descriptors   one channel to the runner; start to the launcher; the spool; the logs
    in            attempt(id) from the runner; outcomes from workers
    out           attempted(id, state, next try); start to the launcher; carry to workers
    neighbours    the runner gone: finish this message, then leave;
                  a worker gone: what it had not reported is deferred

State of one message never outlives its attempt.  The runner counts the attempts and closes the
channel after a number of them: if the process left by itself, a message could be handed to it
at that very moment.
"""

from __future__ import annotations

import signal
import socket
from dataclasses import dataclass

from mta.deliver.message import Deliverer
from mta.deliver.workers import Workers
from mta.lookup.api import Tables
from mta.proc import roles
from mta.proc.control import Attempt, Attempted
from mta.route.engine import Routers, load_routers
from mta.spool.layout import Spool
from mta.transport.engine import Transport, load_transports
from mta.unix import frames, process


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the runner makes once and every delivery process has from its birth."""

    inherited: roles.Inherited
    spool: Spool
    routers: Routers
    transports: dict[str, Transport]


def prepare(inherited: roles.Inherited, spool: Spool) -> Prepared:
    """Compile what deliveries need.  Raises ConfigError."""
    return Prepared(
        inherited,
        spool,
        load_routers(inherited.conf, inherited.log.panic),
        load_transports(inherited.conf),
    )


def run(prepared: Prepared, channel: socket.socket, keep: list[int]) -> int:
    """The life of one delivery process, from the fork on."""
    process.keep_descriptors([0, 1, 2, *keep])
    process.set_title("mta: deliver")
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    inherited = prepared.inherited
    workers = Workers(inherited.channels["start"], max_use=inherited.conf.own.worker_max_use)
    delivery = Deliverer(
        inherited.conf,
        prepared.spool,
        inherited.log,
        prepared.routers,
        prepared.transports,
        Tables(),
        workers,
    )
    try:
        while (received := frames.receive(channel, (Attempt,))) is not None:
            received.close()
            assert isinstance(received.message, Attempt)
            order = received.message
            process.set_title(f"mta: deliver {order.message_id}")
            report = delivery.attempt(
                order.message_id, force=bool(order.force), queue_run=bool(order.queue_run)
            )
            answer = Attempted(
                order.message_id,
                report.state,
                int(report.next_try),
                report.destination,
                tuple(report.bounces),
            )
            frames.send(channel, answer)
            process.set_title("mta: deliver")
    except (BrokenPipeError, ConnectionError):
        pass  # the runner has gone; what was done is in the journal
    finally:
        workers.close()
    return 0
