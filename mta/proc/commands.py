"""Answering commands: what the runner does for `mailq`, `runq` and `mta queue`.

    uid           the mail user
    in            list, run, retry, remove, status over SPOOL/run/control
    out           waiting, status_is, done, denied

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

from mta.base.errors import MtaError, ProtocolError
from mta.base.text import BLANKS, to_bytes
from mta.base.version import VERSION
from mta.config.model import Configuration
from mta.log import events
from mta.proc import roles
from mta.proc.control import (
    COMMANDS,
    Denied,
    Done,
    List,
    Remove,
    Retry,
    Run,
    Status,
    StatusIs,
    Waiting,
)
from mta.proc.schedule import Entry, Schedule
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

    def queue_run(self, *, force: bool) -> int: ...
    def dispatch(self) -> None: ...
    def assist(self, work: Callable[[], int | None], ended: Callable[[], None]) -> None: ...
    def deliverers(self) -> int: ...


def is_admin(conf: Configuration, peer: users.Peer) -> bool:
    """True if this caller may steer the queue."""
    if peer.uid in (0, os.geteuid()):
        return True
    groups = conf.local.admin_groups
    user = users.by_uid(peer.uid)
    if groups is None or user is None:
        return False
    own = users.groups_of(user)
    return any(users.group_id(name.strip(BLANKS)) in own for name in groups.text.split(":"))


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
        admin = is_admin(runner.inherited.conf, self.peer)
        match message:
            case Status():
                self.say(status(runner))
            case List():
                only = None if admin else self.peer.uid
                # What the network user took from strangers is not his own.
                if only == runner.inherited.identities.network.uid:
                    only = -1
                self.child(partial(show, runner.spool, runner.schedule, self.connection, only))
            case _ if not admin:
                self.say(Denied("only root, the mail user and admin_groups may do that"))
            case Run(force=force):
                self.say(Done(runner.queue_run(force=bool(force))))
            case Retry(message_id=message_id):
                self.retry(message_id)
            case Remove(message_id=message_id):
                self.remove(message_id)

    def retry(self, message_id: str) -> None:
        """Try one message now."""
        entry = self.known(message_id)
        if entry is None:
            self.say(Denied(f"there is no message {message_id[:64]}"))
            return
        self.runner.schedule.make_due(entry, force=True)
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

    def remove(self, message_id: str) -> None:
        """Remove one message, in a child."""
        if self.known(message_id) is None:
            self.say(Denied(f"there is no message {message_id[:64]}"))
            return
        self.child(
            partial(
                remove, self.runner, message_id, users.name_of(self.peer.uid), self.connection
            ),
            partial(self.removed, message_id),
        )

    def removed(self, message_id: str) -> None:
        """The child has ended: forget the message if it is gone."""
        self.listen()
        entry = self.runner.schedule.entries.get(message_id)
        if entry is not None and not scan.exists(self.runner.spool, message_id):
            self.runner.schedule.forget(entry)

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
    frames_of: list[Waiting] = []
    while True:
        part, left = _some(left)
        gone, delivered = _some(delivered)
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
            )
        )
        if not left and not delivered:
            return frames_of


def _some(addresses: list[str]) -> tuple[list[str], list[str]]:
    """As many as fit into half a frame, and the rest."""
    used = 0
    for number, address in enumerate(addresses):
        used += len(to_bytes(address)) + len("recipients=") + 1
        if used > FRAME_SPACE // 2:
            return addresses[:number], addresses[number:]
    return addresses, []


def remove(runner: Asked, message_id: str, by: str, connection: socket.socket) -> int:
    """Remove a message, in a child, unless somebody is at it."""
    process.set_title(f"mta: remove {message_id}")
    log = runner.inherited.log
    reply: object = Done(1)
    try:
        message = Message.open(runner.spool, message_id)
        if message is None:
            reply = Denied(f"message {message_id} is locked or gone; try again later")
        else:
            with message:
                message.remove()
            events.removed(log, message_id, by)
            events.completed(log, message_id)
    except MtaError as error:
        reply = Denied(str(error))
    with contextlib.suppress(OSError):
        frames.send(connection, reply)
    return 0
