"""What a message of a local program lacks is added: From:, Date:, Message-ID:, Sender:.

Also what every message loses when it comes: Return-path:, Envelope-to: and Delivery-date:,
which only a final delivery may add.  Headers that go are kept in the spool as deleted.

A resent message is told by its Resent- headers; then those are what is completed.
"""

from __future__ import annotations

import re
import string
from dataclasses import dataclass

from mta.base.text import lower, to_bytes, to_text
from mta.config.main.message import Fields
from mta.config.model import Configuration
from mta.expand.context import Context
from mta.expand.run import expand
from mta.mail.address import AddressError, parse_list, split
from mta.mail.date import rfc5322
from mta.mail.header import DELETED, Header, find, first, make

_RESENT = (
    b"resent-from",
    b"resent-date",
    b"resent-to",
    b"resent-message-id",
    b"resent-sender",
)
_FINAL = re.compile(rb"(?:return-path|envelope-to|delivery-date)[ \t\v\f]*:", re.IGNORECASE)
_ADDRESSES = "BCFRST"
_LETTERS = frozenset(string.ascii_letters + string.digits)
# A bare name in brackets, or between the separators of the list; and what follows one up to
# the next address on the same line.
_BARE = (
    r"<[ \t\n]*(?P<inner>{0})[ \t\n]*>|"
    r"(?:\A|(?<=[,:;]))[ \t\n]*(?P<name>{0})(?=[ \t\n]*(?:[,;(]|\Z))"
)
_REST = re.compile(r"[ \t]*>?[ \t]*(?:\([^()\n]*\)[ \t]*)?,[ \t]*(?![ \t\n])")
# After this many columns a list to which domains were added goes on in another line.
LONG_LINE = 40
# Longer lists of one header are left as they are.
MOST_ADDRESSES = 20_000
MOST_BARE = 200


@dataclass(frozen=True, slots=True)
class Author:
    """Who the user is, for headers: a local caller is login@qualify_domain.

    `address` is "" if nobody knows.  `name` goes into a From: that is made; `must_be_named`
    asks for Sender: where From: is somebody else; one who `stands_in` is named in a From: that
    is made for the null sender.
    """

    address: str
    name: str
    must_be_named: bool
    stands_in: bool = False


def strip_final(headers: list[Header], fields: Fields) -> list[Header]:
    """Delete the headers that only a final delivery adds."""
    for header in headers:
        if _FINAL.match(header.text):
            break
    else:
        return headers  # as it is with almost every message
    gone: set[bytes] = set()
    if fields.return_path_remove:
        gone.add(b"return-path")
    if fields.envelope_to_remove:
        gone.add(b"envelope-to")
    if fields.delivery_date_remove:
        gone.add(b"delivery-date")
    if not any(header.kind == " " and header.name in gone for header in headers):
        return headers
    return [header.deleted() if header.name in gone else header for header in headers]


def is_resent(headers: list[Header]) -> bool:
    """True if the message was sent on by somebody who said so."""
    return any(header.name in _RESENT for header in headers if header.kind != DELETED)


def complete(
    headers: list[Header], ctx: Context, author: Author | None, *, retain_sender: bool
) -> list[Header]:
    """The headers of a local message with what is missing, in the order in which Exim adds.

    Of a resent message the newest trace stands on top.  Raises ExpansionFail.
    """
    prefix = "Resent-" if is_resent(headers) else ""
    found = list(headers)
    on_top: list[Header] = []
    if first(found, f"{prefix}Message-ID") is None:
        new = make(f"{prefix}Message-Id", f"<{_message_id(ctx)}>")
        (on_top if prefix else found).append(new)
    sender = ctx.message.sender
    if author is not None and author.stands_in:
        sender = sender or author.address
    if first(found, f"{prefix}From") is None and sender:
        name = author.name if author else ""
        found.append(make(f"{prefix}From", f"{phrase(name)} <{sender}>" if name else sender))
    if author is not None and author.must_be_named:
        found = _name_sender(found, prefix, author, retain=retain_sender)
    if first(found, f"{prefix}Date") is None:
        new = make(f"{prefix}Date", rfc5322(ctx.message.received_time))
        (on_top if prefix else found).append(new)
    return [*reversed(on_top), *found]


