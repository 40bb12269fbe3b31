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
    """Try to deliver this message; the rest is that of deliver.report.How."""

    message_id: str
    force: int
    queue_run: int
    thaw: int = 0
    only: str = ""


@frame("attempted")
@dataclass(frozen=True, slots=True)
class Attempted:
    """What came of it.  `state` as in deliver.report.Report; `bounces` are new messages."""

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
    generated: tuple[str, ...] = ()  # done, and made of recipients by aliases


@frame("run")
@dataclass(frozen=True, slots=True)
class Run:
    """Try everything that waits, or the messages `ids` in this order.

    `force`: 1 also what is not due, 2 of `ids` only the first; `thaw` also what is frozen;
    `only` as in deliver.report.How; `options` are for the log.
    """

    force: int
    thaw: int = 0
    only: str = ""
    options: str = ""
    some: int = 0  # 1: `ids`, even if there are none
    ids: tuple[str, ...] = ()


@frame("retry")
@dataclass(frozen=True, slots=True)
class Retry:
    """Try this message now; with `force` due or not, frozen or not."""

    message_id: str
    force: int = 1


@frame("steer")
@dataclass(frozen=True, slots=True)
class Steer:
    """Have something done with this message: `action` is one of deliver.steer.ACTIONS.

    Answered by a Steered frame.
    """

    action: str
    message_id: str
    words: tuple[str, ...] = ()


@frame("steered")
@dataclass(frozen=True, slots=True)
class Steered:
    """What came of it, in Exim's words for standard output; `failed` is 1 if nothing did."""

    said: str
    failed: int


@frame("ask_why")
@dataclass(frozen=True, slots=True)
class AskWhy:
    """What is known of failures?  Answered by KnownFailure frames, then Done."""


@frame("known_failure")
@dataclass(frozen=True, slots=True)
class KnownFailure:
    """One retry record, and the line of the retry section that applies to it."""

    key: str
    first_failed: int
    last_try: int
    next_try: int
    expired: int
    code: int
    text: str
    rule: str  # as it is written; "" if there is none
    where: str
    lasts: int  # for how many seconds the rule tries


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


COMMANDS = (List, Run, Retry, Steer, AskWhy, Status)
ANSWERS = (Waiting, StatusIs, Steered, KnownFailure, Done, Denied)
