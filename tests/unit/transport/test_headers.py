"""Tests of the headers that a delivery adds and removes."""

from __future__ import annotations

import pytest

from mta.base.errors import TempFail
from mta.transport import headers


def test_the_trace_headers_stand_in_exims_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        headers.date, "rfc5322", lambda when: "Mon, 23 Nov 2026 15:07:01 +0000"
    )
    assert headers.trace(
        return_path="a@x", envelope_to=["b@y", "c@y", "b@y"], delivered=1.0
    ) == (
        b"Return-path: <a@x>\n"
        b"Envelope-to: b@y,\n c@y\n"
        b"Delivery-date: Mon, 23 Nov 2026 15:07:01 +0000\n"
    )


def test_the_null_sender_has_an_empty_return_path() -> None:
    assert headers.trace(return_path="") == b"Return-path: <>\n"


def test_without_any_there_is_nothing() -> None:
    assert headers.trace(return_path=None) == b""


def test_an_address_cannot_begin_a_header() -> None:
    assert headers.trace(return_path="a\nBcc: b@y") == b"Return-path: <aBcc: b@y>\n"


BLOCK = b"Bcc: a@x\nSubject: one\n\ttwo\nX-Spam: 1\nX-Spam-Score : 2\nTo: b@y\n"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("bcc", b"Subject: one\n\ttwo\nX-Spam: 1\nX-Spam-Score : 2\nTo: b@y\n"),
        ("SUBJECT : bcc", b"X-Spam: 1\nX-Spam-Score : 2\nTo: b@y\n"),
        ("X-Spam", b"Bcc: a@x\nSubject: one\n\ttwo\nX-Spam-Score : 2\nTo: b@y\n"),
        ("x-spam*\nTo", b"Bcc: a@x\nSubject: one\n\ttwo\n"),
        ("", BLOCK),
        (" : ", BLOCK),
    ],
)
def test_headers_are_removed_by_name(text: str, left: bytes) -> None:
    assert headers.without(BLOCK, headers.names(text)) == left


@pytest.mark.parametrize(
    ("text", "added"),
    [
        ("X-A: 1", b"X-A: 1\n"),
        ("X-A: 1\nX-B: 2\n", b"X-A: 1\nX-B: 2\n"),
        ("X-A: 1\n continued", b"X-A: 1\n continued\n"),
        ("X-A: 1\n\nbody", b"X-A: 1\n\tbody\n"),
        ("X-A: 1\r\n\r\nbody\r.", b"X-A: 1\n\tbody\n\t.\n"),
        ("", b""),
        ("\n", b""),
    ],
)
def test_added_lines_can_only_be_headers(text: str, added: bytes) -> None:
    assert headers.lines(text, "headers_add of t transport") == added


def test_an_addition_that_is_no_header_is_refused_by_name() -> None:
    with pytest.raises(TempFail, match='headers_add of t transport: "body" is not a header'):
        headers.lines("body", "headers_add of t transport")
