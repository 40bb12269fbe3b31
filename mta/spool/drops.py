"""The drop-box from inside: the mail system takes over what sendmail left there.

Whoever left a file may keep it open and change it while we read; so what was read is used and
nothing is read twice, and the message is copied before any of it is acted on.  See `dropbox`
for the format and for why a file is believed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType

from mta.base import clock
from mta.base.text import to_text
from mta.spool.dropbox import FILE_MODE, MAGIC, RECORDS_LIMIT
from mta.spool.errors import SpoolError, disk_failure
from mta.spool.layout import names
from mta.spool.reader import explain
from mta.unix.files import open_at, open_dir, unlink_quietly

STALE = 86_400
_START = re.compile(re.escape(MAGIC) + rb"([0-9]{8})\n")
_START_LENGTH = len(MAGIC) + 9
_NAME = re.compile(r"m\.[0-9a-f.]{1,80}")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A file that waits in the drop-box: its name, its owner, and when it was changed last."""

    name: str
    uid: int
    changed: float


class TooLarge(SpoolError):
    """A file that may well be mail, but more of it than is taken."""


class Dropped:
    """One file from the drop-box, open; `uid` and `gid` are those of the user who left it."""

    __slots__ = ("_fd", "_left", "_offset", "records", "uid")

    def __init__(self, directory: int, name: str, limit: int) -> None:
        """Open and check it.

        Raises SpoolError for what none of our programs left, TooLarge, FileNotFoundError when
        it is gone, BlockingIOError when its owner holds a lease on it:
        later, then.
        """
        try:
            self._fd = open_at(directory, name, os.O_RDONLY | os.O_NOCTTY)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO, errno.ENODEV, errno.EACCES):
                raise SpoolError(f"drop/{name}: cannot be read") from error
            raise
        try:
            status = os.fstat(self._fd)
            _check(status, os.fstat(directory), name, limit)
            self.uid = status.st_uid
            self.records = self._read_records(name)
            self._left = status.st_size - self._offset
        except BaseException:
            os.close(self._fd)
            raise

    def _read_records(self, name: str) -> list[tuple[str, str]]:
        start = _START.fullmatch(os.pread(self._fd, _START_LENGTH, 0))
        size = int(start[1]) if start else RECORDS_LIMIT + 1
        if size > RECORDS_LIMIT:
            raise SpoolError(f"drop/{name}: not in our format")
        packed = _pread_all(self._fd, size, _START_LENGTH)
        if len(packed) != size or (packed and not packed.endswith(b"\0")):
            raise SpoolError(f"drop/{name}: cut short")
        self._offset = _START_LENGTH + size
        records: list[tuple[str, str]] = []
        for record in packed.split(b"\0")[:-1]:
            key, equals, value = to_text(record).partition("=")
            if not equals:
                raise SpoolError(f"drop/{name}: not in our format")
            records.append((key, value))
        return records

    def read(self, size: int) -> bytes:
        """The next octets of the message, b"" at its end.  Raises SpoolError if it grows."""
        chunk = os.pread(self._fd, size, self._offset)
        self._offset += len(chunk)
        self._left -= len(chunk)
        if self._left < 0:
            raise SpoolError("a file in the drop-box grows while it is read")
        return chunk

    def close(self) -> None:
        """Give the descriptor back."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Dropped:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Box:
    """The drop-box of a spool, for its owner."""

    __slots__ = ("directory",)

    def __init__(self, root: int) -> None:
        """Open it; `root` is a descriptor of the spool's directory.  Raises OSError."""
        self.directory = open_dir("drop", at=root)

    def lock(self) -> bool:
        """Be the only one who empties it, until `close`; False if somebody else is at it.

        Two runners are there while the configuration is read again.  Strangers cannot hold the
        lock, as they may not open the directory.
        """
        try:
            fcntl.flock(self.directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def waiting(self) -> list[Waiting]:
        """The complete files, the oldest first; the caller decides how many of each user."""
        found: list[Waiting] = []
        for name in names(self.directory):
            if _NAME.fullmatch(name):
                with suppress(OSError):
                    status = os.stat(name, dir_fd=self.directory, follow_symlinks=False)
                    # A directory that is not empty could never be got rid of; it does no harm.
                    if not stat.S_ISDIR(status.st_mode):
                        found.append(Waiting(name, status.st_uid, status.st_ctime))
        found.sort(key=lambda file: (file.changed, file.name))
        return found

    def open(self, name: str, *, limit: int) -> Dropped:
        """Open a file with at most `limit` octets of message.  See `Dropped`."""
        return Dropped(self.directory, name, limit)

    def remove(self, name: str) -> None:
        """Remove a file that was taken over or is none of ours.  Raises TempFail."""
        try:
            unlink_quietly(self.directory, name)
        except OSError as error:
            raise disk_failure(f"cannot remove drop/{name}", error) from error

    def set_aside(self, name: str, corrupt: int, reason: str) -> None:
        """Move a file that will never be taken to this directory, with the reason.

        Its sender was told that it would be dealt with: it is kept for somebody to look at.
        Raises TempFail.
        """
        # The name is the sender's choice, and must not take the place of what another left.
        kept = f"drop.{int(clock.now() * 1_000_000)}.{os.getpid()}.{name}"
        try:
            os.rename(name, kept, src_dir_fd=self.directory, dst_dir_fd=corrupt)
            status = os.stat(kept, dir_fd=corrupt, follow_symlinks=False)
            if not stat.S_ISREG(status.st_mode):
                # Its owner put something else there at the last moment.
                os.unlink(kept, dir_fd=corrupt)
                return
            explain(corrupt, kept, reason)
        except OSError as error:
            raise disk_failure(f"cannot set drop/{name} aside", error) from error

    def sweep(self, now: float, *, age: float = STALE) -> list[str]:
        """Remove what is no complete file and older than `age`; return the names."""
        removed: list[str] = []
        for name in names(self.directory):
            if _NAME.fullmatch(name):
                continue
            with suppress(OSError):
                status = os.stat(name, dir_fd=self.directory, follow_symlinks=False)
                if status.st_ctime < now - age:
                    remove = os.rmdir if stat.S_ISDIR(status.st_mode) else os.unlink
                    remove(name, dir_fd=self.directory)
                    removed.append(name)
        return removed

    def close(self) -> None:
        """Give the descriptor back."""
        if self.directory >= 0:
            os.close(self.directory)
            self.directory = -1


def _check(status: os.stat_result, box: os.stat_result, name: str, limit: int) -> None:
    """Raise SpoolError unless the file was created here by its owner, and is not too large."""
    if not stat.S_ISREG(status.st_mode):
        raise SpoolError(f"drop/{name}: not a regular file")
    if status.st_nlink != 1:
        raise SpoolError(f"drop/{name}: has {status.st_nlink} names")
    mode = stat.S_IMODE(status.st_mode)
    if status.st_gid != box.st_gid or mode != FILE_MODE:
        raise SpoolError(f"drop/{name}: not created here (gid {status.st_gid} mode {mode:o})")
    if status.st_size > limit + RECORDS_LIMIT:
        raise TooLarge(f"drop/{name}: too large")


def _pread_all(fd: int, size: int, offset: int) -> bytes:
    parts: list[bytes] = []
    while size and (chunk := os.pread(fd, size, offset)):
        parts.append(chunk)
        size -= len(chunk)
        offset += len(chunk)
    return b"".join(parts)
