"""Who has been answered, and when: the file that autoreply's `once` names.

    time      8 octets, seconds, in the order of this machine
    address   up to a NUL

It is a list, the oldest first, in Exim's format where once_file_size bounds it: then the
oldest are forgotten as room is needed.  Where nothing bounds it, Exim has a data base of a
format that depends on how it was built; ours is the same list, in a file of that name with
`.list` behind it, so that neither spoils the other's.

The file is locked from `knows` to `close`, so that two messages at a time are not both
answered.

Raises:   TempFail where it cannot be opened, locked or written.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct

from mta.base import clock
from mta.base.errors import TempFail, describe
from mta.base.text import lower, to_bytes
from mta.unix.files import read_all, write_all

LARGEST = 16 << 20
_TIME = struct.Struct("@q")


class Once:
    """The list of one file."""

    __slots__ = ("_fd", "_limit", "_what", "records")

    def __init__(self, path: str, limit: int, mode: int, what: str) -> None:
        """Open and lock it.  `limit` is its largest size in octets, 0 for ours."""
        self._limit = limit or LARGEST
        name = path if limit else f"{path}.list"
        self._what = what
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            self._fd = os.open(name, flags, mode)
        except OSError as error:
            text = f'Failed to open "once" file {path} when sending message from {what}'
            raise TempFail(f"{text}: {describe(error)}", code=error.errno or 0) from error
        try:
            self._lock(path)
            self.records = _read(read_all(self._fd, LARGEST) or b"")
        except BaseException:
            os.close(self._fd)
            raise

    def _lock(self, path: str) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            text = f'"once" file {path} of {self._what} is in use'
            raise TempFail(text, code=errno.EAGAIN) from error

    def knows(self, address: str, repeat: int) -> bool:
        """True if this address was answered, and within the last `repeat` seconds unless 0."""
        when = self.records.get(_key(address))
        return when is not None and (not repeat or clock.now() - when < repeat)

    def remember(self, address: str) -> None:
        """Note that it was answered now; the oldest go where there is no room."""
        key = _key(address)
        self.records.pop(key, None)
        self.records[key] = int(clock.now())
        size = sum(map(_size, self.records))
        while size > self._limit and len(self.records) > 1:
            oldest = next(iter(self.records))
            size -= _size(oldest)
            del self.records[oldest]
        octets = b"".join(_TIME.pack(when) + who + b"\0" for who, when in self.records.items())
        try:
            os.lseek(self._fd, 0, os.SEEK_SET)
            write_all(self._fd, octets)
            os.ftruncate(self._fd, len(octets))
        except OSError as error:
            text = f'Failed to write "once" file for {self._what}: {describe(error)}'
            raise TempFail(text, code=error.errno or 0) from error

    def close(self) -> None:
        """Unlock and close it."""
        os.close(self._fd)


def _key(address: str) -> bytes:
    return to_bytes(lower(address)).replace(b"\0", b"")


def _size(key: bytes) -> int:
    return _TIME.size + len(key) + 1


def _read(octets: bytes) -> dict[bytes, int]:
    """The records of a file; one that is cut off ends it."""
    records: dict[bytes, int] = {}
    at = 0
    while at + _TIME.size < len(octets):
        end = octets.find(b"\0", at + _TIME.size)
        if end < 0:
            break
        (when,) = _TIME.unpack_from(octets, at)
        records[octets[at + _TIME.size : end]] = when
        at = end + 1
    return records
