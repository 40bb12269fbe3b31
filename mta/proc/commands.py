"""Answering commands: what the runner does for `mailq`, `runq` and `mta queue`.

    uid           the mail user
    in            list, run, retry, steer, ask_why, status over SPOOL/run/control
    out           waiting, status_is, steered, known_failure, done, denied

Who asks is what the kernel says.  Root, the owner of the spool and members of admin_groups
may do everything; all others see their own messages and may do nothing.  What takes reading
is done by a child, so that a slow asker holds up nobody.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Protocol

from mta.base import clock
from mta.base.errors import MtaError, ProtocolError
from mta.base.text import to_bytes
from mta.base.version import VERSION
from mta.config.model import Configuration
from mta.deliver.bounce import Bouncer
from mta.deliver.steer import ACTIONS, Steering, Unwilling
from mta.expand.context import Context
from mta.hints.retry import RetryHints
from mta.log import events
from mta.lookup.api import Tables
from mta.proc import roles
from mta.proc.control import (
    COMMANDS,
    AskWhy,
    Denied,
    Done,
    KnownFailure,
    List,
    Retry,
    Run,
    Status,
    StatusIs,
    Steer,
    Steered,
    Waiting,
)
from mta.proc.queue_runs import QueueRuns
from mta.proc.schedule import Entry, Schedule
from mta.route.retry_rules import failure_of, load_retry_rules
from mta.spool import scan
from mta.spool.envelope import Envelope
from mta.spool.ids import is_id
from mta.spool.layout import Spool
from mta.spool.reader import Message
from mta.unix import frames, process, users
from mta.unix.loop import Loop, Timer

PATIENCE_SECONDS = 10.0
SLOW_SECONDS = 60.0
LISTING_SECONDS = 600
THAWED_SECONDS = 300.0  # until a message that was thawed is tried
# Each command holds a connection, and listing a process: there must be an end to it.
MOST_ASKERS = 100
MOST_OF_ONE = 10  # of one user, but for root
# Recipients are spread over several frames when there are many.
FRAME_SPACE = 40000


class Asked(Protocol):
    """What answering needs of the runner."""

    inherited: roles.Inherited
    spool: Spool
    schedule: Schedule
    askers: Counter[int]
    loop: Loop
    draining: bool
    started: int
    runs: QueueRuns

    def queue_run(self, order: Run) -> int: ...
    def dispatch(self) -> None: ...
    def assist(self, work: Callable[[], int | None], ended: Callable[[], None]) -> None: ...
    def deliverers(self) -> int: ...


def is_admin(conf: Configuration, peer: users.Peer) -> bool:
    """True if this caller may steer the queue."""
    if peer.uid in (0, os.geteuid()):
        return True
    groups = conf.local.admin_groups
    return groups is not None and users.is_in(peer.uid, groups.text)


class Conversation:
    """An asker's connection: one command after another until the asker closes it."""

    def __init__(self, runner: Asked, connection: socket.socket) -> None:
        self.runner = runner
        self.connection = connection
        self.peer = users.peer_of(connection)
        connection.setblocking(False)
        runner.askers[self.peer.uid] += 1
        self.timer: Timer
        self.listen()

    def listen(self) -> None:
        """Wait for a command, but not for ever."""
        self.timer = self.runner.loop.after(PATIENCE_SECONDS, self.close)
        self.runner.loop.watch(self.connection.fileno(), self.heard)

    def rest(self) -> None:
        """Wait for nothing: a child has the word."""
        self.timer.cancel()
        self.runner.loop.unwatch(self.connection.fileno())

    def close(self) -> None:
        """Done with this asker."""
        if self.connection.fileno() < 0:
            return
        self.rest()
        self.connection.close()
        askers = self.runner.askers
        askers[self.peer.uid] -= 1
        if askers[self.peer.uid] <= 0:
            del askers[self.peer.uid]

    def say(self, answer: object) -> None:
        """Answer; an asker that does not read gets nothing."""
        try:
            frames.send(self.connection, answer)
        except (OSError, ProtocolError):
            self.close()

    def heard(self) -> None:
        """The asker has spoken."""
        try:
            received = frames.receive(self.connection, COMMANDS)
        except BlockingIOError:
            return
        except (OSError, ProtocolError):
            received = None
        if received is None:
            self.close()
            return
        received.close()
        self.act(received.message)

    def act(self, message: object) -> None:
        """Do what was asked."""
        runner = self.runner
        conf = runner.inherited.conf
        admin = is_admin(conf, self.peer)
        if isinstance(message, Run | Retry) and not conf.local.prod_requires_admin:
            admin = True
        match message:
            case Status():
                self.say(status(runner))
            case List():
                everything = admin or not conf.local.queue_list_requires_admin
                only = None if everything else self.peer.uid
                # What the network user took from strangers is not his own.
                if only == runner.inherited.identities.network.uid:
                    only = -1
                self.child(partial(show, runner.spool, runner.schedule, self.connection, only))
            case _ if not admin:
                self.say(Denied("only root, the mail user and admin_groups may do that"))
            case Run():
                self.say(Done(runner.queue_run(message)))
            case Retry(message_id=message_id, force=force):
                self.retry(message_id, force=bool(force))
            case Steer():
                self.steer(message)
            case AskWhy():
                self.child(partial(show_failures, runner, self.connection))

    def retry(self, message_id: str, *, force: bool) -> None:
        """Try one message now."""
        entry = self.known(message_id)
        if entry is None:
            self.say(Denied(f"there is no message {message_id[:64]}"))
            return
        self.runner.schedule.make_due(entry, force=force, thaw=force, queue_run=not force)
        self.say(Done(1))
        self.runner.dispatch()

    def known(self, message_id: str) -> Entry | None:
        """The schedule's entry of a message that is in the spool."""
        if not is_id(message_id):
            return None
        if (entry := self.runner.schedule.entries.get(message_id)) is not None:
            return entry
        if not scan.exists(self.runner.spool, message_id):
            return None
        return self.runner.schedule.add(message_id)

    def steer(self, order: Steer) -> None:
        """Have something done with one message, by a child."""
        by = users.name_of(self.peer.uid)
        settle = aftermath(self.runner, order)

        def ended() -> None:
            self.listen()
            settle()

        self.rest()
        self.runner.assist(partial(steer, self.runner, order, by, self.connection), ended)

    def child(self, work: partial[int], ended: partial[None] | None = None) -> None:
        """Let a child answer, and listen again when it has."""
        self.rest()
        self.runner.assist(work, ended or self.listen)


