"""Items of domain and local part lists: plain text, *suffix, ^regular expression, look-ups."""

from __future__ import annotations

from mta.base.errors import ExpansionFail, TempFail, Where
from mta.base.text import lower
from mta.base.trust import Trusted
from mta.expand.context import Context
from mta.expand.items.branching import entry_expander
from mta.expand.trust import keep
from mta.lookup.pcre import pattern
from mta.lookup.search import meant, parse_search
from mta.match.lists import Building, Check, Literal, Match, left_by_table

_NOWHERE = Where("a list", 0)


def left_by(text: str) -> Match:
    """What an item leaves when it matches: itself, if the administrator wrote it."""
    return Match(text if type(text) is Trusted else None)


def string_item(text: str, building: Building) -> Check | Literal:
    """The check for an item that is text, a suffix, a pattern or a look-up."""
    if text.startswith("^"):
        return regex_item(text, building)
    if ";" in text and (made := lookup_item(text, building)) is not None:
        return made
    if text.startswith("*"):
        return suffix_item(text, caseful=building.caseful)
    key = text if building.caseful else lower(text)
    return Literal(key, left_by(text), building.caseful)


def suffix_item(text: str, *, caseful: bool) -> Check:
    """*SUFFIX"""
    matched = left_by(text)
    if text == "*":
        return lambda ctx, subject, folded: matched
    if caseful:
        exact = text[1:]
        return lambda ctx, subject, folded: matched if subject.endswith(exact) else None
    ending = lower(text[1:])
    return lambda ctx, subject, folded: matched if folded.endswith(ending) else None


def regex_item(text: str, building: Building) -> Check:
    """^PATTERN, which leaves $0, $1 …"""
    matched = left_by(text)
    try:
        regex = pattern(text, caseless=not building.caseful)
    except ExpansionFail as error:
        return building.wrong(error.text)

    def check(ctx: Context, subject: str, folded: str) -> Match | None:
        try:
            groups = regex.groups(subject)
        except ExpansionFail as error:
            raise TempFail(error.text) from error
        if groups is None:
            return None
        ctx.captures = tuple(keep(subject, group) for group in groups)
        return matched

    return check


def lookup_item(text: str, building: Building) -> Check | None:
    """TYPE;FILE, which leaves what the table says; None for text that is no such item."""
    kind, _, table = text.partition(";")
    search = parse_search(kind)
    if isinstance(search, str):
        return building.wrong(search, meant(kind))
    if type(text) is not Trusted:
        what = "file or directory name for lookup"
        return building.wrong(f"Tainted '{text}' ({what}) not permitted")
    file, where = Trusted(table.lstrip(" \t")), building.where or _NOWHERE

    def check(ctx: Context, subject: str, folded: str) -> Match | None:
        if search.driver.query_style:
            found = search.find(ctx.tables, file, Trusted(""))
        else:
            expander = entry_expander(ctx, where) if search.driver.expands else None
            found = search.find(ctx.tables, subject, file, expander)
        return None if found is None else left_by_table(found.data)

    return check
