"""The Domain Name System, asked in bounded time: the one user of dnspython.

    answer = resolver.ask("example.org", "MX")
    if answer.said is Said.FOUND:
        for preference, host in answer.records: ...

What a name server says is a value, not an error: that a name does not exist, or that nobody
answers now, means something else to each of those who ask.  Names and texts in answers are
strangers': names come out as dnspython writes them, with everything odd escaped.

Answers are kept as long as their TTL says, and that nobody answered for a short while: a dead
name server must not cost a time-out for each message.  One resolver for a process, made after
the fork.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.reversename

from mta.base import clock
from mta.base.errors import Slow
from mta.base.text import lower, to_text
from mta.config.main.dns import USUAL_NAMES

RESOLV_CONF = "/etc/resolv.conf"
TIMEOUT = 5.0  # seconds for one try at one server, as in resolver(5)
TRIES = 2
LONGEST = 30.0  # seconds for a question, however many servers and tries there are
MOST_KNOWN = 2000  # answers
MOST_RECORDS = 500  # of one answer
MOST_KEPT = 16384  # characters of an answer that is remembered
LONGEST_TTL = 3600.0
NEGATIVE_TTL = 60.0  # seconds, where the zone does not say
SILENCE_TTL = 30.0  # seconds for which a server that fails is not asked the same again
LONGEST_NAME = 1024  # as text, in which an octet may take four characters
PAYLOAD = 1232  # octets of an answer by UDP (RFC 9715)

# These may have names that no host has.
_ANY_NAME = frozenset({"TXT", "SPF", "PTR"})
# What dnspython says of a text that is the name of nothing.
_NO_NAME = (
    dns.name.BadEscape,
    dns.name.EmptyLabel,
    dns.name.LabelTooLong,
    dns.name.NameTooLong,
    UnicodeError,
)


class Said(Enum):
    """What came of a question."""

    FOUND = "found"
    NO_DATA = "no data"  # the name exists, with other records
    NO_NAME = "no name"  # NXDOMAIN, or nothing that can be a name
    AGAIN = "again"  # no answer, or an error of the servers: later it may be different


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said.  A record is a tuple of the fields of its type, numbers as int.

    A, AAAA: address.  MX: preference, host.  SRV: priority, weight, port, host.  PTR, NS,
    CNAME: name.  TXT, SPF: the strings.  SOA: its seven fields.  TLSA: usage, selector, type,
    data in hexadecimal.  Names are in lower case without a final dot; the root is ".".
    """

    said: Said
    records: tuple[tuple[Any, ...], ...] = ()
    name: str = ""  # whose records they are: the question's, or where its CNAMEs lead to
    asked: str = ""  # the question's, with the domain that was put behind it, if one was
    secure: bool = False  # a resolver that we trust has verified it (AD, RFC 4035)
    text: str = ""  # why there is no answer now


@dataclass(frozen=True, slots=True)
class Manner:
    """How one question is asked, where that differs from how all are; None does not."""

    timeout: float | None = None  # seconds for one try at one server
    tries: int | None = None
    dnssec: bool | None = None
    longest: float = LONGEST  # seconds for all tries together


_USUAL = Manner()


@dataclass(frozen=True, slots=True)
class Settings:
    """How to ask.  Without `servers` those of /etc/resolv.conf are asked, as it is then."""

    servers: tuple[tuple[str, int], ...] = ()  # address and port
    timeout: float = TIMEOUT
    tries: int = TRIES
    edns: bool = True
    dnssec: bool = False  # ask for signatures (dns_dnssec_ok)
    names: str = USUAL_NAMES  # a pattern; "" lets everything through


