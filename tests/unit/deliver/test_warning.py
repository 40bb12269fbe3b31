"""Senders are told of delays at Exim's times, in Exim's words, and of nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from mta.deliver import warning
from mta.spool.envelope import DSN_DELAY, DSN_FAILURE, Recipient
from tests.unit.deliver.conftest import CONFIGURATION, House, configuration
from tests.unit.deliver.test_message import FULL

HOUR, DAY = 3600, 86400
LONG_RULE = CONFIGURATION.replace("* * F,1h,10m", "* * F,30d,10m")


@pytest.fixture(autouse=True)
def _patient(house: House) -> None:
    house.conf = configuration(LONG_RULE)


def with_options(house: House, *lines: str) -> None:
    house.conf = configuration("\n".join(lines) + LONG_RULE)


@pytest.mark.parametrize(
    ("times", "age", "expected"),
    [
        ((DAY,), DAY - 1, (0, 0)),
        ((DAY,), DAY, (1, DAY)),
        # After the last one again and again, in its gap.
        ((DAY,), 2 * DAY, (2, 2 * DAY)),
        ((HOUR, 4 * HOUR, 8 * HOUR), 20_000, (2, 4 * HOUR)),
        ((HOUR, 4 * HOUR, 8 * HOUR), 60_000, (5, 16 * HOUR)),
        ((), 30 * DAY, (0, 0)),
    ],
)
def test_how_many_warnings_are_due(
    times: tuple[int, ...], age: int, expected: tuple[int, int]
) -> None:
    assert warning.due(times, age) == expected


@pytest.mark.parametrize(
    ("delay", "age", "words"),
    [(3600, 7199, "60 minutes"), (3600, 7200, "1 hours"), (DAY, 90_000, "24 hours")],
)
def test_a_delay_in_words(delay: int, age: int, words: str) -> None:
    assert warning.in_words(delay, age) == words


def test_the_sender_is_told_once_for_each_time(
    house: House, clock: Callable[[float], None]
) -> None:
    message = house.put("wait@special.example")
    told = []
    for hours in (1, 23, 25, 26, 47, 49):
        clock(hours * HOUR)
        told.append(len(house.attempt(message).bounces))
    assert told == [0, 0, 1, 0, 0, 1]
    assert house.envelope(message).warning_count == 2


def test_the_words_are_exims(house: House, clock: Callable[[float], None]) -> None:
    message = house.put("wait@special.example")
    clock(25 * HOUR)
    (notice,) = house.attempt(message).bounces
    envelope = house.envelope(notice)
    assert (envelope.sender, envelope.recipients) == ("", (Recipient("s@sender.example"),))
    subject = next(each for each in envelope.headers if each.name == b"subject")
    assert subject.text == f"Subject: Warning: message {message} delayed 24 hours\n".encode()
    body = re.sub(r"\d+-eximdsn-\d+", "B", house.body(notice))
    assert (
        body
        == f"""--B
Content-type: text/plain; charset=us-ascii

This message was created automatically by mail delivery software.
A message that you sent has not yet been delivered to one or more of its
recipients after more than 24 hours on the queue on mx.example.

The message identifier is:     {message}
The subject of the message is: hello

The address to which the message has not yet been delivered is:

  wait@special.example
    Delay reason: try later

No action is required on your part. Delivery attempts will continue for
some time, and this warning may be repeated at intervals if the message
remains undelivered. Eventually the mail delivery software will give up,
and when that happens, the message will be returned to you.

--B
Content-type: message/delivery-status

Reporting-MTA: dns; mx.example

Action: delayed
Final-Recipient: rfc822;wait@special.example
Status: 4.0.0

--B
Content-type: text/rfc822-headers

Return-path: <s@sender.example>
Received: by mx.example
From: s@sender.example
Subject: hello
Message-ID: <m1@x>


