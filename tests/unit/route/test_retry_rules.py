"""The retry section says how often and for how long to try."""

from __future__ import annotations

import errno

import pytest

from mta.base.errors import ConfigError, Where
from mta.config.line import Line
from mta.expand.context import Context
from mta.hints.retry import Record
from mta.lookup.api import Tables
from mta.route import retry_rules
from mta.route.retry_rules import Failure, Next, RetryRules, parse_line
from tests.unit.route.conftest import configuration

HOUR = 3600
DAY = 24 * HOUR
NOW = 1_700_000_000


def rules(*lines: str) -> RetryRules:
    parsed = tuple(parse_line(Line(line, Where("mta.conf", 1))) for line in lines)
    return RetryRules(parsed, DAY)


def found(lines: list[str], key: str, failure: Failure, alternative: str = "") -> str | None:
    ctx = Context(configuration("primary_hostname = x.example"), Tables())
    line = rules(*lines).find(ctx, key, failure, alternative)
    return line.pattern.text if line else None


REFUSED = Failure(errno.ECONNREFUSED)


@pytest.mark.parametrize(
    ("lines", "key", "expected"),
    [
        (["* * F,1h,1m"], "x.example", "*"),
        (["x.example * F,1h,1m"], "x.example", "x.example"),
        (["x.example * F,1h,1m"], "a@x.example", "x.example"),
        (["*.example * F,1h,1m"], "x.example", "*.example"),
        (["a@x.example * F,1h,1m", "* * F,1h,1m"], "b@x.example", "*"),
        (["a@x.example * F,1h,1m", "* * F,1h,1m"], "a@x.example", "a@x.example"),
        (["y.example * F,1h,1m"], "x.example", None),
        (["* timeout F,1h,1m"], "x.example", None),
        (["* refused F,1h,1m"], "x.example", "*"),
        (["* refused_A F,1h,1m"], "x.example", "*"),
        (["* refused_MX F,1h,1m"], "x.example", None),
    ],
)
def test_the_first_line_that_fits_counts(
    lines: list[str], key: str, expected: str | None
) -> None:
    assert found(lines, key, REFUSED) == expected


def test_a_host_may_be_found_by_the_domain() -> None:
    assert found(["x.example * F,1h,1m"], "mx.other", REFUSED, "x.example") == "x.example"


