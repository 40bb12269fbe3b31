"""The header of a message on its way in: loops, what ACLs add and remove, the message id."""

from __future__ import annotations

from mta.acl.situation import MessageEffects
from mta.base.errors import Reject
from mta.base.text import lower, to_bytes, to_text, trim
from mta.mail.header import DELETED, Header


def tidied(headers: list[Header]) -> list[Header]:
    """The headers as they are kept, which others cannot read in another way.

    NULs become question marks, and lines of blanks alone at its end go: some would take such
    a line for the end of the whole header.
    """
    whole = b"".join([header.text for header in headers])
    if b"\0" in whole or b" \n" in whole or b"\t\n" in whole:
        return [_tidied(header) for header in headers]
    return headers


def _tidied(header: Header) -> Header:
    text = header.text
    if b"\0" in text:
        text = text.replace(b"\0", b"?")
    if text.endswith((b" \n", b"\t\n")):
        used = len(text.rstrip(b" \t\n"))
        text = text[: text.index(b"\n", used) + 1]
    return header if text is header.text else Header(header.kind, text)


def check_loop(headers: list[Header], most: int) -> None:
    """Refuse a message that has come by too often.  Raises Reject."""
    if len(headers) <= most:
        return
    count = sum(1 for header in headers if header.kind == "P")
    if count > most:
        raise Reject(550, "5.4.6", 'Too many "Received" headers - suspected mail loop')


def changed(headers: list[Header], effects: MessageEffects) -> list[Header]:
    """The headers with those that ACLs add, without those that they remove."""
    if effects.remove_headers:
        names = [to_bytes(lower(name)) for name in effects.remove_headers]
        headers = [
            header.deleted() if any(_named(header, name) for name in names) else header
            for header in headers
        ]
    if not effects.add_headers:
        return headers
    by_place: dict[str, list[Header]] = {"start": [], "received": [], "rfc": [], "end": []}
    for added in effects.add_headers:
        by_place[added.place].append(added.header)
    count = 0
    while count < len(headers) and headers[count].kind in ("P", DELETED):
        count += 1
    return [
        *by_place["start"],
        *headers[:count],
        *by_place["received"],
        *by_place["rfc"],
        *headers[count:],
        *by_place["end"],
    ]


def _named(header: Header, name: bytes) -> bool:
    if name.endswith(b"*"):
        return header.name.startswith(name[:-1])
    return header.name == name


def message_id_of(headers: list[Header]) -> Header | None:
    """The Message-ID: header, the first one if there are several."""
    for header in headers:
        # The kind tells all but a Resent-Message-ID: from it at no cost.
        if header.kind == "I" and header.name == b"message-id":
            return header
    return None


def bare_id(header: Header | None) -> str:
    """The message id as the log shows it."""
    if header is None:
        return ""
    text = trim(to_text(header.body))
    return text[1:-1] if text.startswith("<") and text.endswith(">") else text
