"""Bounces: telling the sender which addresses failed, by a message of our own.

A bounce is durable in the spool before an address is marked as failed: a crash in between
tells the sender twice, never not at all.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from mta.base import clock
from mta.base.errors import ExpansionFail
from mta.base.text import one_line, to_bytes
from mta.config.model import Configuration
from mta.deliver.context import RETURNS
from mta.deliver.item import Item
from mta.expand.context import Connection, Context
from mta.expand.context import Message as MessageFacts
from mta.expand.run import expand
from mta.log import events
from mta.log.sink import Log
from mta.lookup.api import Tables
from mta.mail import date, dsn, header
from mta.spool import writer
from mta.spool.envelope import DSN_NEVER, Envelope, Recipient
from mta.spool.ids import Ticks
from mta.spool.layout import Spool
from mta.spool.reader import Message
from mta.unix import users

Made = tuple[list[header.Header], bytes]
Make = Callable[[str, float], Made]


class Bouncer:
    """Writes bounces into the spool."""

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

        def make(bounce_id: str, now: float) -> Made:
            return dsn.bounce(self._report(message, to, items, bounce_id, now))

        return self._store(message.id, to, make)

    def tell(self, about: Envelope, to: str, subject: str, text: str) -> str:
        """Make a notice about a message durable; gives its id.  Raises TempFail."""

        def make(notice_id: str, now: float) -> Made:
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

        return self._store(about.id, to, make)

    def _store(self, about: str, to: str, make: Make) -> str:
        now = clock.now()
        with writer.begin(self._spool, self._ticks) as incoming:
            headers, body = make(incoming.id, now)
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

    def _report(
        self, message: Message, to: str, items: list[Item], bounce_id: str, now: float
    ) -> dsn.BounceReport:
        envelope, options = message.envelope, self._conf.delivery
        limit = options.bounce_return_size_limit
        headers_only = (
            not options.bounce_return_body or RETURNS.get(envelope.dsn_ret) == "hdrs"
        )
        body = b""
        if not headers_only and message.body_size <= limit:
            body = os.pread(message.data_fd, max(0, message.body_size), message.body_offset)
        naming = self._conf.naming
        return dsn.BounceReport(
            primary_hostname=naming.primary_hostname,
            qualify_domain=naming.qualify_domain or naming.primary_hostname,
            to=to,
            message_id=bounce_id,
            now=now,
            failed=tuple(_failed(item) for item in items),
            headers=envelope.headers,
            body=body,
            body_size=message.body_size,
            headers_only=headers_only,
            dsn_from=self._from(message),
            envelope_id=envelope.dsn_envid,
            return_size_limit=limit,
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


def _failed(item: Item) -> dsn.FailedRecipient:
    address = item.address
    text = item.text or "unknown error"
    if item.host:
        text = f"host {item.host_shown}\n{text}"
    is_hidden = address.kind != "address" or address.is_hidden
    if address.is_hidden:
        text = f"(an address generated from it)\n{text}"
    elif address.parent is not None and address.parent.text != address.text:
        near = address.parent is address.origin
        text = f"({'' if near else 'ultimately '}generated from {address.origin.text})\n{text}"
    return dsn.FailedRecipient(
        item.recipient.address if is_hidden else address.text,
        text,
        "5.0.0",  # as Exim writes it; the true code is in the text of the remote host
        item.recipient.orcpt,
        item.host,
        item.reply,
    )


def wants_none(item: Item) -> bool:
    """True if the sender asked not to be told of this recipient."""
    return bool(item.recipient.dsn_flags & DSN_NEVER)
