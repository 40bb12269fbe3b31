"""Waiting for what other processes do: never longer than said, never by a fixed pause."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(
    condition: Callable[[], T], seconds: float, what: str, *, most_often: float = 0.002
) -> T:
    """The first true value of `condition`; fails the test when there is none in time."""
    deadline = time.monotonic() + seconds
    pause = most_often
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} seconds: {what}")
        time.sleep(pause)
        pause = max(most_often, min(0.05, pause * 1.5))
