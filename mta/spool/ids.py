"""Message ids: 23 characters that name a message in the spool, in the logs and to its owner.

    tttttt-ppppppppppp-ssss      seconds since 1970, process id, microseconds; all in base 62

as Exim 4.97 and later write them; the 16 characters of older versions (tttttt-pppppp-ss) are
read.  Base 62 counts 0-9 A-Z a-z, the order of ASCII, so that ids sort by age as plain text.

Exim makes an id unique by waiting, after each message, until the clock has moved on.  We do
not wait: a process remembers the last microsecond it gave away and takes the next one when
the clock has not moved (`Ticks`), which is the same id that waiting would have given.  A
process id is not used again within a microsecond.  What is left - a clock set back, two hosts
or containers on one spool - meets O_EXCL when the files are created: the writer then asks for
another id.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import lru_cache

from mta.base.clock import now

LENGTH = 23
OLD_LENGTH = 16

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PAIRS = [high + low for high in _DIGITS for low in _DIGITS]
_ID = re.compile(
    r"[0-9A-Za-z]{6}-(?:[0-9A-Za-z]{11}-[0-9A-Za-z]{4}|[0-9A-Za-z]{6}-[0-9A-Za-z]{2})"
)
# A clock that is behind by more than this was set; then the old count means nothing.
_PATIENCE = 1_000_000


class Ticks:
    """A clock in microseconds that never shows the same time twice to one process."""

    __slots__ = ("_clock", "_last")

    def __init__(self, clock: Callable[[], float] = now) -> None:
        self._clock = clock
        self._last = 0

    def next(self) -> int:
        """The time in microseconds since 1970."""
        time = int(self._clock() * 1_000_000)
        if self._last - _PATIENCE < time <= self._last:
            time = self._last + 1
        self._last = time
        return time


def base62(number: int, width: int) -> str:
    """A number in base 62 with leading zeros; what does not fit is cut off at the left."""
    text = ""
    for _ in range((width + 1) // 2):
        number, rest = divmod(number, 3844)
        text = _PAIRS[rest] + text
    return text[-width:]


# The seconds and the process, which are the same for many messages.
_slow = lru_cache(8)(base62)


def new_id(ticks: Ticks) -> str:
    """An id that no message of this process had before."""
    seconds, fraction = divmod(ticks.next(), 1_000_000)
    return f"{_slow(seconds, 6)}-{_slow(os.getpid(), 11)}-{base62(fraction, 4)}"


def is_id(text: str) -> bool:
    """True for an id of either length."""
    return _ID.fullmatch(text) is not None


def subdirectory(message_id: str) -> str:
    """The name of the directory for this message when the spool is split."""
    return message_id[5]
