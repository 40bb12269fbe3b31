"""Header lines in expansions: $h_ $bh_ $rh_ $lh_, and the decoding of RFC 2047 words.

Headers are always text of strangers.
"""

from __future__ import annotations

import base64
import binascii
import re

from mta.base.text import lower, to_bytes, to_text, trim
from mta.expand.context import Context
from mta.mail.header import Header, find

HEADERS_LIMIT = 1 << 17
_WORD = re.compile(r"=\?([^?\s*]{1,40})(?:\*[^?\s]*)?\?([QqBb])\?([^?\s]*)\?=")
_BETWEEN = re.compile(r"(\?=)[ \t\r\n]+(?==\?[^?\s]{1,40}\?[QqBb]\?[^?\s]*\?=)")
_WORD_LENGTH = 75
# Only these are asked of Python, whose table of codecs also has some that are no charsets.
_CHARSETS = re.compile(
    r"us-ascii|ascii|utf-?8|iso-?8859-?[0-9]{1,2}|windows-125[0-9]|cp[0-9]{3,4}|koi8-[rut]"
    r"|iso-2022-(jp|kr)|shift_jis|euc-(jp|kr)|gb2312|gbk|gb18030|big5|latin-?1|macintosh"
)
_ADDRESSES = frozenset("BCFRST")


def transcoded(ctx: Context, name: str) -> str:
    """$h_: each without outer white space, joined by newlines, decoded to UTF-8."""
    return decode_words(_joined(ctx, name), convert=True)


def decoded(ctx: Context, name: str) -> str:
    """$bh_: decoded, but in the charset it came in."""
    return decode_words(_joined(ctx, name), convert=False)


def raw(ctx: Context, name: str) -> str:
    """$rh_: all octets behind the colons, final newlines included."""
    return _limited("".join(to_text(each.body) for each in find(ctx.message.headers, name)))


def listed(ctx: Context, name: str) -> str:
    """$lh_: a list with colons between the headers and colons in them doubled."""
    bodies = [trim(to_text(each.body)) for each in find(ctx.message.headers, name)]
    return _limited(":".join(body.replace(":", "::") for body in bodies))


def all_headers(headers: list[Header]) -> str:
    """The whole header block."""
    return _limited("".join(to_text(each.text) for each in headers if each.kind != "*"))


def _joined(ctx: Context, name: str) -> str:
    found = find(ctx.message.headers, name)
    if not found:
        return ""
    between = ",\n" if found[0].kind in _ADDRESSES else "\n"
    bodies = (trim(to_text(each.body)) for each in found)
    return _limited(between.join(body for body in bodies if body))


def _limited(text: str) -> str:
    return text[:HEADERS_LIMIT]


def decode_words(text: str, *, convert: bool) -> str:
    """RFC 2047 words as the text they stand for; what is malformed stays as it is."""
    if "=?" not in text:
        return text
    return _WORD.sub(lambda word: _decode(word, convert), _BETWEEN.sub(r"\1", text))


def _decode(word: re.Match[str], convert: bool) -> str:
    if len(word[0]) > _WORD_LENGTH:
        return word[0]
    try:
        octets = _octets(word[2], word[3])
    except (binascii.Error, ValueError):
        return word[0]
    charset = lower(word[1])
    if not convert or not _CHARSETS.fullmatch(charset):
        return to_text(octets)
    try:
        return octets.decode(charset)
    except (UnicodeDecodeError, LookupError):
        return to_text(octets)


def _octets(encoding: str, text: str) -> bytes:
    octets = to_bytes(text)
    if encoding in "Bb":
        return base64.b64decode(octets, validate=True)
    return binascii.a2b_qp(octets.replace(b"_", b" "), header=False)
