"""Domain lists: names, *suffixes, patterns, look-ups, @ and @[] for this host."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial

from mta.base.errors import TempFail
from mta.base.text import lower
from mta.config.model import ListKind
from mta.config.template import Template
from mta.expand.context import Context
from mta.expand.registry import condition
from mta.lookup.own import own_addresses
from mta.match.host import HOSTS
from mta.match.lists import (
    GRAMMARS,
    Building,
    Check,
    Literal,
    Match,
    condition_holds,
    match_template,
    match_text,
    named,
)
from mta.match.strings import left_by, string_item
from mta.net.own import ANY

_MX = re.compile(r"@mx_(any|primary|secondary)(?:/ignore=(.*))?$", re.IGNORECASE | re.DOTALL)


class _Domains:
    """What the items of a domain list mean."""

    kind = ListKind.DOMAIN
    caseful = False

    def item(self, text: str, building: Building) -> Check | Literal | None:
        if text.startswith("+"):
            return named(self, text, building)
        if text.startswith("@"):
            return _this_host(text, building)
        return string_item(text, building)


DOMAINS = GRAMMARS[ListKind.DOMAIN] = _Domains()


def _this_host(text: str, building: Building) -> Check | Literal:
    matched = left_by(text)
    if text == "@":

        def primary(ctx: Context, subject: str, folded: str) -> Match | None:
            name = lower(ctx.conf.naming.primary_hostname)
            return matched if folded == name else None

        return primary
    if text == "@[]":

        def literal(ctx: Context, subject: str, folded: str) -> Match | None:
            if not (folded.startswith("[") and folded.endswith("]")):
                return None
            address = folded[1:-1].removeprefix("ipv6:")
            is_ours = address not in ANY and address in own_addresses(ctx.tables)
            return matched if is_ours else None

        return literal
    if (wanted := _MX.match(text)) is not None:
        return partial(_exchanged_here, matched, lower(wanted[1]), wanted[2] or "")
    return string_item(text, building)


def _exchanged_here(
    matched: Match, which: str, ignored: str, ctx: Context, subject: str, folded: str
) -> Match | None:
    """@mx_any and its like: is this host among those that MX records of the domain name?"""
    # Loaded where a list has such an item only: it brings what asks the DNS.
    from mta.match import search
    from mta.net.exchangers import End

    def is_ignored(name: str, address: str) -> bool:
        found = match_text(ctx, HOSTS, ignored, address, name, None)
        return found is not None

    rules = replace(search.rules(ctx), mx_required=True)
    if ignored:
        rules = replace(rules, ignored=is_ignored)
    found = search.find_exchangers(ctx, subject, rules)
    if found.end is End.AGAIN:
        raise TempFail(f'DNS lookup of "{subject}" deferred', status="4.4.3")
    is_first = found.end is End.OURSELVES
    is_later = found.end is End.HOSTS and found.was_secondary
    ours = (is_first and which != "secondary") or (is_later and which != "primary")
    return matched if ours else None


def match_domain(ctx: Context, template: Template, domain: str) -> Match | None:
    """Does the domain match the list?  Raises TempFail."""
    return match_template(ctx, DOMAINS, template, domain, lower(domain))


@condition("match_domain", 2, literal=True)
def match_domain_condition(ctx: Context, domain: str, listing: str) -> bool:
    """True if the domain matches the domain list, in which nothing is expanded.

    ${if match_domain{a.b.example}{*.b.example}{yes}{no}} → yes
    ${if match_domain{a.example}{!a.example : *}{yes}{no}} → no
    """
    return condition_holds(ctx, DOMAINS, domain, lower(domain), listing)
