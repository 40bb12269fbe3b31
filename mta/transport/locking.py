"""Locks on a mailbox against every other program that knows one of the customs.

    lock file     MAILBOX.lock, made so that it works on network file systems, too: a file
                  with a name of its own (the hitching post), then a link to it
    fcntl, flock  on the open mailbox

A lock file that is too old was left behind by a program that died, and is removed.

Waiting is done in short steps, and between two of them the other deliveries of the process go
on (`carry` in mta/transport/engine.py): so two of them may be after the same mailbox.

The lock file says which process holds it and what that is about to do (mta/transport/mbox.py):
if it dies, the next one of ours knows it at once and puts right what was half done.  Whoever
else looks at it sees a lock file like any other.

Runs as:  the recipient.
Raises:   TempFail when the mailbox cannot be locked.
"""

from __future__ import annotations

import fcntl
import functools
import os
import re
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mta.base import clock
from mta.base.errors import TempFail
from mta.transport.codes import LOCK_FAILED
from mta.unix import locks
from mta.unix.files import open_at, set_mode, unlink_quietly

Waiting = Generator[None, None, None]
_STEP = 0.05
_RACES = 100
_MOST_SAID = 4096  # octets of a lock file that are read
_FREE = b"mta free\n"
_PROCESS = re.compile(rb" ([0-9]{1,9}) ([0-9]+)\n")


