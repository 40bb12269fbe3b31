"""Reports: telling the sender which addresses failed, or went well, by a message of our own.

A bounce is durable in the spool before an address is marked as failed: a crash in between
tells the sender twice, never not at all.  A report of success is durable before the message is
given up; a crash between a delivery and it costs the report, as it does with Exim.

Reports have the null sender, so that nobody ever reports on a report, and say that they are
automatic (RFC 3834).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace

from mta.base import clock
from mta.base.errors import ExpansionFail
from mta.base.text import one_line, to_bytes
from mta.config.model import Configuration
from mta.deliver import notify
from mta.deliver.context import RETURNS
from mta.deliver.item import Item
from mta.deliver.notify import Success
from mta.deliver.retry import EXCEEDED
from mta.expand.context import Connection, Context
from mta.expand.context import Message as MessageFacts
from mta.expand.run import expand
from mta.log import events
from mta.log.sink import Log
from mta.lookup.api import Tables
from mta.mail import date, dsn, header
from mta.route.api import Address
from mta.spool import writer
from mta.spool.envelope import DSN_LAST_HOP, Envelope, Recipient
from mta.spool.ids import Ticks
from mta.spool.layout import Spool
from mta.spool.reader import Message
from mta.unix import users

_BLOCK = 8192
_MOST = 16 << 20  # whatever the option says: a report is made in memory
_FIRST_LINE = len("1abcde-000000000aB-0001-D\n")  # of a -D file, which counts there

Written = tuple[list[header.Header], bytes]
Write = Callable[[str, float], Written]


class Bouncer:
    """Writes reports into the spool."""

    __slots__ = ("_conf", "_log", "_login", "_spool", "_tables", "_ticks")

    def __init__(self, conf: Configuration, spool: Spool, log: Log, tables: Tables) -> None:
        self._conf = conf
        self._spool = spool
        self._log = log
        self._tables = tables
        self._ticks = Ticks()
        self._login = users.name_of(os.geteuid())

    def send(self, message: Message, to: str, items: list[Item]) -> str:
        """Make a bounce for these addresses durable; gives its id.  Raises TempFail."""

        def written(bounce_id: str, now: float) -> Written:
            report = self._report(message, to, bounce_id, now)
            sender = message.envelope.sender
            failed = tuple(_failed(item) for item in _in_order(items))
            report = replace(
                report,
                failed=failed,
                is_utf8=report.is_utf8 or _needs_utf8(each.address for each in failed),
                sender=sender if sender != to else "",
                body=self._body(message),
                body_size=message.body_size,
                headers_only=self._is_headers_only(message),
                body_is_denied=not self._conf.delivery.bounce_return_body,
            )
            return dsn.bounce(report)

        return self._store(message.id, to, written)

    def send_success(self, message: Message, successes: list[Success]) -> str:
        """Make a report of success durable; gives its id.  Raises TempFail."""
        to = message.envelope.sender

        def written(report_id: str, now: float) -> Written:
            report = self._report(message, to, report_id, now)
            succeeded = tuple(_succeeded(each) for each in successes)
            needed = report.is_utf8 or _needs_utf8(each.address for each in succeeded)
            return dsn.success(replace(report, is_utf8=needed), succeeded)

        return self._store(message.id, to, written)

    def tell(self, about: Envelope, to: str, subject: str, text: str) -> str:
        """Make a notice about a message durable; gives its id.  Raises TempFail."""

        def written(notice_id: str, now: float) -> Written:
            naming = self._conf.naming
            domain = naming.qualify_domain or naming.primary_hostname
            original = header.first(about.headers, "message-id")
            headers = [
                header.make("Auto-Submitted", "auto-replied"),
                header.make("From", f"Mail Delivery System <Mailer-Daemon@{domain}>"),
                header.make("To", one_line(to)),
                header.make("Subject", subject),
                header.make("Message-Id", f"<E{notice_id}@{naming.primary_hostname}>"),
                header.make("Date", date.rfc5322(now)),
            ]
            if original and original.body.strip(b" \t\r\n"):
                headers.append(header.Header(header.OTHER, b"References:" + original.body))
            return headers, to_bytes(text)

        return self._store(about.id, to, written)

    def _store(self, about: str, to: str, written: Write) -> str:
        now = clock.now()
        with writer.begin(self._spool, self._ticks) as incoming:
            headers, body = written(incoming.id, now)
            envelope = Envelope(
                incoming.id,
                self._login,
                os.geteuid(),
                os.getegid(),
                "",
                now,
                received_complete=now,
                ident=self._login,
                received_protocol="local",
                local=True,
                deliver_firsttime=True,
                body_linecount=body.count(b"\n"),
                smtputf8=not to.isascii(),
                recipients=(Recipient(to),),
                headers=(*self._received(incoming.id, to, now), *headers),
            )
            incoming.write(body)
            size = incoming.commit(envelope)
            events.received(
                self._log,
                incoming.id,
                "",
                user=self._login,
                protocol="local",
                size=size,
                bounce_of=about,
            )
            return incoming.id

    def _received(self, message_id: str, to: str, now: float) -> list[header.Header]:
        option = self._conf.fields.received_header_text
        if option is None:
            return []
        ctx = Context(
            self._conf,
            self._tables,
            connection=Connection(protocol="local", ident=self._login),
            message=MessageFacts(message_id=message_id, recipients=[to], received_time=now),
        )
        try:
            text = expand(ctx, option)
        except ExpansionFail:
            return []
        name, colon, value = text.partition(":")
        if not colon:
            return []
        return [header.make(name, f"{value.strip(' ')};\n\t{date.rfc5322(now)}")]

    @property
    def _limit(self) -> int:
        """How large a body may be that is returned: as with Exim, some more than is said."""
        limit = self._conf.delivery.bounce_return_size_limit
        if limit <= 0:
            return _MOST
        return min(_MOST, (limit // _BLOCK + 1) * _BLOCK - _FIRST_LINE)

    def _is_headers_only(self, message: Message) -> bool:
        wished = RETURNS.get(message.envelope.dsn_ret, "")
        is_allowed = self._conf.delivery.bounce_return_body
        return wished == "hdrs" or not (wished or is_allowed)

    def _body(self, message: Message) -> bytes:
        """The body if it is returned; what is too large for that is not read."""
        limit = self._limit
        is_denied = not self._conf.delivery.bounce_return_body
        if is_denied or self._is_headers_only(message) or message.body_size > limit:
            return b""
        return os.pread(message.data_fd, max(0, message.body_size), message.body_offset)

    def _report(
        self, message: Message, to: str, report_id: str, now: float
    ) -> dsn.BounceReport:
        envelope, naming = message.envelope, self._conf.naming
        return dsn.BounceReport(
            primary_hostname=naming.primary_hostname,
            qualify_domain=naming.qualify_domain or naming.primary_hostname,
            to=to,
            message_id=report_id,
            now=now,
            failed=(),
            headers=envelope.headers,
            arrived=envelope.received_time,
            is_utf8=envelope.smtputf8,
            details=self._conf.own.dsn_details,
            dsn_from=self._from(message),
            envelope_id=envelope.dsn_envid,
            return_size_limit=self._limit,
            return_line_limit=self._conf.delivery.bounce_return_linesize_limit,
        )

    def _from(self, message: Message) -> str:
        option = self._conf.delivery.dsn_from
        if option is None:
            return ""
        ctx = Context(self._conf, self._tables)
        try:
            return expand(ctx, option)
        except ExpansionFail as error:
            events.note(self._log, message.id, f"cannot expand dsn_from: {error.text}")
            return ""


def _in_order(items: list[Item]) -> list[Item]:
    """Failures in the order in which Exim tells of them: the last one first.

    It routes the recipients and delivers to local ones in reverse, so that of these the first
    recipient is the first told of.
    """
    at_hosts = [item for item in items if item.transport and not item.is_local]
    at_home = [item for item in items if item.transport and item.is_local]
    routed = [item for item in items if not item.transport]
    routed.sort(key=lambda item: item.address.parent is None)
    return at_hosts[::-1] + at_home + routed


def _failed(item: Item) -> dsn.FailedRecipient:
    address = item.address
    text, host, reply = item.text, item.host, item.reply
    if item.told is not None:
        text = item.told
    if text.endswith(EXCEEDED) and item.code > 0 and text.startswith(os.strerror(item.code)):
        # What the system said last, Exim does not tell.
        text, host, reply = EXCEEDED, "", ""
    if reply:
        # The log has the lines of a reply in one; here they are lines again.
        before, _, behind = text.partition(reply.replace("\n", "\\n"))
        reply += behind
        text = before + reply
    if host:
        text = f"host {item.host_shown}\n{text}"
    is_hidden = address.kind != "address" or address.is_hidden
    if address.is_hidden:
        text = f"(an address generated from it)\n{text}"
    elif address.kind != "address":
        pass  # it is shown with what named it
    elif address.parent is not None and address.parent.text != address.text:
        near = address.parent is address.origin
        text = f"({'' if near else 'ultimately '}generated from {address.origin.text})\n{text}"
    return dsn.FailedRecipient(
        item.recipient.address if is_hidden else address.text,
        text,
        item.status if item.status[:1] == "5" else "",
        address.orcpt,
        host,
        reply,
        # The sender knows nothing of the addresses that an alias stands for.  RFC 3464 2.3.2
        item.recipient.address,
        _shown(address),
        item.output,
    )


def _shown(address: Address) -> str:
    """How people see a file or a pipe; "" for an address, or where they are not to see it."""
    if address.kind == "address" or address.is_hidden or address.parent is None:
        return ""
    verb = "pipe to" if address.kind == "pipe" else "save to"
    return f"{verb} {address.text}\ngenerated by {address.parent.text}"


_NOTES = {
    notify.RELAYED: "relayed to non-DSN-aware mailer",
    notify.DELIVERED: 'relayed via non "Remote SMTP" router',
    notify.EXPANDED: "expanded to several addresses",
}
_HOW = {
    notify.DELIVERED: "relayed via non SMTP router",
    notify.EXPANDED: "expanded to several addresses",
}


def _succeeded(success: Success) -> dsn.Succeeded:
    """What is said of a success; who has the message now is not told of an alias."""
    recipient, item, action = success.recipient, success.item, success.action
    note, how, host = _NOTES[action], _HOW.get(action, ""), ""
    if action == notify.RELAYED:
        host, how = item.host, item.text.partition("\\\\n")[0]
        if item.address.dsn_flags & DSN_LAST_HOP:
            note = "relayed via non DSN router"
    return dsn.Succeeded(recipient.address, action, note, recipient.orcpt, host, how)


def _needs_utf8(addresses: Iterable[str]) -> bool:
    return not all(address.isascii() for address in addresses)
