"""A clock under the control of a test, for all processes of a tree that a test has started.

    warp = Warp(path, start)             the simulated time, kept in a file
    mta.boot = warp.boot                 every process reads it there
    warp.advance(900)                    a quarter of an hour later, at once

`clock.now` shows it; between two steps it creeps, a thousand times slower than the real one,
so that nothing has the same time twice and no second ends by itself.  Deadlines and durations
(`clock.monotonic`) are not touched: nobody sleeps through the days.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from pathlib import Path

_TIME = struct.Struct("dd")  # simulated seconds, and the real time at which they were set

_BOOT = (
    "import sys; sys.path.insert(0, sys.argv.pop(1))\n"
    "from tests.harness import timewarp; timewarp.install({path!r})\n"
    "from mta.proc.master import main; sys.exit(main(sys.argv[1:]))"
)


class Warp:
    """The simulated time of one tree."""

    def __init__(self, path: Path, start: float) -> None:
        path.write_bytes(_TIME.pack(start, time.monotonic()))
        path.chmod(0o644)
        self.boot = _BOOT.format(path=str(path))
        self._path = path
        self.now = start

    def advance(self, seconds: float) -> float:
        """Let this much time pass; the time then."""
        self.now += seconds
        with self._path.open("r+b") as file:
            file.write(_TIME.pack(self.now, time.monotonic()))
        return self.now


def install(path: str) -> None:
    """Show the time that is in this file, here and in all processes that this one starts."""
    from mta.base import clock
    from mta.unix import process

    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    memory = mmap.mmap(fd, _TIME.size, access=mmap.ACCESS_READ)
    os.close(fd)

    def now() -> float:
        simulated, since = _TIME.unpack(memory[:])
        return float(simulated) + min(0.999, (time.monotonic() - since) / 1000)

    def interpreter(root: str, module: str, arguments: list[str]) -> list[str]:
        command = usual(root, module, arguments)
        at = command.index("-c") + 1
        start, rest = command[at].split("; ", 2)[1:]
        command[at] = (
            f"import sys; {start}; from tests.harness import timewarp; "
            f"timewarp.install({path!r}); {rest}"
        )
        return command

    usual = process.interpreter
    clock.now = now
    process.interpreter = interpreter