def answer(runner: Asked, connection: socket.socket) -> None:
    """Begin to answer whoever has connected, unless he or all together ask too much."""
    try:
        peer = users.peer_of(connection)
        if runner.askers.total() >= MOST_ASKERS or (
            peer.uid and runner.askers[peer.uid] >= MOST_OF_ONE
        ):
            connection.setblocking(False)
            frames.send(connection, Denied("too many commands at a time; try again"))
            connection.close()
            return
        Conversation(runner, connection)
    except OSError:
        connection.close()


def status(runner: Asked) -> StatusIs:
    """How things are."""
    return StatusIs(
        VERSION,
        os.getppid(),
        runner.inherited.conf.file,
        runner.started,
        len(runner.schedule.entries),
        runner.schedule.running,
        runner.deliverers(),
        int(runner.draining),
    )


def show(spool: Spool, schedule: Schedule, connection: socket.socket, only: int | None) -> int:
    """Send every message that waits, in a child; `only` restricts it to one user's own."""
    process.set_title("mta: list")
    connection.setblocking(True)
    connection.settimeout(SLOW_SECONDS)
    signal.alarm(LISTING_SECONDS)  # for one who reads, but slowly
    count = 0
    with contextlib.suppress(OSError):
        for message_id in sorted(scan.ids(spool)):
            if (found := _look(spool, message_id)) is None:
                continue
            envelope, size = found
            if only is not None and envelope.uid != only:
                continue
            for each in waiting(envelope, size, schedule.entries.get(message_id)):
                frames.send(connection, each)
            count += 1
        frames.send(connection, Done(count))
    return 0


def _look(spool: Spool, message_id: str) -> tuple[Envelope, int] | None:
    """An envelope and the size of its message; None if it has gone or cannot be read."""
    try:
        message = Message.open(spool, message_id, lock=False)
    except MtaError:
        return None
    if message is None:
        return None
    with message:
        return message.envelope, message.size


