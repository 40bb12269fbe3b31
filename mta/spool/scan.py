"""Finding what is in the spool: the messages, and what crashes have left behind.

A scan reads directories and no files: a hundred thousand messages take a fraction of a second.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from mta.spool.ids import is_id
from mta.spool.layout import Spool, names
from mta.unix.files import open_at
from mta.unix.locks import lock

DAY = 86_400

_PART = re.compile(r"(.+)-([DHJ])")


@dataclass(frozen=True, slots=True)
class Orphan:
    """A file that belongs to no message: the directory it is in, and its name."""

    directory: int
    name: str


def ids(spool: Spool, *, oldest_first: bool = False) -> Iterator[str]:
    """The ids of all messages that are in the spool now, in both layouts.

    Within a directory the oldest comes first always; with `oldest_first` over all of them,
    which holds all ids in memory.
    """
    if oldest_first:
        yield from sorted(ids(spool))
        return
    for directory in spool.everywhere():
        found = [name[:-2] for name in names(directory) if name.endswith("-H")]
        found.sort()
        yield from filter(is_id, found)


def exists(spool: Spool, message_id: str) -> bool:
    """True if there is a message of this id."""
    for directory in spool.places(message_id):
        with suppress(FileNotFoundError):
            os.stat(f"{message_id}-H", dir_fd=directory, follow_symlinks=False)
            return True
    return False


def orphans(spool: Spool, now: float, *, age: float = DAY) -> Iterator[Orphan]:
    """Files older than `age` that no message needs: a -D or -J without -H, a draft of a -H."""
    for directory in spool.everywhere():
        present = set(names(directory))
        for name in sorted(present):
            if _is_alone(name, present) and _is_old(directory, name, now - age):
                yield Orphan(directory, name)


def sweep(spool: Spool, now: float, *, age: float = DAY) -> list[str]:
    """Remove the orphans that nobody holds a lock on, and return their names."""
    removed: list[str] = []
    for orphan in list(orphans(spool, now, age=age)):
        # One that vanishes or cannot be removed is looked at again at the next sweep.
        with suppress(OSError):
            if _remove(orphan):
                removed.append(orphan.name)
    return removed


def _is_alone(name: str, present: set[str]) -> bool:
    if name.startswith("hdr."):
        return True
    part = _PART.fullmatch(name)
    if not part or part[2] == "H" or not is_id(part[1]):
        return False
    if part[2] == "J" and f"{part[1]}-D" in present:
        return False  # goes with its -D, or after it
    return f"{part[1]}-H" not in present


def _is_old(directory: int, name: str, limit: float) -> bool:
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_mtime < limit


def _remove(orphan: Orphan) -> bool:
    """Remove one file, with the lock of its message if it is a -D."""
    if not orphan.name.endswith("-D"):
        os.unlink(orphan.name, dir_fd=orphan.directory)
        return True
    fd = open_at(orphan.directory, orphan.name, os.O_RDWR)
    try:
        if not lock(fd, len(orphan.name) + 1):
            return False  # a very slow sender
        # Under the lock nobody can accept it any more; but that may have happened meanwhile.
        with suppress(FileNotFoundError):
            os.stat(f"{orphan.name[:-1]}H", dir_fd=orphan.directory, follow_symlinks=False)
            return False
        os.unlink(orphan.name, dir_fd=orphan.directory)
        return True
    finally:
        os.close(fd)
