"""Sessions without a socket: failures of the disk, hostile input, and how they end."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator

import pytest

from mta.acl.program import Action
from mta.base.errors import TempFail
from mta.expand.context import Connection
from mta.receive import intake
from mta.receive.ending import Stopped
from mta.smtpd import session
from mta.smtpd.dispatch import COMMANDS
from mta.spool.writer import Incoming
from tests.harness import dns
from tests.unit.receive.conftest import ALICE, Post, post
from tests.unit.smtp.test_wire import Script

Maker = Callable[..., Post]
__all__ = ["post"]

OPEN = "acl_smtp_rcpt = accept\n"
START = b"EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<u@local.example>\r\nDATA\r\n"


def hold(mail: Post, *packets: bytes, local: bool = False) -> list[str]:
    """The last lines of all replies that these packets get."""
    stream = Script(*packets)
    caller = ALICE if local else None
    connection = Connection(host_address="" if local else "192.0.2.7")
    made = session._session(mail.service, stream, connection, caller)
    # All packets lie ready, so what comes too soon cannot be told from what comes in time.
    made.situation.connection.enforce_sync = False
    session._hold(made)
    lines = b"".join(stream.written).decode().split("\r\n")
    return [line for line in lines if line[3:4] == " "]


def codes(replies: list[str]) -> list[str]:
    return [line[:3] for line in replies]


def test_a_disk_that_fills_up_is_told_at_the_true_end(
    post: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Incoming, chunk: bytes) -> None:
        self.abandon()
        raise TempFail("cannot write: No space left on device", status="4.3.1")

    monkeypatch.setattr(intake.Intake, "_body", lambda self, octets: full(self._incoming, b""))
    mail = post(OPEN)
    message = b"Subject: x\r\n\r\nbody\r\nMAIL FROM:<evil@x.example>\r\n.\r\n"
    replies = hold(mail, START, message, b"RCPT TO:<u@local.example>\r\nQUIT\r\n")
    assert codes(replies) == ["220", "250", "250", "250", "354", "452", "503", "221"]
    assert list(mail.input.iterdir()) == []


def test_a_disk_that_is_full_is_told_at_mail(post: Maker) -> None:
    mail = post(OPEN + "check_spool_space = 1000000G\n")
    replies = hold(mail, START + b"QUIT\r\n")
    assert codes(replies) == ["220", "250", "452", "503", "503", "221"]


def test_a_message_that_cannot_be_begun_is_told_at_data(
    post: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise TempFail("cannot create", status="4.3.0")

    monkeypatch.setattr(intake, "begin", fail)
    replies = hold(post(OPEN), START + b"QUIT\r\n")
    assert codes(replies) == ["220", "250", "250", "250", "451", "221"]


def test_the_runner_hears_of_a_message_when_it_is_durable(post: Maker) -> None:
    mail = post(OPEN)
    there: list[bool] = []
    hint = mail.service.arrived

    def arrived(message_id: str, now: bool, sender: str, domain: str) -> None:
        there.append((mail.input / f"{message_id}-H").exists())
        there.append(message_id in mail.logged()[0])
        hint(message_id, now, sender, domain)

    mail.service.arrived = arrived
    hold(mail, START, b"\r\n.\r\nQUIT\r\n")
    assert there == [True, True]
    assert [hint[1:] for hint in mail.hints] == [(True, "a@b.example", "local.example")]


def test_what_is_pipelined_behind_a_refused_recipient_is_no_message(post: Maker) -> None:
    mail = post("acl_smtp_rcpt = deny message = no\n")
    replies = hold(mail, START + b"RSET\r\nQUIT\r\n")
    assert replies[3:6] == [
        "550 5.7.1 no",
        "503 5.5.1 Valid RCPT command must precede DATA",
        "250 2.0.0 Reset OK",
    ]


def test_messages_of_one_connection_are_limited(post: Maker) -> None:
    mail = post(OPEN + "smtp_accept_max_per_connection = 1\n")
    again = b"\r\n.\r\nMAIL FROM:<a@b.example>\r\n"
    replies = hold(mail, START, again)
    assert codes(replies)[-2:] == ["250", "421"]


def test_many_messages_in_one_connection_are_queued(post: Maker) -> None:
    mail = post(OPEN + "smtp_accept_queue_per_connection = 1\n")
    packets = [START, b"\r\n.\r\n", START[16:], b"\r\n.\r\n", b"QUIT\r\n"]
    hold(mail, *packets)
    assert [hint[1] for hint in mail.hints] == [True, False]
    assert mail.logged()[-1].endswith(
        "no immediate delivery: more than 1 messages received in one connection"
    )


def test_a_local_program_speaks_for_itself(post: Maker) -> None:
    mail = post("acl_smtp_rcpt = accept hosts = :\n")
    replies = hold(
        mail,
        b"MAIL FROM:<boss@x.example>\nRCPT TO:<bob>\nDATA\nSubject: x\n\nbody\n.\nQUIT\n",
        local=True,
    )
    assert codes(replies) == ["220", "250", "250", "354", "250", "221"]
    (envelope,) = mail.envelopes()
    assert (envelope.sender, envelope.recipients[0].address) == (
        "alice@local.example",
        "bob@local.example",
    )
    assert envelope.received_protocol == "local-smtp"
    assert mail.bodies() == [b"body\n"]


def test_variables_of_acls_live_as_long_as_they_should(post: Maker) -> None:
    mail = post(
        "acl_smtp_mail = mail\nacl_smtp_rcpt = accept\nbegin acl\nmail:\n"
        "  warn condition = ${if eq{$sender_address}{a@b.example}}\n"
        "       set acl_m_first = 1\n       set acl_c_first = 1\n  accept\n"
    )
    hold(mail, START, b"\r\n.\r\n", START[16:].replace(b"a@b", b"c@d"), b"\r\n.\r\n")
    first, second = mail.envelopes()
    assert (dict(first.acl_m), dict(first.acl_c)) == ({"_first": "1"}, {"_first": "1"})
    assert (dict(second.acl_m), dict(second.acl_c)) == ({}, {"_first": "1"})


def test_a_bug_of_ours_is_told_to_the_client_and_not_hidden(
    post: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(*arguments: object) -> Action:
        raise ZeroDivisionError

    mail = post(OPEN)
    monkeypatch.setattr(session.engine, "check", bug)
    stream = Script(b"QUIT\r\n")
    made = session._session(mail.service, stream, Connection(host_address="192.0.2.7"), None)
    with pytest.raises(ZeroDivisionError):
        session._hold(made)
    assert stream.written == [b"421 mx.example: Internal error - closing connection\r\n"]


def hold_with_ending(mail: Post, stream: Script) -> None:
    """Hold a conversation in which SIGTERM is a request to end."""
    before = signal.getsignal(signal.SIGTERM)
    mail.service.ending.listen()
    try:
        made = session._session(
            mail.service, stream, Connection(host_address="192.0.2.7"), None
        )
        made.situation.connection.enforce_sync = False
        session._hold(made)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_request_to_end_is_obeyed_between_commands(post: Maker) -> None:
    class Ending(Script):
        def read(self, size: int) -> bytes:
            if len(self.pieces) == 1:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().read(size)

    mail = post(OPEN)
    stream = Ending(b"EHLO c.example\r\n", b"NOOP\r\n")
    hold_with_ending(mail, stream)
    assert stream.written[-1] == (
        b"421 4.3.2 mx.example: Service not available - closing connection\r\n"
    )
    with pytest.raises(Stopped):
        mail.service.ending.wait()


def test_a_request_to_end_waits_for_a_message_that_is_on_its_way(post: Maker) -> None:
    class Ending(Script):
        def read(self, size: int) -> bytes:
            if self.pieces and self.pieces[0].startswith(b"Subject"):
                os.kill(os.getpid(), signal.SIGTERM)
            return super().read(size)

    mail = post(OPEN)
    stream = Ending(START, b"Subject: x\r\n\r\n.\r\n", b"NOOP\r\n")
    hold_with_ending(mail, stream)
    assert b"".join(stream.written).split(b"\r\n")[-3].startswith(b"250 2.0.0 OK id=")
    assert len(mail.envelopes()) == 1
    assert mail.service.ending.asked


def test_a_request_to_end_loses_no_answer(post: Maker) -> None:
    class Ending(Script):
        def write(self, octets: bytes) -> None:
            if octets.startswith(b"250 2.0.0 OK id="):
                os.kill(os.getpid(), signal.SIGTERM)
            super().write(octets)

    mail = post(OPEN)
    stream = Ending(START, b"Subject: x\r\n\r\n.\r\n", b"NOOP\r\n")
    hold_with_ending(mail, stream)
    assert stream.written[-2].startswith(b"250 2.0.0 OK id=")
    assert stream.written[-1].startswith(b"421 4.3.2 ")


_WORDS = [
    *(name.encode() for name in COMMANDS.names()),
    *(b" ", b"\r\n", b"\r\n", b"\n", b"\r", b"\0", b"FROM:", b"TO:", b"<a@b.example>", b"<>"),
    *(b"SIZE=", b"BODY=8BITMIME", b"<", b">", b'"', b"\\", b"${run{x}}", b"\xff", b".", b":"),
    *(b"\r\n.\r\n", b"x" * 5000, b"Subject: x\r\n", b"@", b"(", b"\xc2\xa0", b"EHLO x\r\n"),
]


@pytest.mark.parametrize("seed", range(40))
def test_no_input_whatever_brings_a_session_down(post: Maker, seed: int) -> None:
    chance = random.Random(seed)
    mail = post(
        OPEN + "smtp_max_synprot_errors = 1000\nsmtp_max_unknown_commands = 1000\n"
        "smtp_accept_max_nonmail = 1000\n"
    )
    words = [chance.choice(_WORDS) for _ in range(400)]
    text = b"".join(words)
    cuts = sorted(chance.randrange(1, len(text)) for _ in range(20))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    packets = [START] if seed % 2 else []
    replies = hold(mail, *packets, *[piece for piece in pieces if piece])
    assert all(line[:3].isdigit() for line in replies)
    files = [path.name for path in mail.input.iterdir()]
    assert len([name for name in files if name.endswith("-H")]) * 2 == len(files)


NAMES = """
    7.2.0.192.in-addr.arpa.   PTR  host.client.example.
    host.client.example.      A    192.0.2.7
    helo.client.example.      A    192.0.2.7
    oracle.example.           A    127.0.0.1
