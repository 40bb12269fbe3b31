"""iplsearch: a text file whose keys are addresses and networks."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from mta.base.errors import TempFail
from mta.base.trust import Trusted
from mta.lookup import linear
from mta.lookup.api import Lookup, Query, Tables, lookup

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class _Rule:
    """An entry with the network that its key is; None for "*", which is any."""

    network: _Network | None
    entry: linear.Entry


@lookup("iplsearch")
class Iplsearch(Lookup):
    """A text file whose keys are addresses, networks such as 192.0.2.0/24, or "*".

    The first entry that contains the address is taken.  IPv6 keys stand in double quotes.
    """

    def find(self, tables: Tables, query: Query) -> Trusted | None:
        """The value of the first entry that contains the address.  Raises TempFail."""
        wanted = None if "/" in query.key else _network(query.key)
        if wanted is None and query.key != "*":
            raise TempFail(
                f'"{query.key}" is not a valid iplsearch key (an IP address,'
                " with optional CIDR mask, is wanted): in a host list,"
                " use net-iplsearch as the search type"
            )
        file = linear.read(tables, query)
        if file.patterns is None:
            file.patterns = _rules(file)
        for rule in file.patterns:
            if isinstance(rule, _Rule) and _contains(rule.network, wanted):
                return linear.answer(rule.entry, query)
        return None


def _rules(file: linear.LinearFile) -> list[object]:
    rules: list[object] = []
    for entry in file.entries:
        network = _network(entry.key)
        if network is not None or entry.key == "*":
            rules.append(_Rule(network, entry))
    return rules


def _contains(network: _Network | None, wanted: _Network | None) -> bool:
    if network is None:
        return True
    return wanted is not None and wanted.network_address in network


def _network(text: str) -> _Network | None:
    try:
        return ipaddress.ip_network(text, strict=False) if "%" not in text else None
    except ValueError:
        return None
