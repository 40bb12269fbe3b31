"""Local part lists: names, *suffixes, patterns, look-ups; +caseful makes case count."""

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
from mta.match.strings import string_item


class _LocalParts:
    """What the items of a local part list mean."""

    kind = ListKind.LOCAL_PART

    def __init__(self, *, caseful: bool = False) -> None:
        self.caseful = caseful

    def item(self, text: str, building: Building) -> Check | Literal | None:
        if text == "+caseful":
            building.caseful = True
            return None
        if text.startswith("+"):
            return named(self, text, building)
        return string_item(text, building)


LOCAL_PARTS = _LocalParts()
LOCAL_PARTS_CASEFUL = _LocalParts(caseful=True)


def match_local_part(
    ctx: Context, template: Template, local_part: str, *, caseful: bool = False
) -> Match | None:
    """Does the local part match the list?  Raises TempFail."""
    grammar = LOCAL_PARTS_CASEFUL if caseful else LOCAL_PARTS
    return match_template(ctx, grammar, template, local_part, lower(local_part))


@condition("match_local_part", 2, literal=True)
def match_local_part_condition(ctx: Context, local_part: str, listing: str) -> bool:
    """True if the local part matches the local part list, in which nothing is expanded.

    ${if match_local_part{Joe}{ann : joe}{yes}{no}} → yes
    ${if match_local_part{Joe}{+caseful : joe}{yes}{no}} → no
    """
    return condition_holds(ctx, LOCAL_PARTS, local_part, lower(local_part), listing)
