"""What an ACL looks at and what it may change: the session, the message, its own words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mta.acl.phase import Phase
from mta.acl.verifier import Verification, Verifier
from mta.base.errors import MtaError, TempFail
from mta.expand.context import Context
from mta.log.sink import Log
from mta.mail.header import Header


class AclError(MtaError):
    """An ACL cannot be evaluated, for a reason that is its own; the text is for the log."""


@dataclass(slots=True)
class ConnectionEffects:
    """What ACLs asked for that holds until the connection ends."""

    enforce_sync: bool = True
    offer_pipelining: bool = True
    multiline_responses: bool = True
    delay_flush: bool = True
    auth_unadvertised: bool = False


@dataclass(frozen=True, slots=True)
class AddedHeader:
    """A header line to add, and where: "start", "received", "rfc" or "end"."""

    header: Header
    place: str = "end"


@dataclass(frozen=True, slots=True)
class Submission:
    """control = submission: the message is completed as one of a local program is.

    `domain` is None for the usual one, "" if the authenticated id has its own; `name` is the
    full name of the user; `sender_retain` leaves Sender: and the return path alone.
    """

    domain: str | None = None
    name: str = ""
    sender_retain: bool = False


@dataclass(slots=True)
class MessageEffects:
    """What ACLs asked for that holds for one message."""

    add_headers: list[AddedHeader] = field(default_factory=list)
    remove_headers: list[str] = field(default_factory=list)
    freeze: bool = False
    freeze_tell: bool = True
    queue_only: bool = False
    local_fixups: bool = True
    submission: Submission | None = None
    caseful_local_part: bool = False  # for one RCPT only
    warned: set[str] = field(default_factory=set)
    verified: dict[tuple[str, str], Verification] = field(default_factory=dict)


def _no_wait(seconds: float) -> None:
    return


def _nobody() -> str:
    return ""


@dataclass(slots=True)
class Situation:
    """Where an ACL runs.

    `said`, `status` and `logged` are what a condition has to say about its failure: to the
    client, as an enhanced status code, and in the log.  `who` describes the client for the
    log; `wait` pauses for it.
    """

    ctx: Context
    log: Log
    phase: Phase = Phase.CONNECT
    connection: ConnectionEffects = field(default_factory=ConnectionEffects)
    message: MessageEffects = field(default_factory=MessageEffects)
    who: Callable[[], str] = _nobody
    wait: Callable[[float], None] = _no_wait
    verifier: Verifier | None = None
    recipient: str = ""  # the address of this RCPT
    said: str = ""
    logged: str = ""
    status: str = ""
    log_reject_target: str = "main:reject"

    def verify(self, address: str, what: str) -> Verification:
        """Ask the routers about an address, once for each message."""
        known = self.message.verified.get((what, address))
        if known is None:
            if self.verifier is None:
                raise TempFail("addresses cannot be verified here")
            known = self.verifier(self.ctx, address, what)
            self.message.verified[(what, address)] = known
        return known
