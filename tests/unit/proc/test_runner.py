"""What the runner does with what it is told."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from mta.base import clock
from mta.base.errors import Where
from mta.config.line import Line
from mta.config.load import parse
from mta.deliver import freeze
from mta.log.sink import Log
from mta.proc import pickup
from mta.proc.control import Arrived, Attempt, Attempted
from mta.proc.queue_runs import QueueRuns
from mta.proc.runner import (
    AFTER_CRASH_SECONDS,
    AFTER_OTHERS_SECONDS,
    FIRST_ROOM,
    MOST_ROOM,
    QUICK_SECONDS,
    SCAN_SECONDS,
    SLOW_SECONDS,
    Child,
    Runner,
)
from mta.proc.schedule import Schedule
from mta.spool import layout
from mta.unix import frames, process
from mta.unix.loop import Loop

ID = "1xVXBP-000000000Od-0MgI"


def told(*, now: int) -> Schedule:
    """The schedule of a runner that has heard of one message."""
    runner = Runner.__new__(Runner)
    runner.schedule = Schedule()
    runner.arrived(Arrived(ID, now, "ann@sender.example", "target.example"))
    return runner.schedule


def test_a_message_that_has_come_is_tried_at_once() -> None:
    schedule = told(now=1)
    entry = schedule.take(1)
    assert entry is not None
    assert entry.message_id == ID


def test_a_message_that_is_only_queued_is_tried_some_minutes_later() -> None:
    schedule = told(now=0)
    assert schedule.take(1) is None
    schedule.advance(clock.now() + SCAN_SECONDS - 1)
    assert schedule.take(1) is None
    schedule.advance(clock.now() + SCAN_SECONDS + 1)
    entry = schedule.take(1)
    assert entry is not None
    assert (entry.message_id, entry.queue_run) == (ID, True)


class Stage(Runner):
    """A runner whose deliverers are ends of channels in the hands of the test."""

    def __init__(self, text: str = "primary_hostname = mx.example\n") -> None:
        lines = [
            Line(line, Where("mta.conf", n)) for n, line in enumerate(text.split("\n")) if line
        ]
        self.conf = parse(lines, "mta.conf")
        self.schedule = Schedule()
        self.loop = Loop()
        self.children: dict[int, Child] = {}
        self.idle: list[Child] = []
        self.draining = self.ending = self.hesitating = False
        self.timer = None
        self.others: dict[int, socket.socket] = {}
        self.helpers = {}
        self.helped: list[tuple[object, str]] = []
        null = os.open(os.devnull, os.O_WRONLY)
        self.log = Log(null, null, null)
        self.runs = QueueRuns(self.log)
        self.spool = None

    def grow(self) -> bool:
        ours, theirs = frames.pair()
        theirs.settimeout(5)
        child = Child(len(self.others) + 1, ours)
        self.children[child.pid] = child
        self.others[child.pid] = theirs
        self.idle.append(child)
        return True

    def arrive(self, count: int) -> None:
        for number in range(count):
            entry = self.schedule.add(f"{ID[:-2]}{number:02d}", "s", "d")
            self.schedule.make_due(entry)
        self.dispatch()

    def in_hand(self) -> list[int]:
        return [len(child.entries) for child in self.children.values()]

    def at(self) -> list[list[str]]:
        """The ends of the ids that each deliverer with work has."""
        found = [[each[-2:] for each in child.entries] for child in self.children.values()]
        return [each for each in found if each]

    def later(self) -> None:
        """All that waits is due."""
        self.schedule.advance(clock.now() + 1e6)
        self.dispatch()

    def crash(
        self, pid: int, monkeypatch: pytest.MonkeyPatch, status: int = process.EXIT_BUG
    ) -> None:
        """One of the deliverers ends in an error, or is killed."""
        self.others[pid].close()
        self.report(self.children[pid])
        monkeypatch.setattr(process, "reap", lambda: [(pid, status)])
        self.reap()

    def done(self, pid: int, state: str = "done") -> str:
        """One of the deliverers does what it was asked; gives the id."""
        received = frames.receive(self.others[pid], (Attempt,))
        assert received is not None
        assert isinstance(received.message, Attempt)
        message_id = received.message.message_id
        frames.send(self.others[pid], Attempted(message_id, state, 0, "", ()))
        self.report(self.children[pid])
        return message_id

    def assist(self, work: Callable[[], int | None], ended: Callable[[], None]) -> None:
        assert isinstance(work, partial)
        self.helped.append((work.func, work.args[-1]))

    def close(self) -> None:
        for child in self.children.values():
            child.channel.close()
        for other in self.others.values():
            other.close()
        os.close(self.log.main_fd)


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.close()


def test_what_comes_together_goes_to_one_deliverer(stage: Stage) -> None:
    stage.arrive(3)
    assert stage.in_hand() == [3]


def test_no_deliverer_has_more_in_hand_than_it_may(stage: Stage) -> None:
    stage.arrive(FIRST_ROOM + 2)
    assert stage.in_hand() == [FIRST_ROOM, 2]


def test_a_quick_deliverer_gets_more_in_hand_and_a_slow_one_less(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.arrive(1)
    (child,) = stage.children.values()
    for _ in range(2 * MOST_ROOM):
        child.has_reported(child.since + QUICK_SECONDS / 2)
    assert child.room == MOST_ROOM
    for room in (MOST_ROOM // 2, MOST_ROOM // 4):
        child.has_reported(child.since + 2 * QUICK_SECONDS)
        assert child.room == room
    for _ in range(10):
        child.has_reported(child.since + 2 * QUICK_SECONDS)
    assert child.room == 1


def test_a_deliverer_that_is_silent_for_long_gets_no_more(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.arrive(1)
    later = clock.monotonic() + SLOW_SECONDS + 0.1
    monkeypatch.setattr("mta.base.clock.monotonic", lambda: later)
    stage.arrive(2)
    assert stage.in_hand() == [1, 1]


def test_no_more_messages_are_under_way_than_the_option_says() -> None:
    limited = Stage("primary_hostname = mx.example\ndeliver_max_parallel = 3\n")
    limited.arrive(5)
    assert limited.in_hand() == [3]
    limited.done(1)
    assert limited.in_hand() == [3]
    limited.close()


def test_reports_are_taken_in_any_order_and_the_rest_goes_on(stage: Stage) -> None:
    stage.arrive(2)
    first = stage.done(1)
    assert list(stage.children[1].entries) != [first]
    assert stage.in_hand() == [1]
    assert stage.idle == []
    stage.done(1)
    assert stage.idle == [stage.children[1]]
    assert stage.schedule.entries == {}


def test_a_deliverer_that_dies_leaves_all_it_had_for_later(stage: Stage) -> None:
    stage.arrive(2)
    stage.others[1].close()
    stage.report(stage.children[1])
    assert [entry.crashes for entry in stage.schedule.entries.values()] == [1, 1]
    assert stage.schedule.running == 0
    assert stage.schedule.take(20) is None


def test_what_died_together_is_tried_alone_soon_and_what_died_alone_later(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock.now()
    monkeypatch.setattr("mta.base.clock.now", lambda: now)
    stage.arrive(2)
    stage.others[1].close()
    stage.report(stage.children[1])
    assert stage.schedule.next_time() == now + AFTER_OTHERS_SECONDS
    stage.later()
    child = next(each for each in stage.children.values() if each.entries)
    stage.others[child.pid].close()
    stage.report(child)
    assert stage.schedule.next_time() == now + 4 * AFTER_CRASH_SECONDS


def test_a_report_about_a_message_it_does_not_have_ends_a_deliverer(stage: Stage) -> None:
    stage.arrive(1)
    frames.send(stage.others[1], Attempted(f"{ID[:-2]}99", "done", 0, "", ()))
    stage.report(stage.children[1])
    assert stage.children[1].channel.fileno() == -1


def test_with_other_logs_a_busy_deliverer_leaves_after_its_messages(stage: Stage) -> None:
    stage.arrive(1)
    stage.renew()
    stage.done(1)
    assert stage.children[1].channel.fileno() == -1
    assert stage.idle == []


@pytest.mark.parametrize(("status", "helped"), [(process.EXIT_BUG, 1), (-9, 0)])
def test_a_message_over_which_three_deliverers_die_of_errors_is_frozen(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, status: int, helped: int
) -> None:
    stage.arrive(1)
    (message_id,) = stage.schedule.entries
    for _ in range(3):
        assert stage.helped == []
        (pid,) = [child.pid for child in stage.children.values() if child.entries]
        stage.crash(pid, monkeypatch, status)
        stage.later()
    assert stage.helped == [(freeze.run, message_id)] * helped


def test_several_messages_of_a_deliverer_that_died_blame_nobody(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.arrive(2)
    stage.crash(1, monkeypatch)
    assert [entry.errors for entry in stage.schedule.entries.values()] == [0, 0]


@pytest.mark.parametrize("status", [process.EXIT_BUG, -9])
def test_what_a_deliverer_that_died_had_is_tried_alone(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    stage.arrive(3)
    stage.crash(1, monkeypatch, status)
    stage.schedule.make_due(stage.schedule.add(f"{ID[:-2]}90", "s", "d"))
    stage.schedule.make_due(stage.schedule.add(f"{ID[:-2]}91", "s", "d"))
    stage.later()
    assert sorted(stage.at()) == [["00"], ["01"], ["02"], ["90", "91"]]


def test_a_deliverer_that_has_others_gets_none_that_is_to_be_tried_alone(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.arrive(1)
    stage.crash(1, monkeypatch)
    stage.schedule.make_due(stage.schedule.add(f"{ID[:-2]}90", "s", "d"))
    stage.dispatch()
    stage.later()
    assert stage.at() == [["90"], ["00"]]


def test_a_message_that_was_tried_alone_is_in_company_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.arrive(1)
    stage.crash(1, monkeypatch)
    stage.later()
    stage.done(2, "deferred")
    stage.schedule.make_due(stage.schedule.add(f"{ID[:-2]}90", "s", "d"))
    stage.later()
    assert stage.at() == [["90", "00"]]


def test_of_several_the_one_at_fault_is_found_and_frozen(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.arrive(3)
    bad = f"{ID[:-2]}01"
    stage.crash(1, monkeypatch)
    for _ in range(3):
        assert stage.helped == []
        stage.later()
        for pid, child in list(stage.children.items()):
            if bad in child.entries:
                stage.crash(pid, monkeypatch)
            elif child.entries:
                stage.done(pid)
    assert stage.helped == [(freeze.run, bad)]
    assert list(stage.schedule.entries) == [bad]


def test_a_message_waits_in_line_while_no_deliverer_can_be_made_for_it_alone(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.arrive(1)
    stage.crash(1, monkeypatch)
    stage.schedule.make_due(stage.schedule.add(f"{ID[:-2]}90", "s", "d"))
    stage.dispatch()
    entry = stage.schedule.entries[f"{ID[:-2]}00"]
    stage.schedule.make_due(entry, force=True)
    with monkeypatch.context() as patch:
        patch.setattr(stage, "grow", lambda: False)
        stage.dispatch()
    assert (stage.at(), entry.state, stage.schedule.running) == ([["90"]], "due", 1)
    stage.dispatch()
    assert stage.at() == [["90"], ["00"]]
    assert entry.force


def test_what_a_deliverer_said_last_is_heard_though_it_has_ended(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.arrive(3)
    child = stage.children[1]
    first, second, third = child.entries
    for message_id in (first, second):
        frames.send(stage.others[1], Attempted(message_id, "done", 0, "", ()))
    stage.others[1].close()
    monkeypatch.setattr(process, "reap", lambda: [(1, process.EXIT_BUG)])
    stage.reap()
    assert list(stage.schedule.entries) == [third]
    assert stage.schedule.entries[third].errors == 1


def test_what_could_not_be_taken_from_the_drop_box_calls_for_no_child_each_second(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout.prepare(str(tmp_path / "spool"), split=False)
    spool = layout.Spool(str(tmp_path / "spool"), split=False)
    stage.leftovers = pickup.Leftovers(spool)
    stage.inherited = None  # type: ignore[assignment]  # the child is not made
    (tmp_path / "spool" / "drop" / "m.1").touch()
    for second in range(20):
        monkeypatch.setattr("mta.base.clock.monotonic", partial(float, second))
        stage.pick_up()
    assert [work for work, _ in stage.helped] == [pickup.run] * 3
    spool.close()
