"""The resolved lines of a configuration in a sealed memory file, for all our processes.

The master reads the files once; every role that it starts gets the descriptor and parses
these lines, so that all of them see the same octets whatever happens to the files meanwhile.
Records are text0: a heading, then file NUL line NUL text NUL for each line.  The seals are
checked by the reader: whoever holds the descriptor can change nothing.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable

from mta.base.errors import ProtocolError, Where
from mta.base.text import is_number, to_bytes, to_text
from mta.config.line import Line
from mta.unix.files import read_all, write_all

NAME = "mta-configuration"
LARGEST = 64 << 20
_HEADING = "mta-configuration 1"
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def write(lines: Iterable[Line]) -> int:
    """A descriptor, closed on exec, of a sealed memory file with these lines."""
    records = [_HEADING]
    for line in lines:
        records += [line.where.file, str(line.where.line), line.text]
    fd = os.memfd_create(NAME, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        write_all(fd, to_bytes("\0".join(records) + "\0"))
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(fd)
        raise
    return fd


def read(fd: int) -> list[Line]:
    """The lines in a sealed memory file.  Raises ProtocolError if it is not such a file."""
    try:
        seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
        octets = read_all(fd, LARGEST)
    except OSError as why:
        raise ProtocolError(
            f"the snapshot of the configuration cannot be read: {why}"
        ) from why
    if seals & _SEALS != _SEALS:
        raise ProtocolError("the snapshot of the configuration is not sealed")
    if octets is None or not octets.endswith(b"\0"):
        raise ProtocolError("the snapshot of the configuration is cut short")
    heading, *records = to_text(octets[:-1]).split("\0")
    numbers = records[1::3]
    is_whole = heading == _HEADING and not len(records) % 3
    if not is_whole or not all(is_number(each) and len(each) < 10 for each in numbers):
        raise ProtocolError("the snapshot of the configuration is damaged")
    return [
        Line(text, Where(file, int(number)))
        for file, number, text in zip(records[::3], numbers, records[2::3], strict=True)
    ]
