"""Bytes and text: the one place where mail octets become str and back.

Outside (wire, spool bodies, headers) there are bytes; inside (configuration, expansion,
addresses) there is str, decoded as UTF-8 with surrogate escapes so that every octet survives
the way there and back.  Case is changed for ASCII letters only, and white space means blank
and tab unless said otherwise: str's own methods know Unicode's ideas of both, and these
strings are octets that somebody else sent.
"""

from __future__ import annotations

_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_UPPER = {lower: lower - 32 for lower in range(ord("a"), ord("z") + 1)}
_DIGITS = frozenset("0123456789")

BLANKS = " \t"
SPACES = " \t\r\n\v\f"


def to_text(octets: bytes) -> str:
    """Octets from outside as text; nothing is lost."""
    return octets.decode("utf-8", "surrogateescape")


def to_bytes(text: str) -> bytes:
    """Text as the octets it was made of."""
    return text.encode("utf-8", "surrogateescape")


def lower(text: str) -> str:
    """The letters A to Z in lower case; other characters as they are."""
    return text.lower() if text.isascii() else text.translate(_LOWER)


def upper(text: str) -> str:
    """The letters a to z in upper case; other characters as they are."""
    return text.upper() if text.isascii() else text.translate(_UPPER)


def trim(text: str) -> str:
    """Without ASCII white space at either end."""
    return text.strip(SPACES)


def is_number(text: str) -> bool:
    """True for one or more ASCII digits and nothing else."""
    return bool(text) and _DIGITS.issuperset(text)


def words(text: str) -> list[str]:
    """The parts of a text between runs of ASCII white space."""
    return [word for word in text.translate(_TO_BLANK).split(" ") if word]


_TO_BLANK = {ord(space): " " for space in SPACES}
_ESCAPES = {
    **{code: f"\\{code:03o}" for code in (*range(32), 127, *range(0x80, 0xA0))},
    ord("\n"): "\\n",
    ord("\r"): "\\r",
    ord("\t"): "\\t",
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}


def one_line(text: str) -> str:
    """Text fit for one line of a log or a reply: control characters are written as escapes."""
    return text if text.isprintable() else text.translate(_ESCAPES)
