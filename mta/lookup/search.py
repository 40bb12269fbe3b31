"""A look-up as it is written: `partial-lsearch*@,ret=key`, and what is tried for one key.

First the key itself; then, for partial-, the key with "*." before it and one leading part
after the other cut off; then the default keys "*@domain" and "*".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from mta.base.registry import suggestion
from mta.base.trust import Trusted
from mta.lookup import api
from mta.lookup.api import Lookup, Query, Tables

_PARTIAL = re.compile(r"partial([0-9]*)(?:\(([^)]*)\)|-)")


@dataclass(frozen=True, slots=True)
class Search:
    """The kind of a look-up with everything that stands around its name."""

    name: str
    driver: Lookup
    partial: int | None = None
    affix: str = "*."
    default: str = ""  # "", "*" or "*@"
    options: tuple[str, ...] = ()
    is_plain: bool = field(init=False)  # only the key itself is looked for

    def __post_init__(self) -> None:
        plain = self.partial is None and not self.default and not self.options
        object.__setattr__(self, "is_plain", plain)

    def find(
        self,
        tables: Tables,
        key: str,
        file: Trusted,
        expand: Callable[[Trusted], str] | None = None,
    ) -> Found | None:
        """What the table says for this key, or for what may stand in its place.

        Raises TempFail.
        """
        if not key and not self.driver.query_style:
            return None
        if self.is_plain:
            data = self.driver.find(tables, Query(key, file, (), expand))
            return None if data is None else Found(data)
        for candidate, wild in self._candidates(key):
            query = Query(candidate, file, self.options, expand)
            if (data := self.driver.find(tables, query)) is not None:
                if query.option("ret") == "key" and type(data) is Trusted:
                    data = Trusted(candidate)
                return Found(data, wild)
        return None

    def _candidates(self, key: str) -> Iterator[tuple[str, tuple[str, ...]]]:
        yield key, ()
        if self.driver.query_style:
            return
        if self.partial is not None:
            yield from self._shorter(key, self.partial)
        if self.default == "*@" and (at := key.rfind("@")) > 0:
            yield "*" + key[at:], ("", key[:at])
        if self.default:
            yield "*", ("", key)

    def _shorter(self, key: str, least: int) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Each shorter form, while at least so many parts without a wild card are left."""
        affix = self.affix
        if affix:
            yield affix + key, ("", "", key)
        labels = key.split(".")
        # Each step costs a look-up: a key with endless dots must not.
        for cut in range(1, min(len(labels), 128) + 1):
            left = len(labels) - cut
            if left < least:
                return
            removed, rest = ".".join(labels[:cut]), ".".join(labels[cut:])
            if left:
                yield affix + rest, ("", removed, rest)
            elif affix:
                bare = affix[:-1] if len(affix) > 1 and affix.endswith(".") else affix
                yield bare, ("", "", "")


class Found(NamedTuple):
    """The answer, and $0, $1 … for a key that matched in a shorter form."""

    data: str  # Trusted unless strangers said it
    captures: tuple[str, ...] = ()


def meant(text: str) -> str:
    """What was perhaps meant by a look-up that does not exist, as a phrase, or ""."""
    return suggestion(text.partition(",")[0], api.names())


def parse_search(text: str) -> Search | str:
    """The look-up that this describes, or what is wrong with it, in Exim's words."""
    rest, _, options = text.partition(",")
    name = rest
    partial, affix = None, "*."
    if (prefix := _PARTIAL.match(rest)) is not None:
        partial = int(prefix[1][:3] or "2")
        affix = "*." if prefix[2] is None else prefix[2]
        rest = rest[prefix.end() :]
    default = next((each for each in ("*@", "*") if rest.endswith(each)), "")
    bare = rest.removesuffix(default)
    driver = api.driver(bare)
    if driver is None:
        return f'unknown lookup type "{name}"'
    if driver.query_style and (partial is not None or default):
        which = "partial matching" if partial is not None else 'defaults using "*" or "*@"'
        return f'"{which}" is not permitted for lookup type "{bare}"'
    return Search(
        bare, driver, partial, affix, default, tuple(options.split(",") if options else ())
    )
