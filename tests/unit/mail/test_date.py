"""Dates in headers and logs, in whatever zone we live."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from mta.mail.date import log_stamp, rfc5322


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("zone", ["UTC"], indirect=True)
def test_a_date_in_utc(zone: None) -> None:
    assert rfc5322(1795446421.9) == "Mon, 23 Nov 2026 15:07:01 +0000"
    assert log_stamp(1795446421.9) == "2026-11-23 15:07:01"


@pytest.mark.parametrize("zone", ["NST3:30"], indirect=True)
def test_a_date_west_of_greenwich(zone: None) -> None:
    assert rfc5322(1795446421) == "Mon, 23 Nov 2026 11:37:01 -0330"


@pytest.mark.parametrize("zone", ["IST-5:30"], indirect=True)
def test_a_date_east_of_greenwich(zone: None) -> None:
    assert rfc5322(1795446421) == "Mon, 23 Nov 2026 20:37:01 +0530"
    assert log_stamp(1795446421) == "2026-11-23 20:37:01"
