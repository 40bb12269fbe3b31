"""The hosts that take the mail of a domain: MX records, else its own addresses.

RFC 5321 5.1, RFC 7505 (null MX), and Exim's dnslookup router: hosts of equal preference in
random order, the addresses of a host in random order with IPv6 first, hosts that are ourselves
cut off together with all that are not better.  What an administrator may set comes as `Rules`:
this module knows no configuration.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from mta.base import clock
from mta.base.text import lower
from mta.net.dns import Answer, Resolver, Said
from mta.net.socket import family_of

MOST_HOSTS = 50  # of one domain that are looked up: an answer may name any number
MOST_ADDRESSES = 20  # of one host
MOST_SILENT = 3  # hosts for which nobody answers: then it is enough for now
LONGEST = 60.0  # seconds for a search, and what the last question takes
# What a sender is told, in Exim's words.
NO_SERVICE = "an MX or SRV record indicated no SMTP service"
NO_HOSTS = "all relevant MX records point to non-existent hosts"


def _nowhere(text: str) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Exchanger:
    """One place to try.  `preference` is None where it came from an address record."""

    name: str
    address: str
    preference: int | None = None
    secure: bool = False  # name and address were both verified


class End(Enum):
    """How a search ended."""

    HOSTS = "hosts"
    OURSELVES = "ourselves"  # the best host is this one; `hosts` says which
    NOTHING = "nothing"
    AGAIN = "again"


@dataclass(frozen=True, slots=True)
class Found:
    """What there is.  `text` says why there is nothing, if there is more to say than that, or
    why there is no answer now."""

    end: End
    hosts: tuple[Exchanger, ...] = ()
    name: str = ""  # the domain as it was found, with what the resolver put behind it
    text: str = ""
    was_secondary: bool = False  # we were among the hosts, but not the best


@dataclass(frozen=True, slots=True)
class Rules:
    """What a router says about the search."""

    mx_required: bool = False  # mx_domains: addresses alone are not enough
    mx_may_fail: bool = False  # mx_fail_domains: no answer for MX means that there is none
    ipv4_only: bool = False
    ipv4_first: bool = False
    qualify: bool = False
    search: bool = False
    mx_may_be_address: bool = False  # allow_mx_to_ip
    ignored: Callable[[str], bool] = _nowhere  # ignore_target_hosts, by address
    ours_by_name: Callable[[str], bool] = _nowhere  # hosts_treat_as_local
    ours: Callable[[str], bool] = _nowhere  # by address
    ipv4_only_for: Callable[[str], bool] = _nowhere  # dns_ipv4_lookup
    again_is_never: Callable[[str], bool] = _nowhere  # dns_again_means_nonexist


def find(resolver: Resolver, domain: str, rules: Rules) -> Found:
    """The hosts for a domain, in the order in which they are to be tried."""
    said = resolver.ask(domain, "MX", qualify=rules.qualify, search=rules.search)
    if said.said is Said.AGAIN and not (rules.mx_may_fail or rules.again_is_never(domain)):
        return Found(End.AGAIN, name=domain, text=f"lookup of MX for {domain}: {said.text}")
    if said.said is Said.FOUND:
        return _by_mx(resolver, said, rules)
    if rules.mx_required:
        return Found(End.NOTHING, name=domain)
    return _by_address(resolver, domain, rules)


def _by_mx(resolver: Resolver, said: Answer, rules: Rules) -> Found:
    names = _sorted(said)
    if not names:
        return Found(End.NOTHING, name=said.asked, text=NO_SERVICE)
    search = _Search(resolver, rules, secure=said.secure, by_mx=True)
    for preference, name in names[:MOST_HOSTS]:
        if search.is_complete(preference) or search.is_enough(said.asked, preference):
            break
        search.look(name, preference)
    return search.found(said.asked)


def _sorted(said: Answer) -> list[tuple[int, str]]:
    """Preferences and names, the best first, equal ones in random order; none is a null MX."""
    best: dict[str, int] = {}
    for preference, name in said.records:
        if name != ".":
            best[name] = min(preference, best.get(name, preference))
    names = [(preference, name) for name, preference in best.items()]
    random.shuffle(names)
    names.sort(key=lambda each: each[0])
    return names


def _by_address(resolver: Resolver, domain: str, rules: Rules) -> Found:
    search = _Search(resolver, rules, secure=True, by_mx=False)
    search.look(domain, None, qualify=rules.qualify, search=rules.search)
    return search.found(search.full_name or domain)


def _is_better(one: int | None, other: int | None) -> bool:
    """True if the first preference comes before the second; hosts without one are alike."""
    return one is not None and other is not None and one < other


class _Search:
    """Hosts that were found so far, in order."""

    __slots__ = (
        "by_mx",
        "deadline",
        "full_name",
        "hosts",
        "ourselves",
        "resolver",
        "rules",
        "secure",
        "silent",
    )

    def __init__(self, resolver: Resolver, rules: Rules, *, secure: bool, by_mx: bool) -> None:
        self.resolver = resolver
        self.rules = rules
        self.secure = secure
        self.by_mx = by_mx
        self.hosts: list[Exchanger] = []
        # Preferences of hosts without an answer, and why there was none.
        self.silent: list[tuple[int | None, str]] = []
        self.deadline = clock.monotonic() + LONGEST
        self.ourselves: Exchanger | None = None  # this host, and the best preference it has
        self.full_name = ""

    def is_complete(self, preference: int) -> bool:
        """True if we are a host, and what follows is worse than we are."""
        ours = self.ourselves
        return ours is not None and _is_better(ours.preference, preference)

    def is_enough(self, domain: str, preference: int) -> bool:
        """True if this has taken so long that what follows is left for another time."""
        if clock.monotonic() > self.deadline:
            text = f"looking up the hosts of {domain} takes too long"
            self.silent.append((preference, text))
            return True
        return len(self.silent) >= MOST_SILENT

    def look(
        self, name: str, preference: int | None, *, qualify: bool = False, search: bool = False
    ) -> None:
        """Add the addresses of a host."""
        if family_of(name):
            # RFC 5321 5.1: an MX record names a host.  Many a zone has an address there.
            if self.rules.mx_may_be_address and preference is not None:
                self.add(Exchanger(name, name, preference))
            return
        places: list[Exchanger] = []
        only = self.rules.ipv4_only or self.rules.ipv4_only_for(name)
        for kind in ("A",) if only else ("AAAA", "A"):
            answer = self.resolver.ask(name, kind, qualify=qualify, search=search)
            if answer.said is Said.FOUND:
                self.full_name = self.full_name or answer.asked
                secure = self.secure and answer.secure
                places += self._places(name, preference, answer, secure)
            elif answer.said is Said.AGAIN and not self.rules.again_is_never(name):
                text = f"lookup of {kind} for {name}: {answer.text}"
                self.silent.append((preference, text))
        if self.rules.ipv4_first:
            places.sort(key=lambda each: ":" in each.address)
        for place in places:
            self.add(place)

    def _places(
        self, name: str, preference: int | None, answer: Answer, secure: bool
    ) -> list[Exchanger]:
        addresses = [address for (address,) in answer.records[:MOST_ADDRESSES]]
        random.shuffle(addresses)
        return [Exchanger(name, address, preference, secure) for address in addresses]

    def add(self, place: Exchanger) -> None:
        """Add one address, unless it is ignored; note it if it is our own."""
        if self.rules.ignored(place.address):
            return
        if self.rules.ours_by_name(lower(place.name)) or self.rules.ours(place.address):
            self.ourselves = self.ourselves or place
        else:
            self.hosts.append(place)

    def _may_be_better(self, ours: Exchanger) -> bool:
        """True if a host that is better than we are did not answer now."""
        return any(_is_better(preference, ours.preference) for preference, _ in self.silent)

    def found(self, domain: str) -> Found:
        """What came of it."""
        ours = self.ourselves
        if ours is not None:
            # Whoever is as good as we are would give it back to us.
            better = [
                each for each in self.hosts if _is_better(each.preference, ours.preference)
            ]
            if not better and not self._may_be_better(ours):
                return Found(End.OURSELVES, (ours, *self.hosts), domain)
            self.hosts = better
        if self.hosts:
            return Found(End.HOSTS, tuple(self.hosts), domain, was_secondary=ours is not None)
        if self.silent:
            return Found(End.AGAIN, name=domain, text=self.silent[-1][1])
        return Found(End.NOTHING, name=domain, text=NO_HOSTS if self.by_mx else "")
