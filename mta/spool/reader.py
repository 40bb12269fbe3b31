"""Taking hold of a message in the spool: lock, read, journal, rewrite, remove.

Who holds a `Message` that was opened with its lock owns the message, until `close` or the end
of the last process that inherited `data_fd`.  The order of things:

    a delivery succeeds -> journal() -> log line     a crash repeats at most one delivery
    the attempt is over -> rewrite()                 new -H durable, and only then no -J
    all is done         -> remove()                  -H first: then it is no message any more

Files are believed only if they are regular, have one name and belong to the spool's users;
others, and those that make no sense, raise SpoolError, for `set_aside`.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from types import TracebackType

from mta.base.text import to_bytes
from mta.spool import writer
from mta.spool.envelope import Envelope
from mta.spool.errors import SpoolError, disk_failure
from mta.spool.header_file import addresses_in_journal, decode
from mta.spool.layout import FILE_MODE, Spool
from mta.unix.files import open_at, read_all, unlink_quietly, write_all
from mta.unix.locks import lock as take_lock

# An envelope of 50,000 recipients with long addresses, twice, and a megabyte of headers.
HEADER_FILE_LIMIT = 64 << 20

# What opening says of things that are no regular file.
_FOREIGN = frozenset({errno.ELOOP, errno.ENXIO, errno.EISDIR, errno.ENODEV, errno.EMLINK})


class Message:
    """A message in the spool."""

    __slots__ = (
        "_directory",
        "_journal",
        "_journal_named",
        "_journal_size",
        "_spool",
        "body_offset",
        "body_size",
        "data_fd",
        "envelope",
        "has_journal",
        "id",
    )

    def __init__(
        self,
        spool: Spool,
        directory: int,
        data_fd: int,
        envelope: Envelope,
        *,
        size: int,
        journal: bool,
    ) -> None:
        """Use `open`; `size` is that of -D."""
        self._spool = spool
        self._directory = directory
        self._journal = -1
        self._journal_named = False  # its name is durable
        self._journal_size = 0
        self.id = envelope.id
        self.envelope = envelope
        self.data_fd = data_fd
        self.has_journal = journal
        self.body_offset = len(envelope.id) + 3
        self.body_size = size - self.body_offset

    @classmethod
    def open(cls, spool: Spool, message_id: str, *, lock: bool = True) -> Message | None:
        """The message, or None if it is gone, not complete, or locked by somebody else.

        Without `lock` it is only looked at.  Addresses in its journal are among the envelope's
        nonrecipients.  Raises SpoolError, or TempFail when the disk fails.
        """
        try:
            for directory in spool.places(message_id):
                with suppress(FileNotFoundError):
                    return cls._open_in(spool, directory, message_id, lock=lock)
            _no_header_alone(spool, message_id)
        except OSError as error:
            if error.errno in _FOREIGN:
                raise SpoolError(f"{message_id}: not a regular file") from error
            if error.errno == errno.EACCES:
                _refuse_foreign(spool, message_id)
            raise disk_failure(f"cannot read {message_id}", error) from error
        return None

    @classmethod
    def _open_in(
        cls, spool: Spool, directory: int, message_id: str, *, lock: bool
    ) -> Message | None:
        name = f"{message_id}-D"
        fd = open_at(directory, name, os.O_RDWR if lock else os.O_RDONLY)
        try:
            status = _checked(spool, fd, name)
            if lock:
                owned = _own(fd, directory, name, status)
                if owned is None:
                    os.close(fd)
                    return None
                status = owned
            envelope = _read_envelope(spool, directory, message_id)
            # Only now: without a -H, a -D may be anything that a crash has left.
            _check_first_line(fd, name)
            done = _read_journal(spool, directory, message_id)
            if done:
                envelope = replace(envelope, nonrecipients=envelope.nonrecipients.union(done))
            if not lock:
                # It may have grown until its -H was there.
                status = os.fstat(fd)
            size, journal = status.st_size, done is not None
            return cls(spool, directory, fd, envelope, size=size, journal=journal)
        except BaseException:
            os.close(fd)
            raise

    @property
    def size(self) -> int:
        """The size of the message as the log shows it."""
        return self.envelope.header_size + 1 + self.body_size

    def journal(self, addresses: Iterable[str], *, sync: bool) -> None:
        """Note that these addresses are done; before that is logged.

        Without `sync` a power cut may undo it, and the delivery is made again.  Raises
        TempFail or SpoolError; nothing was noted then.
        """
        lines = b"".join([_journal_line(address) for address in addresses])
        name = f"{self.id}-J"
        try:
            if self._journal < 0:
                self._journal_named = not self._open_journal(name)
            try:
                write_all(self._journal, lines)
            except OSError:
                # Half a line would join with the next one to something that was never said.
                os.ftruncate(self._journal, self._journal_size)
                raise
            self._journal_size += len(lines)
            if sync:
                os.fdatasync(self._journal)
                if not self._journal_named:
                    os.fsync(self._directory)
                    self._journal_named = True
        except OSError as error:
            raise disk_failure(f"cannot write {name}", error) from error
        self.has_journal = True

    def _open_journal(self, name: str) -> bool:
        """Open -J for appending, behind its last whole line; True if it is new."""
        flags = os.O_RDWR | os.O_APPEND
        try:
            fd = open_at(self._directory, name, flags | os.O_CREAT | os.O_EXCL, FILE_MODE)
        except FileExistsError:
            if _is_planted(self._spool, self._directory, name):
                unlink_quietly(self._directory, name)
                return self._open_journal(name)
            fd = open_at(self._directory, name, flags)
        else:
            self._journal = fd
            os.fchmod(fd, FILE_MODE)
            return True
        self._journal = fd
        _checked(self._spool, fd, name)
        octets = read_all(fd, HEADER_FILE_LIMIT)
        if octets is None:
            raise SpoolError(f"{name}: too large")
        self._journal_size = octets.rfind(b"\n") + 1
        if self._journal_size < len(octets):
            os.ftruncate(fd, self._journal_size)
        return False

    def rewrite(self, envelope: Envelope) -> None:
        """Put a new envelope in the place of the old one and the journal.  Raises TempFail."""
        assert envelope.id == self.id
        writer.rewrite(self._directory, envelope)
        self.envelope = envelope
        # The addresses are in -H now, durably; a crash here leaves them in both.
        self._drop_journal()

    def remove(self) -> None:
        """Remove the message, which is done.  Raises TempFail.

        No sync: if a power cut brings any of it back, then -J too, which was the last to go,
        and the next attempt finds in it that nothing is left to do.
        """
        try:
            for suffix in "HDJ" if self.has_journal else "HD":
                unlink_quietly(self._directory, f"{self.id}-{suffix}")
            if not self.envelope.deliver_firsttime:
                for directory in self._spool.msglog_places(self.id):
                    unlink_quietly(directory, self.id)
        except OSError as error:
            raise disk_failure(f"cannot remove {self.id}", error) from error

    def close(self) -> None:
        """Let go of the message; the lock ends when the last holder of data_fd does so."""
        if self._journal >= 0:
            os.close(self._journal)
            self._journal = -1
        if self.data_fd >= 0:
            os.close(self.data_fd)
            self.data_fd = -1

    def _drop_journal(self) -> None:
        if self._journal >= 0:
            os.close(self._journal)
            self._journal = -1
        self._journal_size = 0
        if self.has_journal:
            try:
                unlink_quietly(self._directory, f"{self.id}-J")
            except OSError as error:
                raise disk_failure(f"cannot remove {self.id}-J", error) from error
            self.has_journal = False

    def __enter__(self) -> Message:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def set_aside(spool: Spool, message_id: str, reason: str) -> None:
    """Move the files of a message that cannot be read to SPOOL/corrupt, with the reason.

    So it is neither lost nor tried for ever.  Raises TempFail.
    """
    corrupt = spool.corrupt_place()
    try:
        explain(corrupt, message_id, reason)
        for directory in spool.places(message_id):
            # -H first: without it the rest is no message.
            for suffix in "HDJ":
                name = f"{message_id}-{suffix}"
                with suppress(FileNotFoundError):
                    os.rename(name, name, src_dir_fd=directory, dst_dir_fd=corrupt)
    except OSError as error:
        raise disk_failure(f"cannot set {message_id} aside", error) from error


def explain(directory: int, name: str, reason: str) -> None:
    """Write down why something was set aside.  Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    fd = open_at(directory, f"{name}.reason", flags, 0o600)
    try:
        write_all(fd, to_bytes(reason) + b"\n")
    finally:
        os.close(fd)


