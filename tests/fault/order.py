"""The order in which things are made durable, read off the system calls.

A killed process leaves the page cache, so a kill does not show a sync that is missing; the
order of calls does.  Lines are strace's, with -y, which names the file behind a descriptor.
"""

from __future__ import annotations

import re

_SYNC = r"(?:fsync|fdatasync)\(\d+<{}>"
_INPUT = r"[^>]*/input(?:/\w)?"
_LOGGED = r"write\(\d+<[^>]*mainlog>.* (?:=>|->) {}"
ACCEPTED = r'(?:sendto|sendmsg|write)\(.*"250 .*id='


def first(lines: list[str], pattern: str, start: int = 0) -> int:
    """The number of the first line from `start` on that has the pattern; fails if none has."""
    found = re.compile(pattern)
    for number in range(start, len(lines)):
        if found.search(lines[number]):
            return number
    raise AssertionError(f"no call {pattern} after number {start}")


def check_reception(lines: list[str]) -> None:
    """-D synced, -H synced under its other name, renamed, directory synced; then 250."""
    body = first(lines, _SYNC.format(r"[^>]*/input/[^>]*-D"))
    draft = first(lines, _SYNC.format(r"[^>]*/input/[^>]*hdr[^>]*"))
    renamed = first(lines, r"rename\w*\(.*-H\"", max(body, draft))
    directory = first(lines, _SYNC.format(_INPUT), renamed)
    logged = first(lines, r"write\(\d+<[^>]*mainlog>.* <= ", directory)
    first(lines, ACCEPTED, logged)
    accepted = first(lines, ACCEPTED)
    assert accepted > logged, "answered before it was safe"


def check_maildir(lines: list[str]) -> None:
    """The file synced, renamed into new/, the directory synced; then it is reported."""
    file = first(lines, _SYNC.format(r"[^>]*/tmp/[^>]*"))
    renamed = first(lines, r"(?:rename|link)\w*\(.*tmp", file)
    directory = first(lines, _SYNC.format(r"[^>]*/new"), renamed)
    reported = first(lines, r"send\w*\(.*outcome")
    assert reported > directory, "reported before it was safe"


def check_last(lines: list[str], recipient: str, start: int = 0) -> None:
    """The last of a message: that -H is removed is the note; then the log, then the rest."""
    removed = first(lines, r"unlink\w*\(.*-H\"", start)
    logged = first(lines, _LOGGED.format(recipient))
    assert removed < logged, "logged before it was noted"
    completed = first(lines, r"write\(\d+<[^>]*mainlog>.* Completed")
    assert logged < completed, "completed before it was logged"


def check_pair(lines: list[str], one: str, two: str) -> None:
    """The first of two is noted in -J, which is synced with its name, before it is logged."""
    noted = first(lines, rf"write\(\d+<[^>]*-J>, \"{one}@")
    logged = first(lines, _LOGGED.format(one))
    assert noted < logged, "logged before it was noted"
    synced = first(lines, _SYNC.format(r"[^>]*-J"), noted)
    named = first(lines, _SYNC.format(_INPUT), noted)
    assert max(synced, named) < logged, "logged before the note was durable"
    check_last(lines, two, logged)
