"""Tests of the message as a stream: dots, line ends, and nothing lost where chunks meet."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mta.base.errors import TempFail
from mta.transport import writing
from mta.transport.writing import Stream

HEADERS = b"Subject: hi\n"


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "body", os.O_RDWR | os.O_CREAT)
    yield fd
    os.close(fd)


def stream(fd: int, body: bytes, headers: bytes = HEADERS) -> Stream:
    os.pwrite(fd, b"ID-D\n" + body, 0)
    os.ftruncate(fd, 5 + len(body))
    return Stream(headers, fd, 5, len(body))


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (b"hello\n", b"hello\r\n.\r\n"),
        (b"", b".\r\n"),
        (b"no end", b"no end\r\n.\r\n"),
        (b".\n", b"..\r\n.\r\n"),
        (b"..a\n.b\nc.\n", b"...a\r\n..b\r\nc.\r\n.\r\n"),
        (b".", b"..\r\n.\r\n"),
        (b"\n\n.\n\n", b"\r\n\r\n..\r\n\r\n.\r\n"),
        (b"bare\rcr\n", b"bare\r\ncr\r\n.\r\n"),
        (b"a\r.\r\nb", b"a\r\n..\r\nb\r\n.\r\n"),
        (b"ends in cr\r", b"ends in cr\r\n.\r\n"),
        (b"\x00\xff\n", b"\x00\xff\r\n.\r\n"),
    ],
)
def test_smtp_gets_crlf_and_doubled_dots(spool: int, body: bytes, sent: bytes) -> None:
    octets = b"".join(writing.for_smtp(stream(spool, body)))
    assert octets == b"Subject: hi\r\n\r\n" + sent


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7])
def test_borders_between_chunks_change_nothing(
    spool: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b".\n..\n\r\n\r\r\n.\r.\nab\n.c\n\n.\r\n.d\r"
    whole = b"".join(writing.for_smtp(stream(spool, body)))
    monkeypatch.setattr(writing, "CHUNK", size)
    assert b"".join(writing.for_smtp(stream(spool, body))) == whole
    lines = whole.split(b"\r\n")
    assert all(b"\r" not in line and b"\n" not in line for line in lines)
    assert [line for line in lines if line == b"."] == [b"."]


def test_a_short_message_is_one_chunk(spool: int) -> None:
    assert len(list(writing.for_smtp(stream(spool, b"hello\n")))) == 1
    assert len(list(writing.chunks(stream(spool, b"hello\n")))) == 1


def test_the_size_on_the_wire_counts_both_ends_of_each_line(spool: int) -> None:
    message = stream(spool, b"a\nb\n")
    assert message.wire_size() == len(b"Subject: hi\r\n\r\na\r\nb\r\n")


def test_a_spool_file_that_was_cut_is_not_sent_as_if_it_were_whole(spool: int) -> None:
    message = stream(spool, b"hello\n")
    os.ftruncate(spool, 7)
    with pytest.raises(TempFail, match="shorter"):
        list(writing.for_smtp(message))


@pytest.mark.parametrize("length", [0, 10, writing.CHUNK, writing.CHUNK * 3 + 17])
def test_a_file_gets_the_message_as_it_is(spool: int, length: int, tmp_path: Path) -> None:
    body = (b".\r\nline\n" * (length // 8 + 1))[:length]
    out = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
    assert writing.to_file(stream(spool, body), out) == 13 + length
    os.close(out)
    assert (tmp_path / "out").read_bytes() == HEADERS + b"\n" + body


def test_where_the_kernel_cannot_copy_it_is_done_by_hand(
    spool: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **named: object) -> int:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "copy_file_range", refuse)
    body = os.urandom(writing.CHUNK * 2 + 1)
    out = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
    writing.to_file(stream(spool, body), out)
    os.close(out)
    assert (tmp_path / "out").read_bytes() == HEADERS + b"\n" + body


def test_the_offset_that_other_processes_share_is_left_alone(spool: int) -> None:
    message = stream(spool, b"hello\n" * 9)
    os.lseek(spool, 3, os.SEEK_SET)
    list(writing.for_smtp(message))
    assert os.lseek(spool, 0, os.SEEK_CUR) == 3
