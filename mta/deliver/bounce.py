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
from mta.base.errors import ExpansionFail, TempFail
from mta.base.text import BLANKS, one_line, to_bytes
from mta.config.model import Configuration
from mta.config.template import template
from mta.deliver import notify, templates
from mta.deliver.context import RETURNS, context_of
from mta.deliver.item import Item
from mta.deliver.notify import Success
from mta.deliver.retry import EXCEEDED
from mta.expand.context import Connection, Context
from mta.expand.context import Message as MessageFacts
from mta.expand.run import expand
from mta.expand.split import split_list
from mta.log import events
from mta.log.sink import Log
from mta.lookup.api import Tables
from mta.mail import date, dsn, header
from mta.mail import delay as delays
from mta.match.address import match_address
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
            return dsn.bounce(self._in_own_words(message, to, report))

        return self._store(message.id, (to, *self._copies(message, to)), written)

    def warn(self, message: Message, to: list[str], items: list[Item], delay: str) -> str:
        """Make a warning durable that these addresses wait; gives its id.  Raises TempFail."""

        def written(warning_id: str, now: float) -> Written:
            return self._warning(message, to, items, delay, warning_id, now)

        return self._store(message.id, tuple(to), written)

    def send_success(self, message: Message, successes: list[Success]) -> str:
        """Make a report of success durable; gives its id.  Raises TempFail."""
        to = message.envelope.sender

        def written(report_id: str, now: float) -> Written:
            report = self._report(message, to, report_id, now)
            succeeded = tuple(_succeeded(each) for each in successes)
            needed = report.is_utf8 or _needs_utf8(each.address for each in succeeded)
            return dsn.success(replace(report, is_utf8=needed), succeeded)

        return self._store(message.id, (to,), written)

    def tell(self, about: Envelope, to: str, subject: str, text: str) -> str:
        """Make a notice for administrators about a message durable; gives its id.

        `to` has commas between the addresses.  Raises TempFail.
        """

        def written(notice_id: str, now: float) -> Written:
            headers = [
                header.make("Auto-Submitted", "auto-replied"),
                header.make("From", self._from(about.id) or _usual_from(self._conf)),
                header.make("To", one_line(to)),
                *dsn.references(about.headers),
                header.make("Subject", subject),
                header.make(
                    "Message-Id", f"<E{notice_id}@{self._conf.naming.primary_hostname}>"
                ),
                header.make("Date", date.rfc5322(now)),
            ]
            return headers, to_bytes(text)

        return self._store(about.id, tuple(_addresses(to)), written)

    def _store(self, about: str, to: tuple[str, ...], written: Write) -> str:
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
                auth_sender=self._conf.delivery.bounce_sender_authentication or "",
                local=True,
                deliver_firsttime=True,
                body_linecount=body.count(b"\n"),
                smtputf8=_needs_utf8(to),
                recipients=tuple([Recipient(each) for each in to]),
                headers=(*self._received(incoming.id, list(to), now), *headers),
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

    def _received(self, message_id: str, to: list[str], now: float) -> list[header.Header]:
        option = self._conf.fields.received_header_text
        if option is None:
            return []
        ctx = Context(
            self._conf,
            self._tables,
            connection=Connection(protocol="local", ident=self._login),
            message=MessageFacts(message_id=message_id, recipients=to, received_time=now),
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
            dsn_from=self._from(message.id),
            envelope_id=envelope.dsn_envid,
            return_size_limit=self._limit,
            return_line_limit=self._conf.delivery.bounce_return_linesize_limit,
        )

    def _in_own_words(
        self, message: Message, to: str, report: dsn.BounceReport
    ) -> dsn.BounceReport:
        """The bounce as the administrator wants it worded."""
        options = self._conf.delivery
        ctx = context_of(self._conf, self._tables, message)
        ctx.values["bounce_recipient"] = to
        name = "bounce_message_file"
        own, opening = templates.texts(ctx, options.bounce_message_file, name, self._log, 2)
        remark = options.bounce_message_text
        return replace(
            report,
            reply_to=options.errors_reply_to or "",
            own_headers=own,
            opening=opening,
            remark=remark.rstrip("\n") + "\n" if remark else "",
            returns=options.bounce_return_message,
        )

    def _copies(self, message: Message, to: str) -> list[str]:
        """Who gets a copy of a bounce to this address: errors_copy."""
        option = self._conf.delivery.errors_copy
        if option is None:
            return []
        ctx = context_of(self._conf, self._tables, message)
        found: list[str] = []
        for item in split_list(option.text):
            pattern, rest = _pattern(item)
            try:
                if match_address(ctx, template(pattern, option.where), to) is None:
                    continue
                addresses = expand(ctx, template(rest, option.where))
            except (ExpansionFail, TempFail) as error:
                events.note(self._log, message.id, f"cannot expand errors_copy: {error.text}")
                continue
            found += _addresses(addresses)
        return list(dict.fromkeys(each for each in found if each != to))

    def _warning(
        self,
        message: Message,
        to: list[str],
        items: list[Item],
        delay: str,
        warning_id: str,
        now: float,
    ) -> Written:
        envelope, options = message.envelope, self._conf.delivery
        ctx = context_of(self._conf, self._tables, message)
        ctx.values["warn_message_recipients"] = ",".join(to)
        ctx.values["warn_message_delay"] = delay
        name = "warn_message_file"
        own, opening, ending = templates.texts(
            ctx, options.warn_message_file, name, self._log, 3
        )
        return delays.warning(
            delays.DelayReport(
                self._conf.naming.primary_hostname,
                ",".join(to),
                warning_id,
                message.id,
                now,
                delay,
                tuple(_delayed(item) for item in items),
                envelope.headers,
                self._from(message.id) or _usual_from(self._conf),
                envelope.sender,
                envelope.dsn_envid,
                None if to == [envelope.sender] else envelope.sender,
                options.errors_reply_to or "",
                own,
                opening,
                ending,
            )
        )

    def _from(self, message_id: str) -> str:
        option = self._conf.delivery.dsn_from
        if option is None:
            return ""
        ctx = Context(self._conf, self._tables)
        try:
            return expand(ctx, option)
        except ExpansionFail as error:
            events.note(self._log, message_id, f"cannot expand dsn_from: {error.text}")
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


