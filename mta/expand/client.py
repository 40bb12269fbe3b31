"""The name of a client: what its address leads to, if that leads back to the address.

    match look_up_name(ctx):
        case Named.KNOWN: ... ctx.connection.host_name, host_aliases ...

Anybody may say in the reverse zone of his network that he is somebody else, so a name counts
only when its own addresses contain the client's.  It is looked up when somebody needs it, and
not before; as often as it cannot be told now, it is asked for again, and what was said is
remembered for a while.  All questions together take no longer than one may.

Source: Exim's options host_lookup_order, dns_retrans and dns_retry.
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum

from mta.base import clock
from mta.base.text import lower, trim
from mta.expand.context import Connection, Context
from mta.expand.ip import canonical, octets_of
from mta.expand.split import split_list
from mta.log import events

MOST_NAMES = 10  # of one address that are looked up
ORDER = ("bydns", "byaddr")


class Named(Enum):
    """What is known of the client's name."""

    KNOWN = "known"
    UNKNOWN = "unknown"
    AGAIN = "again"


def look_up_name(ctx: Context) -> Named:
    """Find the name of the client, unless it is known.

    Sets host_name and host_aliases of the connection, or says in it why there is none.
    Raises TempFail if the DNS cannot be asked for a fault of the configuration.
    """
    seen = ctx.connection
    if seen.host_name:
        return Named.KNOWN
    if seen.host_lookup_failed or not seen.host_address:
        return Named.UNKNOWN
    seen.host_lookup_deferred = False
    asking = _Questions(ctx)
    names = asking.names(seen.host_address)
    if names is None:
        return _again(seen)
    if not names:
        seen.log_line(f"no host name found for IP address {seen.host_address}")
        return _unknown(seen, "failed to find host name from IP address")
    good: list[str] = []
    for name in names[:MOST_NAMES]:
        has = asking.has_address(name, seen.host_address)
        if has is None:
            return _again(seen)
        if has:
            good.append(name)
    if not good:
        text = f"{seen.host_address} does not match any IP address for {names[0]}"
        return _unknown(seen, text)
    seen.host_name, *aliases = good
    seen.host_aliases = tuple(aliases)
    return Named.KNOWN


def _again(seen: Connection) -> Named:
    seen.host_lookup_deferred = True
    return Named.AGAIN


def _unknown(seen: Connection, why: str) -> Named:
    seen.host_lookup_failed, seen.host_lookup_why = True, why
    return Named.UNKNOWN


def has_address(ctx: Context, name: str, address: str) -> bool:
    """True if the DNS says that a host has this address.  No answer is no."""
    return bool(_Questions(ctx).has_address(name, address))


class _Questions:
    """Questions that together take no longer than one may."""

    def __init__(self, ctx: Context) -> None:
        # Whoever asks nothing should not pay for loading what asks.
        from mta.lookup.resolver import hosts_file, resolver
        from mta.net.dns import Manner, Said, reverse_name

        self.order = [lower(trim(each)) for each in split_list(ctx.conf.dns.host_lookup_order)]
        self.resolver = resolver(ctx.tables)
        self.file = hosts_file(ctx.tables)
        self.manner = Manner()
        self.again, self.reverse_name = Said.AGAIN, reverse_name
        self.deadline = clock.monotonic() + self.resolver.patience

    def _ask(self, name: str, kind: str) -> list[str] | None:
        """The first field of each record; None if there is no answer now."""
        left = self.deadline - clock.monotonic()
        if left <= 0:
            return None
        answer = self.resolver.ask(name, kind, manner=replace(self.manner, longest=left))
        if answer.said is self.again:
            return None
        return [str(record[0]) for record in answer.records]

    def names(self, address: str) -> list[str] | None:
        """The names that an address has by itself, the main one first; None for later."""
        for way in self.order:
            if way == "byaddr" and (found := self.file.names(address)):
                return found
            if way == "bydns" or "bydns" not in self.order:
                said = self._ask(self.reverse_name(address), "PTR")
                if said is None:
                    return None
                if said := [name for name in said if name not in ("", ".")]:
                    return said
        return []

    def has_address(self, name: str, address: str) -> bool | None:
        """True if this is one of the addresses of a host; None where nobody knows now."""
        wanted = octets_of(address)
        if wanted is None:
            return False
        wanted = canonical(wanted)
        if any(_is(each, wanted) for each in self.file.addresses(name)):
            return True
        said = self._ask(name, "A" if len(wanted) == 4 else "AAAA")
        return None if said is None else any(_is(each, wanted) for each in said)


def _is(address: str, wanted: bytes) -> bool:
    octets = octets_of(address)
    return octets is not None and canonical(octets) == wanted


def verify_helo(ctx: Context) -> Named:
    """Is the client what it called itself in HELO?  Its address, its name, or a host that has
    its address; remembered until the next HELO.

    AGAIN only if the client's own name cannot be told now and no other way helps.
    """
    seen = ctx.connection
    if not seen.host_address and seen.helo_name:
        seen.helo_verified = True
    elif seen.helo_name.startswith("["):
        seen.helo_verified = _is(
            lower(seen.helo_name).strip("[]").removeprefix("ipv6:"),
            canonical(octets_of(seen.host_address) or b""),
        )
    elif seen.helo_name:
        named = look_up_name(ctx)
        claimed = lower(seen.helo_name)
        known = [lower(each) for each in (seen.host_name, *seen.host_aliases)]
        seen.helo_verified = claimed in known or has_address(ctx, claimed, seen.host_address)
        if not seen.helo_verified and named is Named.AGAIN:
            return Named.AGAIN
    seen.helo_verify_failed = not seen.helo_verified
    return Named.KNOWN if seen.helo_verified else Named.UNKNOWN


def full_host(connection: Connection) -> str:
    """The client as the log and $sender_fullhost show it."""
    if not connection.host_address:
        return ""
    return events.client(connection.host_name, connection.helo_name, connection.host_address)


def received_host(connection: Connection) -> str:
    """The client as it stands in Received: headers, $sender_rcvhost."""
    if not connection.host_address:
        return ""
    address = f"[{connection.host_address}]"
    helo = connection.helo_name
    if helo == address or lower(helo) == lower(connection.host_name):
        helo = ""
    facts = [f"helo={helo}"] if helo else []
    if connection.ident:
        facts.append(f"ident={connection.ident}")
    if connection.host_name:
        return f"{connection.host_name} ({' '.join([address, *facts])})"
    return f"{address} ({' '.join(facts)})" if facts else address
