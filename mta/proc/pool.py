"""A pool of receivers: warm children of the listener that hold one conversation at a time.

A connection is handed to a receiver that is free, over its channel; when none is, another one
is forked, up to the pool's limit.  The listener counts how often each was used and closes its
channel after a number of times, so that nothing a stranger did to one lasts.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections import deque
from collections.abc import Callable
from functools import partial

from mta.base import clock
from mta.base.errors import ProtocolError
from mta.proc.control import Free, Serve
from mta.unix import frames, process
from mta.unix.loop import Loop

IDLE_SECONDS = 30.0
# With so many receivers a connection waits a moment, as one of them will most likely come
# free sooner than another process could be made.
WARM = 4
MOMENT_SECONDS = 0.02


class Receiver:
    """A child: its process, our end of its channel, whom it serves."""

    __slots__ = ("address", "channel", "idle_since", "pid", "uses")

    def __init__(self, pid: int, channel: socket.socket) -> None:
        self.pid = pid
        self.channel = channel
        self.address: str | None = None  # None while it is free
        self.uses = 0
        self.idle_since = clock.monotonic()


class Pool:
    """Receivers of one kind.

    `work` is what a new child does with its end of the channel; `over` is told the address
    whenever a conversation ends.
    """

    def __init__(
        self,
        loop: Loop,
        work: Callable[[socket.socket], int | None],
        over: Callable[[str], None],
        *,
        most: int,
        max_use: int,
        panic: int,
    ) -> None:
        self.loop = loop
        self.work = work
        self.over = over
        self.most = most
        self.max_use = max_use
        self.panic = panic
        self.receivers: dict[int, Receiver] = {}
        self.free: list[Receiver] = []
        self.on_tls: Callable[[], None] = lambda: None  # a receiver had to load OpenSSL
        self.waiting: deque[tuple[socket.socket, Serve]] = deque()
        self.closing = False

    @property
    def busy(self) -> int:
        """How many hold a conversation."""
        return sum(1 for each in self.receivers.values() if each.address is not None)

    def hand(self, connection: socket.socket, order: Serve) -> bool:
        """Give a connection to a receiver; False if there may be no more of them."""
        if self.given(connection, order):
            return True
        # Those whose channel is closed are on their way out and take nobody's place.
        staying = sum(1 for each in self.receivers.values() if each.channel.fileno() >= 0)
        if self.most and staying + len(self.waiting) >= self.most:
            return False
        if staying < WARM:
            self.grow()
            return self.given(connection, order)
        if not self.waiting:
            self.loop.after(MOMENT_SECONDS, self.grow_for_waiting)
        self.waiting.append((connection.dup(), order))
        return True

    def given(self, connection: socket.socket, order: Serve) -> bool:
        """True if a free receiver has the connection now."""
        while self.free:
            receiver = self.free.pop()
            try:
                frames.send(receiver.channel, order, [connection.fileno()])
            except OSError:
                self.lost(receiver)  # it has died; the next one may live
                continue
            receiver.address = order.address
            receiver.uses += 1
            return True
        return False

    def give_waiting(self) -> None:
        """Connections that have waited a moment go to receivers that have come free."""
        while self.waiting and self.free:
            connection, order = self.waiting.popleft()
            with connection:
                if not self.given(connection, order):
                    self.over(order.address)

    def grow_for_waiting(self) -> None:
        """The moment is over: new receivers for those that still wait."""
        for _ in range(len(self.waiting)):
            try:
                self.grow()
            except OSError:
                break
        self.give_waiting()
        while self.waiting:
            connection, order = self.waiting.popleft()
            connection.close()
            self.over(order.address)

    def grow(self) -> None:
        """Fork another receiver.  Raises OSError if that fails."""
        ours, theirs = frames.pair()
        try:
            pid = process.run_child(partial(self.work, theirs), panic=self.panic)
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        receiver = Receiver(pid, ours)
        self.receivers[pid] = receiver
        self.free.append(receiver)
        ours.setblocking(False)
        self.loop.watch(ours.fileno(), partial(self.heard, receiver))

    def heard(self, receiver: Receiver) -> None:
        """A receiver is free again, or has gone."""
        try:
            received = frames.receive(receiver.channel, (Free,))
        except BlockingIOError:
            return
        except (OSError, ProtocolError):
            received = None
        if received is not None:
            received.close()
        if received is None or receiver.address is None:
            self.lost(receiver)
            return
        self._conversation_over(receiver)
        if isinstance(received.message, Free) and received.message.tls:
            self.on_tls()
        if self.closing or receiver.uses >= self.max_use:
            self.dismiss(receiver)
        else:
            receiver.idle_since = clock.monotonic()
            self.free.append(receiver)
            self.give_waiting()

    def lost(self, receiver: Receiver) -> None:
        """A receiver has gone, or must go."""
        if receiver in self.free:
            self.free.remove(receiver)
        self._conversation_over(receiver)
        self.dismiss(receiver)

    def dismiss(self, receiver: Receiver) -> None:
        """Close the channel; the receiver leaves by itself and `ended` is told."""
        if receiver.channel.fileno() >= 0:
            self.loop.unwatch(receiver.channel.fileno())
            receiver.channel.close()

    def ended(self, pid: int) -> bool:
        """A process has ended; True if it was one of ours."""
        receiver = self.receivers.pop(pid, None)
        if receiver is None:
            return False
        self.lost(receiver)
        return True

    def prune(self) -> None:
        """Let receivers go that nobody has needed for a while; one stays warm."""
        before = clock.monotonic() - IDLE_SECONDS
        for receiver in self.free[:-1]:
            if receiver.idle_since < before:
                self.free.remove(receiver)
                self.dismiss(receiver)

    def renew(self) -> None:
        """Free receivers leave now, busy ones after their conversation."""
        for receiver in self.free:
            self.dismiss(receiver)
        self.free.clear()
        for receiver in self.receivers.values():
            receiver.uses = self.max_use

    def close(self) -> None:
        """Take no more work; each receiver leaves when its conversation is over."""
        self.closing = True
        self.renew()

    def hurry(self, number: int = signal.SIGTERM) -> None:
        """End the conversations; what was accepted is safe, the rest is the client's."""
        for pid in self.receivers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _conversation_over(self, receiver: Receiver) -> None:
        if receiver.address is not None:
            address, receiver.address = receiver.address, None
            self.over(address)
