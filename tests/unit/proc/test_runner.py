"""What the runner does with what it is told."""

from __future__ import annotations

from mta.base import clock
from mta.proc.control import Arrived
from mta.proc.runner import SCAN_SECONDS, Runner
from mta.proc.schedule import Schedule

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
