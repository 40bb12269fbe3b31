"""Tests of connections with deadlines, over loopback and socket pairs."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

import pytest

from mta.base import clock
from mta.net.socket import Link, connect, family_of


@pytest.fixture
def ends() -> Iterator[tuple[Link, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Link(ours), theirs


def test_a_connection_is_made_from_the_address_that_is_asked_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        link = connect("127.0.0.1", port, clock.monotonic() + 5, interface="127.0.0.2")
        accepted, (peer, _) = server.accept()
        accepted.close()
        assert peer == "127.0.0.2"
        assert link.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        link.close()


def test_a_refused_connection_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ConnectionRefusedError) as caught:
        connect("127.0.0.1", port, clock.monotonic() + 5)
    assert caught.value.errno == errno.ECONNREFUSED


def test_reading_ends_at_the_deadline(ends: tuple[Link, socket.socket]) -> None:
    link, _ = ends
    link.set_timeout(0.01)
    with pytest.raises(TimeoutError) as caught:
        link.read(10)
    assert caught.value.errno == errno.ETIMEDOUT


def test_writing_ends_at_the_deadline(ends: tuple[Link, socket.socket]) -> None:
    link, _ = ends
    link.set_timeout(0.01)
    with pytest.raises(TimeoutError):
        link.write(b"x" * 10_000_000)


def test_what_is_heard_while_writing_is_read_first(ends: tuple[Link, socket.socket]) -> None:
    link, server = ends
    link.set_timeout(0.05)
    server.sendall(b"552 too much\r\n")
    with pytest.raises(TimeoutError):
        link.write(b"x" * 10_000_000)
    server.sendall(b"421 bye\r\n")
    link.set_timeout(1)
    assert link.read(5) == b"552 t"
    assert link.read(100) == b"oo much\r\n"
    assert link.read(100) == b"421 bye\r\n"


def test_writing_to_a_server_that_left_fails_and_never_spins(
    ends: tuple[Link, socket.socket],
) -> None:
    link, server = ends
    server.close()
    link.set_timeout(1)
    with pytest.raises(BrokenPipeError):
        link.write(b"x")


def test_a_server_that_only_stops_talking_can_still_be_written_to(
    ends: tuple[Link, socket.socket],
) -> None:
    link, server = ends
    server.shutdown(socket.SHUT_WR)
    link.set_timeout(0.02)
    with pytest.raises(TimeoutError):
        link.write(b"x" * 10_000_000)
    assert link.read(1) == b""


@pytest.mark.parametrize(
    ("address", "family"),
    [
        ("192.0.2.1", socket.AF_INET),
        ("::1", socket.AF_INET6),
        ("mx", 0),
        ("", 0),
        ("1.2.3", 0),
        ("::1%lo", 0),
        ("1\0", 0),
        ("\udcff", 0),
    ],
)
def test_only_numeric_addresses_have_a_family(address: str, family: int) -> None:
    assert family_of(address) == family
