"""Address lists: user@domain, *@domain, domain, patterns, look-ups, @@look-ups."""

from __future__ import annotations

from mta.base.errors import TempFail
from mta.base.text import lower
from mta.base.trust import Trusted
from mta.config.model import ListKind
from mta.config.template import Template
from mta.expand.context import Context
from mta.expand.registry import condition
from mta.expand.split import split_list
from mta.lookup.search import meant, parse_search
from mta.mail.address import split
from mta.match.domain import DOMAINS
from mta.match.lists import (
    MATCHED,
    Building,
    Check,
    Literal,
    Match,
    compile_list,
    condition_holds,
    match_template,
    named,
)
from mta.match.strings import lookup_item, regex_item

_CHAIN_LIMIT = 50


class _Addresses:
    """What the items of an address list mean."""

    kind = ListKind.ADDRESS
    caseful = False

    def item(self, text: str, building: Building) -> Check | Literal | None:
        if text == "+caseful":
            building.caseful = True
            return None
        if text.startswith("+"):
            return named(self, text, building)
        if text == "":
            return _nobody
        if text.startswith("^"):
            return regex_item(text, building)
        if text.startswith("@@"):
            return _local_parts_by_domain(text, building)
        # In user@lsearch;/file the look-up is of the domain.
        local_part, at, domain = _halves(text)
        if not at and ";" in text:
            return lookup_item(text, building)
        return _address(local_part if at else "*", domain if at else text, building, text)


ADDRESSES = _Addresses()


def _nobody(ctx: Context, subject: str, folded: str) -> Match | None:
    return None if subject else MATCHED


def _halves(text: str) -> tuple[str, str, str]:
    """Local part, @ and domain; a semicolon before the @ belongs to a look-up."""
    semicolon = text.find(";")
    at = text.rfind("@", 0, semicolon if semicolon >= 0 else None)
    if at < 0:
        return "", "", text
    return text[:at], "@", text[at + 1 :]


def _address(local: str, domain: str, building: Building, whole: str) -> Check | Literal:
    trusted = type(whole) is Trusted
    part = compile_list(DOMAINS, [Trusted(domain) if trusted else domain], building.where)
    building.errors.extend(part.errors)
    wanted = local if building.caseful else lower(local)
    suffix = wanted[1:] if wanted.startswith("*") else None
    caseful = building.caseful

    def check(ctx: Context, subject: str, folded: str) -> Match | None:
        if not subject:
            return None
        seen, seen_domain = split(subject)
        if not caseful:
            seen = lower(seen)
        if not (seen == wanted if suffix is None else seen.endswith(suffix)):
            return None
        found = part.match(ctx, seen_domain, lower(seen_domain))
        return None if found is None else MATCHED

    return check


def _local_parts_by_domain(text: str, building: Building) -> Check:
    """@@TYPE;FILE: the table gives a list of local parts for a domain; >KEY goes on there."""
    kind, _, table = text[2:].partition(";")
    search = parse_search(kind)
    if isinstance(search, str):
        return building.wrong(search, meant(kind))
    if type(text) is not Trusted:
        what = "file or directory name for lookup"
        return building.wrong(f"Tainted '{text}' ({what}) not permitted")
    file, caseful = Trusted(table), building.caseful

    def check(ctx: Context, subject: str, folded: str) -> Match | None:
        local_part, key = split(subject)
        seen = local_part if caseful else lower(local_part)
        for _ in range(_CHAIN_LIMIT):
            found = search.find(ctx.tables, key, file)
            if found is None:
                return None
            key = ""
            for item in split_list(found.data):
                if item.startswith(">"):
                    key = item[1:].strip(" \t")
                    continue
                positive, bare = not item.startswith("!"), item.removeprefix("!").strip(" \t")
                wanted = bare if caseful else lower(bare)
                if seen == wanted or (wanted[:1] == "*" and seen.endswith(wanted[1:])):
                    return MATCHED if positive else None
            if not key:
                return None
        raise TempFail(f"{text}: more than {_CHAIN_LIMIT} entries refer to each other")

    return check


def match_address(ctx: Context, template: Template, address: str) -> Match | None:
    """Does the address match the list?  "" is the null sender.  Raises TempFail."""
    return match_template(ctx, ADDRESSES, template, address, lower(address))


@condition("match_address", 2, literal=True)
def match_address_condition(ctx: Context, address: str, listing: str) -> bool:
    """True if the address matches the address list, in which nothing is expanded.

    ${if match_address{User@b.example}{user@b.example}{yes}{no}} → yes
    ${if match_address{user@b.example}{*@c.example : b.example}{yes}{no}} → yes
    """
    return condition_holds(ctx, ADDRESSES, address, lower(address), listing)
