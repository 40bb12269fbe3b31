"""The table of time-outs, and each of them with a peer that says nothing."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator

import pytest

from mta.base import clock
from mta.cli.timeouts import CLIENT, TEXT, WAITS, Wait, rows
from mta.config.kinds import time
from mta.config.option import DEFAULT
from mta.net.socket import connect
from mta.route.api import Host
from mta.transport.api import Outcome, Parcel, Result
from mta.transport.engine import Transport
from tests.harness.source import TREE
from tests.unit.transport.conftest import MakeParcel
from tests.unit.transport.scripted import PLAIN, Servers

Load = Callable[[str], Transport]
Deliver = Callable[[Transport, Parcel], list[Outcome]]

ONE = (Host("mx.example.net", "192.0.2.1"),)
BEFORE_DATA = (*PLAIN, "c:", "s: 250 ok", "c:", "s: 250 ok", "c:")
LARGE = b"x" * 70 + b"\n"

# What the server does before it falls silent, for each wait of the client.
SILENCE: dict[str, tuple[str, ...]] = {
    "the greeting": ("idle",),
    "the answer to EHLO, HELO or RSET": ("s: 220 mx.example.net", "c:", "idle"),
    "the answer to MAIL": (*PLAIN, "c:", "idle"),
    "the answer to RCPT": (*PLAIN, "c:", "s: 250 ok", "c:", "idle"),
    "the answer to DATA": (*BEFORE_DATA, "idle"),
    "a piece of the message to be taken": (*BEFORE_DATA, "s: 354 go on", "deaf"),
    "the answer to the final dot": (*BEFORE_DATA, "s: 354 go on", "d:", "idle"),
}
BY_SERVERS = [wait for wait in WAITS if wait.side is CLIENT and wait.what in SILENCE]


def seconds(wait: Wait) -> int:
    return int(time.parse(wait.declared.default or "", DEFAULT))


@pytest.mark.parametrize("wait", WAITS, ids=lambda wait: wait.what)
def test_no_default_is_shorter_than_the_rfc_wants(wait: Wait) -> None:
    assert seconds(wait) >= wait.least
    assert wait.section == "" or wait.least > 0


def test_every_time_out_of_a_session_is_in_the_table() -> None:
    client = {name for name in Transport.options() if name.endswith("_timeout")}
    assert client == {"transport_filter_timeout"}  # of a command, not of a session
    named = {(wait.owner, wait.option) for wait in WAITS}
    for owner in {wait.owner for wait in WAITS}:
        known = {name for name in owner.options() if name.endswith("_timeout")}
        # Of local programs, and of the commands of filters: not SMTP.
        known -= {"receive_timeout", "transport_filter_timeout"}
        assert known == {name for whose, name in named if whose is owner}


def test_every_wait_for_a_server_is_tried() -> None:
    assert {wait.what for wait in BY_SERVERS} == set(SILENCE)
    others = [wait.what for wait in WAITS if wait.side is CLIENT and wait not in BY_SERVERS]
    assert others == ["a TCP connection"]


def test_the_manual_says_each_option_once() -> None:
    named = [option.partition(",")[0] for option, _ in rows()]
    assert sorted(set(named)) == sorted(named)
    assert set(named) == {wait.option for wait in WAITS}
    assert "4.5.3.2" in TEXT


@pytest.mark.parametrize("wait", BY_SERVERS, ids=lambda wait: wait.what)
def test_a_silent_server_is_left_when_the_time_of_its_option_is_over(
    load: Load, parcel: MakeParcel, servers: Servers, deliver: Deliver, wait: Wait
) -> None:
    smtp = load("driver = smtp\n")
    smtp.__dict__[wait.option] = 0.05
    servers.expect(SILENCE[wait.what])
    # More than what lies between two ends of a socket pair.
    body = LARGE * 40_000 if wait.option == "data_timeout" else LARGE
    outcome = deliver(smtp, parcel(hosts=ONE, body=body))[-1]
    assert (outcome.result, outcome.code) == (Result.DEFER, errno.ETIMEDOUT)
    assert outcome.text.startswith("SMTP timeout after ")


@pytest.fixture
def full() -> Iterator[tuple[str, int]]:
    """An address that takes no further connection: its backlog is full."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting = []
        for _ in range(4):
            made = socket.socket()
            made.setblocking(False)
            made.connect_ex(listening.getsockname())
            waiting.append(made)
        yield listening.getsockname()
        for made in waiting:
            made.close()


def test_a_connection_that_is_not_made_ends_at_its_deadline(full: tuple[str, int]) -> None:
    with pytest.raises(TimeoutError):
        connect(*full, clock.monotonic() + 0.05)


def test_the_option_says_how_long_a_connection_may_take(
    load: Load, parcel: MakeParcel, full: tuple[str, int], deliver: Deliver
) -> None:
    smtp = load(f"driver = smtp\nport = {full[1]}\n")
    smtp.__dict__["connect_timeout"] = 0.05
    hosts = (Host("mx.example.net", full[0]),)
    outcome = deliver(smtp, parcel(hosts=hosts))[-1]
    assert (outcome.result, outcome.code) == (Result.DEFER, errno.ETIMEDOUT)
    assert outcome.host_error


@pytest.mark.parametrize("dialogue", ["silent.smtp", "silent-data.smtp"])
def test_a_silent_client_is_left_in_a_dialogue(dialogue: str) -> None:
    script = (TREE / "tests" / "dialogues" / dialogue).read_text()
    assert "conf: smtp_receive_timeout = 1s\n" in script
    assert "s: 421 " in script
