"""What stands around and within a message that is written to a file.

    message_prefix, or the commands of batched SMTP
    headers, empty line, body     a line that begins with check_string begins with
                                  escape_string instead: "From " in an mbox, a dot in SMTP
    message_suffix, or the dot that ends a message in SMTP

With CRLF every line of the message ends so; what stands around it is written as it was given.

Raises:   TempFail when the spool file is shorter than the envelope says; OSError.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mta.transport.writing import CHUNK, Stream, body, to_file
from mta.unix.files import write_all


@dataclass(frozen=True, slots=True)
class Shape:
    """How a message is written; as it is where nothing is said."""

    prefix: bytes = b""
    suffix: bytes = b""
    check: bytes = b""
    escape: bytes = b""
    crlf: bool = False
    whole_lines: bool = False  # the last line gets an end if it has none

    def write(self, stream: Stream, out: int) -> int:
        """Write a message to a new file; the number of octets."""
        if self == _PLAIN:
            return to_file(stream, out)
        return self.append(stream, out)

    def append(self, stream: Stream, out: int) -> int:
        """Write a message to a file that may be open for appending; the number of octets.

        A message of ordinary size takes one call of the system.
        """
        size = 0
        for octets in self.octets(stream):
            write_all(out, octets)
            size += len(octets)
        return size

    def octets(self, stream: Stream) -> Iterator[bytes]:
        """All that is written."""
        pending = self.prefix + self._lines(stream.head)
        parts = _escaped(stream, self.check, self.escape) if self.check else body(stream)
        for part in parts:
            if len(pending) >= CHUNK:
                yield pending
                pending = b""
            pending += self._lines(part)
        if self.whole_lines and not pending.endswith(b"\n"):
            pending += self._lines(b"\n")
        yield pending + self.suffix

    def _lines(self, octets: bytes) -> bytes:
        return octets.replace(b"\n", b"\r\n") if self.crlf else octets


_PLAIN = Shape()


def _escaped(stream: Stream, check: bytes, escape: bytes) -> Iterator[bytes]:
    """The body, with another beginning for lines that begin with `check`."""
    found = re.compile(rb"(?<=\n)" + re.escape(check))
    held, line_start = b"", True
    for chunk in body(stream):
        # A line end that was written already stands in front, so that the pattern sees it.
        data = b"\n" + held + chunk if line_start else held + chunk
        made, done = _replaced(data, found, escape, int(line_start))
        # A line that begins near the end may have the rest of `check` in the next chunk.
        at = data.find(b"\n", max(len(data) - len(check), done - 1, 0))
        line_start = at >= 0
        end = at + 1 if line_start else len(data)
        held = data[end:]
        yield made + data[done:end]
    yield held


def _replaced(
    data: bytes, found: re.Pattern[bytes], escape: bytes, done: int
) -> tuple[bytes, int]:
    """The data up to the end of the last changed line, changed; and where that line ends."""
    parts = []
    for match in found.finditer(data):
        parts += [data[done : match.start()], escape]
        done = match.end()
    return b"".join(parts), done
