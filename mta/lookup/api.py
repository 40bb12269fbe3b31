"""What a look-up is, how its driver is found, and what is kept open between look-ups.

A driver is found by its file name: `lsearch` is mta/lookup/drivers/lsearch.py, which declares
it with @lookup.  What a look-up returns is Trusted where it stands in the administrator's
tables; what strangers say, as those do who have a zone in the DNS, is not.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import mta.lookup.drivers
from mta.base.errors import TempFail
from mta.base.registry import Registry
from mta.base.trust import Trusted
from mta.config.model import Configuration

SEEN_LIMIT = 100


@dataclass(slots=True)
class Tables:
    """The open files and the answers that one process keeps; made after the fork.

    `opened` belongs to the drivers, by (driver, file); `programs` holds strings that came up
    at run time, and `lists` lists that did, each compiled; all are bounded by their users.
    `conf` is the configuration that says how the DNS is asked; `dns_secure` what is known of
    the last answer of a look-up in it: None if nobody asked whether it was verified.
    With `hurry`, questions that take more seconds than this end in Slow.
    `seen` is there while one look at a file is enough, and holds what was looked at.
    """

    opened: dict[tuple[str, str], object] = field(default_factory=dict)
    programs: dict[str, object] = field(default_factory=dict)
    lists: dict[tuple[object, str], object] = field(default_factory=dict)
    seen: dict[str, os.stat_result] | None = None
    conf: Configuration | None = None
    dns_secure: bool | None = None
    hurry: float | None = None

    def look(self, path: str) -> os.stat_result:
        """The state of a file.  Raises OSError, and ValueError for what is no name."""
        if self.seen is None:
            return os.stat(path)
        found = self.seen.get(path)
        if found is None:
            found = os.stat(path)
            if len(self.seen) < SEEN_LIMIT:
                self.seen[path] = found
        return found


class CannotOpen(TempFail):
    """The table itself cannot be had: worse than a key that cannot be looked up now."""


class Query(NamedTuple):
    """One question: the key, the table (or "" for a query-style look-up), the options."""

    key: str
    file: Trusted
    options: tuple[str, ...] = ()
    # Entries of a table that are strings to be expanded (wildlsearch) are expanded by this.
    expand: Callable[[Trusted], str] | None = None

    def option(self, name: str) -> str:
        """The value of an option such as ret=full, "" if it was not given."""
        if not self.options:
            return ""
        for each in self.options:
            key, _, value = each.partition("=")
            if key == name:
                return value
        return ""


class Lookup:
    """A kind of table.  A query-style one has no file: its key says everything."""

    query_style = False
    expands = False  # entries of its tables are strings to be expanded

    def find(self, tables: Tables, query: Query) -> str | None:
        """What the table says for this key, None if nothing.  Raises TempFail."""
        raise NotImplementedError


LOOKUPS: Registry[Lookup] = Registry("lookup")


def lookup(name: str) -> Callable[[type[Lookup]], type[Lookup]]:
    """Declare a driver."""

    def declare(driver: type[Lookup]) -> type[Lookup]:
        LOOKUPS.add(name, driver(), driver.__doc__)
        return driver

    return declare


def names() -> list[str]:
    """The names of all drivers that exist, loaded or not."""
    return sorted(each.name for each in pkgutil.iter_modules(mta.lookup.drivers.__path__))


def driver(name: str) -> Lookup | None:
    """The driver of this name, loaded now if need be; None if there is none."""
    found = LOOKUPS.get(name)
    if found is None and name in names():
        importlib.import_module(f"{mta.lookup.drivers.__name__}.{name}")
        found = LOOKUPS.get(name)
    return found


def load_all() -> None:
    """Load every driver, for manuals and tests."""
    for name in names():
        driver(name)