@pytest.mark.parametrize(
    ("name", "failure", "fits"),
    [
        ("rcpt_4xx", Failure(-44, "450"), True),
        ("rcpt_45x", Failure(-44, "451"), True),
        ("rcpt_452", Failure(-44, "451"), False),
        ("mail_4xx", Failure(-44, "450"), False),
        ("data_451", Failure(-46, "451"), True),
        ("lost_connection", Failure(-18), True),
        ("quota", Failure(-22), True),
        ("quota_7d", Failure(-22), False),
        ("quota_7d", Failure(-22, unread=7 * DAY + 1), True),
        ("quota_7d", Failure(-22, unread=7 * DAY), False),
        ("refused_MX", Failure(errno.ECONNREFUSED, from_mx=True), True),
        ("refused_A", Failure(errno.ECONNREFUSED, from_mx=True), False),
        ("timeout_connect", Failure(errno.ETIMEDOUT), False),
        ("timeout_connect_MX", Failure(-43, from_mx=True), True),
        ("timeout_MX", Failure(errno.ETIMEDOUT, from_mx=True), True),
        ("timeout", Failure(errno.ETIMEDOUT), True),
        ("timeout_connect", Failure(-43), True),
        ("lookup", Failure(-36), True),
        ("auth_failed", Failure(-42), True),
        ("tls_required", Failure(-38), True),
    ],
)
def test_error_names(name: str, failure: Failure, fits: bool) -> None:
    assert retry_rules.matches_error(name, failure) is fits


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("*", "begins with a pattern and an error name"),
        ("* timout F,1h,1m", "did you mean 'timeout'?"),
        ("* * Q,1h,1m", "begins with none of F, G and H"),
        ("* * F,1h", "write F,time,interval"),
        ("* * G,1h,1m", "write G,time,interval,factor"),
        ("* * G,1h,1m,0.5", "factor >= 1"),
        ("* * F,1h,0s", "times above 0"),
        ("* * F,1x,1m", "is not a time"),
    ],
)
def test_a_bad_line_is_refused(line: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        rules(line)
    assert message in str(caught.value)


def following(text: str, record: Record | None, *, received: int = NOW) -> Next:
    chain = rules(f"* * {text}")
    return chain.next(chain.lines[0], record, NOW, received, is_host=True)


def record(first: int, last: int, gap: int) -> Record:
    """Failing since `first`, tried `last` seconds ago, to be tried `gap` after that."""
    return Record("R:x", NOW - first, NOW - last, NOW - last + gap)


def test_f_waits_always_the_same_time() -> None:
    assert following("F,2h,15m", None) == Next(NOW + 900, expired=False, timed_out=False)
    assert following("F,2h,15m", record(HOUR, 900, 900)).at == NOW + 900


def test_g_waits_longer_each_time() -> None:
    assert following("G,16h,1h,1.5", None).at == NOW + HOUR
    assert following("G,16h,1h,1.5", record(HOUR, HOUR, HOUR)).at == NOW + 5400
    assert following("G,16h,1h,1.5", record(3 * HOUR, 5400, 5400)).at == NOW + 8100


def test_h_waits_a_random_time_that_may_grow() -> None:
    for _ in range(20):
        at = following("H,16h,1h,2", record(HOUR, HOUR, HOUR)).at
        assert NOW + HOUR * 3 // 2 <= at <= NOW + 2 * HOUR


def test_a_rule_gives_way_to_the_next_after_its_time() -> None:
    text = "F,2h,15m; G,16h,1h,1.5; F,4d,6h"
    assert following(text, record(2 * HOUR, 900, 900)).at == NOW + 900
    assert following(text, record(3 * HOUR, 900, 900)).at == NOW + HOUR
    assert following(text, record(20 * HOUR, 4 * HOUR, 4 * HOUR)).at == NOW + 6 * HOUR


def test_no_interval_is_longer_than_retry_interval_max() -> None:
    assert following("G,90d,1h,9", record(10 * DAY, 20 * HOUR, 20 * HOUR)).at == NOW + DAY


def test_after_the_last_rule_a_destination_has_expired() -> None:
    expected = Next(NOW + 6 * HOUR, expired=True, timed_out=True)
    assert following("F,2h,15m; F,4d,6h", record(5 * DAY, 6 * HOUR, 6 * HOUR)) == expected


def test_an_old_message_has_had_its_time_even_if_others_got_through() -> None:
    expected = Next(NOW, expired=False, timed_out=True)
    assert following("F,4d,6h", record(HOUR, HOUR, HOUR), received=NOW - 5 * DAY) == expected


def test_what_is_the_messages_own_fault_has_failed_since_it_came() -> None:
    chain = rules("* * F,2h,15m; F,4d,6h")
    known, came = record(HOUR, 900, 900), NOW - 3 * HOUR
    assert chain.next(chain.lines[0], known, NOW, came).at == NOW + 6 * HOUR
    assert chain.next(chain.lines[0], known, NOW, came, is_host=True).at == NOW + 900


@pytest.mark.parametrize(
    "failure",
    [
        Failure(errno.ECONNREFUSED),
        Failure(errno.ECONNREFUSED, from_mx=True),
        Failure(-44, "452"),
        Failure(-22, unread=86400),
    ],
)
def test_a_record_keeps_what_rules_ask_of(failure: Failure) -> None:
    kept = Record("R:x", NOW, NOW, NOW, code=failure.code, detail=failure.detail)
    assert retry_rules.failure_of(kept) == failure


def test_without_a_rule_there_is_one_try() -> None:
    assert rules().next(None, None, NOW, NOW) == Next(NOW, expired=True, timed_out=True)
    assert following("", None) == Next(NOW, expired=True, timed_out=True)
