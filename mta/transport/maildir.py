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
from collections.abc import Callable, Generator
from dataclasses import dataclass

from mta.base.errors import TempFail
from mta.base.trust import Trusted
from mta.transport.places import Creation, sync_dir
from mta.transport.shape import Shape
from mta.transport.writing import Stream
from mta.unix.files import make_dir, open_at, open_dir, set_mode, unlink_quietly
from mta.unix.writeback import begin_writing

# tmp/ last: where it is there, the others are.
_PARTS = ("cur", "new", "tmp")
FOLDER = "maildirfolder"


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
        self,
        fd: int,
        stream: Stream,
        shape: Shape,
        name: str,
        mode: int,
        tagged: Callable[[int], str],
    ) -> Generator[None, None, int]:
        """Store a message in a file that was created under this name; the file is closed.

        `tagged` says the last name, for the octets that were written.  Gives these octets.
        Stops before each sync.
        """
        place, final = self.tmp, name
        try:
            try:
                set_mode(fd, mode)  # whatever the umask says
                size = shape.write(stream, fd)
                begin_writing(fd)
                yield
                os.fdatasync(fd)
            finally:
                os.close(fd)
            final = self._rename(name, tagged(size))
            place = self.new
            self.is_synced = False
            yield
            self._sync()
        except BaseException:
            with contextlib.suppress(OSError):
                unlink_quietly(place, final)
            raise
        return size

    def _rename(self, name: str, final: str) -> str:
        """Move a message to new/, with a tag if that makes the name not too long."""
        try:
            os.rename(name, final, src_dir_fd=self.tmp, dst_dir_fd=self.new)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG or final == name:
                raise
            os.rename(name, name, src_dir_fd=self.tmp, dst_dir_fd=self.new)
            return name
        return final

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


def open_maildir(path: Trusted, creation: Creation, *, is_folder: bool) -> Maildir:
    """Open a Maildir, and make what is missing if that is allowed.

    `is_folder` marks it as one that lies within another: with a file maildirfolder.
    """
    root = creation.open_target(path)
    try:
        try:
            maildir = _open_parts(root)
        except FileNotFoundError:
            if not creation.may_make_dirs:
                raise
            _make_parts(root, creation.dir_mode)
            maildir = _open_parts(root)
        except NotADirectoryError as error:
            raise TempFail(
                f"{path}: tmp or new is a symbolic link or no directory", code=errno.ENOTDIR
            ) from error
        if is_folder:
            try:
                _mark_folder(root)
            except OSError:
                maildir.close()
                raise
        return maildir
    finally:
        os.close(root)


def _make_parts(root: int, mode: int) -> None:
    for part in _PARTS:
        make_dir(root, part, mode)
    sync_dir(root)


def _mark_folder(root: int) -> None:
    with contextlib.suppress(FileExistsError):
        os.close(open_at(root, FOLDER, os.O_WRONLY | os.O_CREAT | os.O_EXCL))


def _open_parts(root: int) -> Maildir:
    tmp = open_dir("tmp", at=root)
    try:
        return Maildir(tmp, open_dir("new", at=root))
    except OSError:
        os.close(tmp)
        raise
