"""A mailbox in one file: opening it safely, and adding a message that is there whole or not.

    1  the lock file; then the mailbox opened, checked, and locked
    2  what a process left half done when it died is taken away
    3  the lock file told where this message begins
    4  the message written, and synced; a new mailbox synced into its directory
    5  closed, and the lock file removed: from here on others may see it

Whatever fails after 3, the mailbox gets its old length back.

The name is looked at before it is opened, and the open file compared with what was seen: so
nobody who may write to the directory can lead us to a file of another user, neither by a
symbolic link nor by a hard one, nor by changing what the name means in between.  After the
lock the name is looked at again: a program that removed the mailbox while we waited must not
get our message with it.

A process that was killed while it wrote leaves its lock file, which says where its message
begins and how.  The next one finds the same octets there, and no other message behind them, or
else touches nothing.  That message was not reported, so it comes again.

Runs as:  the recipient.
Raises:   TempFail with Exim's words and numbers.
"""

from __future__ import annotations

import os
import re
import select
import stat
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass

from mta.base.errors import TempFail, describe
from mta.base.trust import Trusted
from mta.transport import locking
from mta.transport.codes import (
    BAD_CREATE,
    BAD_MODE,
    BAD_OWNER,
    EXISTENCE_RACE,
    INODE_CHANGED,
    LOCK_FAILED,
    NOT_REGULAR,
)
from mta.transport.locking import Customs, LockFile
from mta.transport.places import Creation, sync_dir
from mta.transport.quota import write_failed
from mta.transport.shape import Shape
from mta.transport.writing import Stream
from mta.unix.writeback import begin_writing

_RACES = 10
_FIRST = 512  # octets of a message by which it is known again
_FIFO_SECONDS = 60
_INTENT = re.compile(rb"mta [^\n]+\n([0-9]{1,15}) ([0-9]{1,4}) ([0-9]{1,4})\n")
_PLAIN_OPEN = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Demands:
    """What a mailbox has to be."""

    mode: int
    fail_narrower: bool
    check_owner: bool
    check_group: bool
    allow_symlink: bool
    allow_fifo: bool
    must_exist: bool


