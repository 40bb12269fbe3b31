"""Operators on text: case, cutting, quoting."""

from __future__ import annotations

import re

from mta.base.text import lower, to_bytes, to_text, upper
from mta.expand.cutting import checked, hash_text, number_hash, part
from mta.expand.registry import operator

_ODD_LOCAL = re.compile(r"[^A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]|\A\.|\.\Z", re.ASCII)
_NEEDS_QUOTES = re.compile(r"[^A-Za-z0-9._-]|^$", re.ASCII)


@operator("lc")
def lc(text: str) -> str:
    """Put the letters A to Z into lower case; other characters stay as they are.

    ${lc:Postmaster@EXAMPLE.com} → postmaster@example.com
    """
    return lower(text)


@operator("uc")
def uc(text: str) -> str:
    """Put the letters a to z into upper case; other characters stay as they are.

    ${uc:postmaster} → POSTMASTER
    """
    return upper(text)


@operator("length", "l", argument=True)
def length(text: str, size: str) -> str:
    """The first octets of a text.

    ${length_3:abcdef} → abc
    """
    return part("length", text, "0", checked("length", size))


@operator("substr", "s", argument=True)
def substr(text: str, places: str) -> str:
    """Octets of a text: _START or _START_LENGTH, from the end if START is negative.

    ${substr_1_2:abcdef} → bc
    ${substr_-2:abcdef} → abcd
    """
    start, _, size = checked("substr", places).partition("_")
    return part("substr", text, start, size)


@operator("strlen")
def strlen(text: str) -> str:
    """How many octets a text has.

    ${strlen:abc} → 3
    """
    return str(len(to_bytes(text)))


@operator("hash", "h", argument=True)
def hash_(text: str, numbers: str) -> str:
    """A hash of a text: _LENGTH or _LENGTH_LETTERS.

    ${hash_3:monty} → jmg
    """
    size, _, limit = checked("hash", numbers).partition("_")
    return hash_text(text, size, limit)


@operator("nhash", "nh", argument=True)
def nhash(text: str, numbers: str) -> str:
    """A hash of a text as a number below the first, or as two with a slash between.

    ${nhash_100:abc} → 36
    """
    first, _, second = checked("nhash", numbers).partition("_")
    return number_hash(text, first, second)


@operator("quote")
def quote(text: str) -> str:
    r"""A text in double quotes, unless it needs none.

    ${quote:a b} → "a b"
    ${quote:plain} → plain
    """
    if not _NEEDS_QUOTES.search(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("\n", "\\n").replace("\r", "\\r") + '"'


@operator("quote_local_part")
def quote_local_part(text: str) -> str:
    """A text as a local part: in quotes where an address needs them.

    ${quote_local_part:first.last} → first.last
    ${quote_local_part:a b} → "a b"
    """
    if text and not _ODD_LOCAL.search(text):
        return text
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


@operator("rxquote")
def rxquote(text: str) -> str:
    r"""A text as a regular expression that matches it and nothing else.

    ${rxquote:a.b} → a\.b
    """
    return re.sub(r"([^A-Za-z0-9])", r"\\\1", text, flags=re.ASCII)


@operator("escape")
def escape(text: str) -> str:
    r"""A text with escapes for what cannot be printed.

    ${escape:two\nlines} → two\nlines
    """
    return to_text(b"".join(_escaped(octet, True) for octet in to_bytes(text)))


@operator("escape8bit")
def escape8bit(text: str) -> str:
    r"""A text with escapes for octets beyond ASCII.

    ${escape8bit:caf\xc3\xa9} → caf\303\251
    """
    return to_text(b"".join(_escaped(octet, False) for octet in to_bytes(text)))


_NAMED = {8: b"\\b", 10: b"\\n", 12: b"\\f", 13: b"\\r"}


def _escaped(octet: int, controls: bool) -> bytes:
    if octet >= 128 or (controls and octet != 9 and (octet < 32 or octet == 127)):
        return _NAMED.get(octet, b"\\%03o" % octet)
    return bytes([octet])


@operator("hexquote")
def hexquote(text: str) -> str:
    r"""A text with octets outside printable ASCII as \x and two digits.

    ${hexquote:caf\xc3\xa9} → caf\xc3\xa9
    """
    octets = to_bytes(text)
    return "".join(chr(octet) if 33 <= octet < 127 else f"\\x{octet:02x}" for octet in octets)


@operator("utf8clean")
def utf8clean(text: str) -> str:
    """A text with a question mark for each octet that is not UTF-8.

    ${utf8clean:a\\xffb} → a?b
    """
    return to_bytes(text).decode("utf-8", "replace").replace("\ufffd", "?")


@operator("from_utf8")
def from_utf8(text: str) -> str:
    """UTF-8 as ISO 8859-1, with underscores for what that does not have.

    ${strlen:${from_utf8:caf\\xc3\\xa9}} → 4
    """
    return to_text(text.encode("iso-8859-1", "replace").replace(b"?", b"_"))
