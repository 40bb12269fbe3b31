"""Limits for the size of a mailbox and the number of its files, and what there is of both.

    quota = 10M        octets; K, M and G may follow a number, and a point may be in it
    quota = 10M/no_check   what is kept in a maildirsize file, but never refused
    quota_filecount    the same for files

A message that does not fit is deferred with Exim's number -22, which `quota` in the retry
section means.

Runs as:  the recipient.
Raises:   TempFail for a value that is none, and for a mailbox that is full; OSError.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from dataclasses import dataclass

from mta.base.errors import TempFail
from mta.base.text import is_number, lower
from mta.lookup.pcre import Pattern
from mta.transport.codes import QUOTA, UNKNOWN

_VALUE = re.compile(r"[ \t]*(-?)([0-9]{1,18})(?:\.([0-9]{0,9}))?([kKmMgG]?)((?:/[a-z_]+)*)")
_TIMES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_DEEPEST = 32  # directories in directories


@dataclass(frozen=True, slots=True)
class Limit:
    """A number that must not be passed; none where it is 0."""

    value: int = 0
    is_checked: bool = True

    def forbids(self, there: int, more: int) -> bool:
        """True if that is too much."""
        return self.is_checked and 0 < self.value < there + more


def parse(text: str, option: str, transport: str) -> Limit:
    """The limit that an expanded option says."""
    found = _VALUE.fullmatch(text) if text else None
    modifiers = found[5][1:].split("/") if found and found[5] else []
    if text and (not found or any(each != "no_check" for each in modifiers)):
        reason = f'Malformed value "{text}" (expansion of "{option}") in {transport} transport'
        raise TempFail(reason, code=UNKNOWN)
    if not found or found[1]:
        return Limit()
    times = _TIMES[lower(found[4])]
    part = found[3] or "0"
    value = int(found[2]) * times + int(part) * times // 10 ** len(part)
    return Limit(value, "no_check" not in modifiers)


@dataclass(frozen=True, slots=True)
class Quota:
    """The limits of a mailbox, and what others say of it, -1 for nothing."""

    size: Limit = Limit()
    files: Limit = Limit()
    is_inclusive: bool = True
    known_size: int = -1
    known_files: int = -1
    size_regex: Pattern | None = None

    @property
    def asks_for_size(self) -> bool:
        """True if the mailbox has to be measured."""
        return self.size.value > 0 and self.known_size < 0

    @property
    def asks_for_files(self) -> bool:
        """True if the files of the mailbox have to be counted."""
        return self.files.value > 0 and self.known_files < 0

    def is_passed(self, size: int, files: int, message_size: int) -> bool:
        """True if the message would pass a limit."""
        more, one = (message_size, 1) if self.is_inclusive else (0, 0)
        return self.size.forbids(size, more) or self.files.forbids(files, one)

    def judge(self, size: int, files: int, message_size: int, name: str) -> None:
        """Raise TempFail if a mailbox of this size is full for this message."""
        size = self.known_size if self.known_size >= 0 else size
        files = self.known_files if self.known_files >= 0 else files
        more, one = (message_size, 1) if self.is_inclusive else (0, 0)
        for limit, there, added, what in (
            (self.size, size, more, ""),
            (self.files, files, one, "filecount "),
        ):
            if limit.forbids(there, added):
                text = f"MTA-imposed {what}quota exceeded while writing to {name}"
                raise TempFail(f"mailbox is full ({text})", status="4.2.2", code=QUOTA)

    def size_in(self, name: str) -> int:
        """The size that the name of a file tells; -1 if it tells none."""
        if self.size_regex is None:
            return -1
        groups = self.size_regex.groups(name)
        if groups is None or len(groups) < 2 or not is_number(groups[1]):
            return -1
        return int(groups[1][:18])

    def measure(self, path: str) -> tuple[int, int]:
        """The octets in all files of a directory and those below; and how many names it has.

        As Exim counts: the names of directories, too, and each of several links its part.
        """
        return self._measure(path, _DEEPEST)

    def _measure(self, path: str, deepest: int) -> tuple[int, int]:
        size = files = 0
        try:
            entries = os.scandir(path)
        except FileNotFoundError:
            return 0, 0
        with entries:
            for entry in entries:
                files += 1
                told = self.size_in(entry.name)
                if told >= 0:
                    size += told
                    continue
                try:
                    known = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if stat.S_ISREG(known.st_mode):
                    size += known.st_size // max(known.st_nlink, 1)
                elif stat.S_ISDIR(known.st_mode) and deepest:
                    inner = self._measure(entry.path, deepest - 1)
                    size, files = size + inner[0], files + inner[1]
        return size, files


def write_failed(error: OSError, name: str) -> TempFail:
    """What is said of an error while a message is written."""
    code = error.errno or 0
    if code == errno.EDQUOT:
        text = f"mailbox is full (quota exceeded while writing to file {name})"
        return TempFail(text, status="4.2.2", code=code)
    return TempFail(f"error while writing to {name}", status="4.2.0", code=code)
