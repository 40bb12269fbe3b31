"""The time.  Nobody else asks the system for it, so that tests can tell another."""

from __future__ import annotations

import time


def now() -> float:
    """Seconds since 1970, with microseconds; may jump when the clock is set."""
    return time.time()


def monotonic() -> float:
    """Seconds that only ever grow: for deadlines and durations."""
    return time.monotonic()


def sleep(seconds: float) -> None:
    """Do nothing for a while."""
    time.sleep(seconds)