def _message_id(ctx: Context) -> str:
    fields = ctx.conf.fields
    domain: str = ctx.conf.naming.primary_hostname
    text = ""
    if fields.message_id_header_domain is not None:
        domain = _safe(expand(ctx, fields.message_id_header_domain), "-.") or domain
    if fields.message_id_header_text is not None:
        text = _safe(expand(ctx, fields.message_id_header_text), "-.!#$%&'*+/=?^_`{|}~")
    return f"E{ctx.message.message_id}{'.' + text if text else ''}@{domain}"


def _safe(text: str, allowed: str) -> str:
    """The text with "-" for whatever may not stand in a message id."""
    good = _LETTERS.union(allowed)
    return "".join(letter if letter in good else "-" for letter in text)


def phrase(name: str) -> str:
    """A display name, in quotes where it has to be."""
    if _LETTERS.union(" !#$%&'*+-/=?^_`{|}~").issuperset(name):
        return name
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _name_sender(
    headers: list[Header], prefix: str, author: Author, *, retain: bool
) -> list[Header]:
    """Drop Sender: headers that a caller made up, and say who he is if From: does not."""
    if not retain:
        gone = find(headers, f"{prefix}Sender")
        headers = [header.deleted() if header in gone else header for header in headers]
    elif first(headers, f"{prefix}Sender") is not None:
        return headers
    if not author.address or _is_from(find(headers, f"{prefix}From"), author.address):
        return headers
    name = phrase(author.name)
    value = f"{name} <{author.address}>" if name else author.address
    return [*headers, make(f"{prefix}Sender", value)]


def _is_from(origins: list[Header], address: str) -> bool:
    """True if the From: headers name this address and nobody else, and can be read."""
    found: list[str] = []
    errors: list[tuple[str, str]] = []
    try:
        for origin in origins:
            found += parse_list(to_text(origin.body), errors=errors, limit=MOST_ADDRESSES)
    except AddressError:
        return False
    return not errors and [lower(each) for each in found] == [lower(address)]


def addresses_of(header: Header) -> list[str]:
    """The addresses of a header line that can be read."""
    try:
        return parse_list(to_text(header.body), errors=[], limit=MOST_ADDRESSES)
    except AddressError:
        return []


def recipients_of(
    headers: list[Header], errors: list[tuple[str, str]]
) -> tuple[list[Header], list[str]]:
    """For -t: whom To:, Cc:, Bcc: (or Resent- ones) name; and the headers with Bcc: deleted.

    Raises AddressError when there are far too many.
    """
    prefix = b"resent-" if is_resent(headers) else b""
    wanted = {prefix + name for name in (b"to", b"cc", b"bcc")}
    found: list[str] = []
    kept: list[Header] = []
    for header in headers:
        name = header.name
        if name in wanted and header.kind != DELETED:
            found += parse_list(to_text(header.body), errors=errors, limit=MOST_ADDRESSES)
            kept.append(header.deleted() if name.endswith(b"bcc") else header)
        else:
            kept.append(header)
    return kept, found


def qualify(headers: list[Header], conf: Configuration) -> list[Header]:
    """Add the domain to bare names in the address headers of a local message.

    The line as it was stays before the new one, deleted.
    """
    result: list[Header] = []
    for header in headers:
        whole = _qualified(header, conf) if header.kind in _ADDRESSES else header
        if whole is not header:
            result.append(header.deleted())
        result.append(whole)
    return result


def _qualified(header: Header, conf: Configuration) -> Header:
    """One header; what is not a plain bare name or <name> stays as it is."""
    bare = [address for address in addresses_of(header) if not split(address)[1]]
    if not bare or len(bare) > MOST_BARE:
        return header
    domain = conf.naming.qualify_recipient
    if header.kind in "FRS":
        domain = conf.naming.qualify_domain
    words = "|".join(re.escape(each) for each in sorted(set(bare), key=len, reverse=True))
    text = to_text(header.text)
    made, done = "", 0
    start = text.index(":") + 1
    for found in re.finditer(_BARE.format(words), text[start:]):
        end = start + found.end("name" if found["name"] else "inner")
        made += f"{text[done:end]}@{domain}"
        rest = _REST.match(text, end)
        done = rest.end() if rest else end
        made += text[end:done]
        if rest and len(made) - made.rfind("\n") - 1 > LONG_LINE:
            made += "\n\t"
    return Header(header.kind, to_bytes(made + text[done:]))
