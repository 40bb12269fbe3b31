"""A socket under a session: whether it can be read is seen without reading."""

from __future__ import annotations

import socket

from mta.smtp.stream import SocketStream


def test_a_glance_sees_what_has_come_and_takes_nothing() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stream = SocketStream(ours)
        assert not stream.readable()
        theirs.send(b"EHLO")
        assert stream.readable()
        assert stream.read(100) == b"EHLO"
        assert not stream.readable()


def test_reading_would_not_wait_when_the_other_side_has_gone() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        stream = SocketStream(ours)
        theirs.close()
        assert stream.readable()
        assert stream.read(100) == b""


def test_a_socket_that_did_not_wait_does_now() -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        SocketStream(ours)
        assert ours.getblocking()
