"""The hosts that take the mail of a domain: MX records, else its own addresses.

RFC 5321 5.1, RFC 7505 (null MX), and Exim's dnslookup router: hosts of equal preference in
random order, the addresses of a host in random order with IPv6 first, hosts that are ourselves
cut off together with all that are not better.  What an administrator may set comes as `Rules`:
this module knows no configuration.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from mta.base import clock
from mta.base.text import lower
from mta.net.dns import Answer, Manner, Resolver, Said
from mta.net.names import HostsFile
from mta.net.socket import family_of, plain_address

MOST_HOSTS = 50  # of one domain that are looked up: an answer may name any number
MOST_ADDRESSES = 20  # of one host
MOST_SILENT = 3  # hosts for which nobody answers: then it is enough for now
LONGEST = 60.0  # seconds for a search, and what the last question takes
# What a sender is told, in Exim's words.
NO_SERVICE = "an MX or SRV record indicated no SMTP service"
NO_HOSTS = "all relevant MX records point to non-existent hosts"


def nowhere(text: str) -> bool:
    """An empty list."""
    return False


def _ignores_nothing(name: str, address: str) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Exchanger:
    """One place to try.  `preference` is None where it came from an address record."""

    name: str
    address: str
    preference: int | None = None
    port: int = 0  # from an SRV record
    secure: bool = False  # name and address were both verified


class End(Enum):
    """How a search ended."""

    HOSTS = "hosts"
    OURSELVES = "ourselves"  # the best host is this one; `hosts` says which
    NOTHING = "nothing"
    AGAIN = "again"
    INSECURE = "insecure"  # there is something, but nobody has verified it


@dataclass(frozen=True, slots=True)
class Found:
    """What there is.  `text` says why there is nothing, if there is more to say than that, or
    why there is no answer now."""

    end: End
    hosts: tuple[Exchanger, ...] = ()
    name: str = ""  # the domain as it was found, with what the resolver put behind it
    text: str = ""
    was_secondary: bool = False  # we were among the hosts, but not the best

    def is_ours(self, place: Exchanger) -> bool:
        """True for the place among `hosts` that is this host."""
        return self.end is End.OURSELVES and place is self.hosts[0]


@dataclass(frozen=True, slots=True)
class Rules:
    """What a router says about the search."""

    service: str = ""  # check_srv: SRV records of this service come first
    srv_may_fail: bool = False  # srv_fail_domains: no answer for SRV means that there is none
    mx_required: bool = False  # mx_domains: addresses alone are not enough
    mx_may_fail: bool = False  # mx_fail_domains: no answer for MX means that there is none
    ipv4_only: bool = False
    ipv4_first: bool = False
    qualify: bool = False
    search: bool = False
    mx_may_be_address: bool = False  # allow_mx_to_ip
    # ignore_target_hosts, by name and address
    ignored: Callable[[str, str], bool] = _ignores_nothing
    ours_by_name: Callable[[str], bool] = nowhere  # hosts_treat_as_local
    ours: Callable[[str], bool] = nowhere  # by address
    ipv4_only_for: Callable[[str], bool] = nowhere  # dns_ipv4_lookup
    dnssec: Callable[[str], bool] = nowhere  # dnssec_request_domains
    secure_only: Callable[[str], bool] = nowhere  # dnssec_require_domains
    again_is_never: Callable[[str], bool] = nowhere  # dns_again_means_nonexist


def find(resolver: Resolver, domain: str, rules: Rules) -> Found:
    """The hosts for a domain, in the order in which they are to be tried."""
    manner = _manner(domain, rules)
    if rules.service:
        said = resolver.ask(f"_{rules.service}._tcp.{domain}", "SRV", manner=manner)
        if said.said is Said.AGAIN and not (
            rules.srv_may_fail or rules.again_is_never(domain)
        ):
            return Found(
                End.AGAIN, name=domain, text=f"lookup of SRV for {domain}: {said.text}"
            )
        if said.said is Said.FOUND:
            return _by_names(resolver, said, domain, _services(said), rules)
    said = resolver.ask(
        domain, "MX", qualify=rules.qualify, search=rules.search, manner=manner
    )
    if said.said is Said.AGAIN and not (rules.mx_may_fail or rules.again_is_never(domain)):
        return Found(End.AGAIN, name=domain, text=f"lookup of MX for {domain}: {said.text}")
    if said.said is Said.FOUND:
        return _by_names(resolver, said, said.asked, _sorted(said), rules)
    if rules.mx_required:
        return Found(End.NOTHING, name=domain)
    return _by_address(resolver, domain, rules)


def _manner(name: str, rules: Rules) -> Manner:
    """With signatures, where they are wanted for this name."""
    wanted = rules.dnssec(name) or rules.secure_only(name)
    return Manner(dnssec=True) if wanted else Manner()


class Way(Enum):
    """How a host is found by its name."""

    DNS = "bydns"
    NAME = "byname"  # the hosts file, and then the DNS
    EITHER = "either"  # the DNS, and where there is nothing the hosts file


def find_host(
    resolver: Resolver, file: HostsFile, name: str, rules: Rules, way: Way = Way.NAME
) -> Found:
    """The addresses of one host, which may be an address itself, without any MX records."""
    search = _Search(resolver, rules, secure=True, by_mx=False)
    if family_of(name):
        search.add(Exchanger(name, plain_address(name)))
        return search.found(name)
    if way is Way.NAME and search.look_in(file, name):
        return search.found(name)
    search.look(name, None, qualify=way is not Way.DNS and rules.qualify, search=rules.search)
    if way is Way.EITHER and not search.full_name and not search.silent:
        search.look_in(file, name)
    return search.found(name)


@dataclass(frozen=True, slots=True)
class _Target:
    """What an MX or SRV record names."""

    preference: int
    name: str
    port: int = 0


def _by_names(
    resolver: Resolver, said: Answer, domain: str, targets: list[_Target], rules: Rules
) -> Found:
    """The hosts that records name."""
    if not targets:
        return Found(End.NOTHING, name=domain, text=NO_SERVICE)
    if rules.secure_only(domain) and not said.secure:
        return Found(End.INSECURE, name=domain)
    search = _Search(resolver, rules, secure=said.secure, by_mx=True)
    for target in targets[:MOST_HOSTS]:
        preference = target.preference
        if search.is_complete(preference) or search.is_enough(domain, preference):
            break
        search.port = target.port
        search.look(target.name, preference)
    found = search.found(domain)
    if found.end in (End.NOTHING, End.AGAIN):
        return replace(found, name=targets[-1].name)
    return found


def _sorted(said: Answer) -> list[_Target]:
    """The best first, equal ones in random order; none is a null MX (RFC 7505)."""
    best: dict[str, int] = {}
    for preference, name in said.records:
        if name != ".":
            best[name] = min(preference, best.get(name, preference))
    targets = [_Target(preference, name) for name, preference in best.items()]
    random.shuffle(targets)
    targets.sort(key=lambda each: each.preference)
    return targets


def _services(said: Answer) -> list[_Target]:
    """SRV records by priority, among equals rather the heavier ones first (RFC 2782)."""
    records = [record for record in said.records if record[3] != "."]
    records.sort(key=lambda each: (each[0], -(random.random() ** (1 / (each[1] or 0.01)))))
    return [_Target(priority, name, port) for priority, _, port, name in records]


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
        "insecure",
        "ourselves",
        "port",
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
        self.port = 0  # of what is looked for now
        self.insecure = False  # something was left out, as nobody has verified it

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
                self.add(Exchanger(name, name, preference, self.port))
            return
        places: list[Exchanger] = []
        only = self.rules.ipv4_only or self.rules.ipv4_only_for(name)
        manner, secure_only = _manner(name, self.rules), self.rules.secure_only(name)
        for kind in ("A",) if only else ("AAAA", "A"):
            answer = self.resolver.ask(
                name, kind, qualify=qualify, search=search, manner=manner
            )
            if answer.said is Said.FOUND and secure_only and not answer.secure:
                self.insecure = True
            elif answer.said is Said.FOUND:
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

    def look_in(self, file: HostsFile, name: str) -> bool:
        """Add what the hosts file says; False if that is nothing."""
        addresses = file.addresses(name)
        only = self.rules.ipv4_only or self.rules.ipv4_only_for(name)
        addresses = [each for each in addresses if not only or ":" not in each]
        addresses.sort(key=lambda each: (":" in each) is self.rules.ipv4_first)
        for address in addresses[:MOST_ADDRESSES]:
            self.add(Exchanger(name, address))
        return bool(addresses)

    def _places(
        self, name: str, preference: int | None, answer: Answer, secure: bool
    ) -> list[Exchanger]:
        addresses = [address for (address,) in answer.records[:MOST_ADDRESSES]]
        random.shuffle(addresses)
        port = self.port
        return [Exchanger(name, address, preference, port, secure) for address in addresses]

    def add(self, place: Exchanger) -> None:
        """Add one address, unless it is ignored; note it if it is our own."""
        if self.rules.ignored(place.name, place.address):
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
        if self.insecure:
            return Found(End.INSECURE, name=domain)
        if self.silent:
            return Found(End.AGAIN, name=domain, text=self.silent[-1][1])
        return Found(End.NOTHING, name=domain, text=NO_HOSTS if self.by_mx else "")