def _no_header_alone(spool: Spool, message_id: str) -> None:
    """Raise SpoolError if there is a -H after all: -D is made before it and removed after."""
    for directory in spool.places(message_id):
        with suppress(OSError):
            os.stat(f"{message_id}-H", dir_fd=directory, follow_symlinks=False)
            with suppress(FileNotFoundError):
                # Both may have come since we looked.
                os.stat(f"{message_id}-D", dir_fd=directory, follow_symlinks=False)
                return
            raise SpoolError(f"{message_id}-D: is missing")


def _own(fd: int, directory: int, name: str, status: os.stat_result) -> os.stat_result | None:
    """Lock the file: its status then, or None if another has it, or if the name was gone when
    we had the lock."""
    # Exim locks the first line; so do we, or we would not see each other.
    if not take_lock(fd, len(name) + 1):
        return None
    try:
        now = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return now if (now.st_ino, now.st_dev) == (status.st_ino, status.st_dev) else None


def _checked(spool: Spool, fd: int, name: str) -> os.stat_result:
    """The status of an open file that can be one of ours."""
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise SpoolError(f"{name}: not a regular file")
    if status.st_nlink > 1:
        raise SpoolError(f"{name}: has {status.st_nlink} names")
    if status.st_uid not in spool.owners:
        raise SpoolError(f"{name}: belongs to user {status.st_uid}")
    return status


