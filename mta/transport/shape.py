"""What stands around and within a message that is written to a file.

    message_prefix, or the commands of batched SMTP
    headers, empty line, body     a line that begins with check_string begins with
                                  escape_string instead: "From " in an mbox, a dot in SMTP
    message_suffix, or the dot that ends a message in SMTP

With CRLF every line of the message ends so; what stands around it is written as it was given.

Raises:   TempFail when the spool file is shorter than the envelope says; OSError.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mta.transport.framing import escaped
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
        for part in escaped(body(stream), self.check, self.escape):
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
