"""A delivery process: attempts messages, a few at a time, never waiting for one alone.

    uid           the mail user
    descriptors   one channel to the runner; start to the launcher; the spool; the logs
    in            attempt(id) from the runner; outcomes from workers; sights from lookers
    out           attempted(id, state, next try); start and reader to the launcher; carry to
                  workers; look to lookers
    neighbours    the runner gone: finish what is under way, then leave;
                  a worker gone: what it had not reported is deferred

State of one message never outlives its attempt.  The runner counts the attempts and closes the
channel after a number of them: if the process left by itself, a message could be handed to it
at that very moment.  An error of ours in one attempt ends the process, but first the others
come to their end: what was delivered of them must not be delivered again.
"""

from __future__ import annotations

import contextlib
import select
import signal
import socket
from dataclasses import dataclass

from mta.base import clock
from mta.deliver.asking import AskedFiles
from mta.deliver.message import Deliverer
from mta.deliver.report import How, Report
from mta.deliver.workers import Workers
from mta.lookup.api import Tables
from mta.proc import roles
from mta.proc.control import Attempt, Attempted
from mta.route.engine import Routers, load_routers
from mta.spool.layout import Spool
from mta.transport.engine import Transport, load_transports
from mta.unix import frames, process

# After a message whose beginning took longer it is looked what became of others.
LONG_SECONDS = 0.02


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
    files = AskedFiles(inherited.channels["start"])
    prepared.routers.look_through(files)
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
        _serve(delivery, channel)
    except (BrokenPipeError, ConnectionError):
        pass  # the runner has gone; what was done is in the journal
    finally:
        _bring_to_an_end(delivery, channel)
        workers.close()
        files.close()
    return 0


def _bring_to_an_end(delivery: Deliverer, channel: socket.socket) -> None:
    """Finish what is under way, whatever else goes wrong in one attempt or another."""
    before = len(delivery.under_way)
    try:
        while delivery.is_busy:
            _report(channel, delivery.wait())
    finally:
        # Each error ends one attempt, so this comes to an end, too.
        if delivery.is_busy and len(delivery.under_way) < before:
            _bring_to_an_end(delivery, channel)


def _serve(delivery: Deliverer, channel: socket.socket) -> None:
    """Attempt what the runner asks for, until it closes the channel.

    What comes together is begun together, which makes large rounds for the workers; but where
    routing takes long, what was delivered meanwhile is noted in between.
    """
    waiting = select.poll()
    waiting.register(channel, select.POLLIN)
    while True:
        # The runner knows how much one process may have in hand, and sends no more.
        while not delivery.under_way or waiting.poll(0):
            received = frames.receive(channel, (Attempt,))
            if received is None:
                return
            received.close()
            assert isinstance(received.message, Attempt)
            order = received.message
            process.set_title(f"mta: deliver {order.message_id}")
            began = clock.monotonic()
            delivery.begin(order.message_id, _how(order))
            if not delivery.under_way or clock.monotonic() > began + LONG_SECONDS:
                break
        _report(channel, delivery.wait(channel.fileno()))
        if not delivery.under_way:
            process.set_title("mta: deliver")


def _how(order: Attempt) -> How:
    return How(bool(order.force), bool(order.queue_run), bool(order.thaw), order.only)


def _report(channel: socket.socket, reports: list[Report]) -> None:
    """Tell the runner what came of attempts, as far as it is still there."""
    with contextlib.suppress(BrokenPipeError, ConnectionError):
        for report in reports:
            answer = Attempted(
                report.message_id,
                report.state,
                int(report.next_try),
                report.destination,
                report.bounces,
            )
            frames.send(channel, answer)
