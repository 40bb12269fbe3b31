"""Lists as strings: items with a separator, and the bounds on loops over them."""

from __future__ import annotations

from mta.base.errors import ExpansionFail
from mta.base.text import SPACES
from mta.base.trust import Trusted
from mta.expand.context import Context
from mta.expand.trust import trusted

STEP_LIMIT = 1_000_000
ITEMS_LIMIT = 100_000
_PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")


def separator(text: str) -> tuple[str, str]:
    """The separator that a list names at its beginning, or ":", and the rest of the list."""
    rest = text.lstrip(SPACES)
    if len(rest) >= 2 and rest[0] == "<" and (rest[1] in _PUNCTUATION or rest[1] < " "):
        return rest[1], rest[2:]
    if rest.startswith("<\x7f"):
        return rest[1], rest[2:]
    return ":", rest


def split_list(text: str) -> list[str]:
    """The items of a list; they are trusted if the list is."""
    return separated(text)[1]


def separated(text: str) -> tuple[str, list[str]]:
    """The separator of a list and its items, without outer white space.

    A doubled separator is one that belongs to the item, unless it is a control character.
    """
    mark, rest = separator(text)
    items = _plain(mark, rest) if mark < " " or mark * 2 not in rest else _doubled(mark, rest)
    if len(items) > ITEMS_LIMIT:
        raise ExpansionFail(f"a list has more than {ITEMS_LIMIT} items")
    if type(text) is Trusted:
        return mark, [trusted(item) for item in items]
    return mark, items


def _plain(mark: str, rest: str) -> list[str]:
    items = [item.strip(SPACES) for item in rest.split(mark)]
    if not items[-1]:
        items.pop()
    return items


def _doubled(mark: str, rest: str) -> list[str]:
    items: list[str] = []
    # White space before an item is skipped first, so that "a : :b" has an empty item.
    at = _skip(rest, 0)
    while at < len(rest):
        if rest[at] == mark:
            at += 1
            if not rest.startswith(mark, at):
                items.append("")
                at = _skip(rest, at)
                continue
        start, item = at, []
        while True:
            # What stands at `start` belongs to the item, even if it is a separator.
            end = rest.find(mark, start + 1)
            end = len(rest) if end < 0 else end
            item.append(rest[start:end])
            if not rest.startswith(mark, end + 1):
                break
            start = end + 1
        items.append("".join(item).strip(SPACES))
        at = _skip(rest, end + 1)
    return items


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in SPACES:
        at += 1
    return at


def join_list(mark: str, items: list[str]) -> str:
    """Items as a list with this separator: separators in them are doubled."""
    if mark < " ":
        return mark.join(items)
    parts: list[str] = []
    for item in items:
        # A blank keeps an item that is empty, or begins with the separator, from running
        # together with the separator before it.
        blank = " " if parts and (not item or item.startswith(mark)) else ""
        parts.append(blank + item.replace(mark, mark * 2))
    return mark.join(parts)


def count_step(ctx: Context) -> None:
    """Count one turn of a loop; too many end the expansion."""
    ctx.steps += 1
    if ctx.steps > STEP_LIMIT:
        raise ExpansionFail(f"the expansion takes more than {STEP_LIMIT} steps")
