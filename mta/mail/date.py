"""Dates as they stand in header lines and in the logs, in the local time zone.

The names of days and months are English whatever the locale says.
"""

from __future__ import annotations

import time

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def rfc5322(timestamp: float) -> str:
    """The date of a header: `Mon, 23 Nov 2026 15:07:01 +0000`."""
    when = time.localtime(timestamp)
    day, month = _DAYS[when.tm_wday], _MONTHS[when.tm_mon - 1]
    # Numbers alone are left to the system: it knows names of other languages too.
    return time.strftime(f"{day}, %d {month} %Y %H:%M:%S %z", when)


def log_stamp(timestamp: float) -> str:
    """The time at the start of a log line: `2026-11-23 15:07:01`."""
    when = time.localtime(timestamp)
    return (
        f"{when.tm_year:04d}-{when.tm_mon:02d}-{when.tm_mday:02d} "
        f"{when.tm_hour:02d}:{when.tm_min:02d}:{when.tm_sec:02d}"
    )


def zone(when: time.struct_time) -> str:
    """The distance from UTC, such as +0100."""
    minutes = when.tm_gmtoff // 60
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02d}{abs(minutes) % 60:02d}"
