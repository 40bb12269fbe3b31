"""What crosses the control channels: master and roles, parents and children, commands.

Every frame here is declared once; each channel lists the few that it takes.
"""

from __future__ import annotations

from dataclasses import dataclass

from mta.unix.frames import frame

# ---- master and roles


@frame("ready")
@dataclass(frozen=True, slots=True)
class Ready:
    """A role is at work."""


@frame("drain")
@dataclass(frozen=True, slots=True)
class Drain:
    """Take nothing new, finish what runs within this time (0: no limit), then leave."""

    grace_ms: int


@frame("reopen_logs")
@dataclass(frozen=True, slots=True)
class ReopenLogs:
    """The log files were moved; new descriptors come along."""


@frame("files")
@dataclass(frozen=True, slots=True)
class Files:
    """Files that only root may read: their names, and open descriptors along with them."""

    names: tuple[str, ...]


@frame("checked")
@dataclass(frozen=True, slots=True)
class Checked:
    """The configuration is good; its sealed snapshot comes along."""

    warnings: tuple[str, ...]


@frame("faulty")
@dataclass(frozen=True, slots=True)
class Faulty:
    """The configuration cannot be used: file, line, reason, suggestion in one text."""

    reason: str


# ---- listener and receivers


@frame("serve")
@dataclass(frozen=True, slots=True)
class Serve:
    """Hold this conversation; the connection comes along.  `address` tells the client, or who
    runs the local program; receivers of local programs do not look at it."""

    address: str
    port: int


@frame("free")
@dataclass(frozen=True, slots=True)
class Free:
    """The conversation is over, and the next may come; `tls` is 1 if it had to load OpenSSL,
    which the listener then does for all that come after."""

    tls: int = 0


@frame("arrived")
@dataclass(frozen=True, slots=True)
class Arrived:
    """A message is in the spool.  A hint: one that is lost costs a delay, nothing else.

    `sender` and `domain` serve fair scheduling only.
    """

    message_id: str
    now: int
    sender: str
    domain: str


# ---- runner and delivery processes


@frame("attempt")
@dataclass(frozen=True, slots=True)
class Attempt:
    """Try to deliver this message; `force` ignores retry times and thaws."""

    message_id: str
    force: int
    queue_run: int


@frame("attempted")
@dataclass(frozen=True, slots=True)
class Attempted:
    """What came of it.  `state` as in deliver.message.Report; `bounces` are new messages."""

    message_id: str
    state: str
    next_try: int
    destination: str
    bounces: tuple[str, ...]


# ---- commands


@frame("list")
@dataclass(frozen=True, slots=True)
class List:
    """Which messages wait?  Answered by Waiting frames, then Done."""


@frame("waiting")
@dataclass(frozen=True, slots=True)
class Waiting:
    """One message that waits.  Many recipients come in several frames with the same id."""

    message_id: str
    sender: str
    size: int
    received: int
    next_try: int  # 0 when it is not known
    frozen: int
    running: int
    recipients: tuple[str, ...]
    delivered: tuple[str, ...]


@frame("run")
@dataclass(frozen=True, slots=True)
class Run:
    """Try everything that waits; `force` also what is not due."""

    force: int


@frame("retry")
@dataclass(frozen=True, slots=True)
class Retry:
    """Try this message now, due or not, frozen or not."""

    message_id: str


@frame("remove")
@dataclass(frozen=True, slots=True)
class Remove:
    """Remove this message, silently; no bounce is sent."""

    message_id: str


@frame("status")
@dataclass(frozen=True, slots=True)
class Status:
    """How are things?  Answered by a StatusIs frame."""


@frame("status_is")
@dataclass(frozen=True, slots=True)
class StatusIs:
    """How things are."""

    version: str
    master_pid: int
    configuration: str
    started: int
    waiting: int
    running: int
    deliverers: int
    draining: int


@frame("done")
@dataclass(frozen=True, slots=True)
class Done:
    """The command was carried out; `count` messages were concerned."""

    count: int


@frame("denied")
@dataclass(frozen=True, slots=True)
class Denied:
    """The command was not carried out, and why."""

    reason: str


COMMANDS = (List, Run, Retry, Remove, Status)
ANSWERS = (Waiting, StatusIs, Done, Denied)
