"""Waiting for many things."""

from __future__ import annotations

import os
import signal

from mta.unix.loop import Loop


def test_timers_ring_in_order_and_cancelled_ones_do_not() -> None:
    loop, heard = Loop(), []
    loop.after(0.002, lambda: (heard.append("second"), loop.stop()))
    loop.after(0.001, lambda: heard.append("first"))
    loop.after(0.0, lambda: heard.append("never")).cancel()
    loop.run()
    assert heard == ["first", "second"]


def test_a_descriptor_that_can_be_read_calls_back() -> None:
    loop, heard = Loop(), []
    reader, writer = os.pipe()
    loop.watch(reader, lambda: (heard.append(os.read(reader, 9)), loop.stop()))
    os.write(writer, b"x")
    loop.run()
    assert heard == [b"x"]
    os.close(reader)
    os.close(writer)


def test_a_callback_may_take_away_a_watch_that_is_ready_too() -> None:
    loop, heard = Loop(), []
    pipes = [os.pipe() for _ in range(2)]

    def only_one(mine: int, other: int) -> None:
        heard.append(mine)
        loop.unwatch(other)
        loop.unwatch(mine)
        loop.stop()

    first, second = pipes[0][0], pipes[1][0]
    loop.watch(first, lambda: only_one(first, second))
    loop.watch(second, lambda: only_one(second, first))
    for _, writer in pipes:
        os.write(writer, b"x")
    loop.run()
    assert len(heard) == 1
    for pipe in pipes:
        for fd in pipe:
            os.close(fd)


def test_a_signal_is_handled_in_the_loop() -> None:
    loop, heard = Loop(), []
    before = signal.getsignal(signal.SIGUSR2)
    try:
        loop.on_signal(signal.SIGUSR2, lambda: (heard.append("usr2"), loop.stop()))
        os.kill(os.getpid(), signal.SIGUSR2)
        loop.run()
    finally:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGUSR2, before)
    assert heard == ["usr2"]


def test_timers_that_were_cancelled_are_not_kept_until_their_time() -> None:
    loop = Loop()
    kept = loop.after(7200.0, lambda: None)
    for _ in range(10_000):
        loop.after(3600.0, lambda: None).cancel()
    assert len(loop._heap) <= 1001
    assert any(each[2] is kept for each in loop._heap)


def test_a_watch_may_be_taken_away_twice() -> None:
    loop = Loop()
    reader, writer = os.pipe()
    loop.watch(reader, loop.stop)
    loop.unwatch(reader)
    loop.unwatch(reader)
    os.close(reader)
    os.close(writer)