def waiting(envelope: Envelope, size: int, entry: Entry | None) -> list[Waiting]:
    """The frames that show one message."""
    delivered = [
        each.address for each in envelope.recipients if each.address in envelope.nonrecipients
    ]
    left = [each.address for each in envelope.remaining]
    known = {each.address for each in envelope.recipients}
    generated = sorted(envelope.nonrecipients - known)
    frames_of: list[Waiting] = []
    while True:
        part, left = _some(left)
        gone, delivered = _some(delivered, FRAME_SPACE // 4)
        made, generated = _some(generated, FRAME_SPACE // 4)
        frames_of.append(
            Waiting(
                envelope.id,
                envelope.sender,
                size,
                int(envelope.received_time),
                int(entry.next_try) if entry else 0,
                int(envelope.is_frozen),
                int(entry is not None and entry.state == "running"),
                tuple(part),
                tuple(gone),
                tuple(made),
            )
        )
        if not left and not delivered and not generated:
            return frames_of


def _some(addresses: list[str], space: int = FRAME_SPACE // 2) -> tuple[list[str], list[str]]:
    """As many as fit into a part of a frame, and the rest."""
    used = 0
    for number, address in enumerate(addresses):
        used += len(to_bytes(address)) + len("recipients=") + 1
        if used > space:
            return addresses[:number], addresses[number:]
    return addresses, []


def steer_once(runner: Asked, order: Steer, channel: socket.socket) -> None:
    """Have something done for the command that we were started for."""
    by = users.name_of(os.getuid()) if not runner.inherited.identities.separated else "root"
    runner.assist(partial(steer, runner, order, by, channel), aftermath(runner, order))


def aftermath(runner: Asked, order: Steer) -> Callable[[], None]:
    """What is to be done when a message has been steered: it may be gone, or have bounced."""
    before: set[str] = set()
    if order.action == "give_up":
        before.update(scan.ids(runner.spool))

    def settle() -> None:
        entry = runner.schedule.entries.get(order.message_id)
        if entry is not None and not scan.exists(runner.spool, order.message_id):
            runner.schedule.forget(entry)
            runner.runs.tried(order.message_id)
        elif entry is not None and order.action == "thaw" and entry.state == "waiting":
            runner.schedule.wait(entry, clock.now() + THAWED_SECONDS)
        for message_id in scan.ids(runner.spool) if before else ():
            if message_id not in before:
                runner.schedule.make_due(runner.schedule.add(message_id))
        runner.dispatch()

    return settle


def steer(runner: Asked, order: Steer, by: str, connection: socket.socket) -> int:
    """Do something with a message, in a child, unless somebody is at it."""
    process.set_title(f"mta: {order.action} {order.message_id}")
    try:
        said, failed = _steer(runner, order, by)
    except MtaError as error:
        said, failed = f"Message {order.message_id}: {error}", True
    with contextlib.suppress(OSError):
        frames.send(connection, Steered(said, int(failed)))
    return 0


def _steer(runner: Asked, order: Steer, by: str) -> tuple[str, bool]:
    """What came of it, in Exim's words, and whether it failed."""
    conf, log = runner.inherited.conf, runner.inherited.log
    action, message_id = ACTIONS.get(order.action), order.message_id
    if action is None or not is_id(message_id):
        return f"there is no {order.action[:40]!r} of {message_id[:64]!r}", True
    bouncer = Bouncer(conf, runner.spool, log, Tables())
    message = Message.open(runner.spool, message_id)
    if message is None and scan.exists(runner.spool, message_id):
        events.locked(log, message_id)
        return f"Message {message_id} is locked", True
    if message is None:
        events.note(log, message_id, f"Spool file {message_id}-D not found")
        return f"Spool data file for {message_id} does not exist", True
    with message:
        try:
            said = action(Steering(log, bouncer, by), message, order.words)
        except Unwilling as unwilling:
            return f"Message {message_id}{unwilling}", True
    return f"Message {message_id}{said}" if said else "", False


def show_failures(runner: Asked, connection: socket.socket) -> int:
    """Send what is known of failures, with the rules that apply, in a child."""
    process.set_title("mta: list")
    connection.setblocking(True)
    connection.settimeout(SLOW_SECONDS)
    signal.alarm(LISTING_SECONDS)
    conf = runner.inherited.conf
    with contextlib.suppress(OSError):
        known = failures(conf, f"{runner.spool.path}/db/retry.sqlite")
        for each in known:
            frames.send(connection, each)
        frames.send(connection, Done(len(known)))
    return 0


def failures(conf: Configuration, path: str) -> list[KnownFailure]:
    """Everything that the retry database knows, each with the rule that applies to it."""
    hints = RetryHints(path, conf.queue.retry_data_expire)
    rules, ctx = load_retry_rules(conf), Context(conf, Tables())
    found: list[KnownFailure] = []
    for record in hints.everything():
        subject = record.key[2:].partition(":<")[0]
        if record.key.startswith("T:") and "@" not in subject:
            subject = subject.partition(":")[0]
        line = rules.find(ctx, subject, failure_of(record))
        found.append(
            KnownFailure(
                record.key,
                record.first_failed,
                record.last_try,
                record.next_try,
                int(record.expired),
                record.code,
                record.text,
                line.text if line else "",
                str(line.where) if line else "",
                line.lasts if line else 0,
            )
        )
    hints.close()
    return found
