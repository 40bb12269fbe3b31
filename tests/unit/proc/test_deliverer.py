"""When a deliverer begins what it is asked for, and when it looks what became of the rest."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from mta.base import clock
from mta.deliver.message import Attempt as Attempting
from mta.deliver.message import Deliverer
from mta.deliver.report import USUALLY, How, Report
from mta.proc import deliverer
from mta.proc.control import Attempt, Attempted
from mta.unix import frames

IDS = [f"1xVXBP-000000000Od-{number:04d}" for number in range(4)]


def nothing() -> Attempting:
    """An attempt that waits for its worker for ever."""
    while True:
        yield []


class Slow(Deliverer):
    """Routing takes a while; the first delivery is over when the second message was begun."""

    def __init__(self, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = seconds
        self.now = 0.0
        self.under_way = {}
        self.done: list[str] = []
        monkeypatch.setattr(clock, "monotonic", lambda: self.now)

    def begin(self, message_id: str, how: How = USUALLY) -> None:
        self.under_way[message_id] = nothing()
        self.now += self.seconds
        self.done.append(f"begin {message_id[-1]}")

    def wait(self, also: int = -1) -> list[Report]:
        if len(self.under_way) < 2 and IDS[0] in self.under_way:
            self.done.append("wait")
            return []
        message_id = next(iter(self.under_way))
        del self.under_way[message_id]
        self.done.append(f"end {message_id[-1]}")
        return [Report(message_id, "done")]


@pytest.fixture
def runner() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = frames.pair()
    for message_id in IDS:
        frames.send(ours, Attempt(message_id, 0, 0))
    ours.shutdown(socket.SHUT_WR)
    yield ours, theirs
    ours.close()
    theirs.close()


def test_outcomes_are_taken_between_messages_whose_beginning_takes_long(
    runner: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(2 * deliverer.LONG_SECONDS, monkeypatch)
    deliverer._serve(slow, runner[1])
    assert slow.done == [
        "begin 0",
        "wait",
        "begin 1",
        "end 0",
        "begin 2",
        "end 1",
        "begin 3",
        "end 2",
    ]
    received = frames.receive(runner[0], (Attempted,))
    assert received is not None
    assert received.message == Attempted(IDS[0], "done", 0, "", ())


def test_messages_that_are_begun_quickly_are_given_away_together(
    runner: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = Slow(deliverer.LONG_SECONDS / 2, monkeypatch)
    deliverer._serve(quick, runner[1])
    assert quick.done == [f"begin {number}" for number in range(4)]
