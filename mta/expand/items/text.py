"""Items that change a text: sg, tr, substr, length, hash, nhash, hmac."""

from __future__ import annotations

import hashlib
import hmac as hmac_module

from mta.base.errors import ExpansionFail
from mta.base.text import is_number, lower, to_bytes, to_text
from mta.expand.context import Context
from mta.expand.cutting import hash_text, number_hash, part
from mta.expand.registry import item
from mta.expand.split import count_step
from mta.expand.trust import RESULT_LIMIT
from mta.lookup.pcre import Pattern, pattern

_NOT_EMPTY_ANCHORED = 0x00000008 | 0x80000000


@item("sg", least=3, most=3)
def sg(ctx: Context, subject: str, expression: str, replacement: str) -> str:
    r"""Replace everything that matches the regular expression; $1 … may be used if quoted.

    ${sg{abcabc}{b}{X}} → aXcaXc
    ${sg{user@example.com}{^(.*)@(.*)\$}{\$2 \$1}} → example.com user
    """
    return to_text(substitute(ctx, pattern(expression), to_bytes(subject), replacement))


def substitute(ctx: Context, regex: Pattern, subject: bytes, replacement: str) -> bytes:
    """The subject with every match replaced, in one pass from left to right."""
    parts: list[bytes] = []
    pieces = _pieces(replacement)
    at = size = 0
    empty_before = False
    while at <= len(subject):
        count_step(ctx)
        # After an empty match something else is tried at the same place first, as Perl does.
        spans = regex.spans(subject, at, _NOT_EMPTY_ANCHORED if empty_before else 0)
        if not spans and not empty_before:
            break
        if not spans:
            new, end, empty_before = subject[at : at + 1], at + 1, False
        else:
            start, end = spans[0]
            new = subject[at:start] + _filled(pieces, subject, spans)
            empty_before = start == end
        parts.append(new)
        at = end
        if (size := size + len(new)) > RESULT_LIMIT:
            raise ExpansionFail(f"the result is longer than {RESULT_LIMIT} octets")
    parts.append(subject[at:])
    return b"".join(parts)


def _pieces(replacement: str) -> list[bytes | int]:
    """A replacement cut into texts and the numbers of groups."""
    pieces: list[bytes | int] = []
    rest = replacement
    while rest:
        text, dollar, rest = rest.partition("$")
        text, slash, after = text.partition("\\")
        if slash:
            pieces += [to_bytes(text), to_bytes(after[:1])] if after else [to_bytes(text)]
            if after:
                rest = after[1:] + dollar + rest
            else:
                pieces.append(b"$" if dollar else b"\\")
            continue
        pieces.append(to_bytes(text))
        if not dollar:
            break
        braced = rest.startswith("{") and rest[2:3] == "}" and is_number(rest[1:2])
        digit = rest[1:2] if braced else rest[:1]
        if is_number(digit):
            pieces.append(int(digit))
            rest = rest[3 if braced else 1 :]
        else:
            pieces.append(b"$")
    return pieces


def _filled(pieces: list[bytes | int], subject: bytes, spans: list[tuple[int, int]]) -> bytes:
    filled: list[bytes] = []
    for piece in pieces:
        if isinstance(piece, bytes):
            filled.append(piece)
        elif piece < len(spans) and spans[piece][0] >= 0:
            filled.append(subject[spans[piece][0] : spans[piece][1]])
    return b"".join(filled)


@item("tr", least=3, most=3)
def tr(ctx: Context, subject: str, old: str, new: str) -> str:
    """Replace each character of the second text by its counterpart in the third.

    Where the third is shorter its last character stands for the rest.

    ${tr{abcdea}{ac}{13}} → 1b3de1
    ${tr{abc}{abc}{x}} → xxx
    """
    source, target = to_bytes(old), to_bytes(new)
    if not target:
        return subject
    table = list(range(256))
    for at, octet in enumerate(source):
        # Of an octet that stands there twice the last counts.
        table[octet] = target[min(at, len(target) - 1)]
    return to_text(to_bytes(subject).translate(bytes(table)))


@item("length", least=2, most=2)
def length(ctx: Context, size: str, text: str) -> str:
    """The first octets of a text.

    ${length{3}{abcdef}} → abc
    """
    return part("length", text, "0", size)


@item("substr", least=3, most=3)
def substr(ctx: Context, start: str, size: str, text: str) -> str:
    """Octets of a text from a place, counted from 0, or from the end if negative.

    ${substr{1}{2}{abcdef}} → bc
    ${substr{-2}{2}{abcdef}} → ef
    """
    return part("substr", text, start, size)


@item("hash", least=3, most=3)
def hash_(ctx: Context, size: str, limit: str, text: str) -> str:
    """A hash of a text in letters and digits, of this length.

    ${hash{3}{62}{monty}} → zcW
    """
    return hash_text(text, size, limit)


@item("nhash", least=3, most=3)
def nhash(ctx: Context, first: str, second: str, text: str) -> str:
    """A hash of a text as one number, or as two with a slash between.

    ${nhash{8}{64}{supercalifragilisticexpialidocious}} → 6/33
    """
    return number_hash(text, first, second)


@item("hmac", least=3, most=3)
def hmac(ctx: Context, algorithm: str, secret: str, text: str) -> str:
    """The keyed hash (RFC 2104) of a text with md5 or sha1, in hexadecimal.

    ${hmac{md5}{somesecret}{text}} → a4be270da4e07d218b2576b1e6a578e0
    """
    name = lower(algorithm)
    if name not in ("md5", "sha1"):
        raise ExpansionFail(f'hmac algorithm "{algorithm}" is not recognised')
    digest = hmac_module.new(to_bytes(secret), to_bytes(text), getattr(hashlib, name))
    return digest.hexdigest()
