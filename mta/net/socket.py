"""Connections to other hosts: made, used and awaited with deadlines only.

A deadline is a point of base.clock.monotonic().  A Link reads while it writes: a server that
answers early, or gives up in the middle of a message, is heard, and two sides that both only
write never wait for each other (RFC 2920 3.1).

Raises:   OSError as the system gives it; TimeoutError is one of these, with ETIMEDOUT.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import select
import socket

from mta.base import clock

RECEIVE = 16 << 10
MOST_UNREAD = 256 << 10  # of what a server may say while we are still sending


def timed_out() -> TimeoutError:
    """The error of a deadline that has passed, in the system's words."""
    return TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))


def family_of(address: str) -> int:
    """The family of a numeric address, or 0 for anything else."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, address)
        except (OSError, ValueError):
            continue
        return family
    return 0


def plain_address(address: str) -> str:
    """An address without a zone; IPv4 in its own form even when it came over IPv6."""
    bare = address.partition("%")[0]
    if ":" not in bare:
        return bare
    parsed = ipaddress.IPv6Address(bare)
    return str(parsed.ipv4_mapped or parsed)


def connect(
    address: str, port: int, deadline: float, *, interface: str = "", keepalive: bool = True
) -> Link:
    """A connection to a numeric address, from the address `interface` if one is given."""
    made = socket.socket(family_of(address), socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        # What we write are whole batches of commands and whole messages: waiting for more of
        # them before a packet is sent would only cost time.
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(keepalive))
        if interface:
            made.bind((interface, 0))
        failure = made.connect_ex((address, port))
        if failure == errno.EINPROGRESS:
            _wait(made, select.POLLOUT, deadline)
            failure = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failure:
            raise OSError(failure, os.strerror(failure))
    except OSError:
        made.close()
        raise
    return Link(made)


def _wait(waiting: socket.socket, events: int, deadline: float) -> int:
    """Wait until one of these happens; which ones did."""
    left = deadline - clock.monotonic()
    poll = select.poll()
    poll.register(waiting, events)
    happened = poll.poll(max(0, left * 1000))
    if not happened:
        raise timed_out()
    return happened[0][1]


class Link:
    """One connection, as a stream of octets; all waits end at a deadline that is set before.

    What is heard while sending is kept and read first.
    """

    __slots__ = ("_deadline", "_unread", "socket")

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        self.socket = connected
        self._unread = bytearray()
        self._deadline = 0.0

    def set_timeout(self, seconds: float) -> None:
        """All that is done until the next call of this may take so long, in total."""
        self._deadline = clock.monotonic() + seconds

    def read(self, size: int) -> bytes:
        """At most this many octets as soon as there are any; b"" when the other side ended."""
        if self._unread:
            octets = bytes(self._unread[:size])
            del self._unread[:size]
            return octets
        while True:
            try:
                return self.socket.recv(size)
            except BlockingIOError:
                _wait(self.socket, select.POLLIN, self._deadline)

    def write(self, octets: bytes) -> None:
        """Send everything, hearing what comes meanwhile."""
        try:
            sent = self.socket.send(octets)
        except BlockingIOError:
            sent = 0
        if sent == len(octets):
            return
        rest = memoryview(octets)[sent:]
        hears = select.POLLIN
        while rest:
            if len(self._unread) > MOST_UNREAD:
                hears = 0
            happened = _wait(self.socket, select.POLLOUT | hears, self._deadline)
            try:
                if happened & hears:
                    heard = self.socket.recv(RECEIVE)
                    self._unread += heard
                    if not heard:
                        hears = 0
                if happened & ~select.POLLIN:
                    rest = rest[self.socket.send(rest) :]
            except BlockingIOError:
                continue

    def readable(self) -> bool:
        """True if `read` would not wait, be it because the other side has closed."""
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return bool(self._unread) or bool(poll.poll(0))

    def wait(self, seconds: float) -> None:
        """Wait this long, or until there is something to read."""
        with contextlib.suppress(TimeoutError):
            _wait(self.socket, select.POLLIN, clock.monotonic() + seconds)

    def last_words(self, octets: bytes) -> None:
        """Send this if it can be sent at once, and close."""
        with contextlib.suppress(OSError):
            self.socket.send(octets)
        self.close()

    def close(self) -> None:
        """Close the connection; what the other side still says is lost."""
        self.socket.close()
