"""What is known of one conversation: how far it has come, what was counted, who it is."""

from __future__ import annotations

from dataclasses import dataclass, field

from mta.acl.situation import MessageEffects, Situation
from mta.auth.api import Authenticator
from mta.base import clock
from mta.base.trust import Trusted
from mta.config.kinds import show_time
from mta.expand.context import Context, Message, Place
from mta.log import events
from mta.receive.protocols import (
    AUTHENTICATED,
    ESMTP,
    ESMTPS,
    LOCAL_ESMTP,
    LOCAL_SMTP,
    SMTP,
    SMTPS,
)
from mta.receive.service import Caller, Service
from mta.smtp.parse import Manner
from mta.smtp.reply import Reply
from mta.smtp.wire import Wire
from mta.spool.envelope import Recipient

# RFC 5321 4.5.3.1.4 says 512; parameters and long addresses need more.
LINE_LIMIT = 4096
# RFC 4954 4: octets of a line in an exchange, and so of AUTH.
AUTH_LIMIT = 12288
# Until it is known what this client may do.
STRICTEST = Manner()


class Stage:
    """How far a conversation has come: one bit each, and sets of them.

    Numbers, not members of a Flag: they are compared for every command, and Flags are slow.
    """

    GREETED = 1  # the banner was sent
    READY = 2  # HELO or EHLO was said
    MAIL = 4
    RCPT = 8

    ANY = GREETED | READY | MAIL | RCPT
    TRANSACTION = MAIL | RCPT


@dataclass(slots=True)
class Counts:
    """What a client may not do for ever."""

    errors: int = 0
    unknown: int = 0
    nonmail: int = 0
    messages: int = 0
    free_used: set[bytes] = field(default_factory=set)


@dataclass(slots=True)
class Transaction:
    """One message from MAIL to the end of its data."""

    recipients: list[Recipient] = field(default_factory=list)
    declared_size: int = -1
    dsn_ret: int = 0
    dsn_envid: str = ""
    sender_set_untrusted: bool = False
    discarded_by: str = ""  # the ACL that discards all recipients, or has discarded one
    discard_all: bool = False
    too_many: bool = False
    refusals: set[str] = field(default_factory=set)  # what rejected recipients were told


@dataclass(slots=True)
class Login:
    """What AUTH is about: what EHLO offered, by what the client succeeded, how often not."""

    advertised: tuple[Authenticator, ...] = ()
    by: Authenticator | None = None
    failures: int = 0


@dataclass(slots=True)
class Session:
    """One conversation.  `caller` is the local user behind -bs, None for a client."""

    service: Service
    wire: Wire
    situation: Situation
    caller: Caller | None = None
    ctx: Context = field(init=False)  # what expansions see
    queue_only: bool = False
    stage: int = Stage.GREETED
    esmtp: bool = False
    enhanced: bool = False  # ENHANCEDSTATUSCODES was offered
    pipelining: bool = False
    dsn: bool = False  # DSN was offered
    starttls: bool = False  # STARTTLS was offered
    closing: bool = False
    counts: Counts = field(default_factory=Counts)
    login: Login = field(default_factory=Login)
    transaction: Transaction = field(default_factory=Transaction)
    size_limit: int = 0
    longest_line: int = LINE_LIMIT
    helo_must_be_true: bool = False  # helo_verify_hosts
    helo_is_checked: bool = False  # helo_try_verify_hosts
    manner: Manner = STRICTEST
    started: float = field(default_factory=clock.monotonic)
    last_command: bytes = b""
    last_verb: bytes = b""
    is_blank: bool = False  # no ACL and no command has touched what `begin_transaction` makes

    def __post_init__(self) -> None:
        self.ctx = self.situation.ctx

    @property
    def host_name(self) -> str:
        """What we call ourselves."""
        return self.ctx.connection.active_hostname

    def send(self, answer: Reply) -> None:
        """Answer, in the form that this client can read."""
        self.wire.send(answer.enhanced if self.enhanced else answer.plain)

    def pause(self, seconds: float) -> None:
        """Make the client wait; what was answered before is sent first, unless an ACL wants
        it held back."""
        if self.situation.connection.delay_flush:
            self.wire.flush()
        self.wire.wait(seconds)

    def begin_transaction(self) -> None:
        """Forget the last message: MAIL, RSET, HELO, EHLO and the end of data do that."""
        if self.is_blank:
            return
        self.is_blank = True
        self.transaction = Transaction()
        self.situation.message = MessageEffects()
        self.ctx.message = Message()
        self.ctx.place = Place()
        self.ctx.connection.authenticated_sender = ""
        if self.stage & Stage.TRANSACTION:
            self.stage = Stage.READY

    def who(self) -> str:
        """The client for the log, as `H=name (helo) [address] U=ident`."""
        connection = self.ctx.connection
        parts = []
        if connection.host_address:
            parts.append(f"H={self.client()}")
        if connection.ident:
            parts.append(f"U={connection.ident}")
        return " ".join(parts)

    def client(self) -> str:
        """The client by name and address, or the local user."""
        connection = self.ctx.connection
        if not connection.host_address:
            return connection.ident
        return events.client(
            connection.host_name, connection.helo_name, connection.host_address
        )

    def described(self) -> str:
        """The client without H=, with U= where that is known."""
        connection = self.ctx.connection
        if not connection.ident or not connection.host_address:
            return self.client()
        return f"{self.client()} U={connection.ident}"

    def duration(self) -> str:
        """How long the conversation has lasted, for the log."""
        return show_time(int(clock.monotonic() - self.started))

    def protocol(self) -> Trusted:
        """For P= and Received:."""
        if self.caller is not None:
            plain = LOCAL_ESMTP if self.esmtp else LOCAL_SMTP
        elif self.ctx.connection.tls is not None:
            plain = ESMTPS if self.esmtp else SMTPS
        else:
            plain = ESMTP if self.esmtp else SMTP
        # HELO says how a message comes, whoever has authenticated before.
        return AUTHENTICATED.get(plain, plain) if self.ctx.connection.host_auth else plain
