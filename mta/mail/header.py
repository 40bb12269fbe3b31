"""Header lines: what kind each is, its name and its body, and a block cut into single lines.

A header is kept as the octets that came in, folded lines and all, with LF line ends and an LF
at its end.  Its kind is one letter, as in Exim's spool: B C F I P R S T for Bcc, Cc, From,
Message-ID, Received ("postmark"), Reply-To, Sender and To, and for the Resent- forms of these;
`*` for one that was replaced or removed but is kept for the record; a blank for all others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from mta.base.text import to_bytes

DELETED = "*"
OTHER = " "

_KINDS = {
    b"bcc": "B",
    b"cc": "C",
    b"from": "F",
    b"message-id": "I",
    b"received": "P",
    b"reply-to": "R",
    b"sender": "S",
    b"to": "T",
}
_KINDS |= {b"resent-" + name: kind for name, kind in _KINDS.items() if kind != "P"}

# A name is what is visible, without a colon; as with Exim it may be 8-bit and even empty.
# Blanks before the colon are an old custom.
_HEADER = re.compile(
    rb"(?![ \t\v\f])([!-9;-~\x80-\xff]*+)[ \t\v\f]*+:[^\n]*+\n(?>(?:[ \t][^\n]*+\n)*)"
)
_NAME = re.compile(r"[!-9;-~]+")
_LOOSE_END = re.compile(r"\n(?![ \t])")
_LOOSE_RETURN = re.compile(r"\r\n(?![ \t])")


class Header(NamedTuple):
    """One header line, folded or not."""

    kind: str
    text: bytes

    @property
    def name(self) -> bytes:
        """The name in lower case."""
        return self.text.partition(b":")[0].rstrip(b" \t\v\f").lower()  # ascii: octets

    @property
    def body(self) -> bytes:
        """Everything behind the colon, the final LF included."""
        return self.text.partition(b":")[2]

    def deleted(self) -> Header:
        """The same line, kept for the record only."""
        return Header(DELETED, self.text)


def classify(name: bytes) -> str:
    """The kind of a header of this name."""
    return _KINDS.get(name.lower(), OTHER)  # ascii: octets


def make(name: str, value: str) -> Header:
    """A new header.

    Line breaks in the value become folds, so that no text whatever can begin another header
    or the body.  Raises ValueError for a name that is none.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"not a header name: {name!r}")
    folded = value.rstrip("\r\n")
    if "\r" in folded:
        folded = _LOOSE_RETURN.sub("\n", folded)
    folded = _LOOSE_END.sub("\n\t", folded)
    return Header(classify(to_bytes(name)), to_bytes(f"{name}: {folded}\n"))


def parse_block(block: bytes) -> tuple[list[Header], bytes]:
    """The headers at the start of a message in internal form (LF line ends), and the rest.

    An empty line ends them and is dropped.  A line that cannot be a header ends them too and
    is the first line of the body.
    """
    headers: list[Header] = []
    at = 0
    kinds = _KINDS
    while found := _HEADER.match(block, at):
        headers.append(Header(kinds.get(found[1].lower(), OTHER), found[0]))  # ascii: octets
        at = found.end()
    if block.startswith(b"\n", at):
        return headers, block[at + 1 :]
    rest = block[at:]
    if rest and b"\n" not in rest:
        return _finish(headers, rest)
    return headers, rest


def _finish(headers: list[Header], rest: bytes) -> tuple[list[Header], bytes]:
    """Deal with a last line that has no LF: a header, the end of one, or a body."""
    if headers and rest[0] in b" \t":
        last = headers[-1]
        return [*headers[:-1], Header(last.kind, last.text + rest + b"\n")], b""
    if found := _HEADER.fullmatch(rest + b"\n"):
        return [*headers, Header(classify(found[1]), found[0])], b""
    return headers, rest


def find(headers: Iterable[Header], name: str) -> list[Header]:
    """All headers of this name that were not deleted, in order."""
    wanted = to_bytes(name).lower()  # ascii: octets
    size = len(wanted)
    return [
        header
        for header in headers
        # The name is compared in place first: most headers are not the one that is sought.
        if header.text[:size].lower() == wanted  # ascii: octets
        and header.kind != DELETED
        and header.name == wanted
    ]


def first(headers: Iterable[Header], name: str) -> Header | None:
    """The first header of this name that was not deleted."""
    found = find(headers, name)
    return found[0] if found else None


def join(headers: Iterable[Header]) -> bytes:
    """The headers as they are sent: without the deleted ones."""
    return b"".join([header.text for header in headers if header.kind != DELETED])
