"""The process table: which roles the master starts, as whom, and what they inherit.

This is the process model as data.  The master executes each role in a fresh interpreter, so
that it carries only what it imports itself; within a role, workers are plain forks.

A role's descriptors begin at 3, in the order of their names on its command line:

    control                     to the master: Ready, Drain, ReopenLogs
    snapshot                    the configuration, sealed
    log-main log-reject log-panic
    …                           the channels of the table below, then listening sockets
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from mta.base.errors import ConfigError, ProtocolError
from mta.config import load, snapshot
from mta.config.model import Configuration
from mta.log.sink import NAMES, Log
from mta.net import secrecy
from mta.proc.control import Drain, Files, Ready, ReopenLogs
from mta.spool.layout import Spool
from mta.unix import frames, privilege, process, users

FIRST = 3
COMMON = ("control", "snapshot", *(f"log-{name}" for name in NAMES))


class Who(Enum):
    """The kinds of user a role runs as, when root starts us."""

    ROOT = "root"
    MAIL = "mail"  # owns the spool
    NETWORK = "network"  # talks to strangers


@dataclass(frozen=True, slots=True)
class Role:
    """One kind of process that the master starts and watches."""

    name: str
    module: str
    who: Who
    channels: tuple[str, ...]
    does: str


ROLES = (
    Role(
        "launcher",
        "mta.proc.launcher",
        Who.ROOT,
        ("start-requests", "submit"),
        "starts workers as other users; opens no mail, resolves no names, writes no files",
    ),
    Role(
        "runner",
        "mta.proc.runner",
        Who.MAIL,
        ("arrivals", "start", "commands", "once"),
        "knows what waits, schedules it, hands it to delivery processes, empties the drop-box",
    ),
    Role(
        "listener",
        "mta.proc.listener",
        Who.NETWORK,
        ("arrived", "submit"),
        "owns the listening sockets, counts clients, hands connections to receivers",
    ),
)


@dataclass(frozen=True, slots=True)
class Identities:
    """The two unprivileged users; both are the caller where not root started us."""

    mail: privilege.Identity
    network: privilege.Identity
    separated: bool


def identities(conf: Configuration) -> Identities:
    """Who owns the spool and who talks to strangers.  Raises ConfigError."""
    if os.geteuid() != 0:
        me = privilege.myself()
        return Identities(me, me, False)
    mail, network = _system_user(conf.own.mail_user), _system_user(conf.own.network_user)
    # What receivers write belongs to the network user's group: the mail user has to read it.
    both = tuple(sorted({mail.gid, network.gid}))
    return Identities(
        privilege.Identity(mail.name, mail.uid, mail.gid, both),
        privilege.Identity(network.name, network.uid, network.gid, (network.gid,)),
        True,
    )


def _system_user(name: str) -> users.User:
    user = users.by_name(name)
    if user is None:
        raise ConfigError(
            None, f'there is no user "{name}"', "make it with: mta install --users"
        )
    if user.uid == 0:
        raise ConfigError(None, f'"{name}" is root, and mail is never handled by root')
    return user


@dataclass(slots=True)
class Inherited:
    """What a role starts with."""

    conf: Configuration
    control: socket.socket
    log: Log
    channels: dict[str, socket.socket]
    sockets: list[socket.socket]  # listening for SMTP
    identities: Identities

    def open_spool(self) -> Spool:
        """The spool of the configuration; messages may be the mail or the network user's."""
        queue, who = self.conf.queue, self.identities
        owners = frozenset({who.mail.uid, who.network.uid})
        return Spool(
            str(queue.spool_directory), split=queue.split_spool_directory, owners=owners
        )

    def announce(self) -> None:
        """Tell the master that this role is at work."""
        frames.send(self.control, Ready())


def inherit(arguments: Sequence[str]) -> Inherited:
    """Take over what the master left: the configuration's name, then those of descriptors."""
    file, *names = arguments
    numbers = dict(zip(names, range(FIRST, FIRST + len(names)), strict=True))
    for fd in numbers.values():
        os.set_inheritable(fd, False)
    process.raise_descriptor_limit()
    conf = load.parse(snapshot.read(numbers["snapshot"]), file)
    main, reject, panic = (numbers[f"log-{name}"] for name in NAMES)
    log = Log(main, reject, panic)
    rest = {name: fd for name, fd in numbers.items() if name not in COMMON}
    sockets = [socket.socket(fileno=fd) for name, fd in rest.items() if name[:5] == "smtp-"]
    channels = {
        name: socket.socket(fileno=fd) for name, fd in rest.items() if name[:5] != "smtp-"
    }
    return Inherited(
        conf,
        socket.socket(fileno=numbers["control"]),
        log,
        channels,
        sockets,
        identities(conf),
    )


def drop(who: privilege.Identity) -> None:
    """Become the role's user for good.  Started by somebody else it is only verified."""
    if os.geteuid() == 0:
        privilege.drop_capabilities()
    privilege.become(who)
    privilege.seal()


def drop_to_user(who: privilege.Identity) -> None:
    """Become a user whose commands shall find what they find when he is logged in: set-id
    programs, as list managers and procmail are."""
    privilege.become(who)
    privilege.hide()


def heed_master(
    inherited: Inherited,
    on_drain: Callable[[float], None],
    on_reopen: Callable[[], None],
    on_files: Callable[[dict[str, bytes]], None] | None = None,
) -> bool:
    """Act on one frame of the master; False when the master is gone or talks nonsense."""
    allowed = (Drain, ReopenLogs) if on_files is None else (Drain, ReopenLogs, Files)
    try:
        received = frames.receive(inherited.control, allowed)
    except (OSError, ProtocolError):
        return False
    if received is None:
        return False
    match received.message:
        case Drain(grace_ms=grace):
            on_drain(grace / 1000)
        case ReopenLogs():
            _replace_logs(inherited.log, received.fds)
            received.fds = []
            on_reopen()
        case Files(names=names) if on_files is not None:
            on_files(secrecy.contents(names, received.fds))
    received.close()
    return True


def _replace_logs(log: Log, fds: list[int]) -> None:
    """Put the new files where the old ones were, so that nobody has to be told."""
    for old, new in zip(log.fds(), fds, strict=False):
        os.dup2(new, old, inheritable=False)
        os.close(new)


def ignore_terminal() -> None:
    """A ^C at the terminal is the master's business."""
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
