"""Commands: started without a shell, fed, listened to, and stopped when it takes too long.

A command runs in a process group of its own, with the descriptors and the environment that it
is given and nothing else of ours, signals as at birth.  It is fed and heard at the same time,
so neither side ever waits for the other in vain.  Whatever it does is bounded: its output by a
number of octets, its life by a deadline; what goes beyond is killed with its whole group.

Raises:   OSError when it cannot be started, with the errno of execve(2) or fork(2).
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mta.base import clock
from mta.base.text import to_bytes
from mta.unix import process

EXIT_EXEC = 127  # what a shell says of a command that cannot be run
_READ = 65536


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended.  `code` is its exit code, or the negative number of the signal that
    ended it; `output` what it said, cut off at the limit if it said too much."""

    code: int
    output: bytes
    timed_out: bool = False
    said_too_much: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """What to run: the path and the arguments as the command will see them, all that there is
    in its environment, its umask, and whether it may leave a core."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    umask: int = 0o077
    may_dump: bool = False


def start(command: Command, descriptors: tuple[int, int, int]) -> int:
    """Start a command with these as its standard descriptors; its process id."""
    arguments = [to_bytes(each) for each in command.arguments]
    environment = {to_bytes(k): to_bytes(v) for k, v in command.environment.items()}
    report, reporter = os.pipe()

    def work() -> int:
        os.setpgid(0, 0)
        place = process.place_descriptors
        # The report moves along: it must be out of the way of what the command gets.
        place([*descriptors, reporter], 0)
        os.set_inheritable(3, False)
        process.keep_descriptors([0, 1, 2, 3])
        os.umask(command.umask)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores these
            signal.signal(number, signal.SIG_DFL)
        if not command.may_dump:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        try:
            os.execve(arguments[0], arguments, environment)
        except OSError as error:
            os.write(3, str(error.errno).encode())
        return EXIT_EXEC

    try:
        pid = process.run_child(work)
    except OSError:
        os.close(report)
        raise
    finally:
        os.close(reporter)
    with contextlib.suppress(OSError):
        os.setpgid(pid, pid)  # whoever of us two comes first
    with open(report, "rb") as told:
        if number := told.read(16):
            os.waitpid(pid, 0)
            raise OSError(int(number), os.strerror(int(number)), command.arguments[0])
    return pid


def run(command: Command, given: Iterable[bytes], *, seconds: float, limit: int) -> Ended:
    """Run a command to its end: feed it, hear what it says on standard output and error.

    0 `seconds` are no limit.  A command that does not read what it is given is not blamed.
    """
    deadline = clock.monotonic() + seconds if seconds else 0.0
    theirs_in, ours_in = os.pipe()
    ours_out, theirs_out = os.pipe()
    try:
        pid = start(command, (theirs_in, theirs_out, theirs_out))
    except BaseException:
        for fd in (ours_in, ours_out):
            os.close(fd)
        raise
    finally:
        for fd in (theirs_in, theirs_out):
            os.close(fd)
    with _Conversation(pid, ours_in, ours_out, limit) as conversation:
        return conversation.hold(iter(given), deadline)


class _Conversation:
    """A command that is running, with our ends of its pipes."""

    __slots__ = ("_ended", "_heard", "_input", "_limit", "_output", "_pid", "_rest", "_size")

    def __init__(self, pid: int, given: int, output: int, limit: int) -> None:
        self._pid = pid
        self._ended = os.pidfd_open(pid)
        self._input, self._output = given, output
        self._limit = limit
        self._heard: list[bytes] = []
        self._size = 0
        self._rest = memoryview(b"")
        os.set_blocking(given, False)
        os.set_blocking(output, False)

    def __enter__(self) -> _Conversation:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing of it stays: not even after an error of ours."""
        for fd in (self._input, self._output):
            if fd >= 0:
                os.close(fd)
        if self._ended >= 0:
            self._kill()
            os.waitpid(self._pid, 0)
            os.close(self._ended)

    def hold(self, given: Iterator[bytes], deadline: float) -> Ended:
        """Talk until it has ended and has been given everything that it takes."""
        self._next(given)
        timed_out = False
        while True:
            has_ended = self._has_ended()
            if has_ended and self._input < 0 and self._output < 0:
                break
            if self._size > self._limit:
                self._kill()
                break
            if not self._wait(given, deadline, has_ended=has_ended):
                # One that has ended and left somebody behind who holds its output is done.
                timed_out = not self._has_ended()
                self._kill()
                break
        output = b"".join(self._heard)[: self._limit]
        return Ended(self._bury(), output, timed_out, self._size > self._limit)

    def _wait(self, given: Iterator[bytes], deadline: float, *, has_ended: bool) -> bool:
        """Do what can be done next; False when the time is up.

        Whether it has ended was asked before: asked again, there might be nothing to wait for.
        """
        poll = select.poll()
        if not has_ended:
            poll.register(self._ended, select.POLLIN)
        if self._input >= 0:
            poll.register(self._input, select.POLLOUT)
        if self._output >= 0:
            poll.register(self._output, select.POLLIN)
        left = max(0.0, deadline - clock.monotonic()) * 1000 if deadline else None
        ready = [fd for fd, _ in poll.poll(left)]
        if self._input in ready:
            self._feed(given)
        if self._output in ready:
            self._hear()
        return bool(ready)

    def _has_ended(self) -> bool:
        poll = select.poll()
        poll.register(self._ended, select.POLLIN)
        return bool(poll.poll(0))

    def _next(self, given: Iterator[bytes]) -> None:
        for chunk in given:
            if chunk:
                self._rest = memoryview(chunk)
                return
        self._stop_feeding()

    def _stop_feeding(self) -> None:
        os.close(self._input)
        self._input = -1

    def _feed(self, given: Iterator[bytes]) -> None:
        try:
            self._rest = self._rest[os.write(self._input, self._rest) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._stop_feeding()
            return
        if not self._rest:
            self._next(given)

    def _hear(self) -> None:
        """Take what it has said up to now, as far as the limit goes."""
        while self._output >= 0 and self._size <= self._limit:
            try:
                octets = os.read(self._output, _READ)
            except BlockingIOError:
                return
            if not octets:
                os.close(self._output)
                self._output = -1
            self._heard.append(octets)
            self._size += len(octets)

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGKILL)

    def _bury(self) -> int:
        _, status = os.waitpid(self._pid, 0)
        os.close(self._ended)
        self._ended = -1
        return os.waitstatus_to_exitcode(status)
