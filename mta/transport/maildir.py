"""A Maildir: opening it, making what is missing, and storing messages so that they last.

    1. a file of its own in tmp/, under a name that nobody else takes; the message, written
    2. the file synced; renamed into new/: from here on the recipient may see it
    3. new/ synced: from here on it survives a crash, and the delivery is done

Where several messages are stored at a time, all come to the end of a step before the next one
begins; the last step is then one sync for all of them.

Whatever fails before the end, the file is removed.  tmp/, new/ and cur/ must be real
directories: a symbolic link there is refused.  Directories that had to be made are synced into
their parents before anything is stored in them.

Runs as:  the recipient.
Raises:   OSError as the system gives it; TempFail where it has no words of its own.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Generator
from dataclasses import dataclass

from mta.base.errors import TempFail
from mta.base.trust import Trusted
from mta.transport.writing import Stream, to_file
from mta.unix.files import make_dir, open_at, open_dir, set_mode, unlink_quietly
from mta.unix.writeback import begin_writing

# tmp/ last: where it is there, the others are.
_PARTS = ("cur", "new", "tmp")


@dataclass(slots=True)
class Maildir:
    """An open Maildir: descriptors of its directories, and what is to be synced."""

    tmp: int
    new: int
    is_synced: bool = True
    failure: OSError | None = None

    def close(self) -> None:
        """Close it."""
        os.close(self.tmp)
        os.close(self.new)

    def create(self, name: str, mode: int) -> int:
        """A new file in tmp/ for `store`.  FileExistsError if the name is taken."""
        return open_at(self.tmp, name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)

    def store(
        self, fd: int, stream: Stream, name: str, mode: int
    ) -> Generator[None, None, None]:
        """Store a message in a file that was created under this name; the file is closed.

        Stops before each sync.
        """
        place = self.tmp
        try:
            try:
                set_mode(fd, mode)  # whatever the umask says
                to_file(stream, fd)
                begin_writing(fd)
                yield
                os.fdatasync(fd)
            finally:
                os.close(fd)
            os.rename(name, name, src_dir_fd=self.tmp, dst_dir_fd=self.new)
            place = self.new
            self.is_synced = False
            yield
            self._sync()
        except BaseException:
            with contextlib.suppress(OSError):
                unlink_quietly(place, name)
            raise

    def _sync(self) -> None:
        """Make the names in new/ last, of all messages at once."""
        if self.failure is not None:
            # The system tells of a failure once, but it is that of all.
            raise self.failure
        if not self.is_synced:
            try:
                os.fsync(self.new)
            except OSError as error:
                self.failure = error
                raise
            self.is_synced = True


def open_maildir(path: Trusted, mode: int, *, create: bool, home: str | None) -> Maildir:
    """Open a Maildir, and make what is missing with this mode if that is allowed.

    A home directory that is not there is not made: it may be away for a while.
    """
    root = _open_root(path, mode, create=create, home=home)
    try:
        try:
            return _open_parts(root)
        except FileNotFoundError:
            if not create:
                raise
            for part in _PARTS:
                make_dir(root, part, mode)
            os.fsync(root)
            return _open_parts(root)
        except NotADirectoryError as error:
            raise TempFail(
                f"{path}: tmp or new is a symbolic link or no directory", code=errno.ENOTDIR
            ) from error
    finally:
        os.close(root)


def _open_parts(root: int) -> Maildir:
    tmp = open_dir("tmp", at=root)
    try:
        return Maildir(tmp, open_dir("new", at=root))
    except OSError:
        os.close(tmp)
        raise


def _open_root(path: Trusted, mode: int, *, create: bool, home: str | None) -> int:
    try:
        return open_dir(path)
    except FileNotFoundError:
        if not create:
            raise
    if home and f"{path}/".startswith(f"{home}/") and not os.path.lexists(home):
        raise TempFail(f"the home directory {home} does not exist", code=errno.ENOENT)
    return _make_path(path, mode)


def _make_path(path: str, mode: int) -> int:
    """Make the missing directories of an absolute path, one by one, and open the last.

    Below the last one that exists no symbolic link is followed: somebody may put one there
    while we work.
    """
    missing: list[str] = []
    there = path.rstrip("/")
    while True:
        there, _, name = there.rpartition("/")
        if name:
            missing.append(name)
        try:
            fd = open_dir(there or "/")
            break
        except FileNotFoundError:
            continue
    try:
        while missing:
            name = missing.pop()
            if make_dir(fd, name, mode):
                os.fsync(fd)
            inner = open_dir(name, at=fd)
            fd, outer = inner, fd
            os.close(outer)
    except OSError:
        os.close(fd)
        raise
    return fd
