"""The message as a stream, with the line ends and dots that its target wants.

In the spool lines end in LF.  A file gets them like that; SMTP wants CRLF, a second dot in
front of a line that begins with one, and a line with a dot alone at the end (RFC 5321 4.5.2).
Bodies are read at explicit offsets: the descriptor is shared with other processes, and so is
the offset that lies in it.

Raises:   TempFail when the spool file is shorter than the envelope says; OSError.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass

from mta.base.errors import TempFail
from mta.unix.files import write_all

CHUNK = 256 << 10
_END = b".\r\n"
# What copy_file_range says where it cannot work; the copy is then made by hand.
_CANNOT_COPY = (errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM)


@dataclass(frozen=True, slots=True)
class Stream:
    """A message: its headers with LF line ends, and where its body is."""

    headers: bytes
    body: int
    body_offset: int
    body_size: int
    between: bytes = b"\n"  # the empty line behind the headers, where both are sent

    @property
    def head(self) -> bytes:
        """What comes before the body."""
        return self.headers + self.between

    @property
    def size(self) -> int:
        """Octets in the form that a file gets."""
        return len(self.headers) + len(self.between) + self.body_size

    def wire_size(self) -> int:
        """About how many octets SMTP will carry; exact where the body is short."""
        lines = self.headers.count(b"\n") + 1
        if self.body_size <= CHUNK:
            lines += _read(self, 0, self.body_size).count(b"\n")
        else:
            lines += self.body_size // 40
        return self.size + lines


def chunks(stream: Stream) -> Iterator[bytes]:
    """The whole message as it is: the headers and the first of the body together."""
    done = min(stream.body_size, CHUNK)
    yield stream.head + _read(stream, 0, done)
    yield from body(stream, done)


def body(stream: Stream, start: int = 0) -> Iterator[bytes]:
    """The body as it is, from an offset in it on."""
    while start < stream.body_size:
        part = min(stream.body_size - start, CHUNK)
        yield _read(stream, start, part)
        start += part


def _read(stream: Stream, at: int, count: int) -> bytes:
    octets = os.pread(stream.body, count, stream.body_offset + at) if count else b""
    if len(octets) == count:
        return octets
    parts = [octets]
    got = len(octets)
    while got < count:
        part = os.pread(stream.body, count - got, stream.body_offset + at + got)
        if not part:
            raise TempFail("the spool file is shorter than it was", status="4.3.0")
        parts.append(part)
        got += len(part)
    return b"".join(parts)


def for_smtp(stream: Stream) -> Iterator[bytes]:
    """The message as it follows 354, the final dot included."""
    line_start = True
    held = b""  # a CR at the end of a chunk, of which it is not yet known what follows
    previous: bytes | None = None
    for chunk in chunks(stream):
        octets = held + chunk if held else chunk
        held = b""
        if b"\r" in octets:
            # No CR alone is ever sent: others may take it for the end of a line, and what
            # begins there for a command.  RFC 5321 2.3.8
            if octets.endswith(b"\r"):
                octets, held = octets[:-1], b"\r"
            octets = octets.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if not octets:
            continue
        if previous is not None:
            yield previous
        previous = _dotted(octets, line_start=line_start)
        line_start = octets.endswith(b"\n")
    last = previous or b""
    if held or not line_start:
        last += b"\r\n"
    yield last + _END


def _dotted(octets: bytes, *, line_start: bool) -> bytes:
    if b"\n." in octets:
        octets = octets.replace(b"\n.", b"\n..")
    if line_start and octets.startswith(b"."):
        octets = b"." + octets
    return octets.replace(b"\n", b"\r\n")


def to_file(stream: Stream, out: int) -> int:
    """Write the message as it is to a descriptor; the number of octets."""
    if stream.body_size <= CHUNK:
        for chunk in chunks(stream):
            write_all(out, chunk)
        return stream.size
    write_all(out, stream.head)
    for part in body(stream, _copy(stream, out)):
        write_all(out, part)
    return stream.size


def _copy(stream: Stream, out: int) -> int:
    """Let the kernel copy as much of the body as it can; the number of octets."""
    done = 0
    while done < stream.body_size:
        try:
            copied = os.copy_file_range(
                stream.body, out, stream.body_size - done, offset_src=stream.body_offset + done
            )
        except OSError as error:
            if done == 0 and error.errno in _CANNOT_COPY:
                return 0
            raise
        if copied == 0:
            break
        done += copied
    return done
