"""A pool of receivers: who is free, who is busy, and what is counted when one dies."""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Iterator

import pytest

from mta.proc.control import Free, Serve
from mta.proc.pool import Pool
from mta.unix import frames, process
from mta.unix.loop import Loop

ORDER = Serve("192.0.2.1", 25)


def serve_all(channel: socket.socket) -> None:
    """A receiver that says it is free as soon as the other side closes its connection."""
    process.keep_descriptors([0, 1, 2, channel.fileno()])
    while (received := frames.receive(channel, (Serve,))) is not None:
        with socket.socket(fileno=received.fds.pop()) as connection:
            connection.recv(1)
        frames.send(channel, Free())


@pytest.fixture
def over() -> list[str]:
    return []


@pytest.fixture
def pool(over: list[str]) -> Iterator[Pool]:
    made = Pool(Loop(), serve_all, over.append, most=2, max_use=100, panic=2)
    yield made
    for pid, receiver in made.receivers.items():
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        made.dismiss(receiver)


def hand(pool: Pool) -> tuple[bool, socket.socket]:
    ours, theirs = socket.socketpair()
    with theirs:
        return pool.hand(theirs, ORDER), ours


def test_no_more_conversations_than_there_may_be(pool: Pool) -> None:
    handed = [hand(pool) for _ in range(3)]
    assert [taken for taken, _ in handed] == [True, True, False]
    assert pool.busy == 2
    for _, end in handed:
        end.close()


def test_a_free_receiver_that_has_died_costs_nobody_the_connection(
    pool: Pool, over: list[str]
) -> None:
    pool.grow()
    (pid,) = pool.receivers
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    taken, end = hand(pool)
    assert taken
    assert pool.busy == 1
    assert over == []
    pool.receivers.pop(pid, None)
    end.close()


def test_each_conversation_is_over_once(pool: Pool, over: list[str]) -> None:
    taken, end = hand(pool)
    assert taken
    (pid, receiver), *_ = pool.receivers.items()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    pool.heard(receiver)
    pool.ended(pid)
    assert over == ["192.0.2.1"]
    end.close()


def test_a_receiver_that_says_too_much_is_dismissed_and_its_files_closed(
    over: list[str],
) -> None:
    reader, writer = os.pipe()

    def talk(channel: socket.socket) -> None:
        process.keep_descriptors([0, 1, 2, channel.fileno(), writer])
        frames.send(channel, Free(), [writer])
        os.close(writer)
        frames.receive(channel, (Serve,))

    pool = Pool(Loop(), talk, over.append, most=1, max_use=100, panic=2)
    pool.grow()
    os.close(writer)
    (receiver,) = pool.receivers.values()
    assert select.select([receiver.channel], [], [], 5.0)[0]
    pool.heard(receiver)
    assert receiver.channel.fileno() == -1
    os.waitpid(receiver.pid, 0)
    assert os.read(reader, 1) == b""
    os.close(reader)
    assert over == []


def test_a_receiver_that_had_to_load_openssl_says_so_once(over: list[str]) -> None:
    """Then the listener has it too, and shares it with all that come after."""

    def tells(channel: socket.socket) -> None:
        process.keep_descriptors([0, 1, 2, channel.fileno()])
        received = frames.receive(channel, (Serve,))
        assert received is not None
        received.close()
        frames.send(channel, Free(1))

    told: list[int] = []
    pool = Pool(Loop(), tells, over.append, most=1, max_use=100, panic=2)
    pool.on_tls = lambda: told.append(1)
    taken, end = hand(pool)
    (receiver,) = pool.receivers.values()
    receiver.channel.setblocking(True)
    pool.heard(receiver)
    assert (taken, told, over) == (True, [1], ["192.0.2.1"])
    end.close()
    os.waitpid(receiver.pid, 0)
    pool.dismiss(receiver)
