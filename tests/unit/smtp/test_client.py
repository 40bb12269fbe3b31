"""Tests of the client's side of the wire: replies in bounds, features, nothing smuggled."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

import pytest

from mta.net.socket import Link
from mta.smtp.client import (
    Answer,
    Broken,
    Client,
    Features,
    Trouble,
    command_line,
    read_features,
)


@pytest.fixture
def ends() -> Iterator[tuple[Client, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Client(Link(ours)), theirs


def test_a_reply_of_several_lines_is_one_answer(ends: tuple[Client, socket.socket]) -> None:
    client, server = ends
    server.sendall(b"550-5.7.1 no\r\n550 5.7.1 never\r\n250 next\r\n")
    assert client.answer(1) == Answer(550, "5.7.1", "550-5.7.1 no\n550 5.7.1 never")
    assert client.answer(1).code == 250


def test_a_server_that_ends_lines_with_lf_is_understood(
    ends: tuple[Client, socket.socket],
) -> None:
    client, server = ends
    server.sendall(b"220-hi\n220 there\n")
    assert client.answer(1).text == "220-hi\n220 there"


def test_control_characters_of_a_reply_are_written_as_escapes(
    ends: tuple[Client, socket.socket],
) -> None:
    client, server = ends
    server.sendall(b"550 a\0b\x1bc\r\n")
    assert client.answer(1).text == "550 a\\000b\\033c"


@pytest.mark.parametrize(
    "octets",
    [
        b"\r\n",
        b"hello\r\n",
        b"25\r\n",
        b"250:ok\r\n",
        b"250-a\r\n251 b\r\n",
        b"\xb2\xb2\xb2 x\r\n",
        b"250 a\rb\r\n",
        b"250-x\r\n" * 101,
        b"250 " + b"x" * 5000 + b"\r\n",
    ],
)
def test_what_is_no_reply_ends_the_conversation(
    ends: tuple[Client, socket.socket], octets: bytes
) -> None:
    client, server = ends
    server.sendall(octets)
    server.shutdown(socket.SHUT_WR)
    with pytest.raises(Broken) as caught:
        client.answer(1)
    assert caught.value.trouble is Trouble.MALFORMED
    assert len(caught.value.text) <= 500


def test_a_reply_cut_short_counts_as_closed(ends: tuple[Client, socket.socket]) -> None:
    client, server = ends
    server.sendall(b"250-one\r\n250 tw")
    server.shutdown(socket.SHUT_WR)
    with pytest.raises(Broken) as caught:
        client.answer(1)
    assert caught.value.trouble is Trouble.CLOSED


def test_all_of_a_reply_must_come_in_time(
    ends: tuple[Client, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, server = ends
    server.sendall(b"250-one\r\n")
    with pytest.raises(Broken) as caught:
        client.answer(0.02)
    assert (caught.value.trouble, caught.value.number) == (Trouble.TIMEOUT, errno.ETIMEDOUT)


@pytest.mark.parametrize("command", ["NOOP\r\nQUIT", "NOOP\nQUIT", "NOOP\0", "NOOP\rX"])
def test_a_command_is_one_line_or_nothing(command: str) -> None:
    with pytest.raises(ValueError, match="not one line"):
        command_line(command)


def test_features_are_the_keywords_of_the_reply_to_ehlo() -> None:
    features = read_features(
        Answer(250, "", "250-mx PIPELINING\n250-size 1000\n250-8BITMIME\n250 AUTH PLAIN LOGIN")
    )
    assert features == Features(
        True, (("SIZE", "1000"), ("8BITMIME", ""), ("AUTH", "PLAIN LOGIN"))
    )
    assert features.size_limit == 1000
    assert not features.has("PIPELINING")


@pytest.mark.parametrize(
    ("parameter", "limit"), [("", 0), ("0", 0), ("x", 0), ("9" * 30, 0), ("5", 5)]
)
def test_a_size_that_is_no_number_is_no_limit(parameter: str, limit: int) -> None:
    assert Features(True, (("SIZE", parameter),)).size_limit == limit


def test_a_server_that_spoke_or_left_is_not_quiet(ends: tuple[Client, socket.socket]) -> None:
    client, server = ends
    assert client.is_quiet()
    server.sendall(b"421 bye\r\n")
    assert not client.is_quiet()
    assert client.answer(1).code == 421
    server.close()
    assert not client.is_quiet()


def test_quit_does_not_wait(ends: tuple[Client, socket.socket]) -> None:
    client, server = ends
    client.quit()
    assert server.recv(100) == b"QUIT\r\n"
    assert server.recv(100) == b""


def test_errors_of_whoever_makes_the_parts_are_his_own(
    ends: tuple[Client, socket.socket],
) -> None:
    client, _ = ends

    def parts() -> Iterator[bytes]:
        yield b"one"
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(OSError, match="Input/output error"):
        client.send(parts(), 1)
