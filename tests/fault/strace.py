"""Faults at system calls: strace lists what a process asks of the kernel, and strikes.

    calls = trace(pid, work)             every call of the process while `work` goes on
    for strike in strikes(calls):        each of them once: (name, how many times before)
        with struck(pid, strike): …      the process dies at the entry of that very call

A call that is struck is not carried out.  Counting is by name, as strace counts.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.harness.wait import until

# Calls that only read or that do nothing outside the process: dying there is the same as
# dying at the next one, and each strike costs time.
_HARMLESS = frozenset(
    "brk mmap munmap mprotect madvise getpid gettid getuid geteuid getgid getegid getrandom"
    " rt_sigprocmask rt_sigaction rt_sigreturn clock_gettime lseek fstat futex"
    " getsockname getpeername ioctl sched_yield prctl".split(" ")
)
_CALL = re.compile(r"^(?:\d+ +)?(\w+)\(")


@dataclass(frozen=True, slots=True)
class Strike:
    """At the n-th call of this name."""

    call: str
    number: int

    def __str__(self) -> str:
        return f"{self.call}#{self.number}"


def needs_strace() -> None:
    """Skip the test where strace is not there or may not be used."""
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    probe = subprocess.run(
        ["strace", "-qqq", "-o", "/dev/null", "true"], capture_output=True, check=False
    )
    if probe.returncode != 0:
        pytest.skip("needs a system that lets strace attach to processes")


@contextmanager
def attached(pid: int, *options: str) -> Iterator[None]:
    """strace is attached to a process (not to its children) while the block runs."""
    command = ["strace", "-qqq", *options, "-p", str(pid)]
    tracer = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    try:
        until(lambda: _traced(pid) or tracer.poll() is not None, 10.0, f"strace on {pid}")
        yield
    finally:
        # INT makes it detach; the process goes on.
        with suppress(ProcessLookupError):
            tracer.send_signal(signal.SIGINT)
        tracer.wait(10)


def _traced(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True  # it is gone already
    return "TracerPid:\t0\n" not in status


def trace(pid: int, work: Callable[[], None], *options: str) -> list[str]:
    """The lines of strace about a process while `work` goes on."""
    with tempfile.NamedTemporaryFile() as output:
        with attached(pid, "-o", output.name, "-s", "200", *options):
            work()
        return Path(output.name).read_text("utf-8", "replace").split("\n")


def strikes(lines: list[str], only: str = "") -> list[Strike]:
    """Every call in these lines as a place to die, but for harmless ones.

    With `only` those whose line has this pattern.
    """
    seen: Counter[str] = Counter()
    found = []
    for line in lines:
        if not (call := _CALL.match(line)):
            continue
        name = call[1]
        seen[name] += 1
        if name not in _HARMLESS and re.search(only, line):
            found.append(Strike(name, seen[name]))
    return found


@contextmanager
def struck(pid: int, strike: Strike) -> Iterator[None]:
    """The process is killed at the entry of a call, if it gets there while the block runs."""
    how = f"inject={strike.call}:signal=KILL:when={strike.number}"
    with attached(pid, "-o", "/dev/null", "-e", f"trace={strike.call}", "-e", how):
        yield


@contextmanager
def failing(pid: int, strike: Strike, error: str) -> Iterator[None]:
    """A call fails with this error, if the process makes it while the block runs."""
    how = f"inject={strike.call}:error={error}:when={strike.number}"
    with attached(pid, "-o", "/dev/null", "-e", f"trace={strike.call}", "-e", how):
        yield


def is_alive(pid: int) -> bool:
    """True while a process lives and is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def titled(session: int, title: str) -> list[int]:
    """The processes of a session whose title begins so, oldest first.

    A process that was just forked still has the title of its parent: it is left out.
    """
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isascii() or not entry.isdigit():
            continue
        with suppress(OSError):
            line = Path(f"/proc/{entry}/cmdline").read_bytes().rstrip(b"\0 ")
            fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
            ours = int(fields[3]) == session and fields[0] != "Z"
            if ours and line.startswith(title.encode()):
                found.append((int(fields[19]), int(entry), int(fields[1])))
    there = {pid for _, pid, _ in found}
    return [pid for _, pid, parent in sorted(found) if parent not in there]
