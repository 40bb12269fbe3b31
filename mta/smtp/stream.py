"""The connection under an SMTP session: octets in and out, each wait with a deadline.

A socket waits in the kernel (SO_RCVTIMEO), which costs no call of its own; a pipe or a
terminal, as -bs has it, waits in poll.  Both raise TimeoutError when the time is over and
OSError when the other side has gone; mta.net.tls has one more class with these methods.
"""

from __future__ import annotations

import os
import select
import socket
import struct
from typing import Protocol

_TIMEVAL = struct.Struct("@ll")
# The kernel reads 0 as "for ever"; nothing here waits for ever.
_LEAST = 0.001


class Stream(Protocol):
    """What carries a session."""

    def set_timeout(self, seconds: float) -> None:
        """From now on no wait takes longer than this."""

    def read(self, size: int) -> bytes:
        """At most this many octets as soon as there are any; b"" when the other side ended."""

    def write(self, octets: bytes) -> None:
        """Write everything."""

    def readable(self) -> bool:
        """True if `read` would not wait."""

    def wait(self, seconds: float) -> None:
        """Wait this long, or until the other side has gone."""

    def close(self) -> None:
        """Give it up."""


class SocketStream:
    """A connected socket, which this takes over."""

    __slots__ = ("_input", "_timeout", "sock")

    def __init__(self, sock: socket.socket) -> None:
        if sock.gettimeout() is not None:
            sock.setblocking(True)
        self.sock = sock
        self._input = select.poll()
        self._input.register(sock.fileno(), select.POLLIN)
        self._timeout = -1.0

    def set_timeout(self, seconds: float) -> None:
        """From now on no wait takes longer than this."""
        if seconds == self._timeout:
            return
        whole, part = divmod(max(seconds, _LEAST), 1)
        packed = _TIMEVAL.pack(int(whole), int(part * 1_000_000))
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, packed)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, packed)
        self._timeout = seconds

    def read(self, size: int) -> bytes:
        """At most this many octets as soon as there are any; b"" when the other side ended."""
        try:
            return self.sock.recv(size)
        except BlockingIOError:
            raise TimeoutError("no input in time") from None

    def write(self, octets: bytes) -> None:
        """Write everything."""
        try:
            sent = self.sock.send(octets)
            if sent == len(octets):
                return
            rest = memoryview(octets)[sent:]
            while rest:
                rest = rest[self.sock.send(rest) :]
        except BlockingIOError:
            raise TimeoutError("the other side reads nothing") from None

    def readable(self) -> bool:
        """True if `read` would not wait."""
        return bool(self._input.poll(0))

    def wait(self, seconds: float) -> None:
        """Wait this long, or until the other side has gone."""
        _poll(self.sock.fileno(), select.POLLRDHUP, seconds)

    def close(self) -> None:
        """Give it up."""
        self.sock.close()


class FileStream:
    """Two descriptors, one to read and one to write, which may be the same."""

    __slots__ = ("_reader", "_timeout", "_writer")

    def __init__(self, reader: int, writer: int) -> None:
        self._reader = reader
        self._writer = writer
        self._timeout = 300.0

    def set_timeout(self, seconds: float) -> None:
        """From now on no wait takes longer than this."""
        self._timeout = seconds

    def read(self, size: int) -> bytes:
        """At most this many octets as soon as there are any; b"" when the other side ended."""
        if not _poll(self._reader, select.POLLIN, self._timeout):
            raise TimeoutError("no input in time")
        return os.read(self._reader, size)

    def write(self, octets: bytes) -> None:
        """Write everything."""
        rest = memoryview(octets)
        while rest:
            if not _poll(self._writer, select.POLLOUT, self._timeout):
                raise TimeoutError("the other side reads nothing")
            # A pipe takes this much in one go once it is writable at all.
            rest = rest[os.write(self._writer, rest[: select.PIPE_BUF]) :]

    def readable(self) -> bool:
        """True if `read` would not wait."""
        return _poll(self._reader, select.POLLIN, 0)

    def wait(self, seconds: float) -> None:
        """Wait this long, or until the other side has gone."""
        _poll(self._reader, 0, seconds)

    def close(self) -> None:
        """Give it up."""
        os.close(self._reader)
        if self._writer != self._reader:
            os.close(self._writer)


def _poll(fd: int, events: int, seconds: float) -> bool:
    poller = select.poll()
    poller.register(fd, events)
    return bool(poller.poll(seconds * 1000))