class Resolver:
    """Asks, and remembers what was said."""

    __slots__ = ("_known", "_names", "_read", "_resolver", "hurry", "settings")

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self._known: dict[tuple[str, str, bool], tuple[float, Answer]] = {}
        self._names = re.compile(self.settings.names) if self.settings.names else None
        self._resolver: dns.resolver.Resolver | None = None
        # Seconds after which a question is given up with Slow; None for the usual patience.
        self.hurry: float | None = None
        self._read = 0  # the time stamp of the file that it was made from

    def ask(
        self,
        name: str,
        kind: str,
        *,
        qualify: bool = False,
        search: bool = False,
        manner: Manner = _USUAL,
    ) -> Answer:
        """What the servers say of a name; `kind` is a type such as MX.

        `qualify` puts the domain of resolv.conf behind a name of one label, `search` tries
        the domains in its search list.  Waits 30 seconds at most.  Raises Slow in a hurry.
        """
        answer = Answer(Said.NO_NAME, name=name)
        candidate = name
        for candidate in self._candidates(name, qualify=qualify, search=search):
            answer = self._ask(candidate, kind, manner)
            if answer.said in (Said.FOUND, Said.AGAIN):
                break
        return replace(answer, asked=candidate)

    @property
    def patience(self) -> float:
        """Seconds that a question takes at most, if nobody answers."""
        made = self._made()
        servers = len(made.nameservers) if made is not None else 1
        return min(LONGEST, self.settings.timeout * self.settings.tries * max(1, servers))

    def reverse(self, address: str) -> Answer:
        """The names of an address: what its PTR records say."""
        return self._ask(reverse_name(address), "PTR", _USUAL)

    def _candidates(self, name: str, *, qualify: bool, search: bool) -> Iterator[str]:
        bare = name.removesuffix(".")
        if name.endswith(".") or not (qualify or search):
            yield bare
            return
        made = self._made()
        if made is not None and qualify and "." not in bare:
            # As in resolver(5): the first of the search list, then the name as it is.
            yield _below(bare, (list(made.search) or [made.domain])[0])
        yield bare
        if made is not None and search:
            for domain in made.search[:6]:
                yield _below(bare, domain)

    def _ask(self, name: str, kind: str, manner: Manner) -> Answer:
        dnssec = self.settings.dnssec if manner.dnssec is None else manner.dnssec
        key = (lower(name), kind, dnssec)
        now = clock.monotonic()
        known = self._known.get(key)
        if known is not None and known[0] > now:
            return known[1]
        ttl, answer = self._fresh(name, kind, manner)
        if len(self._known) >= MOST_KNOWN:
            del self._known[next(iter(self._known))]
        self._known.pop(key, None)
        if sum(len(str(record)) for record in answer.records) > MOST_KEPT:
            return answer
        self._known[key] = (clock.monotonic() + min(max(ttl, 0.0), LONGEST_TTL), answer)
        return answer

    def _fresh(self, name: str, kind: str, manner: Manner) -> tuple[float, Answer]:
        """Ask the servers: seconds for which the answer holds, and the answer."""
        made = self._made()
        if made is None:
            return 0.0, Answer(Said.AGAIN, name=name, text="no name server is known")
        if not self._is_name(name, kind):
            return NEGATIVE_TTL, Answer(Said.NO_NAME, name=name)
        dnssec = self._prepare(made, manner)
        try:
            found = made.resolve(
                dns.name.from_text(name), kind, raise_on_no_answer=False, search=False
            )
        except dns.resolver.NXDOMAIN as error:
            responses = list(error.kwargs.get("responses", {}).values())
            return _negative_ttl(responses), Answer(Said.NO_NAME, name=name)
        except (dns.resolver.NoNameservers, dns.resolver.LifetimeTimeout) as error:
            if self.hurry is not None and isinstance(error, dns.resolver.LifetimeTimeout):
                raise Slow(f"the name servers take their time for {name}") from error
            return SILENCE_TTL, Answer(Said.AGAIN, name=name, text=_why(error))
        except _NO_NAME:
            return NEGATIVE_TTL, Answer(Said.NO_NAME, name=name)
        except (dns.exception.DNSException, OSError) as error:
            return SILENCE_TTL, Answer(Said.AGAIN, name=name, text=type(error).__name__)
        return self._taken(found, dnssec=dnssec)

    def _is_name(self, name: str, kind: str) -> bool:
        if not name or len(name) > LONGEST_NAME:
            return False
        return kind in _ANY_NAME or self._names is None or bool(self._names.fullmatch(name))

    def _prepare(self, made: dns.resolver.Resolver, manner: Manner) -> bool:
        """Say how the next question is to be asked; True if with signatures."""
        settings = self.settings
        made.timeout = settings.timeout if manner.timeout is None else manner.timeout
        tries = settings.tries if manner.tries is None else manner.tries
        whole = made.timeout * tries * max(1, len(made.nameservers))
        made.lifetime = min(LONGEST, manner.longest, whole)
        if self.hurry is not None:
            made.lifetime = min(made.lifetime, self.hurry)
        dnssec = settings.dnssec if manner.dnssec is None else manner.dnssec
        made.flags = dns.flags.RD | (dns.flags.AD if dnssec else 0)
        if settings.edns or dnssec:
            made.use_edns(0, dns.flags.DO if dnssec else 0, PAYLOAD)
        else:
            made.use_edns(False)
        return dnssec

    def _taken(self, found: dns.resolver.Answer, *, dnssec: bool) -> tuple[float, Answer]:
        secure = dnssec and bool(found.response.flags & dns.flags.AD)
        name = _written(found.canonical_name)
        ttl = float(found.chaining_result.minimum_ttl)
        if found.rrset is None:
            return min(ttl, _negative_ttl([found.response])), Answer(
                Said.NO_DATA, name=name, secure=secure
            )
        records = tuple(_fields(each) for each in list(found.rrset)[:MOST_RECORDS])
        return ttl, Answer(Said.FOUND, records, name, secure=secure)

    def _made(self) -> dns.resolver.Resolver | None:
        """The resolver with today's servers; None where none is known."""
        stamp = 1
        if not self.settings.servers:
            try:
                stamp = os.stat(RESOLV_CONF).st_mtime_ns
            except OSError:
                stamp = 0
        if self._resolver is None or stamp != self._read:
            made = self._make()
            # While a new file cannot be used the old servers are asked.
            self._resolver = made or self._resolver
            self._read = stamp if made else -1
        return self._resolver

    def _make(self) -> dns.resolver.Resolver | None:
        settings = self.settings
        if settings.servers:
            made = dns.resolver.Resolver(configure=False)
            made.nameservers = [address for address, _ in settings.servers]
            made.nameserver_ports = dict(settings.servers)
        else:
            try:
                made = dns.resolver.Resolver(RESOLV_CONF)
            except (dns.exception.DNSException, ValueError, OSError):
                return None  # none, or one that is being written
        return made


