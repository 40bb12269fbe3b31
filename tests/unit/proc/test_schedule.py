"""Whose turn it is."""

from __future__ import annotations

from mta.proc.schedule import Schedule


def due(schedule: Schedule, message_id: str, sender: str, destination: str) -> None:
    schedule.make_due(schedule.add(message_id, sender, destination))


def order(schedule: Schedule, most: int) -> list[str]:
    taken = []
    while (entry := schedule.take(most)) is not None:
        taken.append(entry.message_id)
        schedule.finish(entry)
        schedule.forget(entry)
    return taken


def test_destinations_take_turns() -> None:
    schedule = Schedule()
    for number in range(3):
        due(schedule, f"a{number}", "s", "a.example")
    due(schedule, "b0", "s", "b.example")
    assert order(schedule, 4) == ["a0", "b0", "a1", "a2"]


def test_senders_to_one_destination_take_turns() -> None:
    schedule = Schedule()
    for number in range(3):
        due(schedule, f"bulk{number}", "bulk@example", "a.example")
    due(schedule, "one", "person@example", "a.example")
    assert order(schedule, 4) == ["bulk0", "one", "bulk1", "bulk2"]


def test_a_slow_destination_leaves_room_for_others() -> None:
    schedule = Schedule()
    for number in range(10):
        due(schedule, f"slow{number}", "s", "slow.example")
    due(schedule, "quick", "s", "quick.example")
    taken = [schedule.take(4), schedule.take(4), schedule.take(4)]
    assert [each.message_id for each in taken if each] == ["slow0", "quick", "slow1"]


def test_a_destination_that_is_alone_may_have_everything() -> None:
    schedule = Schedule()
    for number in range(4):
        due(schedule, f"a{number}", "s", "a.example")
    assert [each.message_id for _ in range(4) if (each := schedule.take(4))] == [
        "a0",
        "a1",
        "a2",
        "a3",
    ]


def test_a_message_under_way_is_not_taken_twice() -> None:
    schedule = Schedule()
    due(schedule, "a", "s", "d")
    entry = schedule.take(4)
    assert entry is not None
    schedule.make_due(entry)
    assert schedule.take(4) is None


def test_a_forced_try_of_a_message_under_way_is_remembered() -> None:
    schedule = Schedule()
    due(schedule, "a", "s", "d")
    entry = schedule.take(4)
    assert entry is not None
    schedule.make_due(entry, force=True)
    assert entry.again


def test_a_message_waits_until_its_time() -> None:
    schedule = Schedule()
    entry = schedule.add("a", "s", "d")
    schedule.wait(entry, 100.0)
    schedule.advance(99.0)
    assert schedule.take(4) is None
    schedule.advance(100.0)
    assert schedule.take(4) is entry


def test_a_later_time_replaces_an_earlier_one() -> None:
    schedule = Schedule()
    entry = schedule.add("a", "s", "d")
    schedule.wait(entry, 100.0)
    schedule.wait(entry, 200.0)
    schedule.advance(150.0)
    assert schedule.take(4) is None
    assert schedule.next_time() == 200.0


def test_nothing_is_kept_of_destinations_that_are_done() -> None:
    schedule = Schedule()
    for number in range(100):
        due(schedule, f"m{number}", "s", f"d{number}")
    order(schedule, 4)
    assert schedule.entries == {}
    assert not schedule._lines


def test_a_message_that_is_removed_while_its_turn_comes_is_not_tried() -> None:
    schedule = Schedule()
    for message_id in ("a", "b"):
        due(schedule, message_id, "s", "d")
    schedule.forget(schedule.entries["a"])
    assert schedule.due == 1
    assert order(schedule, 4) == ["b"]
    assert schedule.due == 0
    assert not schedule._lines


def test_a_message_that_comes_back_has_one_place_in_the_line() -> None:
    schedule = Schedule()
    due(schedule, "a", "s", "d")
    schedule.forget(schedule.entries["a"])
    due(schedule, "a", "s", "d")
    assert order(schedule, 4) == ["a"]
    assert schedule.due == 0


def test_queue_runs_leave_one_time_for_each_message() -> None:
    schedule = Schedule()
    entry = schedule.add("a", "s", "d")
    for _ in range(5000):
        schedule.wait(entry, 1e9)
    assert len(schedule._heap) <= 1003
    schedule.advance(1e9)
    assert order(schedule, 4) == ["a"]
