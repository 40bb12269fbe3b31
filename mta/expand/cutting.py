"""Cutting and hashing texts by octets: length, substr, hash and nhash in both forms."""

from __future__ import annotations

from mta.base.errors import ExpansionFail
from mta.base.text import is_number, to_bytes, to_text, trim

_LETTERS = b"abcdefghijklmnopqrtsuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_PRIMES = (
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89,
    97, 101, 103, 107, 109, 113,
)  # fmt: skip


def number(text: str, name: str, *, signed: bool = False) -> int:
    """A number among the arguments of an item.  Raises ExpansionFail."""
    bare = trim(text)
    if not is_number(bare.removeprefix("-") if signed else bare) or len(bare) > 10:
        kind = "a number" if signed else "a positive number"
        raise ExpansionFail(f'"{text}" is not {kind} (in "{name}" expansion)')
    return int(bare)


def part(name: str, text: str, start: str, size: str) -> str:
    """So many octets from a place; "" as the size is all, before the place if negative."""
    octets = to_bytes(text)
    first = number(start, name, signed=name == "substr")
    wanted = number(size, name) if size else -1
    if first < 0:
        if wanted < 0:
            return to_text(octets[: max(0, len(octets) + first)])
        first += len(octets)
        if first < 0:
            wanted, first = max(0, wanted + first), 0
        return to_text(octets[first : first + wanted])
    if wanted < 0:
        return to_text(octets[first:])
    return to_text(octets[first : first + wanted])


def hash_text(text: str, size: str, limit: str) -> str:
    """A hash of so many octets from the first letters of the alphabet; short texts stay."""
    octets = to_bytes(text)
    wanted = number(size, "hash")
    letters = number(limit, "hash") if limit else 26
    if not 0 < letters <= len(_LETTERS):
        raise ExpansionFail(
            f"hash upper limit must be less than or equal to {len(_LETTERS)}"
            ' in "hash" expansion'
        )
    if wanted >= len(octets):
        return text
    result = bytearray(octets[:wanted])
    for at, octet in enumerate(octets[wanted:]):
        place = at % wanted if wanted else 0
        if not wanted:
            break
        mixed = (result[place] + octet * ((at // wanted) % 2 * 16 + 1)) & 0xFF
        result[place] = mixed
    return "".join(chr(_LETTERS[octet % letters]) for octet in result)


def number_hash(text: str, first: str, second: str) -> str:
    """The sum of octets times falling primes, cut to one or two numbers."""
    low = number(first, "nhash")
    high = number(second, "nhash") if second else -1
    total, at = 0, 0
    for octet in to_bytes(text):
        at -= 1
        if at < 0:
            at = len(_PRIMES) - 1
        total += _PRIMES[at] * octet
    if low == 0 or high == 0:
        raise ExpansionFail("nhash by zero")
    if high < 0:
        return str(total % low)
    total %= low * high
    return f"{total // high}/{total % high}"
