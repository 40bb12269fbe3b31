"""IP addresses and networks as lists and expansions write them, and fast tests for them."""

from __future__ import annotations

import socket
from functools import lru_cache

from mta.base.text import is_number


def is_ipv4(text: str) -> bool:
    """True for an IPv4 address in the usual form."""
    return ":" not in text and octets_of(text) is not None


def is_ipv6(text: str) -> bool:
    """True for an IPv6 address, without a zone."""
    return ":" in text and octets_of(text) is not None


@lru_cache(1000)
def octets_of(text: str) -> bytes | None:
    """The 4 or 16 octets of an address, None if it is none."""
    if len(text) > 45 or not text.isascii() or "\0" in text:
        return None
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    try:
        return socket.inet_pton(family, text)
    except OSError:
        return None


def canonical(octets: bytes) -> bytes:
    """IPv4 in IPv6 clothes (::ffff:192.0.2.1) as plain IPv4."""
    if len(octets) == 16 and octets.startswith(b"\0" * 10 + b"\xff\xff"):
        return octets[12:]
    return octets


def parse_network(text: str) -> tuple[bytes, int] | None:
    """The octets and the length in bits of ADDRESS or ADDRESS/BITS; None for other text."""
    address, slash, bits = text.partition("/")
    octets = octets_of(address)
    if octets is None:
        return None
    length = len(octets) * 8
    if slash:
        if not is_number(bits) or len(bits) > 3 or int(bits) > length:
            return None
        length = int(bits)
    return mask(octets, length), length


def mask(octets: bytes, bits: int) -> bytes:
    """An address with all but its first bits zero."""
    size = len(octets) * 8
    number = int.from_bytes(octets)
    return (number >> (size - bits) << (size - bits)).to_bytes(len(octets))