--B--
"""
    )
    assert f"{notice} <= <> R={message} U=" in "\n".join(house.lines())


def test_a_bounce_that_waits_is_no_news_for_anybody(
    house: House, clock: Callable[[float], None]
) -> None:
    message = house.put("wait@special.example", sender="")
    clock(25 * HOUR)
    assert house.attempt(message).bounces == ()


def test_where_nothing_was_tried_there_is_no_news(
    house: House, clock: Callable[[float], None]
) -> None:
    message = house.put("wait@special.example")
    clock(DAY - 60)
    house.attempt(message)
    clock(DAY + 60)  # the retry time has not come
    assert house.attempt(message, queue_run=True).bounces == ()
    clock(DAY + 700)
    assert len(house.attempt(message, queue_run=True).bounces) == 1


@pytest.mark.parametrize(
    ("flags", "told"), [(0, 1), (DSN_DELAY, 1), (DSN_FAILURE, 0), (DSN_DELAY | DSN_FAILURE, 1)]
)
def test_who_asked_for_other_notices_gets_none(
    house: House, clock: Callable[[float], None], flags: int, told: int
) -> None:
    message = house.put(recipients=(Recipient("wait@special.example", dsn_flags=flags),))
    clock(25 * HOUR)
    assert len(house.attempt(message).bounces) == told


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("delay_warning =", 0),
        ("delay_warning = 0s", 0),
        ("delay_warning = 2d", 0),
        ("delay_warning = 1h:2h", 1),
        ("delay_warning_condition = no", 0),
        ("delay_warning_condition = ${if eq{$h_subject:}{hello}{yes}{no}}", 1),
        ("delay_warning_condition = ${if eq{$h_subject:}{other}{yes}{no}}", 0),
        ("delay_warning_condition = ${nosuch}", 0),
    ],
)
def test_options_decide(
    house: House, clock: Callable[[float], None], option: str, told: int
) -> None:
    with_options(house, option)
    message = house.put("wait@special.example")
    clock(25 * HOUR)
    assert len(house.attempt(message).bounces) == told


def test_lists_and_robots_are_not_warned(house: House, clock: Callable[[float], None]) -> None:
    from mta.mail.header import parse_block

    for line in (b"List-Id: <x>\n", b"Precedence: bulk\n", b"Auto-Submitted: auto-replied\n"):
        message = house.put("wait@special.example", headers=tuple(parse_block(line)[0]))
        clock(25 * HOUR)
        assert house.attempt(message).bounces == (), line
        clock(1)


def test_an_administrator_may_write_his_own_text(
    house: House, clock: Callable[[float], None], tmp_path: Path
) -> None:
    text = tmp_path / "warn"
    text.write_text(
        "Subject: Late: $warn_message_delay\nX-Mine: yes\n****\n"
        "Hello $warn_message_recipients,\nlate by $warn_message_delay\n\n****\n"
        "Good bye $message_id.\n****\n"
    )
    with_options(house, f"warn_message_file = {text}", "errors_reply_to = help@x.example")
    message = house.put("wait@special.example")
    clock(25 * HOUR)
    (notice,) = house.attempt(message).bounces
    headers = b"".join(each.text for each in house.envelope(notice).headers).decode()
    assert "Reply-To: help@x.example\n" in headers
    assert "Subject: Late: 24 hours\nX-Mine: yes\n" in headers
    assert (
        "\n\nHello s@sender.example,\nlate by 24 hours\n\n  wait@special.example\n"
        f"    Delay reason: try later\n\nGood bye {message}.\n\n--"
    ) in house.body(notice)


def test_without_its_file_the_usual_text_is_sent(
    house: House, clock: Callable[[float], None]
) -> None:
    with_options(house, "warn_message_file = /nonexistent/warn")
    message = house.put("wait@special.example")
    clock(25 * HOUR)
    (notice,) = house.attempt(message).bounces
    assert "has not yet been delivered" in house.body(notice)
    assert "Failed to open /nonexistent/warn for warn_message_file" in "".join(
        house.lines("panic")
    )


def test_somebody_else_may_be_told_too(house: House, clock: Callable[[float], None]) -> None:
    owned = "driver = accept\nerrors_to = owner@local.example\n"
    house.conf = configuration(LONG_RULE.replace("driver = accept\n", owned))
    message = house.put("wait@special.example", "a@local.example")
    house.workers.answers = {"a@local.example": FULL}
    clock(25 * HOUR)
    (notice,) = house.attempt(message).bounces
    assert [to.address for to in house.envelope(notice).recipients] == [
        "s@sender.example",
        "owner@local.example",
    ]
    body = house.body(notice)
    assert "A message sent by\n\n  <s@sender.example>\n\nhas not yet been delivered" in body
    assert "The addresses to which the message has not yet been delivered are:\n" in body
