"""Clients that say nothing, say it slowly, go away, or are too many."""

from __future__ import annotations

import smtplib
import socket
import struct
import time
from collections.abc import Sequence

import pytest

from tests.fault.strace import titled
from tests.harness import clients, daemon, mailbox
from tests.harness.clients import Conversation
from tests.harness.daemon import Running
from tests.harness.wait import until

# A client that finds the kernel's queue full tries again after a second: too long for a test.
ROOMY = daemon.BASIC.replace("split_spool", "smtp_connect_backlog = 256\nsplit_spool")
HASTY = ROOMY.replace(
    "split_spool", "smtp_receive_timeout = 1s\nsmtp_accept_max = 100\nsplit_spool"
)
# What was sent when the client stops, at every stage of a conversation.
ENVELOPE = b"EHLO client.test\r\nMAIL FROM:<a@sender.test>\r\nRCPT TO:<alice@local.test>\r\n"
STAGES = {
    "nothing": b"",
    "half a command": b"EHL",
    "a command without its LF": b"EHLO client.test\r",
    "EHLO": b"EHLO client.test\r\n",
    "MAIL": b"EHLO client.test\r\nMAIL FROM:<a@sender.test>\r\n",
    "RCPT": ENVELOPE,
    "DATA": ENVELOPE + b"DATA\r\n",
    "half a header": ENVELOPE + b"DATA\r\nSubject: ha",
    "the header": ENVELOPE + b"DATA\r\nSubject: half\r\n\r\n",
    "half the body": ENVELOPE + b"DATA\r\nSubject: half\r\n\r\n" + b"body\r\n" * 50_000,
    "almost the end": ENVELOPE + b"DATA\r\nSubject: half\r\n\r\nbody\r\n.\r",
    "a refused command": b"EHLO client.test\r\nRCPT TO:<x@y.test>\r\nNONSENSE\r\n",
}


def still_serves(mta: Running) -> None:
    """Mail gets through, and nothing is left of what was given up."""
    until(lambda: sent(mta), 10.0, "room for another client")
    assert len(mailbox.await_messages(mta.maildir("alice"), 1)) == 1
    until(lambda: not spooled(mta), 10.0, "an empty spool")


def sent(mta: Running) -> bool:
    """One message; those that have just gone may count as clients for another moment."""
    try:
        clients.send(mta.address, "a@sender.test", ["alice@local.test"])
    except smtplib.SMTPConnectError as error:
        if error.smtp_code == 421:
            return False
        raise
    return True


def spooled(mta: Running) -> list[str]:
    return [file.name for file in (mta.spool / "input").rglob("*") if file.is_file()]


def conversing(mta: Running) -> list[int]:
    """The receivers that have a client."""
    assert mta.process is not None
    return titled(mta.process.pid, "mta: receiver [")


def last_words(connection: socket.socket) -> bytes:
    """All that the server says until it closes."""
    said = b""
    while octets := connection.recv(65536):
        said += octets
    return said


def stage(mta: Running, octets: bytes) -> socket.socket:
    """A client that sent this, and knows that it may."""
    client = Conversation(mta.address)
    for line in octets.split(b"DATA\r\n")[0].splitlines(keepends=True):
        client.send(line)
        if line.endswith(b"\r\n"):
            client.reply()
    _, data, message = octets.partition(b"DATA\r\n")
    if data:
        assert client.command("DATA").code == 354
        client.send(message)
    return client.socket


def test_a_client_that_stalls_at_any_stage_is_told_and_left() -> None:
    with daemon.running(HASTY) as mta:
        begun = time.monotonic()
        stalled = {name: stage(mta, octets) for name, octets in STAGES.items()}
        for name, connection in stalled.items():
            assert b"421 " in last_words(connection), name
            connection.close()
        assert time.monotonic() - begun < 6
        until(lambda: not conversing(mta), 5.0, "the end of all conversations")
        assert mta.log().count("timeout") >= len(STAGES)
        still_serves(mta)