def reverse_name(address: str) -> str:
    """The name that PTR records of an address have.  Raises ValueError for what is none."""
    try:
        return dns.reversename.from_address(address).to_text(omit_final_dot=True)
    except dns.exception.SyntaxError as error:
        raise ValueError(f"{address} is not an address") from error


def _below(name: str, domain: dns.name.Name) -> str:
    above = domain.to_text(omit_final_dot=True)
    return name if above == "." else f"{name}.{above}"


def _written(name: dns.name.Name) -> str:
    return lower(name.to_text(omit_final_dot=True))


def _strings(rdata: Any) -> tuple[Any, ...]:
    return tuple(to_text(each) for each in rdata.strings)


_FIELDS: dict[str, Callable[[Any], tuple[Any, ...]]] = {
    "A": lambda rdata: (rdata.address,),
    "AAAA": lambda rdata: (rdata.address,),
    "MX": lambda rdata: (rdata.preference, _written(rdata.exchange)),
    "SRV": lambda rdata: (rdata.priority, rdata.weight, rdata.port, _written(rdata.target)),
    "PTR": lambda rdata: (_written(rdata.target),),
    "NS": lambda rdata: (_written(rdata.target),),
    "CNAME": lambda rdata: (_written(rdata.target),),
    "TXT": _strings,
    "SPF": _strings,
    "SOA": lambda rdata: (
        *(_written(rdata.mname), _written(rdata.rname), rdata.serial),
        *(rdata.refresh, rdata.retry, rdata.expire, rdata.minimum),
    ),
    "TLSA": lambda rdata: (rdata.usage, rdata.selector, rdata.mtype, rdata.cert.hex()),
}


def _fields(rdata: Any) -> tuple[Any, ...]:
    return _FIELDS[dns.rdatatype.to_text(rdata.rdtype)](rdata)


def _negative_ttl(responses: list[dns.message.QueryMessage]) -> float:
    """How long it holds that there is nothing: what the zone's SOA says (RFC 2308 5)."""
    for response in responses:
        for rrset in response.authority:
            if rrset.rdtype == dns.rdatatype.SOA:
                return float(min([rrset.ttl, *(each.minimum for each in rrset)]))
    return NEGATIVE_TTL


def _why(error: dns.exception.DNSException) -> str:
    """Why nobody answered, in a word that says nothing of a stranger's."""
    if isinstance(error, dns.resolver.LifetimeTimeout):
        return "the name servers did not answer in time"
    return "the name servers answered with an error"