def _usual_from(conf: Configuration) -> str:
    domain = conf.naming.qualify_domain or conf.naming.primary_hostname
    return f"Mail Delivery System <Mailer-Daemon@{domain}>"


def _addresses(text: str) -> list[str]:
    """Addresses with commas between."""
    return [each for each in (part.strip(BLANKS) for part in text.split(",")) if each]


def _pattern(item: str) -> tuple[str, str]:
    """The pattern of an item of errors_copy, and the rest."""
    item = item.strip(BLANKS)
    if item.startswith('"'):
        pattern, _, rest = item[1:].partition('"')
    else:
        pattern, _, rest = item.replace("\t", " ").partition(" ")
    return pattern, rest.strip(BLANKS)


def _generated(item: Item) -> str:
    """The line that says what an address came of, or ""."""
    address = item.address
    if address.parent is None or address.parent.text == address.text:
        return ""
    near = address.parent is address.origin
    return f"({'' if near else 'ultimately '}generated from {address.origin.text})"


def _delayed(item: Item) -> delays.DelayedRecipient:
    shown = item.address.text if item.address.kind == "address" else item.recipient.address
    lines = [_generated(item)]
    if item.text:
        where = f"host {item.host_shown}: " if item.host else ""
        lines.append(f"Delay reason: {where}{item.text}")
    text = "\n".join(line for line in lines if line)
    return delays.DelayedRecipient(item.recipient.address, shown, text, item.recipient.orcpt)


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
