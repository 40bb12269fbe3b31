"""The wire: where lines end, what is refused, when output goes out."""

from __future__ import annotations

import pytest

from mta.smtp.wire import BARE_CR, BARE_LF, HELD_BACK, TOO_LONG, BadLine, Wire


class Script:
    """A stream that gives what it was told to, piece by piece, and notes what is written."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)
        self.written: list[bytes] = []
        self.largest = 0

    def set_timeout(self, seconds: float) -> None:
        self.timeout = seconds

    def read(self, size: int) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""

    def write(self, octets: bytes) -> None:
        self.written.append(octets)

    def readable(self) -> bool:
        return bool(self.pieces)

    def wait(self, seconds: float) -> None:
        self.waited = seconds

    def close(self) -> None:
        self.pieces = []


def lines(*pieces: bytes, limit: int = 20, lenient: bool = False) -> list[bytes | str]:
    """All lines, with the reason in place of one that cannot be used."""
    wire = Wire(Script(*pieces), 5.0, lenient=lenient)
    found: list[bytes | str] = []
    while True:
        try:
            line = wire.line(limit)
        except BadLine as error:
            found.append(error.reason)
            continue
        if line is None:
            return found
        found.append(line)


def test_lines_end_at_crlf_wherever_the_packets_end() -> None:
    text = b"EHLO x\r\n\r\nQUIT\r\n"
    whole = lines(text)
    assert whole == [b"EHLO x", b"", b"QUIT"]
    for cut in range(1, len(text)):
        assert lines(text[:cut], text[cut:]) == whole


def test_every_octet_in_a_packet_of_its_own() -> None:
    text = b"NOOP\r\nRSET\r\n"
    assert lines(*[text[at : at + 1] for at in range(len(text))]) == [b"NOOP", b"RSET"]


def test_a_line_without_its_end_is_no_line() -> None:
    assert lines(b"QUIT\r\nRSET") == [b"QUIT"]
    assert lines(b"QUIT\r") == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"A\nB\r\nC\r\n", [BARE_LF, b"C"]),
        (b"\nB\r\nC\r\n", [BARE_LF, b"C"]),
        (b"A\rB\r\nC\r\n", [BARE_CR, b"C"]),
        (b"A\r\r\nC\r\n", [BARE_CR, b"C"]),
        (b"A\n\r\nC\r\n", [BARE_LF, b"C"]),
        (b"A\r\n\nC\r\nD\r\n", [b"A", BARE_LF, b"D"]),
    ],
)
def test_bare_line_ends_are_refused_with_the_whole_line(
    text: bytes, found: list[bytes | str]
) -> None:
    assert lines(text) == found


def test_what_follows_a_bare_lf_is_refused_though_it_comes_later() -> None:
    assert lines(b"A\n", b"B\r\n", b"C\r\n") == [BARE_LF, BARE_LF, b"C"]
    assert lines(b"A\n", b"B\n", b"C\r\n", b"D\r\n") == [BARE_LF, BARE_LF, BARE_LF, b"D"]


def test_a_lenient_wire_takes_either_end() -> None:
    assert lines(b"A\nB\r\nC\n", lenient=True) == [b"A", b"B", b"C"]


def test_a_line_may_be_as_long_as_the_limit_and_no_longer() -> None:
    assert lines(b"x" * 20 + b"\r\n") == [b"x" * 20]
    assert lines(b"x" * 21 + b"\r\nA\r\n") == [TOO_LONG, b"A"]


def test_a_line_that_is_far_too_long_is_dropped_to_its_end() -> None:
    pieces = [b"x" * 1000] * 50 + [b"x\r", b"\nA\r\n"]
    assert lines(*pieces) == [TOO_LONG, b"A"]


def test_a_long_line_ends_at_crlf_only() -> None:
    assert lines(b"x" * 100, b"y\nz", b"w\r\nA\r\n") == [TOO_LONG, b"A"]


def test_a_long_line_takes_no_memory() -> None:
    wire = Wire(Script(*[b"x" * 65536] * 100), 5.0)
    with pytest.raises(BadLine):
        wire.line(100)
    assert len(wire._buffer) <= 2 * 65536


def test_output_is_held_until_input_is_needed() -> None:
    stream = Script(b"A\r\nB\r\n", b"C\r\n")
    wire = Wire(stream, 5.0)
    wire.line(10)
    wire.send(b"1\r\n")
    wire.line(10)
    wire.send(b"2\r\n")
    assert stream.written == []
    wire.line(10)
    assert stream.written == [b"1\r\n2\r\n"]


def test_not_too_much_output_is_held() -> None:
    stream = Script()
    wire = Wire(stream, 5.0)
    wire.send(b"x" * HELD_BACK)
    assert stream.written == []
    wire.send(b"y")
    assert len(stream.written) == 1


def test_pending_sees_what_was_read_and_what_was_not() -> None:
    wire = Wire(Script(b"A\r\nB\r\n"), 5.0)
    wire.line(10)
    assert wire.pending
    wire.line(10)
    assert not wire.pending
    assert Wire(Script(b"A"), 5.0).pending


def test_what_was_put_back_comes_again() -> None:
    wire = Wire(Script(b"data\r\n.\r\nQUIT\r\n"), 5.0)
    assert wire.chunk() == b"data\r\n.\r\nQUIT\r\n"
    wire.put_back(b"QUIT\r\n")
    assert wire.line(10) == b"QUIT"


def test_another_stream_begins_with_nothing_left_over() -> None:
    wire = Wire(Script(b"STARTTLS\r\nRSET\r\n"), 5.0)
    wire.line(10)
    wire.replace(Script(b"NOOP\r\n"))
    assert wire.line(10) == b"NOOP"