"""
FROM = b"MAIL FROM:<a@b.example>\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[dns.Server]:
    with dns.serving(NAMES) as running:
        yield running


def hello(mail: Post, name: str) -> list[str]:
    """The replies to EHLO and MAIL."""
    return hold(mail, b"EHLO " + name.encode() + b"\r\n", FROM)[1:3]


@pytest.mark.parametrize("name", ["host.client.example", "[192.0.2.7]", "helo.client.example"])
def test_a_client_that_must_be_what_it_says(
    post: Maker, server: dns.Server, name: str
) -> None:
    mail = post(OPEN + server.options + "helo_verify_hosts = *\n")
    assert codes(hello(mail, name)) == ["250", "250"]


def test_a_client_that_is_somebody_else_is_refused(post: Maker, server: dns.Server) -> None:
    mail = post(OPEN + server.options + "helo_verify_hosts = *\n")
    assert hello(mail, "other.example") == [
        "550 EHLO argument does not match calling host",
        "503 HELO or EHLO required",
    ]
    assert (
        'rejected "EHLO other.example" from host.client.example (other.example) [192.0.2.7]'
        in mail.logged()[0]
    )


def test_a_client_whose_name_is_wanted_for_the_log(post: Maker, server: dns.Server) -> None:
    mail = post(server.options + "host_lookup = *\nacl_smtp_rcpt = deny\n")
    replies = hold(mail, b"EHLO x.example\r\n", FROM, b"RCPT TO:<u@local.example>\r\n")
    assert codes(replies)[:4] == ["220", "250", "250", "550"]
    assert "H=host.client.example (x.example) [192.0.2.7] F=<a@b.example>" in mail.logged()[0]


def test_nobody_asks_for_names_that_are_not_needed(post: Maker, server: dns.Server) -> None:
    before = server.asked()
    mail = post(OPEN + server.options)
    assert codes(hello(mail, "host.client.example")) == ["250", "250"]
    assert server.asked() == before


@pytest.mark.parametrize("name", ["mx.example", "[127.0.0.1]"])
def test_a_client_that_takes_our_name_is_looked_up(
    post: Maker, server: dns.Server, name: str
) -> None:
    mail = post(server.options + "acl_smtp_rcpt = deny\n")
    hold(mail, b"EHLO " + name.encode() + b"\r\n", FROM, b"RCPT TO:<u@local.example>\r\n")
    assert f"H=host.client.example ({name}) [192.0.2.7]" in mail.logged()[0]


def test_a_list_that_cannot_be_read_now_ends_no_conversation(
    post: Maker, server: dns.Server
) -> None:
    mail = post(OPEN + server.options + "helo_lookup_domains = /no/such/file\n")
    assert codes(hello(mail, "x.example")) == ["250", "250"]
