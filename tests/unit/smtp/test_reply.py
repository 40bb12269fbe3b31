"""Replies: how they are written and what is believed of a server's."""

from __future__ import annotations

import pytest

from mta.base.errors import ProtocolError
from mta.smtp.reply import ServerReply, receive, reply
from mta.smtp.wire import Wire
from tests.unit.smtp.test_wire import Script


def test_a_reply_is_made_in_both_forms() -> None:
    made = reply(250, "2.1.0", "OK")
    assert made.plain == b"250 OK\r\n"
    assert made.enhanced == b"250 2.1.0 OK\r\n"


def test_each_line_carries_code_and_status() -> None:
    made = reply(550, "5.7.1", "no\nnever")
    assert made.plain == b"550-no\r\n550 never\r\n"
    assert made.enhanced == b"550-5.7.1 no\r\n550 5.7.1 never\r\n"


def test_no_text_can_begin_a_line_of_its_own() -> None:
    assert reply(550, "", "a\r250 OK\0\x1b[2J").plain == b"550 a\\r250 OK\\000\\033[2J\r\n"


def test_long_text_is_spread_over_lines() -> None:
    octets = reply(550, "", "x" * 1000).plain
    assert octets == b"550-%b\r\n550-%b\r\n550 %b\r\n" % (b"x" * 480, b"x" * 480, b"x" * 40)


def answered(octets: bytes) -> ServerReply | None:
    return receive(Wire(Script(octets), 5.0))


def test_a_reply_of_several_lines_is_read() -> None:
    assert answered(b"250-a\r\n250-b\r\n250 c\r\n") == ServerReply(250, (b"a", b"b", b"c"))


def test_a_reply_without_text_is_read() -> None:
    assert answered(b"220\r\n") == ServerReply(220, (b"",))


def test_the_end_of_input_is_no_reply() -> None:
    assert answered(b"250-a\r\n") is None


@pytest.mark.parametrize(
    "octets",
    [b"OK\r\n", b"25 x\r\n", b"250x\r\n", b"250-a\r\n550 b\r\n", b"250-x\r\n" * 200, b"\r\n"],
)
def test_garbage_is_refused(octets: bytes) -> None:
    with pytest.raises(ProtocolError):
        answered(octets)


def test_a_reply_without_end_is_bounded_in_octets() -> None:
    with pytest.raises(ProtocolError):
        answered((b"250-" + b"x" * 2000 + b"\r\n") * 50)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"5.1.1 no such user", "5.1.1"),
        (b"no status", ""),
        (b"5.1 x", ""),
        (b"3.1.1 x", ""),
        (b"5.1.\xb2 x", ""),
        (b"5.1234.1 x", ""),
    ],
)
def test_the_enhanced_status_code_is_found(line: bytes, status: str) -> None:
    assert ServerReply(550, (line,)).status == status
