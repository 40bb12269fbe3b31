"""The file maildirsize of a Maildir++: its quota, and how much is in it.

    10240S,0C     the quota: octets, and files; 0 for none
    348 2         octets and files that there were
    346 1         and one line for each change since then

Whoever delivers adds a line; so does whoever removes messages, with a minus.  The file is made
anew from what there is when it says another quota, when it is long, and when what it says is
more than the quota allows, unless it is young and short.

Runs as:  the recipient.
Raises:   OSError.
"""

from __future__ import annotations

import os
import re
import stat

from mta.base import clock
from mta.lookup.pcre import Pattern
from mta.transport.quota import Quota
from mta.unix.files import NO_LINK, open_at, write_all

NAME = "maildirsize"
_LONGEST = 5120  # octets
_YOUNG = 15 * 60  # seconds
_QUOTA = re.compile(rb"([0-9]{1,18})([SC])")
_LINE = re.compile(rb"[ \t]*(-?[0-9]{1,18})[ \t]+(-?[0-9]{1,18})[ \t]*")
_HELD = ("cur", "new")


class SizeFile:
    """What the file says, and the file itself, open to have a line added."""

    def __init__(self, size: int, files: int, fd: int) -> None:
        self.size = size
        self.files = files
        self._fd = fd

    def add(self, size: int) -> None:
        """Note a message that was added."""
        if self._fd >= 0:
            write_all(self._fd, b"%d 1\n" % size)

    def close(self) -> None:
        """Close it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def open_size_file(
    root: str, quota: Quota, folders: Pattern, message_size: int, name: str
) -> SizeFile:
    """The size file of the Maildir at this path, made anew if that has to be.

    `folders` matches the names of directories that count; `name` is one that is free in tmp/.
    """
    directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fd = open_at(directory, NAME, os.O_RDWR | os.O_APPEND)
        except FileNotFoundError:
            return _make(directory, quota, folders, name)
        try:
            said = _read(fd, quota, message_size)
        except OSError:
            os.close(fd)
            raise
        if said is not None:
            return SizeFile(*said, fd)
        os.close(fd)
        return _make(directory, quota, folders, name)
    finally:
        os.close(directory)


def _read(fd: int, quota: Quota, message_size: int) -> tuple[int, int] | None:
    """What the file says; None if it must not be believed."""
    known = os.fstat(fd)
    octets = os.pread(fd, _LONGEST + 1, 0)
    if not stat.S_ISREG(known.st_mode) or len(octets) > _LONGEST:
        return None
    first, *lines = octets.split(b"\n")
    limits = {letter: int(number) for number, letter in _QUOTA.findall(first)}
    if (limits.get(b"S", 0), limits.get(b"C", 0)) != (quota.size.value, quota.files.value):
        return None
    size = files = count = 0
    for line in lines:
        if not line:
            continue
        if not (found := _LINE.fullmatch(line)):
            return None
        size, files, count = size + int(found[1]), files + int(found[2]), count + 1
    if size < 0 or files < 0:
        return None
    is_doubtful = count > 1 or known.st_mtime + _YOUNG < clock.now()
    if is_doubtful and quota.is_passed(size, files, message_size):
        return None
    return size, files


def _make(directory: int, quota: Quota, folders: Pattern, name: str) -> SizeFile:
    """Count all there is and write a new file."""
    size, files = _count(directory, quota, folders)
    temporary = f"tmp/{name}"
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL
    fd = open_at(directory, temporary, flags)
    try:
        limits = b"%dS,%dC\n" % (quota.size.value, quota.files.value)
        write_all(fd, limits + b"%d %d\n" % (size, files))
        os.rename(temporary, NAME, src_dir_fd=directory, dst_dir_fd=directory)
    except OSError:
        os.close(fd)
        os.unlink(temporary, dir_fd=directory)
        raise
    return SizeFile(size, files, fd)


def _count(
    directory: int, quota: Quota, folders: Pattern, *, in_folder: bool = False
) -> tuple[int, int]:
    """The octets and the messages in cur/ and new/, and in those of the folders."""
    size = files = 0
    for name in _directories(directory, folders):
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | NO_LINK, dir_fd=directory)
        try:
            found = (0, 0)
            if name in _HELD:
                found = _held(inner, quota)
            elif not in_folder:
                found = _count(inner, quota, folders, in_folder=True)
            size, files = size + found[0], files + found[1]
        finally:
            os.close(inner)
    return size, files


def _directories(directory: int, folders: Pattern) -> list[str]:
    with os.scandir(directory) as entries:
        return [
            entry.name
            for entry in entries
            if folders.matches(entry.name) and entry.is_dir(follow_symlinks=False)
        ]


def _held(directory: int, quota: Quota) -> tuple[int, int]:
    """The octets and the messages in one directory."""
    size = files = 0
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            told = quota.size_in(entry.name)
            if told < 0:
                try:
                    told = entry.stat(follow_symlinks=False).st_size
                except FileNotFoundError:
                    continue
            size, files = size + told, files + 1
    return size, files
