"""Host lists: addresses, networks, names, look-ups, * for all, nothing for local programs.

    192.0.2.0/24 : mail.example.org : *.example.net : net-lsearch;/etc/mail/hosts

A name without wild cards stands for its addresses.  Whatever else has to do with names needs
the name of the client, which is looked up then: addresses should come first.  An item that
cannot be decided, as a host does not exist, ends the list without a match, unless
+include_unknown or +ignore_unknown stand before it; one that cannot be decided now defers,
unless +include_defer or +ignore_defer do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache, partial

from mta.base.errors import ExpansionFail
from mta.base.text import lower
from mta.base.trust import Trusted
from mta.config.model import ListKind
from mta.config.template import Template
from mta.expand.client import Named, full_host, look_up_name
from mta.expand.context import Context
from mta.expand.ip import canonical, mask, octets_of, parse_network
from mta.expand.registry import condition
from mta.lookup.own import own_addresses
from mta.lookup.search import Search, meant, parse_search
from mta.match.lists import (
    GRAMMARS,
    MATCHED,
    SPECIAL,
    Building,
    Check,
    HostLater,
    HostUnknown,
    Literal,
    Match,
    condition_holds,
    left_by_table,
    match_template,
    named,
)
from mta.match.strings import string_item

_WHOLE_NAME = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)
# An address with a part too few, a network that is none: taken for a name they never match.
_BROKEN = re.compile(r"[0-9.]+(/.*)?$|[0-9a-fA-F]*:[0-9a-fA-F:.]*(/[0-9]*)?$", re.ASCII)
_NET = re.compile(r"net([0-9]{0,3})-(.*)", re.ASCII | re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Hosts:
    """What the items of a host list mean."""

    by_address: bool = False  # names mean nothing, and look-ups are by address
    kind = ListKind.HOST
    caseful = False

    def item(self, text: str, building: Building) -> Check | Literal | None:
        if text in SPECIAL and text != "+caseful":
            effect, _, what = text[1:].partition("_")
            setattr(building, "unknown" if what == "unknown" else "later", effect)
            return None
        if text.startswith("+"):
            return named(self, text, building)
        if text == "":
            return _nobody
        if text == "*":
            return _anybody
        if text == "@[]":
            return _this_host
        if (network := parse_network(text)) is not None:
            return _network(*network)
        if _BROKEN.match(text):
            return building.wrong(f'malformed address or address mask in "{text}"')
        if ";" in text:
            net = _NET.match(text)
            if net is not None:
                return _by_address(text, net[1], net[2], building)
            if self.by_address:
                return _by_address(text, "", text, building)
        building.asks = True
        if self.by_address:
            return building.wrong(f'cannot match host name in match_ip list: "{text}"')
        return _by_name(text, building)


HOSTS = GRAMMARS[ListKind.HOST] = _Hosts()
_ADDRESSES = _Hosts(by_address=True)


def _by_name(text: str, building: Building) -> Check:
    """An item that is about names."""
    if text == "@":
        return _addresses_of("")
    if _WHOLE_NAME.fullmatch(text):
        return _addresses_of(text)
    made = string_item(text, building)
    if isinstance(made, Literal):
        return building.wrong(f'"{text}" is neither a host name nor an address')
    kind, semicolon, _ = text.partition(";")
    if semicolon:
        search = parse_search(kind)
        if isinstance(search, str) or search.driver.query_style:
            building.asks = False
            return made
    return partial(_name_of_client, made)


def _addresses_of(name: str) -> Check:
    """A host by name: does it have this address?  "" is this host."""

    def check(ctx: Context, subject: str, folded: str) -> Match | None:
        if not subject:
            return None
        from mta.match.search import find_by_name

        wanted = name or ctx.conf.naming.primary_hostname
        found = find_by_name(ctx, wanted)
        if found is None:
            raise HostLater(f'DNS lookup of "{wanted}" deferred', status="4.4.3")
        if not found:
            who = full_host(ctx.connection)
            ctx.connection.log_line(
                f"no IP address found for host {wanted} (during SMTP connection from {who})"
            )
            raise HostUnknown(f"failed to find IP address for {wanted}")
        return MATCHED if _numeric(subject) in [_numeric(each) for each in found] else None

    return check


def _name_of_client(inner: Check, ctx: Context, subject: str, folded: str) -> Match | None:
    """Does a name of the host match?  Its name is `folded` where that is known, else it is
    the client and is asked for."""
    if not subject:
        return None
    names: tuple[str, ...] = (folded,)
    if not folded:
        if look_up_name(ctx) is not Named.KNOWN:
            raise HostUnknown(f"failed to find host name for {subject}")
        names = (ctx.connection.host_name, *ctx.connection.host_aliases)
    for name in names:
        if (found := inner(ctx, name, lower(name))) is not None:
            return found
    return None


def _nobody(ctx: Context, subject: str, folded: str) -> Match | None:
    return None if subject else MATCHED


def _anybody(ctx: Context, subject: str, folded: str) -> Match | None:
    return MATCHED


def _this_host(ctx: Context, subject: str, folded: str) -> Match | None:
    return MATCHED if subject and subject in own_addresses(ctx.tables) else None


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
        return None if found is None else left_by_table(found.data)

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


def match_host(
    ctx: Context, template: Template, address: str | None = None, name: str = ""
) -> Match | None:
    """Does the host match the list?  That of the connection, if no other is named.

    The address is "" for a local submission.  The name of another host comes with its address
    and is not looked up.  Raises TempFail.
    """
    if address is None:
        address = ctx.connection.host_address
        return match_template(ctx, HOSTS, template, address, "")
    return match_template(ctx, HOSTS, template, address, name or address)


def in_hosts(ctx: Context, template: Template | None) -> bool:
    """True if the client is in the list that an option holds; unset, it holds nobody.

    Where it cannot be told now, it is not, as in Exim: only ACLs can answer "later".
    """
    if template is None:
        return False
    try:
        return match_host(ctx, template) is not None
    except HostLater:
        return False


@condition("match_ip", 2, literal=True)
def match_ip(ctx: Context, address: str, listing: str) -> bool:
    """True if the address matches the host list, in which nothing is expanded.

    ${if match_ip{192.0.2.9}{192.0.2.0/24}{yes}{no}} → yes
    ${if match_ip{2001:db8::5}{<; 2001:db8::/32 ; 192.0.2.1}{yes}{no}} → yes
    """
    if address and octets_of(address) is None:
        raise ExpansionFail(f'"{address}" is not an IP address')
    return condition_holds(ctx, _ADDRESSES, address, address, listing)