class Mailbox:
    """One mailbox for one delivery."""

    def __init__(
        self, path: Trusted, demands: Demands, customs: Customs, creation: Creation, host: str
    ) -> None:
        self._path = path
        self._name = os.path.basename(path)
        self._demands = demands
        self._customs = customs
        self._creation = creation
        self._host = host
        self._directory = -1
        self._fd = -1
        self._is_new = False
        self._is_fifo = False
        self._is_link = False  # followed, as that is allowed

    def deliver(
        self, stream: Stream, shape: Shape, judge: Callable[[int], None]
    ) -> Generator[None, None, None]:
        """Add a message, when `judge` has nothing against it for a mailbox of this size.

        Stops before a sync, and while it waits for locks.
        """
        self._open_directory()
        lock = LockFile(self._directory, self._path, self._host, self._customs)
        try:
            if self._customs.lockfile:
                yield from lock.take()
            yield from self._open_locked()
            if self._is_fifo:
                self._feed(stream, shape)
            else:
                self._repair(lock.left_behind, shape.check)
                judge(os.fstat(self._fd).st_size)
                yield from self._append(stream, shape, lock)
        finally:
            if self._fd >= 0:
                os.close(self._fd)
            lock.release()
            os.close(self._directory)

    def _open_directory(self) -> None:
        parent = os.path.dirname(self._path)
        try:
            self._directory = self._creation.open_dir(parent, whole=self._path)
        except OSError as error:
            text = f"failed to create directories for {self._path}: {describe(error)}"
            if not self._creation.may_make_dirs or not self._creation.allows(self._path):
                text = f"while opening the directory of mailbox {self._path}"
                if self._customs.lockfile:
                    text = locking.no_post(self._path, self._host)
            raise TempFail(text, code=error.errno or 0) from error

    # ---- opening

    def _open_locked(self) -> Generator[None, None, None]:
        """Open the mailbox and lock it."""
        for number in range(self._customs.openings):
            if number and not self._customs.timeout:
                yield from locking.wait(self._customs.interval)
            for _ in range(_RACES):
                self._open()
                if not self._is_fifo:
                    is_locked = yield from locking.lock_open_file(self._fd, self._customs)
                    if not is_locked:
                        break
                if self._is_still_there():
                    return
                self._close()
            else:
                raise self._unclear()
            self._close()
        raise TempFail(f"failed to lock mailbox {self._path} (fcntl/flock)", code=LOCK_FAILED)

    def _close(self) -> None:
        os.close(self._fd)
        self._fd = -1

    def _unclear(self) -> TempFail:
        return TempFail(f"mailbox {self._path} comes and goes", code=EXISTENCE_RACE)

    def _is_still_there(self) -> bool:
        """True if the name still means the file that is open."""
        try:
            named = os.stat(self._name, dir_fd=self._directory, follow_symlinks=self._is_link)
        except FileNotFoundError:
            return False
        return os.path.samestat(named, os.fstat(self._fd))

    def _open(self) -> None:
        """Open the mailbox, or make it."""
        for _ in range(_RACES):
            known = self._look()
            fd = self._create() if known is None else self._open_known(known)
            if fd is not None:
                self._fd = fd
                self._is_new = known is None
                self._is_fifo = known is not None and stat.S_ISFIFO(known.st_mode)
                return
        raise self._unclear()

    def _look(self) -> os.stat_result | None:
        """What is there; None where nothing is.  Judges whether it may be used."""
        self._is_link = False
        try:
            known = os.stat(self._name, dir_fd=self._directory, follow_symlinks=False)
            is_link = stat.S_ISLNK(known.st_mode)
            self._judge_owner(known, " (symlink)" if is_link else "")
            if is_link and self._demands.allow_symlink:
                self._is_link = True
                known = os.stat(self._name, dir_fd=self._directory)
                self._judge_owner(known, "")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise TempFail(
                f"attempting to stat mailbox {self._path}", code=error.errno or 0
            ) from error
        self._judge_kind(known)
        if self._missing(known) and self._demands.fail_narrower:
            has, wanted = stat.S_IMODE(known.st_mode), self._demands.mode
            raise TempFail(
                f"mailbox {self._path} has the wrong mode {has:o} ({wanted:o} expected)",
                code=BAD_MODE,
            )
        return known

    def _judge_owner(self, known: os.stat_result, what: str) -> None:
        name = f"mailbox {self._path}{what}"
        uid, gid = os.geteuid(), os.getegid()
        if self._demands.check_owner and known.st_uid != uid:
            text = f"{name} has wrong uid ({known.st_uid} != {uid})"
            raise TempFail(text, code=BAD_OWNER)
        if self._demands.check_group and known.st_gid != gid:
            text = f"{name} has wrong gid ({known.st_gid} != {gid})"
            raise TempFail(text, code=BAD_OWNER)

    def _judge_kind(self, known: os.stat_result) -> None:
        if known.st_nlink != 1:
            text = f"mailbox {self._path} has too many links ({known.st_nlink})"
            raise TempFail(text, code=NOT_REGULAR)
        is_fifo = stat.S_ISFIFO(known.st_mode) and self._demands.allow_fifo
        if not stat.S_ISREG(known.st_mode) and not is_fifo:
            more = " or named pipe" if self._demands.allow_fifo else ""
            text = f"mailbox {self._path} is not a regular file{more}"
            raise TempFail(text, code=NOT_REGULAR)

    def _missing(self, known: os.stat_result) -> int:
        return self._demands.mode & ~stat.S_IMODE(known.st_mode)

    def _open_known(self, known: os.stat_result) -> int | None:
        """Open what was seen; None if it is gone."""
        flags = _PLAIN_OPEN | (0 if self._is_link else os.O_NOFOLLOW)
        try:
            fd = os.open(self._name, flags, dir_fd=self._directory)
        except FileNotFoundError:
            return None
        except OSError as error:
            text = f"while opening mailbox {self._path}"
            if stat.S_ISFIFO(known.st_mode):
                text = (
                    f"while opening named pipe {self._path} "
                    "(could mean no process is reading it)"
                )
            raise TempFail(text, code=error.errno or 0) from error
        try:
            self._compare(known, os.fstat(fd))
            wider = stat.S_IMODE(known.st_mode) & ~self._demands.mode
            if wider:
                os.fchmod(fd, stat.S_IMODE(known.st_mode) & self._demands.mode)
        except OSError as error:
            os.close(fd)
            raise TempFail(
                f"attempting to chmod mailbox {self._path}", code=error.errno or 0
            ) from error
        except TempFail:
            os.close(fd)
            raise
        return fd

    def _compare(self, known: os.stat_result, opened: os.stat_result) -> None:
        """Nothing may have changed between looking and opening."""
        if not os.path.samestat(known, opened):
            text = (
                f"opened mailbox {self._path} inode number changed from {known.st_ino} "
                f"to {opened.st_ino}"
            )
            raise TempFail(text, code=INODE_CHANGED)
        before = known.st_mode, known.st_uid, known.st_gid, known.st_nlink
        if before != (opened.st_mode, opened.st_uid, opened.st_gid, opened.st_nlink):
            text = f"opened mailbox {self._path} changed its owner, mode or links"
            raise TempFail(text, code=INODE_CHANGED)

    def _create(self) -> int | None:
        """Make the mailbox; None if somebody else has just done it."""
        path, demands = self._path, self._demands
        if demands.must_exist:
            text = f"mailbox {path} does not exist, but file_must_exist is set"
            raise TempFail(text, code=2)
        if not self._creation.allows(path):
            text = (
                f"mailbox {path} does not exist, but creation outside the home directory "
                "is not permitted"
            )
            raise TempFail(text, code=BAD_CREATE)
        # A link that leads to nothing yet cannot be followed with O_EXCL.
        only_new = 0 if self._is_link else os.O_EXCL | os.O_NOFOLLOW
        flags = _PLAIN_OPEN | os.O_CREAT | only_new
        try:
            fd = os.open(self._name, flags, demands.mode, dir_fd=self._directory)
        except FileExistsError:
            return None
        except OSError as error:
            raise TempFail(f"while creating mailbox {path}", code=error.errno or 0) from error
        try:
            made = os.fstat(fd)
            if made.st_gid != os.getegid():
                os.fchown(fd, -1, os.getegid())
            if stat.S_IMODE(made.st_mode) != demands.mode:  # whatever the umask says
                os.fchmod(fd, demands.mode)
        except OSError as error:
            os.close(fd)
            raise TempFail(
                f"while setting perms on mailbox {path}", code=error.errno or 0
            ) from error
        return fd

    # ---- writing

    def _append(
        self, stream: Stream, shape: Shape, lock: LockFile
    ) -> Generator[None, None, None]:
        before = os.fstat(self._fd)
        first = (shape.prefix + stream.headers)[:_FIRST]
        check = shape.check[:_FIRST]
        sizes = b"%d %d %d\n" % (before.st_size, len(first), len(check))
        lock.note(sizes + first + check)
        try:
            shape.append(stream, self._fd)
            begin_writing(self._fd)
            yield
            os.fsync(self._fd)
            if self._is_new:
                sync_dir(self._directory)
        except OSError as error:
            self._shorten(before)
            raise write_failed(error, self._path) from error
        except BaseException:
            self._shorten(before)
            raise

    def _shorten(self, before: os.stat_result) -> None:
        """Give the mailbox the length that it had, and the look of nothing new."""
        with suppress(OSError):
            os.ftruncate(self._fd, before.st_size)
            os.utime(self._fd, ns=(before.st_atime_ns, before.st_mtime_ns))

    def _repair(self, left_behind: bytes, check: bytes) -> None:
        """Take away what a process of ours left half done, if there is nothing else there."""
        if not (found := _INTENT.match(left_behind)):
            return
        offset, size = int(found[1]), int(found[2])
        first = left_behind[found.end() : found.end() + size]
        if not first or not check:
            return  # nothing tells our message from another
        with suppress(OSError):
            fd = os.open(self._name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._directory)
            try:
                is_ours = os.path.samestat(os.fstat(fd), os.fstat(self._fd))
                if is_ours and _is_one_message(fd, offset, first, check):
                    os.ftruncate(self._fd, offset)
            finally:
                os.close(fd)

    def _feed(self, stream: Stream, shape: Shape) -> None:
        """Write to a named pipe, whose reader may take his time."""
        ready = select.poll()
        ready.register(self._fd, select.POLLOUT)
        for octets in shape.octets(stream):
            left = memoryview(octets)
            while left:
                if not ready.poll(_FIFO_SECONDS * 1000):
                    raise TempFail(f"nobody reads named pipe {self._path}")
                with suppress(BlockingIOError):
                    left = left[os.write(self._fd, left) :]


def _is_one_message(fd: int, offset: int, first: bytes, check: bytes) -> bool:
    """True if what begins here is this message, or the start of it, and nothing follows it."""
    end = os.fstat(fd).st_size
    start = os.pread(fd, len(first), offset)
    if offset >= end or not first.startswith(start):
        return False
    wanted = b"\n" + check
    held = b""
    while part := os.pread(fd, 1 << 18, offset):
        if wanted in held + part:
            return False
        held = part[-len(check) :]
        offset += len(part)
    return True