def _refuse_foreign(spool: Spool, message_id: str) -> None:
    """Raise SpoolError if a file that we may not open is none of ours."""
    for directory in spool.places(message_id):
        for suffix in "DHJ":
            name = f"{message_id}-{suffix}"
            with suppress(OSError):
                status = os.stat(name, dir_fd=directory, follow_symlinks=False)
                if status.st_uid not in spool.owners:
                    raise SpoolError(f"{name}: belongs to user {status.st_uid}")


def _check_first_line(fd: int, name: str) -> None:
    if os.pread(fd, len(name) + 1, 0) != to_bytes(name) + b"\n":
        raise SpoolError(f"{name}: the first line is not the name of the file")


def _read_file(spool: Spool, directory: int, name: str) -> bytes:
    """The whole of a file of ours.  Raises FileNotFoundError."""
    fd = open_at(directory, name, os.O_RDONLY)
    try:
        size = _checked(spool, fd, name).st_size
        octets = read_all(fd, HEADER_FILE_LIMIT, size=size)
    finally:
        os.close(fd)
    if octets is None:
        raise SpoolError(f"{name}: too large")
    return octets


def _read_envelope(spool: Spool, directory: int, message_id: str) -> Envelope:
    name = f"{message_id}-H"
    octets = _read_file(spool, directory, name)
    try:
        return decode(octets, message_id)
    except SpoolError as error:
        raise SpoolError(f"{name}: {error}") from error


def _read_journal(spool: Spool, directory: int, message_id: str) -> list[str] | None:
    """The addresses in -J; None if there is none."""
    name = f"{message_id}-J"
    try:
        if _is_planted(spool, directory, name):
            return None
        return list(addresses_in_journal(_read_file(spool, directory, name)))
    except FileNotFoundError:
        return None


def _is_planted(spool: Spool, directory: int, name: str) -> bool:
    """True for a -J of the network user, who can make names here, but keeps no journals.

    With it he would have others' mail forgotten: it counts for nothing.
    """
    uid = os.stat(name, dir_fd=directory, follow_symlinks=False).st_uid
    return uid in spool.owners and uid not in (spool.owner, os.geteuid())


def _journal_line(address: str) -> bytes:
    line = to_bytes(address)
    if not line or b"\n" in line or b"\0" in line:
        raise SpoolError(f"not an address for the journal: {address!r}")
    return line + b"\n"
