"""Log lines, octet for octet as Exim writes them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mta.log import events
from mta.log.sink import Log, open_log


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return open_log(str(tmp_path / "%slog"))


def lines(log: Log) -> list[str]:
    text = os.read(os.open(f"/proc/self/fd/{log.main_fd}", os.O_RDONLY), 65536).decode()
    return [line[20:] for line in text.split("\n") if line]


def test_a_deferral_by_the_system_names_it_before_the_host(log: Log) -> None:
    text = events.deferral(
        "a@b.test",
        "Connection refused",
        router="r",
        transport="t",
        host="h.test [192.0.2.1]",
        code=errno.ECONNREFUSED,
    )
    events.deferred(log, "ID", text)
    assert lines(log) == [
        "ID == a@b.test R=r T=t defer (111): Connection refused H=h.test [192.0.2.1]"
    ]


def test_a_deferral_by_the_host_says_so_behind_its_name(log: Log) -> None:
    text = events.deferral(
        "a@b.test", "SMTP error: 450 later", host="h.test [192.0.2.1]", code=-46
    )
    events.deferred(log, "ID", text)
    assert lines(log) == [
        "ID == a@b.test defer (-46) H=h.test [192.0.2.1]: SMTP error: 450 later"
    ]


def test_a_time_out_names_what_was_waited_for(log: Log) -> None:
    text = "SMTP timeout after initial connection"
    events.host_failed(log, "ID", "h [192.0.2.1]", text, code=errno.ETIMEDOUT)
    assert lines(log) == [
        "ID H=h [192.0.2.1]: SMTP timeout after initial connection: Connection timed out"
    ]


def test_a_stranger_cannot_begin_a_line(log: Log) -> None:
    events.received(
        log, "ID", "a\n2026-01-01 00:00:00 ID2 <= forged@x", protocol="smtp", size=1
    )
    assert lines(log) == ["ID <= a\\n2026-01-01 00:00:00 ID2 <= forged@x P=smtp S=1"]


def test_a_client_is_shown_without_what_is_not_known() -> None:
    assert events.client("", "", "192.0.2.1") == "[192.0.2.1]"
    assert events.client("", "x.test", "192.0.2.1") == "(x.test) [192.0.2.1]"
    assert events.client("X.test", "x.TEST", "192.0.2.1", 25) == "X.test [192.0.2.1]:25"


def test_who_has_proved_who_he_is_stands_before_the_size_and_the_confirmation(
    log: Log,
) -> None:
    who = events.authenticated("plain", "user", "boss@x.test")
    events.received(log, "ID", "a@b.test", host="[192.0.2.1]", protocol="esmtpa", size=1)
    events.received(log, "ID", "a@b.test", protocol="esmtpa", size=1, authenticated=who)
    events.delivered(
        log,
        "ID",
        "a@b.test",
        router="r",
        transport="t",
        host="h [192.0.2.1]",
        authenticated=events.authenticated("plain", ""),
        confirmation="250 ok",
    )
    assert lines(log) == [
        "ID <= a@b.test H=[192.0.2.1] P=esmtpa S=1",
        "ID <= a@b.test P=esmtpa A=plain:user:boss@x.test S=1",
        'ID => a@b.test R=r T=t H=h [192.0.2.1] A=plain C="250 ok"',
    ]


def test_nobody_is_shown_where_nobody_has_authenticated() -> None:
    assert events.authenticated("", "user", "boss@x.test") == ""
