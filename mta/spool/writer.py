"""Putting a message into the spool, and replacing the -H of one that is there.

`Incoming` is a message on its way in.  Its promise: when `commit` returns, the message is ours
and will be delivered or bounced even if the power fails now; when anything raises, it is not,
and the spool is as it was before.  The order that makes this true:

    1  create ID-D, lock it, write; a -D without a -H is not a message
    2  write the envelope as hdr.ID, a name that nobody looks for
    3  have the system begin to write both, sync ID-D, then hdr.ID: a file system with a
       journal then commits both at once, and the second sync finds its work done
    4  rename hdr.ID to ID-H: the one instant of acceptance
    5  sync the directory, which makes both names last; only then may the sender be told

Three syncs, none of which can be left out.  Those of files are fdatasync: it writes the data
and all that is needed to find it again (size, blocks, mode), and leaves out the times, which
nobody needs after a crash.

Raises TempFail for whatever the disk does, with status 4.3.1 when it is full.
"""

from __future__ import annotations

import os
from contextlib import suppress
from types import TracebackType

from mta.base.errors import TempFail
from mta.base.text import to_bytes
from mta.spool.envelope import Envelope
from mta.spool.errors import SpoolError, disk_failure
from mta.spool.header_file import encode
from mta.spool.ids import Ticks, new_id
from mta.spool.layout import FILE_MODE, FOREIGN_BODY_MODE, FOREIGN_HEADER_MODE, Spool
from mta.unix.files import open_at, set_mode, write_all
from mta.unix.locks import lock
from mta.unix.writeback import begin_writing

_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL
_ATTEMPTS = 10


class IdTaken(TempFail):
    """There is a message of this id; another id may be free."""


def begin(spool: Spool, ticks: Ticks) -> Incoming:
    """Begin a message under a new id.  Raises TempFail."""
    for _ in range(_ATTEMPTS):
        try:
            return Incoming(spool, new_id(ticks))
        except IdTaken:
            continue
    raise TempFail("no free message id", status="4.3.0")


class Incoming:
    """A message on its way into the spool; as a context it abandons what was not committed."""

    __slots__ = (
        "_directory",
        "_fd",
        "_first_line",
        "_is_ours",
        "_made",
        "_offset",
        "body_size",
        "id",
        "spool",
    )

    def __init__(self, spool: Spool, message_id: str) -> None:
        """Create and lock ID-D.  Raises IdTaken or TempFail."""
        self.spool = spool
        self.id = message_id
        self.body_size = 0
        self._directory = spool.place(message_id)
        self._is_ours = spool.is_ours
        self._made: list[str] = []
        self._fd = -1
        self._first_line = to_bytes(f"{message_id}-D\n")
        self._offset = len(self._first_line)
        try:
            self._create(f"{message_id}-D")
        except FileExistsError as error:
            raise IdTaken(f"{message_id} is taken", status="4.3.0") from error
        except OSError as error:
            self.abandon()
            raise disk_failure(f"cannot create {message_id}-D", error) from error
        except BaseException:
            self.abandon()
            raise

    def _create(self, name: str) -> None:
        mode = FILE_MODE if self._is_ours else FOREIGN_BODY_MODE
        self._fd = open_at(self._directory, name, _CREATE, mode)
        self._made.append(name)
        set_mode(self._fd, mode)
        if not lock(self._fd, self._offset):
            raise TempFail(f"{name} was locked by another process", status="4.3.0")

    def write(self, chunk: bytes | memoryview) -> None:
        """Add to the body.  Raises TempFail; the message is gone then."""
        try:
            # One call less than with the first line by itself, which is for every message.
            write_all(self._fd, self._first_line + chunk if self._first_line else chunk)
        except OSError as error:
            self.abandon()
            raise disk_failure(f"cannot write {self.id}-D", error) from error
        self._first_line = b""
        self.body_size += len(chunk)

    def commit(self, envelope: Envelope) -> int:
        """Accept the message and return its size, as the log shows it.

        Raises TempFail; the message is gone then.
        """
        assert envelope.id == self.id
        if self._first_line:
            self.write(b"")
        try:
            mode = FILE_MODE if self._is_ours else FOREIGN_HEADER_MODE
            draft = _write_draft(
                self._directory, envelope, self._made, mode=mode, before=self._fd
            )
            _rename(self._directory, draft, f"{self.id}-H")
            self._made[-1] = f"{self.id}-H"
            os.fsync(self._directory)
        except (OSError, SpoolError) as error:
            self.abandon()
            raise _failure(self.id, error) from error
        except BaseException:
            self.abandon()
            raise
        # Closing gives the lock back: from here on any process may deliver it.
        os.close(self._fd)
        self._fd = -1
        self._made.clear()
        return envelope.header_size + 1 + self.body_size

    def abandon(self) -> None:
        """Remove whatever was made, the latest first: never a -H without its -D."""
        while self._made:
            with suppress(OSError):
                os.unlink(self._made[-1], dir_fd=self._directory)
            self._made.pop()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Incoming:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.abandon()


def rewrite(directory: int, envelope: Envelope) -> None:
    """Replace the -H in this directory; the caller holds the lock of the message.

    When it returns, the new one is durable; when it raises TempFail, the old one is still
    there, or the new one, but never half of either.
    """
    made: list[str] = []
    try:
        is_ours = os.geteuid() == os.fstat(directory).st_uid
        mode = FILE_MODE if is_ours else FOREIGN_HEADER_MODE
        draft = _write_draft(directory, envelope, made, mode=mode, before=-1)
        _rename(directory, draft, f"{envelope.id}-H")
        made.clear()
        os.fsync(directory)
    except (OSError, SpoolError) as error:
        raise _failure(envelope.id, error) from error
    finally:
        for name in made:
            with suppress(OSError):
                os.unlink(name, dir_fd=directory)


def _write_draft(
    directory: int, envelope: Envelope, made: list[str], *, mode: int, before: int
) -> str:
    """Write hdr.ID durably and note its name in `made` as soon as it exists.

    The descriptor `before`, unless it is -1, is synced first, when all is written.
    """
    octets = encode(envelope)
    name = f"hdr.{envelope.id}"
    try:
        fd = open_at(directory, name, _CREATE, mode)
    except FileExistsError:
        # Left by a process that died; we hold the lock, so nobody is writing it.
        os.unlink(name, dir_fd=directory)
        fd = open_at(directory, name, _CREATE, mode)
    made.append(name)
    try:
        set_mode(fd, mode)
        write_all(fd, octets)
        if before >= 0:
            begin_writing(fd)
            begin_writing(before)
            os.fdatasync(before)
        os.fdatasync(fd)
    finally:
        os.close(fd)
    return name


def _rename(directory: int, old: str, new: str) -> None:
    os.rename(old, new, src_dir_fd=directory, dst_dir_fd=directory)


def _failure(message_id: str, error: OSError | SpoolError) -> TempFail:
    if isinstance(error, OSError):
        return disk_failure(f"cannot write {message_id}-H", error)
    return TempFail(f"cannot write {message_id}-H: {error}", status="4.3.0")
