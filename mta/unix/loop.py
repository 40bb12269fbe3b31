"""Waiting for many things at once: descriptors, times, signals.  For the three parents only.

Everything else in this program is sequential and blocks with a deadline.  A callback runs to
its end before the next one; none of them may block.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import select
import signal
from collections.abc import Callable

from mta.base import clock

Callback = Callable[[], None]

CROWDED = 1000  # timers: beyond this it is worth a look whether they are cancelled


class Timer:
    """Something to be done at a time, unless it is cancelled before."""

    __slots__ = ("callback", "when")

    def __init__(self, when: float, callback: Callback) -> None:
        self.when = when
        self.callback: Callback | None = callback

    def cancel(self) -> None:
        """Do not do it."""
        self.callback = None


class Loop:
    """Calls back for descriptors that can be read, times that have come, and signals."""

    __slots__ = (
        "_callbacks",
        "_crowded",
        "_epoll",
        "_heap",
        "_order",
        "_signals",
        "_stopped",
        "_wakeup",
    )

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callback] = {}  # by descriptor
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._crowded = CROWDED
        self._signals: dict[int, Callback] = {}
        self._stopped = False
        self._wakeup: tuple[int, int] | None = None

    def watch(self, fd: int, callback: Callback) -> None:
        """Call back whenever the descriptor can be read, or its other side has gone."""
        assert fd not in self._callbacks
        self._epoll.register(fd, select.EPOLLIN)
        self._callbacks[fd] = callback

    def unwatch(self, fd: int) -> None:
        """Watch it no longer, if it is watched; called before it is closed."""
        if self._callbacks.pop(fd, None) is not None:
            with contextlib.suppress(OSError):  # one that was closed is gone already
                self._epoll.unregister(fd)

    def watches(self, fd: int) -> bool:
        """True if this descriptor is watched."""
        return fd in self._callbacks

    def after(self, seconds: float, callback: Callback) -> Timer:
        """Call back once, so many seconds from now."""
        timer = Timer(clock.monotonic() + seconds, callback)
        heapq.heappush(self._heap, (timer.when, next(self._order), timer))
        if len(self._heap) > self._crowded:
            self._clear_out()
        return timer

    def on_signal(self, number: int, callback: Callback) -> None:
        """Call back, from the loop, after a signal has come."""
        if self._wakeup is None:
            reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
            self._wakeup = (reader, writer)
            signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
            self.watch(reader, self._woken)
        self._signals[number] = callback
        signal.signal(number, _noted)
        signal.siginterrupt(number, False)

    def run(self) -> None:
        """Go on until `stop` is called."""
        self._stopped = False
        while not self._stopped:
            ready = self._epoll.poll(self._patience())
            for fd, callback in [(fd, self._callbacks.get(fd)) for fd, _ in ready]:
                # An earlier callback of this round may have taken the watch away.
                if (
                    callback is not None
                    and not self._stopped
                    and self._callbacks.get(fd) is callback
                ):
                    callback()
            self._ring()

    def stop(self) -> None:
        """End `run` after the present callback."""
        self._stopped = True

    def forget(self) -> None:
        """In a forked child: drop everything the parent waited for."""
        self._epoll.close()
        if self._wakeup is not None:
            for fd in self._wakeup:
                os.close(fd)
            self._wakeup = None

    def _clear_out(self) -> None:
        """Forget cancelled timers: one for next week would be kept until then."""
        self._heap = [each for each in self._heap if each[2].callback is not None]
        heapq.heapify(self._heap)
        self._crowded = max(CROWDED, 2 * len(self._heap))

    def _patience(self) -> float | None:
        while self._heap and self._heap[0][2].callback is None:
            heapq.heappop(self._heap)
        if not self._heap:
            return None
        return max(0.0, self._heap[0][0] - clock.monotonic())

    def _ring(self) -> None:
        now = clock.monotonic()
        while self._heap and self._heap[0][0] <= now and not self._stopped:
            timer = heapq.heappop(self._heap)[2]
            if timer.callback is not None:
                callback, timer.callback = timer.callback, None
                callback()

    def _woken(self) -> None:
        assert self._wakeup is not None
        numbers = os.read(self._wakeup[0], 512)
        for number in dict.fromkeys(numbers):
            if (callback := self._signals.get(number)) is not None:
                callback()


def _noted(number: int, frame: object) -> None:
    """The signal itself is delivered through the wake-up descriptor."""
