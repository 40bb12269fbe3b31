"""Files of "key: value" lines, such as /etc/aliases, which several kinds of look-up read.

An entry starts in the first column; lines that start with white space go on with it, joined
by a single blank; empty lines and those that start with # are nothing.  The key ends at a
colon or white space, or is in double quotes.  A file is read once and again when it changed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from mta.base.errors import describe
from mta.base.text import SPACES, lower, to_text
from mta.base.trust import Trusted
from mta.lookup.api import CannotOpen, Query, Tables

FILES_LIMIT = 25
SIZE_LIMIT = 1 << 28
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"?')
_PLAIN = re.compile(r"[^:\s]*", re.ASCII)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a file: its key, its value, and all of it as ret=full gives it."""

    key: str
    value: Trusted
    full: Trusted


@dataclass(slots=True)
class LinearFile:
    """A file that was read: its entries in order, and by key in lower case (the first wins).

    `state` tells whether the file has changed since.
    """

    state: tuple[int, ...]
    entries: list[Entry]
    index: dict[str, Entry] = field(default_factory=dict)
    patterns: list[object] | None = None  # what a driver made of the keys


def read(tables: Tables, query: Query) -> LinearFile:
    """The file as it is now, in Python's hands.  Raises CannotOpen."""
    place = ("linear", query.file)
    try:
        state = file_state(tables.look(query.file))
        known = tables.opened.get(place)
        if isinstance(known, LinearFile) and known.state == state:
            return known
        fd = os.open(query.file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(fd, "rb") as file:
            # The state of what was opened, which may be another file by now.
            state = file_state(os.fstat(fd))
            octets = file.read(SIZE_LIMIT + 1)
    except (OSError, ValueError) as error:
        why = describe(error) if isinstance(error, OSError) else "not a file name"
        raise CannotOpen(f"failed to open {query.file} for linear search: {why}") from error
    if len(octets) > SIZE_LIMIT:
        raise CannotOpen(f"{query.file} is too large for linear search; use another kind")
    found = LinearFile(state, list(parse(to_text(octets))))
    for entry in found.entries:
        found.index.setdefault(lower(entry.key), entry)
    keep(tables, place, found)
    return found


def keep(tables: Tables, place: tuple[str, str], value: object) -> None:
    """Keep something open; what was opened first makes room when there are too many."""
    tables.opened.pop(place, None)
    if len(tables.opened) >= FILES_LIMIT:
        del tables.opened[next(iter(tables.opened))]
    tables.opened[place] = value


def file_state(found: os.stat_result) -> tuple[int, ...]:
    """What tells one version of a file from another."""
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def parse(text: str) -> Iterator[Entry]:
    """The entries of a file."""
    entry: list[str] = []
    for line in text.split("\n"):
        kept = line.rstrip(SPACES)
        if not kept or kept[0] == "#":
            continue
        if kept[0] in SPACES:
            if entry:
                entry.append(kept.lstrip(SPACES))
            continue
        if entry:
            yield _entry(" ".join(entry))
        entry = [kept]
    if entry:
        yield _entry(" ".join(entry))


def _entry(text: str) -> Entry:
    quoted = _QUOTED.match(text)
    if quoted is not None:
        key, end = _unescape(quoted[1]), quoted.end()
    else:
        plain = _PLAIN.match(text)
        end = plain.end() if plain else 0
        key = text[:end]
    value = text[end:].lstrip(SPACES)
    if value.startswith(":"):
        value = value[1:].lstrip(SPACES)
    return Entry(key, Trusted(value), Trusted(text))


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    return re.sub(
        r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), text, flags=re.DOTALL
    )


def answer(entry: Entry, query: Query) -> Trusted:
    """What an entry gives for this query."""
    if query.options and query.option("ret") == "full":
        return entry.full
    return entry.value
