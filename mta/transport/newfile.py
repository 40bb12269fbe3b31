"""One new file, or two, for each message in a directory: no Maildir, nothing to be locked.

Plain     a file with a name of its own while it is written, then the name that the
          transport's directory_file says
Mailstore NAME.msg has the message; NAME.tmp becomes NAME.env, which has the envelope, when
          both are complete

Each is synced before it gets its last name, and the directory afterwards.  Whatever fails,
what was written is removed.

Runs as:  the recipient.
Raises:   TempFail with Exim's words and numbers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass

from mta.base.errors import TempFail
from mta.transport.places import sync_dir
from mta.transport.quota import write_failed
from mta.transport.shape import Shape
from mta.transport.writing import Stream
from mta.unix.files import open_at, set_mode, unlink_quietly, write_all
from mta.unix.writeback import begin_writing

_TRIES = 1000
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_MOST_PIDS = 1 << 22


@dataclass(frozen=True, slots=True)
class Directory:
    """An open directory, its path, and the permissions of new files in it."""

    fd: int
    path: str
    mode: int

    def create(self, name: str) -> int:
        """A new file.  FileExistsError if the name is taken; TempFail."""
        try:
            fd = open_at(self.fd, name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, self.mode)
        except FileExistsError:
            raise
        except OSError as error:
            text = f"while creating file {self.path}/{name}"
            raise TempFail(text, code=error.errno or 0) from error
        set_mode(fd, self.mode)  # whatever the umask says
        return fd

    def has(self, name: str) -> bool:
        """True if there is something of this name."""
        try:
            os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def rename(self, name: str, final: str) -> None:
        """Give a file its last name."""
        try:
            os.rename(name, final, src_dir_fd=self.fd, dst_dir_fd=self.fd)
        except OSError as error:
            text = f"while renaming {self.path}/{name} as {self.path}/{final}"
            raise TempFail(text, code=error.errno or 0) from error

    def remove(self, *names: str) -> None:
        """Remove what was written in vain."""
        for name in names:
            with suppress(OSError):
                unlink_quietly(self.fd, name)


def first_name(host: str) -> str:
    """The name under which a plain file is written, unless that is taken."""
    return f"temp.{os.getpid()}.{host.replace('/', '_')}"


def deliver_plain(
    directory: Directory,
    stream: Stream,
    shape: Shape,
    host: str,
    final: Callable[[int, int], str],
) -> Generator[None, None, None]:
    """Write a message to a file that in the end is called what `final` says for its inode
    number and its octets.  Stops before each sync."""
    name, fd = _create_plain(directory, first_name(host))
    try:
        try:
            size = shape.write(stream, fd)
            inode = os.fstat(fd).st_ino
            begin_writing(fd)
            yield
            os.fsync(fd)
        except OSError as error:
            raise write_failed(error, f"{directory.path}/{name}") from error
        finally:
            os.close(fd)
        last = final(inode, size)
        directory.rename(name, last)
        name = last
        yield
        sync_dir(directory.fd)
    except BaseException:
        directory.remove(name)
        raise


def _create_plain(directory: Directory, first: str) -> tuple[str, int]:
    for number in range(_TRIES):
        # Several deliveries of a process may be under way.
        name = f"{first}.{number}" if number else first
        try:
            return name, directory.create(name)
        except FileExistsError:
            continue
    raise TempFail(f"while creating file {directory.path}/{first}", code=17)


def store_name(directory: Directory, message_id: str) -> str:
    """A name for a mailstore: nobody else takes it, as it has the number of this process."""
    for number in range(_TRIES):
        name = f"{message_id}-{_base62(os.getpid() + number * _MOST_PIDS)}"
        # An earlier attempt, or another recipient of the message, may have had this one.
        if directory.has(f"{name}.env") or directory.has(f"{name}.msg"):
            continue
        try:
            os.close(directory.create(f"{name}.tmp"))
        except FileExistsError:
            continue
        return name
    raise TempFail(f"while creating file {directory.path}/{message_id}", code=17)


def _base62(number: int) -> str:
    digits = ""
    while number:
        number, last = divmod(number, 62)
        digits = _DIGITS[last] + digits
    return digits.rjust(11, "0")


def deliver_store(
    directory: Directory, name: str, stream: Stream, shape: Shape, envelope: bytes
) -> Generator[None, None, None]:
    """Write a message and its envelope under a name that `store_name` made.

    Stops before each sync.
    """
    try:
        try:
            yield from _write_store(directory, name, stream, shape, envelope)
        except OSError as error:
            raise write_failed(error, f"{directory.path}/{name}.msg") from error
        directory.rename(f"{name}.tmp", f"{name}.env")
        yield
        sync_dir(directory.fd)
    except BaseException:
        directory.remove(f"{name}.tmp", f"{name}.env", f"{name}.msg")
        raise


def _write_store(
    directory: Directory, name: str, stream: Stream, shape: Shape, envelope: bytes
) -> Generator[None, None, None]:
    flags = os.O_WRONLY | os.O_TRUNC
    fds = [open_at(directory.fd, f"{name}.tmp", flags), directory.create(f"{name}.msg")]
    try:
        write_all(fds[0], envelope)
        shape.write(stream, fds[1])
        for fd in fds:
            begin_writing(fd)
        yield
        for fd in fds:
            os.fsync(fd)
    finally:
        for fd in fds:
            os.close(fd)
