"""Frames between processes."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

import pytest

from mta.base.errors import ProtocolError
from mta.unix import frames
from mta.unix.frames import frame


@frame("test_greeting")
@dataclass(frozen=True, slots=True)
class Greeting:
    """A frame of every kind of field."""

    name: str
    number: int
    octets: bytes
    friends: tuple[str, ...]


@frame("test_farewell")
@dataclass(frozen=True, slots=True)
class Farewell:
    """A frame without fields."""


@frame("test_rumour")
@dataclass(frozen=True, slots=True)
class Rumour:
    """A frame with a default."""

    text: str
    truth: int = 7


HELLO = Greeting("é\udcff", -7, b"\xff=\n", ("a", "b=c"))


def test_a_frame_arrives_as_it_was_sent() -> None:
    assert frames.decode(frames.encode(HELLO), [Greeting]) == HELLO


def test_a_frame_without_friends_has_none() -> None:
    lonely = Greeting("x", 0, b"", ())
    assert frames.decode(frames.encode(lonely), [Greeting]) == lonely


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\0",
        b"test_greeting",
        b"test_greeting\0",
        b"test_greeting\0name=x\0number=1\0",
        b"test_greeting\0name=x\0number=1\0octets=\0name=y\0",
        b"test_greeting\0name=x\0number=1\0octets=\0other=y\0",
        b"test_greeting\0name=x\0number=\0octets=\0",
        b"test_greeting\0name=x\0number=1e3\0octets=\0",
        b"test_greeting\0name=x\0number=" + b"9" * 30 + b"\0octets=\0",
        b"test_greeting\0name=x\0number=" + b"9" * 19 + b"\0octets=\0",
        b"test_greeting\0name=x\0number=1_0\0octets=\0",
        b"test_greeting\0name=x\0number=+1\0octets=\0",
        b"test_greeting\0name=x\0number= 1\0octets=\0",
        b"test_greeting\0name\0number=1\0octets=\0",
        b"test_farewell\0",
        b"test_unknown\0",
        b"\xff\xfe\0",
    ],
)
def test_anything_else_is_a_protocol_error(octets: bytes) -> None:
    with pytest.raises(ProtocolError):
        frames.decode(octets, [Greeting])


def test_octets_may_be_any() -> None:
    every = Greeting("x", 0, bytes(range(256)) + b"\0\x01\x02\x01\x01\0", ())
    assert frames.decode(frames.encode(every), [Greeting]) == every


@pytest.mark.parametrize("octets", [b"\x01", b"\x01x", b"\x01\x01\x01"])
def test_an_unknown_escape_is_a_protocol_error(octets: bytes) -> None:
    with pytest.raises(ProtocolError, match="escape"):
        frames.decode(b"test_greeting\0name=x\0number=1\0octets=" + octets + b"\0", [Greeting])


def test_a_field_that_has_its_default_is_left_out() -> None:
    assert frames.encode(Rumour("x")) == b"test_rumour\0text=x\0"
    assert frames.decode(b"test_rumour\0text=x\0", [Rumour]) == Rumour("x", 7)
    assert frames.decode(frames.encode(Rumour("x", 0)), [Rumour]) == Rumour("x", 0)
    with pytest.raises(ProtocolError, match="lacks a field"):
        frames.decode(b"test_rumour\0truth=1\0", [Rumour])


def test_a_nul_cannot_be_smuggled_in() -> None:
    with pytest.raises(ProtocolError, match="NUL"):
        frames.encode(Greeting("x\0number=1", 1, b"", ()))


def test_a_frame_has_a_limit() -> None:
    with pytest.raises(ProtocolError, match="too long"):
        frames.encode(Greeting("x" * frames.LIMIT, 1, b"", ()))


def test_descriptors_travel_along() -> None:
    here, there = frames.pair()
    with here, there:
        reader, writer = os.pipe()
        frames.send(here, Farewell(), [writer])
        os.close(writer)
        received = frames.receive(there, [Farewell])
        assert received is not None
        os.write(received.fds[0], b"through")
        assert os.read(reader, 10) == b"through"
        assert not os.get_inheritable(received.fds[0])
        received.close()
        os.close(reader)


def test_descriptors_of_a_bad_frame_are_closed() -> None:
    here, there = frames.pair()
    with here, there:
        reader, writer = os.pipe()
        socket.send_fds(here, [b"nonsense\0"], [writer])
        os.close(writer)
        with pytest.raises(ProtocolError):
            frames.receive(there, [Farewell])
        assert os.read(reader, 1) == b""  # nobody holds the other end any more
        os.close(reader)


def test_a_datagram_over_the_limit_is_refused() -> None:
    here, there = frames.pair()
    with here, there:
        here.send(b"test_farewell\0" + b"x" * frames.LIMIT)
        with pytest.raises(ProtocolError, match="too long"):
            frames.receive(there, [Farewell])


def test_the_end_of_a_channel_is_no_frame() -> None:
    here, there = frames.pair()
    here.close()
    with there:
        assert frames.receive(there, [Farewell]) is None


def test_an_empty_datagram_is_not_the_end_of_a_channel() -> None:
    here, there = frames.pair()
    with here, there:
        here.send(b"")
        frames.send(here, Farewell())
        with pytest.raises(ProtocolError):
            frames.receive(there, [Farewell])
        received = frames.receive(there, [Farewell])
        assert received is not None
        assert received.message == Farewell()
