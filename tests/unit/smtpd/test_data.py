"""The message after DATA: dots, line ends, and the one end that counts."""

from __future__ import annotations

import pytest

from mta.smtp.wire import Wire
from mta.smtpd.data import Dots, LooseDots, Lost, pieces
from tests.unit.smtp.test_wire import Script


def read(*packets: bytes, lenient: bool = False) -> tuple[bytes, bytes]:
    """The message in internal form, and what follows it."""
    wire = Wire(Script(*packets), 5.0, lenient=lenient)
    text = b"".join(pieces(wire, lenient=lenient))
    rest = b""
    while wire.pending:
        rest += wire.chunk()
    return text, rest


# What comes on the wire, and what it means.  Verified against Exim 4.98.2.
MESSAGES = [
    (b"A: b\r\n\r\nbody\r\n.\r\n", b"A: b\n\nbody\n"),
    (b".\r\n", b""),
    (b"\r\n.\r\n", b"\n"),
    (b"A: b\r\n\r\n..a\r\n.b\r\n...\r\n.\r\n", b"A: b\n\n.a\nb\n..\n"),
    (b"..\r\n.\r\n", b".\n"),
    (b"A: b\r\n\r\nbody\n.\nMAIL\r\n.\r\n", b"A: b\n\nbody . MAIL\n"),
    (b"A: b\r\n\r\nbody\r\n.\nMAIL\r\n.\r\n", b"A: b\n\nbody\n MAIL\n"),
    (b"A: b\r\n\r\nbody\r.\rMAIL\r\n.\r\n", b"A: b\n\nbody\n.\nMAIL\n"),
    (b"A: b\rB: c\r\n\r\nbody\r\n.\r\n", b"A: b\n B: c\n\nbody\n"),
    (b"A: b\nB: c\r\n\r\nbody\r\n.\r\n", b"A: b B: c\n\nbody\n"),
    (b"A: b\r\r\n\r\nbody\r\n.\r\n", b"A: b\n \n\nbody\n"),
    (b"A: b\r\n\r\n\r\r\n\0\xff\r\n.\r\n", b"A: b\n\n\n\n\0\xff\n"),
    (b"\r\n\rb\r\n.\r\n", b"\n\nb\n"),
]


@pytest.mark.parametrize(("wire", "text"), MESSAGES)
def test_a_message_means_this(wire: bytes, text: bytes) -> None:
    assert read(wire) == (text, b"")


@pytest.mark.parametrize(("wire", "text"), MESSAGES)
def test_a_message_means_the_same_wherever_the_packets_end(wire: bytes, text: bytes) -> None:
    for first in range(1, len(wire)):
        assert read(wire[:first], wire[first:]) == (text, b"")
    for first in range(1, len(wire) - 1):
        for second in range(first + 1, min(first + 5, len(wire))):
            packets = (wire[:first], wire[first:second], wire[second:])
            assert read(*packets) == (text, b"")
    assert read(*[wire[at : at + 1] for at in range(len(wire))]) == (text, b"")


def test_what_follows_the_message_is_kept() -> None:
    assert read(b"A: b\r\n\r\n.\r\nRSET\r\n.\r\n") == (b"A: b\n\n", b"RSET\r\n.\r\n")


@pytest.mark.parametrize(
    "text",
    [b"", b"A: b\r\n\r\n", b"A\r\n.\r", b"A\n.\n", b"A\r\n.\n", b"A\n.\r\n", b"A\r.\r", b"."],
)
def test_a_message_without_its_end_is_lost(text: bytes) -> None:
    with pytest.raises(Lost):
        read(text)


def test_nothing_is_held_back_but_what_may_be_the_end() -> None:
    dots = Dots()
    given = b"".join(dots.feed(b"x" * 1000 + b"\r\n.") for _ in range(100))
    assert len(given) > 99 * 1000
    assert len(dots._held) == 3


LOOSE = [
    (b"A: b\n\nbody\n.\n", b"A: b\n\nbody\n"),
    (b"A: b\n\n..body\r\n.\r\n", b"A: b\n\n.body\n"),
    (b"A: b\n\nbody\n.\r\n", b"A: b\n\nbody\n"),
    (b"A: b\n\na\rb\n.\n", b"A: b\n\na\nb\n"),
    (b"A: b\nC: d\rE: f\n\na\n.\n", b"A: b\nC: d\n E: f\n\na\n"),
]


@pytest.mark.parametrize(("wire", "text"), LOOSE)
def test_standard_input_may_end_its_lines_with_lf(wire: bytes, text: bytes) -> None:
    # The first packet holds the first line: that line decides.
    for cut in range(5, len(wire)):
        assert read(wire[:cut], wire[cut:], lenient=True) == (text, b"")


def test_standard_input_that_begins_with_crlf_stays_with_it() -> None:
    with pytest.raises(Lost):
        read(b"A: b\r\n\r\nbody\n.\n", lenient=True)


def test_a_client_of_ours_never_gets_the_loose_reading() -> None:
    with pytest.raises(Lost):
        read(b"A: b\n\nbody\n.\n")


def test_the_loose_reader_keeps_what_follows() -> None:
    dots = LooseDots()
    assert dots.feed(b"A: b\n\n.\nQUIT\r") == b"A: b\n\n"
    assert dots.rest == b"QUIT\r"
