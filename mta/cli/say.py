"""How sendmail and its relatives complain: one line on standard error, if there is one."""

from __future__ import annotations

import sys

from mta.base.text import one_line


def complain(name: str, text: str, code: int) -> int:
    """Say what is wrong; the exit code, for the caller to return."""
    # A program may have started us with standard error closed.
    if sys.stderr is not None:
        sys.stderr.write(f"{name}: {one_line(text)}\n")
    return code