@pytest.mark.parametrize("way", ["closes", "resets"])
def test_a_client_that_vanishes_at_any_stage_leaves_nothing(way: str) -> None:
    with daemon.running() as mta:
        for octets in STAGES.values():
            connection = stage(mta, octets)
            if way == "resets":
                linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            connection.close()
        until(lambda: not conversing(mta), 5.0, "the end of all conversations")
        still_serves(mta)


def test_clients_that_vanish_before_they_are_greeted_do_no_harm() -> None:
    with daemon.running(ROOMY) as mta:
        for _ in range(100):
            connection = socket.create_connection(mta.address)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        until(lambda: not conversing(mta), 5.0, "the end of all conversations")
        still_serves(mta)


def test_a_client_that_sends_an_octet_now_and_then_is_left() -> None:
    """Each wait is short enough, yet the line and the message come too slowly."""
    with daemon.running(HASTY) as mta:
        line = stage(mta, b"")
        header = stage(mta, STAGES["DATA"])
        body = stage(mta, STAGES["the header"])
        begun = time.monotonic()
        left: dict[str, float] = {}
        slow = {"line": line, "header": header, "body": body}
        while len(left) < len(slow) and time.monotonic() - begun < 25:
            for name, connection in slow.items():
                if name not in left and not trickle(connection):
                    left[name] = time.monotonic() - begun
            time.sleep(0.4)
        assert left["line"] < 4
        assert left["header"] < 16
        assert left["body"] < 16
        still_serves(mta)


def trickle(connection: socket.socket) -> bool:
    """Send one more octet; False when the server has gone."""
    try:
        connection.sendall(b"x")
        connection.settimeout(0.01)
        while octets := connection.recv(65536):
            del octets
    except TimeoutError:
        return True
    except OSError:
        return False
    return False


def test_a_client_that_does_not_read_replies_is_left() -> None:
    with daemon.running(
        HASTY.replace("split_spool", "recipients_max = 0\nsplit_spool")
    ) as mta:
        connection = stage(mta, STAGES["MAIL"])
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        many = b"RCPT TO:<alice@local.test>\r\n" * 1_000_000
        with pytest.raises((TimeoutError, ConnectionError)):
            connection.sendall(many)
        connection.close()
        until(lambda: not conversing(mta), 10.0, "the end of the conversation")
        still_serves(mta)


def greetings(mta: Running, number: int) -> Sequence[Conversation]:
    return [Conversation(mta.address) for _ in range(number)]


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("smtp_accept_max = 5", "too many connections"),
        ("smtp_accept_max_per_host = 5", "too many connections from that IP address"),
        (
            "smtp_accept_max_per_host = ${if eq{$sender_host_address}{127.0.0.1}{5}{0}}",
            "too many connections from that IP address",
        ),
    ],
    ids=["in all", "per host", "expanded"],
)
def test_connections_over_the_limit_get_421_until_others_leave(option: str, said: str) -> None:
    config = daemon.BASIC.replace("split_spool", f"{option}\nsplit_spool")
    with daemon.running(config) as mta:
        some = greetings(mta, 5)
        more = greetings(mta, 10)
        for client in more:
            assert client.greeting is not None
            assert client.greeting.code == 421
            assert client.closed()
        assert mta.log().count(f"Connection from [127.0.0.1] refused: {said}") == 10
        for client in some:
            assert client.greeting is not None
            assert client.greeting.code == 220
            client.close()
        until(lambda: not conversing(mta), 5.0, "room")
        still_serves(mta)


def test_a_crowd_of_idle_clients_is_held_and_let_go() -> None:
    config = ROOMY.replace("split_spool", "smtp_accept_max = 60\nsplit_spool")
    with daemon.running(config) as mta:
        crowd = [socket.create_connection(mta.address, timeout=20) for _ in range(200)]
        first = [connection.recv(4) for connection in crowd]
        assert first.count(b"220 ") == 60
        assert first.count(b"421 ") == 140
        for connection in crowd:
            connection.close()
        until(lambda: not conversing(mta), 10.0, "the end of all conversations")
        still_serves(mta)
