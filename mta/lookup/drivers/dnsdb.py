"""dnsdb: what the Domain Name System says, as text.

    ${lookup dnsdb{mxh=example.org}}
    ${lookup dnsdb{>:,; defer_never,retrans_2s,txt=a.example:b.example}}

A query is: `>` with one character to stand between records, behind it `,` and a character or
`;` for what stands between the fields of one; modifiers, each with a comma behind it; the type
with `=`; a list of names.  One name that is found is enough.  What name servers say is never
trusted.  A query ends after a minute, and after fifty names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from mta.base import clock
from mta.base.errors import ConfigError, TempFail
from mta.base.text import SPACES, is_number, lower
from mta.config.kinds import parse_time
from mta.lookup.api import Lookup, Query, Tables, lookup
from mta.lookup.resolver import resolver
from mta.net.dns import LONGEST, Answer, Manner, Resolver, Said, reverse_name
from mta.net.socket import family_of

MOST_NAMES = 50
MOST_TEXT = 1 << 18  # characters of a result
LONGEST_QUERY = 60.0  # seconds
MOST_TRIES = 10
CSA_DEPTH = 5  # names above the one asked for, as dns_csa_search_limit is in Exim

_CSA_WORDS = {0: "N", 1: "N", 2: "Y", 3: "?"}


class Record(NamedTuple):
    """One record that was found, and whose it is."""

    owner: str
    fields: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """A query, taken apart."""

    kind: str
    names: str
    between: str = "\n"  # records
    within: str | None = None  # the fields of one
    on_silence: str = "lax"  # strict, lax or never
    dnssec: str = "never"
    manner: Manner = field(default_factory=Manner)


@lookup("dnsdb")
class Dnsdb(Lookup):
    """What the Domain Name System says of a name, in a query such as `mx=example.org`.

    Types are a, aaaa, a+ (both), cname, csa, mx, mxh (the hosts alone), ns, ptr, soa, spf,
    srv, tlsa, txt (if none is named) and zns (the name servers of the zone above).
    """

    query_style = True

    def find(self, tables: Tables, query: Query) -> str | None:
        """The records as text, None where there are none.  Raises TempFail."""
        request = read_query(query.key)
        asking = resolver(tables)
        tables.dns_secure = None
        found: list[str] = []
        silent = False
        deadline = clock.monotonic() + LONGEST_QUERY
        for name in _names(request):
            if clock.monotonic() > deadline:
                silent = True
                break
            for said, records in _look(asking, request, name):
                if request.dnssec != "never":
                    tables.dns_secure = said.secure
                is_bad = request.dnssec == "strict" and not said.secure
                if said.said is Said.AGAIN or (said.said is Said.FOUND and is_bad):
                    if request.on_silence == "strict":
                        raise TempFail("")
                    silent = True
                    continue
                found += [_shown(request, name, each) for each in records]
        if not found and silent and request.on_silence != "never":
            raise TempFail("")
        text = request.between.join(found)
        if len(text) > MOST_TEXT:
            raise TempFail(f"the answer is longer than {MOST_TEXT} characters")
        return text or None


def read_query(text: str) -> Request:
    """What a query asks for.  Raises TempFail, in Exim's words."""
    between, within, rest = _separators(text.lstrip(SPACES))
    request = Request("TXT", "", between, within)
    while (taken := _modifier(request, rest)) is not None:
        request, rest = taken
        rest = rest.lstrip(SPACES)
        if not rest.startswith(","):
            raise TempFail("dnsdb modifier syntax error")
        rest = rest[1:].lstrip(SPACES)
    kind, equals, names = rest.partition("=")
    if not equals:
        return replace(request, names=rest)
    kind = lower(kind.rstrip(SPACES))
    for known in _KINDS:
        if lower(known) == kind:
            return replace(request, kind=known, names=names.lstrip(SPACES))
    raise TempFail("unsupported DNS record type")


def _separators(text: str) -> tuple[str, str | None, str]:
    if not text.startswith(">") or len(text) < 2:
        return "\n", None, text
    between, rest = text[1], text[2:]
    within = None
    if rest.startswith(","):
        within, rest = rest[1:2], rest[2:]
    elif rest.startswith(";"):
        within, rest = "", rest[1:]
    return between, within, rest.lstrip(SPACES)


def _modifier(request: Request, text: str) -> tuple[Request, str] | None:
    """The request with one modifier, and what stands behind it; None if none comes."""
    known = lower(text[:8])
    for name in ("defer", "dnssec"):
        if known.startswith(f"{name}_"):
            rest = text[len(name) + 1 :]
            for word in ("strict", "lax", "never"):
                if lower(rest[:6]).startswith(word):
                    return _with(request, name, word), rest[len(word) :]
            raise TempFail(f"unsupported dnsdb {name} behaviour")
    if known == "retrans_":
        word, comma, rest = text[8:].partition(",")
        timeout = min(float(_seconds(word.strip(SPACES))), LONGEST)
        return replace(request, manner=replace(request.manner, timeout=timeout)), comma + rest
    if known.startswith("retry_"):
        end = 6
        while is_number(text[end : end + 1]):
            end += 1
        if end == 6 or end > 16:
            raise TempFail("unsupported dnsdb retry count")
        tries = max(1, min(int(text[6:end]), MOST_TRIES))
        return replace(request, manner=replace(request.manner, tries=tries)), text[end:]
    return None


