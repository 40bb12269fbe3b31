"""Numbers in expansions: 64 bits, decimal, with K, M or G."""

from __future__ import annotations

import re

from mta.base.errors import ExpansionFail
from mta.base.text import is_number, lower

_INTEGER = re.compile(
    r"[ \t\r\n\v\f]*([+-]?[0-9]{1,40})([kmg]?)[ \t\r\n\v\f]*", re.I | re.ASCII
)
_BEGINS = re.compile(r"[ \t\r\n\v\f]*[+-]?[0-9]", re.ASCII)
_FACTORS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
LOWEST, HIGHEST = -(1 << 63), (1 << 63) - 1


def integer(text: str) -> int:
    """The number that a text is; nothing at all is 0.  Raises ExpansionFail."""
    if text == "":
        return 0
    if len(text) < 19 and is_number(text):
        return int(text)
    found = _INTEGER.fullmatch(text)
    if found is None and _BEGINS.match(text):
        raise ExpansionFail(f'invalid integer "{text[:80]}"')
    if found is None:
        raise ExpansionFail(f'integer expected but "{text[:80]}" found')
    value = int(found[1]) * _FACTORS[lower(found[2])]
    if not LOWEST <= value <= HIGHEST:
        raise ExpansionFail(f'absolute value of integer "{text[:80]}" is too large (overflow)')
    return value


def wrap(value: int) -> int:
    """A number cut to 64 bits, as C's arithmetic does."""
    return (value + (1 << 63)) % (1 << 64) - (1 << 63)
