"""Frozen messages: who thaws them, when they are given up, and who is told."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mta.spool.envelope import Recipient
from tests.unit.deliver.conftest import CONFIGURATION, NOW, House, configuration

HOUR = 3600


def with_options(house: House, *lines: str) -> None:
    house.conf = configuration("\n".join(lines) + CONFIGURATION)


def test_a_queue_run_says_that_it_is_frozen(house: House) -> None:
    message = house.put("a@local.example", frozen_at=int(NOW))
    assert house.attempt(message, queue_run=True).state == "frozen"
    assert house.attempt(message, force=True).state == "frozen"
    assert house.lines() == [f"{message} Message is frozen"] * 2


def test_a_forced_delivery_thaws(house: House) -> None:
    message = house.put("a@local.example", "wait@special.example", frozen_at=int(NOW))
    assert house.attempt(message, force=True, thaw=True).state == "deferred"
    assert house.lines()[0] == f"{message} Unfrozen by forced delivery"
    envelope = house.envelope(message)
    assert (envelope.frozen_at, envelope.manual_thaw) == (0, True)


@pytest.mark.parametrize(
    ("sender", "hours", "state"),
    [("s@sender.example", 1, "frozen"), ("s@sender.example", 3, "done"), ("", 3, "frozen")],
)
def test_auto_thaw_is_for_messages_with_a_sender(
    house: House, clock: Callable[[float], None], sender: str, hours: int, state: str
) -> None:
    with_options(house, "auto_thaw = 2h")
    message = house.put("a@local.example", sender=sender, frozen_at=int(NOW))
    clock(hours * HOUR)
    assert house.attempt(message, queue_run=True).state == state
    said = f"{message} Unfrozen by auto-thaw" in house.lines()
    assert said is (state == "done")


def test_the_time_of_the_thaw_is_known(house: House) -> None:
    with_options(house, "auto_thaw = 2h")
    message = house.put("a@local.example", frozen_at=int(NOW))
    assert house.attempt(message, queue_run=True).next_try == NOW + 2 * HOUR + 1


def test_an_old_bounce_is_thawed_tried_and_dropped(
    house: House, clock: Callable[[float], None]
) -> None:
    with_options(house, "ignore_bounce_errors_after = 2h")
    message = house.put("bad@special.example", sender="")
    assert house.attempt(message).state == "frozen"
    clock(3 * HOUR)
    assert house.attempt(message, queue_run=True).state == "done"
    assert house.lines() == [
        f"{message} ** bad@special.example R=special: no such person",
        f"{message} Frozen (delivery error message)",
        f"{message} Unfrozen by errmsg timer",
        f"{message} ** bad@special.example R=special: no such person",
        f"{message} bad@special.example: error ignored",
        f"{message} Completed",
    ]


def test_what_is_frozen_for_too_long_is_returned(
    house: House, clock: Callable[[float], None]
) -> None:
    with_options(house, "timeout_frozen_after = 2h")
    message = house.put("wait@special.example", "a@local.example", frozen_at=int(NOW))
    clock(3 * HOUR)
    report = house.attempt(message, queue_run=True)
    (bounce,) = report.bounces
    assert report.state == "done"
    assert house.left() == [bounce]
    assert house.lines()[-2:] == [
        f"{message} cancelled by timeout_frozen_after",
        f"{message} Completed",
    ]
    assert "failed:\n\n  wait@special.example\n  a@local.example\n\n--" in house.body(bounce)


def test_a_bounce_that_is_frozen_for_too_long_is_dropped(
    house: House, clock: Callable[[float], None]
) -> None:
    with_options(house, "timeout_frozen_after = 2h")
    message = house.put("bad@special.example", sender="", frozen_at=int(NOW))
    clock(3 * HOUR)
    assert house.attempt(message, queue_run=True).bounces == ()
    assert house.left() == []


def test_freeze_tell(house: House) -> None:
    with_options(house, "freeze_tell = admin@local.example, boss@local.example")
    message = house.put("bad@special.example", sender="")
    (notice,) = house.attempt(message).bounces
    envelope = house.envelope(notice)
    assert envelope.recipients == (
        Recipient("admin@local.example"),
        Recipient("boss@local.example"),
    )
    assert b"Subject: Message frozen\n" in [each.text for each in envelope.headers]
    assert house.body(notice) == (
        f"Message {message} has been frozen (delivery error message).\n"
        "The sender is <>.\n\n"
        "The following address(es) have yet to be delivered:\n"
        "  bad@special.example: no such person\n\n"
    )


def test_its_own_log_says_so(house: House) -> None:
    from mta.spool import msglog

    message = house.put("bad@special.example", sender="")
    house.attempt(message)
    lines = (msglog.read(house.spool, message) or b"").decode().split("\n")
    assert [line[20:] for line in lines[1:3]] == [
        "bad@special.example R=special: no such person",
        "*** Frozen (delivery error message)",
    ]


def test_only_local_deliveries(house: House) -> None:
    message = house.put("a@local.example", "x@a.far.example")
    assert house.attempt(message, queue_run=True, only="l").state == "deferred"
    assert house.lines()[-1] == (
        f"{message} == x@a.far.example R=remote T=smtp defer (-55): "
        "remote deliveries suppressed"
    )
    assert house.hints.everything() == []


def test_only_what_was_never_tried(house: House) -> None:
    message = house.put("wait@special.example")
    assert house.attempt(message, queue_run=True, only="i").state == "deferred"
    assert house.attempt(message, queue_run=True, only="i").state == "skipped"
    assert len(house.lines()) == 1
