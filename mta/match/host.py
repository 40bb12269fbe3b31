"""Host lists: addresses, networks, look-ups by address, * for all, nothing for local programs.

Names of hosts need DNS and are refused until there is some; so no list here ever waits.
"""

from __future__ import annotations

import re
from functools import lru_cache

from mta.base.errors import ExpansionFail
from mta.base.trust import Trusted
from mta.config.model import ListKind
from mta.config.template import Template
from mta.expand.context import Context
from mta.expand.ip import canonical, mask, octets_of, parse_network
from mta.expand.registry import condition
from mta.lookup.search import Search, meant, parse_search
from mta.match.lists import (
    MATCHED,
    SPECIAL,
    Building,
    Check,
    Literal,
    Match,
    condition_holds,
    match_template,
    named,
)
from mta.match.local import is_local_address

_NET = re.compile(r"net([0-9]{0,3})-(.*)", re.ASCII | re.DOTALL)


class _Hosts:
    """What the items of a host list mean."""

    kind = ListKind.HOST
    caseful = False

    def item(self, text: str, building: Building) -> Check | Literal | None:
        if text in SPECIAL and text != "+caseful":
            return None
        if text.startswith("+"):
            return named(self, text, building)
        if text == "":
            return _nobody
        if text == "*":
            return _anybody
        if text in ("@", "@[]"):
            return _this_host
        if (network := parse_network(text)) is not None:
            return _network(*network)
        if (net := _NET.match(text)) is not None and ";" in text:
            return _by_address(text, net[1], net[2], building)
        return building.wrong(
            f'the host list item "{text}" is a name and needs DNS, which is not supported yet',
            "use its address",
        )


HOSTS = _Hosts()


def _nobody(ctx: Context, subject: str, folded: str) -> Match | None:
    return None if subject else MATCHED


def _anybody(ctx: Context, subject: str, folded: str) -> Match | None:
    return MATCHED


def _this_host(ctx: Context, subject: str, folded: str) -> Match | None:
    return MATCHED if subject and is_local_address(subject) else None


def _network(octets: bytes, bits: int) -> Check:
    if len(octets) == 16 and bits >= 96 and len(plain := canonical(octets)) == 4:
        octets, bits = plain, bits - 96
    size = len(octets)
    shift = size * 8 - bits
    prefix = int.from_bytes(octets) >> shift

    def check(ctx: Context, subject: str, folded: str) -> Match | None:
        length, number = _numeric(subject)
        return MATCHED if length == size and number >> shift == prefix else None

    return check


@lru_cache(1000)
def _numeric(text: str) -> tuple[int, int]:
    """How many octets an address has and their value; 0 octets for what is none."""
    octets = octets_of(text)
    if octets is None:
        return 0, 0
    octets = canonical(octets)
    return len(octets), int.from_bytes(octets)


def _by_address(text: str, bits: str, rest: str, building: Building) -> Check:
    """net-TYPE;FILE or net24-TYPE;FILE: the key is the address, or its network."""
    kind, _, table = rest.partition(";")
    search = parse_search(kind)
    if isinstance(search, str):
        return building.wrong(search, meant(kind))
    if type(text) is not Trusted:
        what = "file or directory name for lookup"
        return building.wrong(f"Tainted '{text}' ({what}) not permitted")
    file = Trusted(table.lstrip(" \t"))
    length = int(bits) if bits else None

    def check(ctx: Context, subject: str, folded: str) -> Match | None:
        address = octets_of(subject)
        if address is None:
            return None
        key = network_key(canonical(address), length, search)
        found = search.find(ctx.tables, key, file)
        return None if found is None else Match(found.data)

    return check


def network_key(address: bytes, bits: int | None, search: Search) -> str:
    """An address as the key of a table: IPv6 with dots, as a colon would end the key."""
    size = len(address) * 8
    masked = address if bits is None else mask(address, min(bits, size))
    if len(masked) == 4:
        shown = ".".join(str(octet) for octet in masked)
    else:
        mark = ":" if search.name == "iplsearch" else "."
        shown = mark.join(masked[at : at + 2].hex() for at in range(0, 16, 2))
    return shown if bits is None else f"{shown}/{min(bits, size)}"


def match_host(ctx: Context, template: Template, address: str | None = None) -> Match | None:
    """Does the host match the list?  That of the connection, if no other is named.

    The address is "" for a local submission.  Raises TempFail.
    """
    host = ctx.connection.host_address if address is None else address
    return match_template(ctx, HOSTS, template, host, host)


@condition("match_ip", 2, literal=True)
def match_ip(ctx: Context, address: str, listing: str) -> bool:
    """True if the address matches the host list, in which nothing is expanded.

    ${if match_ip{192.0.2.9}{192.0.2.0/24}{yes}{no}} → yes
    ${if match_ip{2001:db8::5}{<; 2001:db8::/32 ; 192.0.2.1}{yes}{no}} → yes
    """
    if address and octets_of(address) is None:
        raise ExpansionFail(f'"{address}" is not an IP address')
    return condition_holds(ctx, HOSTS, address, address, listing)
