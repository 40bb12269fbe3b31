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


def checked(name: str, argument: str) -> str:
    """The numbers behind the underscores of an operator.  Raises ExpansionFail."""
    parts = argument.split("_")
    bare = [each.removeprefix("-") if name == "substr" else each for each in parts]
    if len(parts) > 2 or not all(map(is_number, bare)):
        raise ExpansionFail(f'non-digit after underscore in "{name}_{argument}"')
    return argument


def part(name: str, text: str, start: str, size: str) -> str:
    """So many octets from a place; "" as the size is all, before the place if negative."""
    octets = to_bytes(text)
    first = number(start, name, signed=name == "substr")
    wanted = number(size, name) if size else -1
    if first < 0:
        if wanted < 0:
            # Without a length it is what stands before the place.
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
        raise ExpansionFail(f'hash count "{letters}" too big')
    if wanted >= len(octets):
        return text
    mixed = bytearray(octets[:wanted])
    for at in range(wanted, len(octets) if wanted else 0):
        octet = octets[at]
        shift = (octet + at) & 7
        mixed[(at - wanted) % wanted] ^= (octet << shift | octet >> (8 - shift)) & 0xFF
    return "".join(chr(_LETTERS[octet % letters]) for octet in mixed)


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