def _with(request: Request, name: str, word: str) -> Request:
    if name == "defer":
        return replace(request, on_silence=word)
    manner = replace(request.manner, dnssec=word != "never")
    return replace(request, dnssec=word, manner=manner)


def _seconds(text: str) -> int:
    try:
        seconds = parse_time(text, None)
    except (ConfigError, ValueError):
        seconds = 0
    if seconds < 1:
        raise TempFail("unsupported dnsdb timeout value")
    return seconds


def _names(request: Request) -> Iterator[str]:
    """The names to be asked for; addresses turned round where that is meant."""
    turns = request.kind in ("PTR", "CSA")
    if request.kind == "PTR" and family_of(request.names):
        yield reverse_name(request.names)
        return
    mark, rest = ":", request.names
    if rest.startswith("<") and len(rest) > 1:
        mark, rest = rest[1], rest[2:]
    for name in [each.strip(SPACES) for each in rest.split(mark, MOST_NAMES)][:MOST_NAMES]:
        if name:
            yield reverse_name(name) if turns and family_of(name) else name


def _look(
    asking: Resolver, request: Request, name: str
) -> Iterator[tuple[Answer, list[Record]]]:
    """Each answer about one name with the records that are of use."""
    match request.kind:
        case "A+":
            for kind in ("AAAA", "A"):
                yield _plain(asking.ask(name, kind, manner=request.manner), name)
        case "MXH":
            said, records = _plain(asking.ask(name, "MX", manner=request.manner), name)
            hosts = [Record(name, each.fields[1:]) for each in records]
            yield said, [each for each in hosts if each.fields != (".",)]
        case "ZNS":
            yield _of_zone(asking, request, name)
        case "CSA":
            yield _csa(asking, request, name)
        case kind:
            yield _plain(asking.ask(name, kind, manner=request.manner), name)


def _plain(said: Answer, owner: str) -> tuple[Answer, list[Record]]:
    return said, [Record(owner, fields) for fields in said.records]


def _of_zone(asking: Resolver, request: Request, name: str) -> tuple[Answer, list[Record]]:
    """The name servers of the zone that a name is in: of itself, or of what is above it."""
    said = Answer(Said.NO_NAME)
    for above in _and_above(name):
        said = asking.ask(above, "NS", manner=request.manner)
        if said.said in (Said.FOUND, Said.AGAIN):
            break
    return _plain(said, name)


def _and_above(name: str) -> Iterator[str]:
    labels = name.removesuffix(".").split(".")[-32:]
    for cut in range(len(labels)):
        yield ".".join(labels[cut:])


def _csa(asking: Resolver, request: Request, name: str) -> tuple[Answer, list[Record]]:
    """Client SMTP authorization: of the name, or what a name above it says of those below."""
    said = asking.ask(f"_client._smtp.{name}", "SRV", manner=request.manner)
    if said.said is not Said.NO_DATA and said.said is not Said.NO_NAME:
        return said, [each for each in _plain(said, name)[1] if each.fields[0] == 1]
    above = list(_and_above(name))[1:-1][::-1]
    for owner in above[:CSA_DEPTH]:
        said = asking.ask(f"_client._smtp.{owner}", "SRV", manner=request.manner)
        if said.said is Said.AGAIN:
            return said, []
        records = [each for each in _plain(said, owner)[1] if each.fields[0] == 1]
        if any(int(each.fields[2]) & 1 for each in records):
            return said, records
    return Answer(Said.NO_NAME), []


def _shown(request: Request, name: str, record: Record) -> str:
    """One record as text."""
    words, within = [_word_of(each) for each in record.fields], request.within
    return _KINDS[request.kind](words, within, name, record)


def _word_of(part: str | int) -> str:
    return "" if part == "." else str(part)


Show = Callable[[list[str], str | None, str, Record], str]


def _joined(words: list[str], within: str | None, name: str, record: Record) -> str:
    return (" " if within is None else within).join(words)


def _first(words: list[str], within: str | None, name: str, record: Record) -> str:
    """Only the first, unless it is said what stands between them."""
    return words[0] if within is None else within.join(words)


def _run_together(words: list[str], within: str | None, name: str, record: Record) -> str:
    return (within or "").join(words)


def _assertion(words: list[str], within: str | None, name: str, record: Record) -> str:
    weight, port = int(record.fields[1]), int(record.fields[2])
    if record.owner != name:
        return ("X " if port & 1 else "? ") + words[3]
    return f"{_CSA_WORDS.get(weight, '?')} {words[3]}"


_KINDS: dict[str, Show] = {
    "A": _joined,
    "AAAA": _joined,
    "A+": _joined,
    "CNAME": _joined,
    "CSA": _assertion,
    "MX": _joined,
    "MXH": _joined,
    "NS": _joined,
    "PTR": _joined,
    "SOA": _first,
    "SPF": _run_together,
    "SRV": _joined,
    "TLSA": _joined,
    "TXT": _first,
    "ZNS": _joined,
}
