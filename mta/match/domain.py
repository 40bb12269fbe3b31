"""Domain lists: names, *suffixes, patterns, look-ups, @ and @[] for this host."""

from __future__ import annotations

from mta.base.text import lower
from mta.config.model import ListKind
from mta.config.template import Template
from mta.expand.context import Context
from mta.expand.registry import condition
from mta.match.lists import (
    Building,
    Check,
    Literal,
    Match,
    condition_holds,
    match_template,
    named,
)
from mta.match.local import is_local_address
from mta.match.strings import left_by, string_item


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


DOMAINS = _Domains()


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
            return matched if is_local_address(address) else None

        return literal
    if text.startswith("@mx_"):
        return building.wrong(f"{text} needs DNS, which is not supported yet")
    return string_item(text, building)


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