@dataclass(frozen=True, slots=True)
class Customs:
    """Which locks are taken, and how long and how often it is tried; times in seconds."""

    lockfile: bool
    fcntl: bool
    flock: bool
    retries: int
    interval: float
    fcntl_timeout: float
    flock_timeout: float
    lockfile_mode: int
    lockfile_timeout: float

    @property
    def timeout(self) -> float:
        """How long to wait for an open mailbox; 0: it is closed and opened again later."""
        return max(
            self.fcntl_timeout if self.fcntl else 0, self.flock_timeout if self.flock else 0
        )

    @property
    def openings(self) -> int:
        """How often the mailbox is opened before it is given up."""
        tries = max(self.retries, 1)
        if self.timeout:
            return max(int(-(-tries * self.interval // self.timeout)), 1)
        return tries


def wait(seconds: float) -> Waiting:
    """Let this time pass."""
    end = clock.monotonic() + seconds
    while (left := end - clock.monotonic()) > 0:
        clock.sleep(min(left, _STEP))
        yield


def lock_open_file(fd: int, customs: Customs) -> Generator[None, None, bool]:
    """Lock an open mailbox; False if somebody else holds it for too long."""
    end = clock.monotonic() + customs.timeout
    while not _take(fd, customs):
        if (left := end - clock.monotonic()) <= 0:
            return False
        clock.sleep(min(left, _STEP))
        yield
    return True


def _take(fd: int, customs: Customs) -> bool:
    """All locks at once or none."""
    if customs.fcntl and not locks.lock(fd, 0):
        return False
    if customs.flock:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if customs.fcntl:
                locks.unlock(fd, 0)
            return False
    return True


def _post(mailbox: str, host: str) -> str:
    """The name of a hitching post."""
    own = host.replace("/", "_")
    return f"{mailbox}.lock.{own}.{int(clock.now()):08x}.{os.getpid():08x}"


def no_post(mailbox: str, host: str) -> str:
    """What is said where it cannot be made."""
    who = f"euid={os.geteuid()} egid={os.getegid()}"
    return f"creating lock file hitching post {_post(mailbox, host)} ({who})"


class LockFile:
    """The lock file of a mailbox, in the open directory of the mailbox."""

    __slots__ = (
        "_customs",
        "_directory",
        "_fd",
        "_holder",
        "_host",
        "_mailbox",
        "_name",
        "left_behind",
    )

    def __init__(self, directory: int, mailbox: str, host: str, customs: Customs) -> None:
        self._directory = directory
        self._mailbox = mailbox  # the whole path
        self._name = f"{os.path.basename(mailbox)}.lock"
        self._host = host
        self._customs = customs
        self._fd = -1
        self._holder = myself() if customs.lockfile else b""
        self.left_behind = b""  # what one that was removed had to say

    def take(self) -> Waiting:
        """Make the lock file."""
        customs = self._customs
        end = clock.monotonic() + (max(customs.retries, 1) - 1) * customs.interval
        races = 0
        while (holder := self._try()) is not None or self._fd < 0:
            if holder is None and races < _RACES:
                races += 1
                continue  # the one that was there has just gone
            if (left := end - clock.monotonic()) <= 0:
                raise TempFail(
                    f"failed to lock mailbox {self._mailbox} (lock file)", code=LOCK_FAILED
                )
            # One of ours will have done in a moment.
            pause = _STEP if is_ours(holder or b"") else customs.interval
            yield from wait(min(left, pause))

    def note(self, octets: bytes) -> None:
        """Say in the lock file what comes now, behind who we are."""
        if self._fd >= 0:
            _say(self._fd, octets, len(self._holder))

    def release(self) -> None:
        """Remove the lock file, unless somebody has found it too old and made another."""
        if self._fd < 0:
            return
        try:
            if self._is_named(self._fd):
                os.unlink(self._name, dir_fd=self._directory)
        except OSError:
            # It stays, but nobody has to wait for it, and nothing is half done.
            with suppress(OSError):
                os.ftruncate(self._fd, 0)
                _say(self._fd, _FREE, 0)
        os.close(self._fd)
        self._fd = -1

    def _try(self) -> bytes | None:
        """Make the lock file, or else tell what the one says that is there."""
        post = os.path.basename(_post(self._mailbox, self._host))
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
        try:
            fd = open_at(self._directory, post, flags, self._customs.lockfile_mode)
        except OSError as error:
            text = no_post(self._mailbox, self._host)
            raise TempFail(text, code=error.errno or 0) from error
        holder: bytes | None = None
        is_made = False
        try:
            set_mode(fd, self._customs.lockfile_mode)
            _say(fd, self._holder, 0)
            is_made = self._link(post, fd)
            if not is_made:
                is_made, holder = self._take_over(post, fd)
        finally:
            with suppress(OSError):
                unlink_quietly(self._directory, post)
            if is_made:
                self._fd = fd
            else:
                os.close(fd)
        return holder

    def _link(self, post: str, fd: int) -> bool:
        directory = self._directory
        try:
            os.link(
                post,
                self._name,
                src_dir_fd=directory,
                dst_dir_fd=directory,
                follow_symlinks=False,
            )
        except OSError:
            # A server that lost its answer may have made it all the same.
            return os.fstat(fd).st_nlink == 2
        return True

    def _take_over(self, post: str, ours: int) -> tuple[bool, bytes | None]:
        """Put our lock file in the place of one that nobody can be using any more.

        True if that was done, and else what the one says that is there; None if there is none.
        """
        try:
            fd = open_at(self._directory, self._name, os.O_RDWR)
        except FileNotFoundError:
            return False, None
        except OSError:
            return False, self._remove_foreign()
        try:
            said = b""
            if os.fstat(fd).st_uid == os.geteuid():
                said = os.pread(fd, _MOST_SAID, 0)
            is_dead = is_of_the_dead(said)
            if not is_dead and not self._is_too_old():
                return False, said
            # Of two that want to, the second must not put it in the place of the first one's.
            if not locks.lock(fd, 0) or not self._is_named(fd):
                return False, None
            # Only the dead, and systems that are no more, leave things half done.
            self.left_behind = said if is_dead or not is_ours(said) else b""
            # Should we die before it is put right, the next one has to know of it, too.
            _say(ours, self.left_behind.partition(b"\n")[2], len(self._holder))
            directory = self._directory
            os.rename(post, self._name, src_dir_fd=directory, dst_dir_fd=directory)
        except FileNotFoundError:
            return False, None
        except OSError:
            return False, said
        finally:
            os.close(fd)
        return True, None

    def _remove_foreign(self) -> bytes | None:
        """Remove that of somebody else, of which only the age counts; what it says if not."""
        try:
            if not self._is_too_old():
                return b""
            os.unlink(self._name, dir_fd=self._directory)
        except FileNotFoundError:
            return None
        except OSError:
            return b""
        return None

    def _is_named(self, fd: int) -> bool:
        """True if this is still the lock file: one whose holder has ended well is not."""
        named = os.stat(self._name, dir_fd=self._directory, follow_symlinks=False)
        return os.path.samestat(named, os.fstat(fd))

    def _is_too_old(self) -> bool:
        limit = self._customs.lockfile_timeout
        known = os.stat(self._name, dir_fd=self._directory, follow_symlinks=False)
        return 0 < limit < clock.now() - known.st_ctime


def _say(fd: int, octets: bytes, offset: int) -> None:
    """Write to a lock file.  Where there is no room it is a lock all the same."""
    with suppress(OSError):
        os.pwrite(fd, octets, offset)


def myself() -> bytes:
    """The first line of our lock files: this process, and nobody else ever."""
    return _line_of(os.getpid())


@functools.lru_cache(1)
def _line_of(pid: int) -> bytes:
    return b"%b %d %b\n" % (_system(), pid, _start_of(pid))


def is_ours(said: bytes) -> bool:
    """True if a lock file is that of a process of this system."""
    system = _system()
    return bool(system) and said.startswith(system + b" ")


def is_of_the_dead(said: bytes) -> bool:
    """True if a lock file is that of a process of this system that does not exist any more,
    or that could not remove it."""
    if said == _FREE:
        return True
    if not is_ours(said) or not (found := _PROCESS.match(said, len(_system()))):
        return False
    pid, start = int(found[1]), found[2]
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return True  # another user's: the number was given to a new process
    # Where a process may not be looked at it counts as the one that we know.
    return _start_of(pid) not in (start, b"")


@functools.cache
def _system() -> bytes:
    """What tells this start of this system, and the numbers of its processes, from others."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_bytes()[:-1]
        return b"mta %b %b" % (boot, os.readlink(b"/proc/self/ns/pid"))
    except OSError:
        return b""


def _start_of(pid: int) -> bytes:
    """When a process began, in ticks since the system did; nothing if that is not shown."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split(b" ")
    except OSError:
        return b""
    return b"dead" if fields[1] == b"Z" else fields[20]
