"""Transport filters: a command of the administrator that a message goes through on its way.

The whole message is given to the command, and what it says takes its place, before anything of
it goes anywhere: a filter that fails leaves nothing half delivered.  What it said is kept in a
memory file and read like any body; its size is bounded by that of the message.

Raises:   TempFail where the command fails, FilterTimeout where it takes too long.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import replace

from mta.base.errors import TempFail
from mta.transport.writing import Stream, chunks
from mta.unix import command

FILTER_FAILED = -24  # the number that Exim's retry records have for it
PATH = "/bin:/usr/bin"
_GROWTH, _SPARE = 8, 16 << 20  # a message may grow by a factor, and a small one by so much


class FilterTimeout(TempFail):
    """The filter took too long."""


def filtered(stream: Stream, arguments: Sequence[str], seconds: float) -> Stream:
    """What a filter makes of a message.  Nobody closes its body: the caller does."""
    ended = _run(stream, arguments, seconds)
    if ended.timed_out:
        raise FilterTimeout("transport filter timed out", code=errno.ETIMEDOUT)
    if ended.said_too_much:
        raise TempFail("transport filter made the message much larger", code=FILTER_FAILED)
    if ended.code:
        why = ": unable to execute command" if ended.code == command.EXIT_EXEC else ""
        text = f"Transport filter process failed ({ended.code}){why}"
        raise TempFail(text, code=FILTER_FAILED)
    return _stream_of(ended.output)


def _run(stream: Stream, arguments: Sequence[str], seconds: float) -> command.Ended:
    what = command.Command(arguments, {"PATH": PATH})
    limit = stream.size * _GROWTH + _SPARE
    if not arguments[0].startswith("/"):
        return command.Ended(command.EXIT_EXEC, b"")
    try:
        return command.run(what, chunks(stream), seconds=seconds, limit=limit)
    except OSError:
        return command.Ended(command.EXIT_EXEC, b"")


def _stream_of(octets: bytes) -> Stream:
    """A message as a stream: its headers up to the first empty line, and a body in memory."""
    end = octets.find(b"\n\n")
    headers, body = (octets, b"") if end < 0 else (octets[: end + 1], octets[end + 2 :])
    fd = os.memfd_create("filtered", os.MFD_CLOEXEC)
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(body)
    except OSError:
        os.close(fd)
        raise
    stream = Stream(headers, fd, 0, len(body))
    return stream if end >= 0 else replace(stream, between=b"")
