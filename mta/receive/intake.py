"""One message on its way in: octets become a header, a body in the spool, an envelope.

    Intake(…)      a new id; ID-D is made and locked
    take(octets)   as often as there is something, in internal form (LF line ends)
    finish(…)      header work, the ACL, the envelope, the commit, the log; the id
    abandon()      nothing of it remains

The body goes straight to the disk: memory does not grow with the message.  What goes wrong
while octets come in is kept and raised by `finish`, since the rest of the message has to be
read anyhow before the sender can be told.

The order at the end: durable, logged, the hint to the queue runner, and then the caller tells
the sender.  Raises Reject for what is refused and TempFail for what failed; both are logged.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from mta.acl import engine
from mta.acl.answer import Answer, refusal
from mta.acl.phase import Phase
from mta.acl.program import Action
from mta.acl.situation import Situation
from mta.base import clock
from mta.base.errors import ExpansionFail, Reject, TempFail
from mta.base.text import lower, one_line, to_bytes
from mta.expand.context import Connection
from mta.log import events
from mta.log.selector import selected
from mta.mail.address import split
from mta.mail.header import Header, parse_block
from mta.net.tls_terms import Facts
from mta.receive import fixup
from mta.receive.headers import bare_id, changed, check_loop, message_id_of, tidied
from mta.receive.postmark import without_postmark
from mta.receive.received import received_header
from mta.receive.service import Service
from mta.receive.submission import author_of, sender_of
from mta.receive.terms import Counted, Terms
from mta.spool.envelope import Envelope, Recipient
from mta.spool.writer import begin

TOO_BIG = "Message size exceeds maximum permitted"


@dataclass(slots=True)
class _Header:
    """The header while it is not known where it ends."""

    octets: bytearray = field(default_factory=bytearray)
    ended: bool = False
    lines: list[Header] = field(default_factory=list)


class Intake:
    """One message being received."""

    __slots__ = (
        "_counted",
        "_failure",
        "_header",
        "_incoming",
        "_service",
        "_situation",
        "_terms",
        "id",
    )

    def __init__(self, service: Service, situation: Situation, terms: Terms) -> None:
        """Make room for a message.  Raises TempFail."""
        self._service = service
        self._situation = situation
        self._terms = terms
        self._incoming = begin(service.spool, service.ticks)
        self.id = self._incoming.id
        self._header = _Header()
        self._counted = Counted()
        self._failure: Reject | TempFail | None = None
        message = situation.ctx.message
        message.message_id = self.id
        message.received_time = clock.now()

    @property
    def failed(self) -> bool:
        """True if the message will not be taken, whatever else comes."""
        return self._failure is not None

    @property
    def in_header(self) -> bool:
        """True while the end of the header has not been seen."""
        return not self._header.ended

    def take(self, octets: bytes) -> None:
        """The next octets of the message."""
        self._counted.size += len(octets)
        if self._failure is not None:
            return
        try:
            limit = self._terms.size_limit
            if limit and self._counted.size > limit:
                raise Reject(552, "5.3.4", TOO_BIG)
            if self._header.ended:
                self._body(octets)
            else:
                self._collect(octets)
        except (Reject, TempFail) as error:
            self._failure = error
            self._incoming.abandon()

    def abandon(self) -> None:
        """Remove what there is of the message."""
        self._incoming.abandon()

    def finish(self, recipients: list[Recipient]) -> str:
        """Take the message for these recipients and return its id.

        Raises Reject or TempFail, logged, with nothing left behind.
        """
        try:
            if not self._header.ended and self._failure is None:
                self._end_header(bytes(self._header.octets))
            if self._failure is not None:
                raise self._failure
            return self._accept(recipients)
        except ExpansionFail as error:
            # The administrator's own text for Received: and the like cannot be expanded.
            failure = TempFail(f"cannot complete the header: {error.text}", status="4.3.5")
            self._log_failure(failure)
            raise failure from error
        except (Reject, TempFail) as error:
            self._log_failure(error)
            raise
        finally:
            self._incoming.abandon()

    # The header and the body while they come in.

    def _collect(self, octets: bytes) -> None:
        """Add to the header until its end is seen."""
        header = self._header.octets
        if not header and (b"\n\n" in octets or octets.startswith(b"\n")):
            # Most messages come with all of it in one piece.
            self._end_header(octets)
            return
        before = max(len(header) - 1, 0)
        header += octets
        if header[:1] == b"\n" or header.find(b"\n\n", before) >= 0:
            self._end_header(bytes(header))
        elif len(header) > self._service.conf.smtp_in.header_maxsize:
            whole, _, rest = bytes(header).rpartition(b"\n")
            headers, body = parse_block(whole + b"\n")
            if not body:
                raise self._long_header()
            # A line that is no header ended the header some time ago.
            self._use_header(headers, body + rest)

    def _end_header(self, block: bytes) -> None:
        if self._terms.postmark is not None:
            block, sender = without_postmark(block)
            if sender is not None:
                self._terms.postmark(sender)
        self._use_header(*parse_block(block))

    def _use_header(self, headers: list[Header], body: bytes) -> None:
        self._header.ended = True
        self._header.octets = bytearray()
        self._header.lines = headers = tidied(headers)
        texts = [header.text for header in headers]
        smtp = self._service.conf.smtp_in
        whole = b"".join(texts)
        if len(whole) > smtp.header_maxsize:
            raise self._long_header()
        most = smtp.header_line_maxsize
        if most and len(whole) > most and len(max(texts, key=len)) > most:
            raise Reject(552, "5.3.4", "A message header line is too long")
        longest = max(map(len, whole.split(b"\n")))
        self._counted.longest = max(self._counted.longest, longest)
        if body:
            self._body(body)

    def _long_header(self) -> Reject:
        return Reject(552, "5.3.4", "Message header is ridiculously long")

    def _body(self, octets: bytes) -> None:
        self._counted.add(octets)
        self._incoming.write(octets)

    # The end.

    def _accept(self, recipients: list[Recipient]) -> str:
        ctx, terms = self._situation.ctx, self._terms
        headers = fixup.strip_final(self._header.lines, ctx.conf.fields)
        if terms.from_headers:
            headers, recipients = self._recipients_from(headers, recipients)
        check_loop(headers, ctx.conf.smtp_in.received_headers_max)
        had_id = message_id_of(headers)
        headers = self._completed(headers)
        ctx.message.recipients = [to.address for to in recipients]
        trace = received_header(ctx)
        headers = [trace, *headers] if trace else headers
        self._show(headers)
        discarded = self._ask_acl() or terms.discarded_by
        headers = changed(headers, self._situation.message)
        if discarded:
            return self._throw_away(headers, had_id, discarded)
        return self._commit(headers, recipients, had_id)

    def _completed(self, headers: list[Header]) -> list[Header]:
        """The header with what a local message, or one in submission mode, has to have."""
        ctx, terms, effects = self._situation.ctx, self._terms, self._situation.message
        if (submission := effects.submission) is not None:
            author = author_of(ctx, submission)
            headers = fixup.complete(headers, ctx, author, retain_sender=False)
            ctx.message.sender = sender_of(ctx, submission, author)
        elif terms.fixups and effects.local_fixups:
            headers = fixup.qualify(headers, ctx.conf)
            retain = ctx.conf.local.local_sender_retain
            headers = fixup.complete(headers, ctx, terms.author, retain_sender=retain)
        return headers

    def _recipients_from(
        self, headers: list[Header], given: list[Recipient]
    ) -> tuple[list[Header], list[Recipient]]:
        """-t: the recipients of the header without those on the command line."""
        errors: list[tuple[str, str]] = []
        headers, found = fixup.recipients_of(headers, errors)
        if errors:
            item, reason = errors[0]
            raise Reject(501, "5.1.3", f"{item[:200]}: {reason}")
        conf = self._service.conf
        domain = conf.naming.qualify_recipient
        named = [each if split(each)[1] else f"{each}@{domain}" for each in found]
        excluded: set[str] = set()
        if conf.local.extract_addresses_remove_arguments:
            excluded = {lower(to.address) for to in given}
        else:
            named += [to.address for to in given]
        chosen = dict.fromkeys(each for each in named if lower(each) not in excluded)
        if not chosen:
            raise Reject(550, "5.1.3", "no recipients found in headers")
        flags = self._terms.dsn_flags
        return headers, [Recipient(each, dsn_flags=flags) for each in chosen]

    def _show(self, headers: list[Header]) -> None:
        """Let expansions see the message."""
        message, counted = self._situation.ctx.message, self._counted
        message.headers = headers
        message.size = self._incoming.body_size + sum([len(each.text) for each in headers])
        message.body_linecount = counted.lines
        message.max_received_linelength = counted.longest

    def _ask_acl(self) -> str:
        """Run the ACL; "" if it accepts, or which one discards.  Raises Reject."""
        situation, terms = self._situation, self._terms
        verdict = engine.check(self._service.acls, situation, terms.phase)
        if verdict.action is Action.ACCEPT:
            return ""
        if verdict.action is Action.DISCARD:
            return "DATA ACL" if terms.phase is Phase.DATA else "non-SMTP ACL"
        answer = refusal(verdict)
        self._log_refusal(answer, temporary=verdict.action is Action.DEFER)
        raise Refused(answer, drop=verdict.action is Action.DROP)

    def _commit(
        self, headers: list[Header], recipients: list[Recipient], had_id: Header | None
    ) -> str:
        effects = self._situation.message
        envelope = self._with_login(self._envelope(headers, recipients))
        if (tls := self._situation.ctx.connection.tls) is not None:
            envelope = _with_secrecy(envelope, tls)
        size = self._incoming.commit(envelope)
        self._log_arrival(size, had_id)
        log = self._service.log
        now = not (self._terms.queue_only or effects.queue_only or effects.freeze)
        if effects.freeze:
            events.note(log, self.id, "frozen by ACL")
            self._tell_frozen(envelope)
        elif effects.queue_only:
            events.note(log, self.id, "no immediate delivery: queued by ACL")
        elif self._terms.reason:
            events.note(log, self.id, f"no immediate delivery: {self._terms.reason}")
        domain = split(recipients[0].address)[1] if recipients else ""
        self._service.arrived(self.id, now, envelope.sender, lower(domain))
        return self.id

    def _tell_frozen(self, envelope: Envelope) -> None:
        """Tell those of freeze_tell of a message that came and was frozen at once."""
        service = self._service
        to = service.conf.delivery.freeze_tell
        if not to or not self._situation.message.freeze_tell:
            return
        from mta.deliver.bounce import Bouncer  # rarely needed here

        text = (
            f"Message {self.id} was frozen on arrival by ACL.\n"
            f"The sender is <{one_line(envelope.sender)}>.\n"
        )
        bouncer = Bouncer(service.conf, service.spool, service.log, service.tables)
        try:
            notice = bouncer.tell(envelope, to, "Message frozen on arrival", text)
        except TempFail as error:
            events.note(service.log, self.id, f"cannot tell: {error}")
        else:
            service.arrived(notice, True, "", "")

    def _throw_away(self, headers: list[Header], had_id: Header | None, who: str) -> str:
        """All recipients were discarded: nothing is kept, and the log tells."""
        size = sum(len(each.text) for each in headers) + 1 + self._incoming.body_size
        self._incoming.abandon()
        self._log_arrival(size, had_id)
        log = self._service.log
        events.note(log, self.id, f"=> blackhole ({who} discarded recipients)")
        events.completed(log, self.id)
        return self.id

    def _envelope(self, headers: list[Header], recipients: list[Recipient]) -> Envelope:
        ctx, counted, caller = self._situation.ctx, self._counted, self._terms.caller
        connection, origin = ctx.connection, caller or self._service.ourselves()
        return Envelope(
            id=self.id,
            login=origin.login,
            uid=origin.uid,
            gid=origin.gid,
            sender=ctx.message.sender,
            received_time=ctx.message.received_time,
            received_complete=clock.now(),
            helo_name=connection.helo_name,
            host_address=connection.host_address,
            host_port=connection.host_port,
            host_name=connection.host_name,
            host_lookup_failed=connection.host_lookup_failed,
            host_lookup_deferred=connection.host_lookup_deferred,
            interface_address=connection.interface_address,
            interface_port=connection.interface_port,
            active_hostname=_unusual_name(self._service, connection),
            ident=connection.ident,
            received_protocol=connection.protocol,
            auth_id=connection.authenticated_id,
            auth_sender=connection.authenticated_sender,
            local=self._terms.is_local,
            sender_set_untrusted=self._terms.sender_set_untrusted,
            allow_unqualified_recipient=caller is not None,
            allow_unqualified_sender=caller is not None,
            body_linecount=counted.lines,
            body_zerocount=counted.zeros,
            max_received_linelength=counted.longest,
            dsn_ret=self._terms.dsn_ret,
            dsn_envid=self._terms.dsn_envid,
            deliver_firsttime=True,
            frozen_at=int(clock.now()) if self._situation.message.freeze else 0,
            acl_c=dict(connection.acl_c),
            acl_m=dict(ctx.message.acl_m),
            recipients=tuple(recipients),
            headers=tuple(headers),
        )

    def _with_login(self, envelope: Envelope) -> Envelope:
        """The envelope with how the client has authenticated, as few do."""
        connection = self._situation.ctx.connection
        if not connection.host_auth:
            return envelope
        return replace(
            envelope,
            host_auth=connection.host_auth,
            host_auth_pubname=connection.host_auth_pubname,
        )

    # The log.

    def _log_arrival(self, size: int, had_id: Header | None) -> None:
        connection, message = self._situation.ctx.connection, self._situation.ctx.message
        host = ""
        if connection.host_address:
            host = events.client(
                connection.host_name, connection.helo_name, connection.host_address
            )
        events.received(
            self._service.log,
            self.id,
            message.sender,
            host=host,
            user=connection.ident,
            protocol=connection.protocol,
            tls=self._tls_shown(),
            size=size,
            authenticated=self._authenticated(with_sender=True),
            id_header=bare_id(had_id),
        )

    def _authenticated(self, *, with_sender: bool = False) -> str:
        """Who the client is, for A=."""
        connection = self._situation.ctx.connection
        if not connection.host_auth:
            return ""
        sender = ""
        if with_sender and selected(self._service.conf.logging.log_selector, "smtp_mailauth"):
            sender = connection.authenticated_sender
        return events.authenticated(connection.host_auth, connection.authenticated_id, sender)

    def _tls_shown(self) -> str:
        """How the client's connection is encrypted, for the log."""
        tls = self._situation.ctx.connection.tls
        if tls is None:
            return ""
        return events.encrypted(
            self._service.conf.logging.log_selector,
            str(tls),
            verified=tls.verified,
            peer=tls.peer,
            sni=tls.server_name,
        )

    def _log_refusal(self, answer: Answer, *, temporary: bool) -> None:
        message = self._situation.ctx.message
        smtp = self._terms.phase is Phase.DATA
        events.rejected(
            self._service.log,
            self._situation.who(),
            "after DATA" if smtp else "by non-SMTP ACL",
            temporary=temporary,
            message_id=self.id,
            sender=message.sender,
            authenticated=self._authenticated(),
            text=answer.log,
            headers=self._shown_headers(),
        )

    def _shown_headers(self) -> bytes:
        """The message as the reject log shows it."""
        message = self._situation.ctx.message
        lines = [to_bytes(f"Envelope-from: <{message.sender}>\n")]
        for number, to in enumerate(message.recipients[:100]):
            mark = "Envelope-to: " if number == 0 else "             "
            lines.append(to_bytes(f"{mark}<{to}>\n"))
        lines += [to_bytes(header.kind) + b" " + header.text for header in message.headers]
        return b"".join(lines)

    def _log_failure(self, error: Reject | TempFail) -> None:
        if isinstance(error, Refused):
            return
        log, who = self._service.log, self._situation.who()
        sender = self._situation.ctx.message.sender
        if isinstance(error, TempFail):
            events.rejected(
                log,
                who,
                "after DATA" if self._terms.phase is Phase.DATA else "message",
                temporary=True,
                message_id=self.id,
                sender=sender,
                authenticated=self._authenticated(),
                text=error.text,
            )
            return
        text = error.text
        if error.text == TOO_BIG:
            limit = self._terms.size_limit
            text = f"message too big: read={self._counted.size} max={limit}"
        events.note(log, self.id, f"rejected from <{sender}> {who}: {text}")
        log.reject(f"{self.id} rejected from <{sender}> {who}: {text}")


def _unusual_name(service: Service, connection: Connection) -> str:
    """What we call ourselves to this client, "" if it is what we call ourselves to all."""
    name = connection.active_hostname
    return "" if name == service.conf.naming.primary_hostname else name


def _with_secrecy(envelope: Envelope, tls: Facts) -> Envelope:
    """The envelope of a message that came encrypted."""
    return replace(
        envelope,
        tls_cipher=str(tls),
        tls_ver=tls.version,
        tls_peerdn=tls.peer,
        tls_sni=tls.server_name,
        tls_certificate_verified=tls.verified,
    )


class Refused(Reject):
    """An ACL refused the message; `drop` asks for the end of the connection."""

    def __init__(self, answer: Answer, *, drop: bool) -> None:
        self.drop = drop
        super().__init__(answer.code, answer.status, answer.text)
