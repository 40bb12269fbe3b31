"""Files whose lines are items of a list, read once and again when they change."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from mta.base.errors import TempFail, describe
from mta.base.text import SPACES, to_text
from mta.base.trust import Trusted
from mta.lookup.api import Tables
from mta.lookup.linear import SIZE_LIMIT, file_state, keep


@dataclass(slots=True)
class Lines:
    """The items of a file; `made` is what lists made of them, by the kind of the list."""

    state: tuple[int, ...]
    lines: list[Trusted]
    made: dict[object, object] = field(default_factory=dict)


def read_lines(tables: Tables, path: Trusted) -> Lines:
    """The file as it is now.  Raises TempFail when it cannot be read."""
    place = ("lines", path)
    try:
        state = file_state(tables.look(path))
        known = tables.opened.get(place)
        if isinstance(known, Lines) and known.state == state:
            return known
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(fd, "rb") as file:
            state = file_state(os.fstat(fd))
            octets = file.read(SIZE_LIMIT + 1)
    except (OSError, ValueError) as error:
        why = describe(error) if isinstance(error, OSError) else "not a file name"
        raise TempFail(f"failed to open {path}: {why}") from error
    if len(octets) > SIZE_LIMIT:
        raise TempFail(f"{path} is too large for a list; use a lookup")
    found = Lines(
        state, [item for line in to_text(octets).split("\n") if (item := _item(line))]
    )
    keep(tables, place, found)
    return found


def _item(line: str) -> Trusted:
    """A line without its comment: a # at its beginning or behind white space."""
    at = line.find("#")
    while at > 0 and line[at - 1] not in SPACES:
        at = line.find("#", at + 1)
    return Trusted((line if at < 0 else line[:at]).strip(SPACES))
