"""Lines in and out of an SMTP connection, for both sides of it.

A line ends at CRLF and nowhere else.  A bare LF or CR in a line is how one message is smuggled
into another past a server that sees line ends differently: such a line is never handed out but
reported as BadLine, and so is whatever follows a bare LF up to the next true end.  A line that
is too long is thrown away up to its end in bounded memory and then reported.

Output is held back until there is nothing left to read, so a group of pipelined commands is
answered in one packet, and no caller thinks of it.

`timeout` bounds each wait; a line as a whole may take no longer than that from its first
octet, so that nobody holds a process by sending an octet now and then.  Raises TimeoutError
and OSError from the stream.
"""

from __future__ import annotations

from mta.base import clock
from mta.base.errors import ProtocolError
from mta.smtp.stream import Stream

READ_SIZE = 65536
# More output than this is not held back.
HELD_BACK = 65536


class BadLine(ProtocolError):
    """A line that cannot be used; what is left of it is dropped.  `reason` says why."""

    def __init__(self, reason: str, seen: bytes) -> None:
        self.reason = reason
        self.seen = seen[:256]
        super().__init__(reason)


TOO_LONG = "line too long"
BARE_LF = "bare LF received"
BARE_CR = "bare CR received"


class Wire:
    """The buffered ends of one connection.

    A `lenient` wire takes LF as the end of a line too: for standard input, where no other
    server has an opinion on line ends.
    """

    __slots__ = (
        "_at",
        "_buffer",
        "_lenient",
        "_output",
        "_stream",
        "_tainted",
        "timeout",
    )

    def __init__(self, stream: Stream, timeout: float, *, lenient: bool = False) -> None:
        self._stream = stream
        self.timeout = timeout
        self._lenient = lenient
        self._buffer = b""
        self._at = 0
        self._tainted = False  # what comes next belongs to a line that was refused
        self._output = b""  # held back; mostly one reply, which is not copied then
        stream.set_timeout(timeout)

    def set_timeout(self, seconds: float) -> None:
        """From now on no wait takes longer than this."""
        self.timeout = seconds
        self._stream.set_timeout(seconds)

    def has_line(self) -> bool:
        """True if `line` need not read."""
        return self._buffer.find(b"\n", self._at) >= 0

    def line(self, limit: int) -> bytes | None:
        """The next line without its end, or None at the end of input.

        `limit` counts the octets without the line's end.  Raises BadLine, TimeoutError,
        OSError.
        """
        end = self._buffer.find(b"\n", self._at)
        if end < 0 and (end := self._await_end(limit)) < 0:
            return None
        line = self._buffer[self._at : end]
        self._at = end + 1
        if line[-1:] == b"\r":
            line = line[:-1]
        elif not self._lenient:
            self._bare_line_feed(line)
        if self._tainted:
            self._tainted = False
            raise BadLine(BARE_LF, line)
        if len(line) > limit:
            raise BadLine(TOO_LONG, line)
        if b"\r" in line:
            raise BadLine(BARE_CR, line)
        return line

    def _await_end(self, limit: int) -> int:
        """Read until there is an LF; its place, or -1 at the end of input."""
        started = 0.0
        while True:
            rest = self._buffer[self._at :]
            if len(rest) > limit + 2:
                return self._skip_long()
            self.flush()
            octets = self._stream.read(READ_SIZE)
            self._buffer, self._at = rest + octets, 0
            if not octets:
                return -1
            # What is left of before has no LF.
            if (end := octets.find(b"\n")) >= 0:
                return len(rest) + end
            now = clock.monotonic()
            started = started or now
            if now - started > self.timeout:
                raise TimeoutError("a line takes too long")

    def _skip_long(self) -> int:
        """Drop a line up to its end, then report it."""
        seen = self._buffer[self._at : self._at + 256]
        last = self._buffer[-1:]
        started = clock.monotonic()
        while True:
            self.flush()
            self._buffer, self._at = self._stream.read(READ_SIZE), 0
            if not self._buffer:
                raise BadLine(TOO_LONG, seen)
            whole = last + self._buffer
            mark = b"\n" if self._lenient else b"\r\n"
            if (end := whole.find(mark)) >= 0:
                self._at = end + len(mark) - len(last)
                raise BadLine(TOO_LONG, seen)
            last = self._buffer[-1:]
            if clock.monotonic() - started > self.timeout:
                raise TimeoutError("a line takes too long")

    def _bare_line_feed(self, line: bytes) -> None:
        """Refuse a line with a bare LF, and with it the rest up to the next CRLF."""
        end = self._buffer.find(b"\r\n", self._at)
        if end >= 0:
            self._at = end + 2
            self._tainted = False
        else:
            # The rest is still to come.  It is answered by itself, or a client that ends its
            # lines with LF would wait for ever, but it is refused whatever it says.
            self._buffer, self._at = b"", 0
            self._tainted = True
        raise BadLine(BARE_LF, line)

    def chunk(self) -> bytes:
        """Whatever comes next, in a piece of some size; b"" at the end of input."""
        if self._at < len(self._buffer):
            octets = self._buffer[self._at :]
            self._buffer, self._at = b"", 0
            return octets
        self.flush()
        return self._stream.read(READ_SIZE)

    def put_back(self, octets: bytes) -> None:
        """Return what `chunk` gave too much of."""
        self._buffer = octets + self._buffer[self._at :]
        self._at = 0

    @property
    def pending(self) -> bool:
        """True if the other side has sent something that was not yet read."""
        return self._at < len(self._buffer) or self._stream.readable()

    def peek(self, limit: int) -> bytes:
        """The start of what is pending; only for telling what a client said too early."""
        if self._at >= len(self._buffer) and self._stream.readable():
            self._buffer, self._at = self._stream.read(READ_SIZE), 0
        return self._buffer[self._at : self._at + limit]

    def send(self, octets: bytes) -> None:
        """Send this when there is nothing left to read, or at `flush`."""
        self._output += octets
        if len(self._output) > HELD_BACK:
            self.flush()

    def flush(self) -> None:
        """Send everything that was held back."""
        if self._output:
            octets, self._output = self._output, b""
            self._stream.write(octets)

    def wait(self, seconds: float) -> None:
        """Wait this long, but not for a client that has left."""
        self._stream.wait(seconds)

    @property
    def stream(self) -> Stream:
        """What carries the octets; for whoever puts another one in its place."""
        return self._stream

    def replace(self, stream: Stream) -> None:
        """Go on with another stream, as after STARTTLS.

        What came before over the old one is dropped: somebody else may have put it there.
        """
        self.flush()
        self._stream = stream
        self._buffer, self._at = b"", 0
        self._tainted = False
        stream.set_timeout(self.timeout)

    def close(self) -> None:
        """Close the connection; what was held back is lost."""
        self._output = b""
        self._stream.close()
