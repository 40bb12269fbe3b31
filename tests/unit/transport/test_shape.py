"""Tests of what is written around and within a message."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mta.transport import shape, writing
from mta.transport.shape import Shape
from mta.transport.writing import Stream

MBOX = Shape(check=b"From ", escape=b">From ")
MMDF = Shape(check=b"\1\1\1\1\n", escape=b"\1\1\1\1 \n")


@pytest.fixture
def body(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "body", os.O_RDWR | os.O_CREAT)
    yield fd
    os.close(fd)


def written(how: Shape, fd: int, octets: bytes) -> bytes:
    """What becomes of a body with one header before it, without that header."""
    os.ftruncate(fd, 0)
    os.pwrite(fd, octets, 0)
    whole = b"".join(how.octets(Stream(b"From: x\n", fd, 0, len(octets))))
    assert whole.startswith(b"From: x\n\n")
    return whole[9:]


@pytest.mark.parametrize(
    ("given", "there"),
    [
        (b"From a\nFrom b\n", b">From a\n>From b\n"),
        (b" From a\nFromage\nfrom c\n>From d\n", b" From a\nFromage\nfrom c\n>From d\n"),
        (b"x\nFrom ", b"x\n>From "),
        (b"x\nFrom", b"x\nFrom"),
        (b"", b""),
        (b"\n\n\nFrom \n\n", b"\n\n\n>From \n\n"),
    ],
)
def test_lines_that_look_like_the_start_of_a_message_are_changed(
    body: int, given: bytes, there: bytes
) -> None:
    assert written(MBOX, body, given) == there


def test_a_check_string_may_be_a_whole_line(body: int) -> None:
    line = b"\1\1\1\1\n"
    assert written(MMDF, body, line + line + b"x\n" + line) == (
        b"\1\1\1\1 \n\1\1\1\1 \nx\n\1\1\1\1 \n"
    )


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 11])
@pytest.mark.parametrize("how", [MBOX, MMDF])
def test_borders_between_chunks_change_nothing(
    body: int, how: Shape, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = b"From a\nFro\nFrom \nm x\n\n\1\1\1\1\n\1\1\n\1\1\1\1\n\1\1\1\1\nFrom\nFrom From "
    whole = written(how, body, given)
    for module in (writing, shape):
        monkeypatch.setattr(module, "CHUNK", size)
    assert written(how, body, given) == whole
    assert whole != given


def test_crlf_is_for_the_message_and_not_for_what_stands_around_it(body: int) -> None:
    how = Shape(b"before\n", b"after\n", b"From ", b">From ", crlf=True, whole_lines=True)
    os.pwrite(body, b"one\nFrom two", 0)
    assert b"".join(how.octets(Stream(b"A: b\n", body, 0, 12))) == (
        b"before\nA: b\r\n\r\none\r\n>From two\r\nafter\n"
    )


def test_a_message_of_ordinary_size_is_one_piece(body: int) -> None:
    os.pwrite(body, b"From me\n", 0)
    how = Shape(b"first\n", b"last\n", b"From ", b">From ", whole_lines=True)
    (octets,) = how.octets(Stream(b"A: b\n", body, 0, 8))
    assert octets == b"first\nA: b\n\n>From me\nlast\n"


def test_large_bodies_come_in_pieces_of_bounded_size(body: int) -> None:
    os.pwrite(body, b"From \n" * 200_000, 0)
    pieces = list(MBOX.octets(Stream(b"A: b\n", body, 0, 1_200_000)))
    assert max(len(piece) for piece in pieces) < 1 << 20
    assert b"".join(pieces) == b"A: b\n\n" + b">From \n" * 200_000
