"""Where log lines go: three files, opened by the master and handed to every role.

The files are opened for appending, so a line is one write and lines of many processes never
mix.  The directory belongs to whoever started the master; no role can make or remove files
there.  A write that fails is tried on the panic log, then given up: mail matters more.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass

from mta.base import clock
from mta.base.text import one_line, to_bytes
from mta.unix import files

MAIN, REJECT, PANIC = "main", "reject", "panic"
NAMES = (MAIN, REJECT, PANIC)
LONGEST = 16384


@dataclass(slots=True)
class Log:
    """The three logs as descriptors, and the stamp of the present second."""

    main_fd: int
    reject_fd: int
    panic_fd: int
    _second: int = -1
    _stamp: str = ""

    def stamp(self) -> str:
        """The local date and time that begins a line."""
        second = int(clock.now())
        if second != self._second:
            self._second = second
            self._stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))
        return self._stamp

    def main(self, text: str) -> None:
        """A line of the main log."""
        self._write(self.main_fd, text)

    def reject(self, text: str, detail: bytes = b"") -> None:
        """A line of the reject log; `detail` (a header block) follows it, escaped."""
        self._write(self.reject_fd, text)
        if detail:
            lines = [one_line(line) for line in detail.decode("utf-8", "replace").split("\n")]
            block = "\n".join(lines).rstrip("\n")
            self._put(self.reject_fd, f"{block}\n{'-' * 78}\n")

    def panic(self, text: str) -> None:
        """A line of the panic log and of the main log: somebody has to look."""
        self._write(self.panic_fd, text)
        self._write(self.main_fd, text)

    def fds(self) -> list[int]:
        """The descriptors in the order of NAMES."""
        return [self.main_fd, self.reject_fd, self.panic_fd]

    def _write(self, fd: int, text: str) -> None:
        self._put(fd, f"{self.stamp()} {one_line(text)[:LONGEST]}\n")

    def _put(self, fd: int, text: str) -> None:
        try:
            os.write(fd, to_bytes(text))
        except OSError:
            if fd != self.panic_fd:
                with contextlib.suppress(OSError):
                    os.write(self.panic_fd, to_bytes(text))


def open_log(pattern: str) -> Log:
    """Open the three files; `pattern` is a path with one %s.  Raises OSError.

    The last directory of the path is made where it is missing.
    """
    directory, _, name = pattern.rpartition("/")
    os.makedirs(directory or "/", 0o750, exist_ok=True)
    at = files.open_dir(directory or "/")
    try:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        main, reject, panic = (
            files.open_at(at, name.replace("%s", each), flags, 0o640) for each in NAMES
        )
        return Log(main, reject, panic)
    finally:
        os.close(at)
