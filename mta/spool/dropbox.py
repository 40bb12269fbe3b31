"""The drop-box from outside: where sendmail leaves a message when no daemon answers.

SPOOL/drop has mode 3733 and belongs to the mail system: anybody may create a file in it,
nobody may list it, and only the owner of a file or of the directory can rename or remove it.
What is being written is called t.X, what is complete m.X; the rename is the hand-over.

A file is

    "mta-drop 1 NNNNNNNN\\n"   the format, and the length of the records in octets
    key=value NUL ...          the records, in any order; a key may come more than once
    the message                as it came from the caller

Who left it is the owner of the file; nothing in it says so.  That the file was created here,
and not linked or moved here from elsewhere, shows its group: it is the directory's, which an
ordinary user could not give it.  The mode must be exactly 0640.

Everything raises OSError.  This module is imported by a command that must be fast, and needs
nothing but os and time; `drops` is the other side.
"""

from __future__ import annotations

import os
import time

FILE_MODE = 0o640
MAGIC = b"mta-drop 1 "
RECORDS_LIMIT = 8 << 20

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def pack(records: list[tuple[str, str]]) -> bytes:
    """The start of a file: format and records.  Raises ValueError for what cannot be said."""
    parts: list[bytes] = []
    for key, value in records:
        octets = f"{key}={value}".encode("utf-8", "surrogateescape")
        if b"\0" in octets or not key.isidentifier():
            raise ValueError(f"not a record: {key}")
        parts.append(octets + b"\0")
    packed = b"".join(parts)
    if len(packed) > RECORDS_LIMIT:
        raise ValueError("too many recipients")
    return b"%b%08d\n%b" % (MAGIC, len(packed), packed)


class Drop:
    """A message on its way into the drop-box."""

    __slots__ = ("_draft", "_fd", "_final")

    def __init__(self, spool: str, records: list[tuple[str, str]]) -> None:
        """Begin a file.  Raises OSError, or ValueError for records that cannot be written."""
        start = pack(records)
        # Nobody can list the directory, but a name should not be in the way of another's.
        name = f"{time.time_ns():x}.{os.getpid():x}.{os.urandom(8).hex()}"
        self._draft = f"{spool}/drop/t.{name}"
        self._final = f"{spool}/drop/m.{name}"
        self._fd = os.open(self._draft, _CREATE, 0o600)
        try:
            self.write(start)
        except BaseException:
            self.abandon()
            raise

    def write(self, chunk: bytes) -> None:
        """Add to the message."""
        rest = memoryview(chunk)
        while rest:
            rest = rest[os.write(self._fd, rest) :]

    def commit(self) -> None:
        """Hand the message over; when this returns, it is safe on disk."""
        try:
            # Whatever the caller's umask is: the reader wants exactly this mode.
            os.fchmod(self._fd, FILE_MODE)
            os.fsync(self._fd)
            # Made ready before the hand-over: after it nothing may fail but the disk.
            file_system = _FileSystem()
            os.rename(self._draft, self._final)
        except BaseException:
            self.abandon()
            raise
        try:
            file_system.sync(self._fd)
        except OSError:
            self._take_back()
            raise
        finally:
            os.close(self._fd)
            self._fd = -1

    def _take_back(self) -> None:
        """The caller will be told that it failed, and may send the message again."""
        try:
            os.unlink(self._final)
        except OSError:
            return  # the mail system was faster

    def abandon(self) -> None:
        """Remove what was written, unless it was handed over."""
        if self._fd < 0:
            return
        os.close(self._fd)
        self._fd = -1
        try:
            os.unlink(self._draft)
        except OSError:
            return  # swept after a day


class _FileSystem:
    """Makes the rename last.  The directory cannot be synced: we may not open it."""

    __slots__ = ("_library",)

    def __init__(self) -> None:
        self._library: object = None
        try:
            import ctypes  # slow to load, and rarely needed

            self._library = ctypes.CDLL(None, use_errno=True)
        except (ImportError, OSError):
            return  # then everything is synced

    def sync(self, fd: int) -> None:
        """Sync the file system that this file is on."""
        syncfs = getattr(self._library, "syncfs", None)
        if syncfs is None:
            os.sync()
        elif syncfs(fd) != 0:
            import ctypes

            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
