"""How sendmail and its relatives complain: one line on standard error, if there is one."""

from __future__ import annotations

import io
import sys

from mta.base.text import one_line


def as_it_is() -> None:
    """From here on octets that are no text come out on standard output as they came in."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="surrogateescape")


def complain(name: str, text: str, code: int) -> int:
    """Say what is wrong; the exit code, for the caller to return."""
    # A program may have started us with standard error closed.
    if sys.stderr is not None:
        sys.stderr.write(f"{name}: {one_line(text)}\n")
    return code
