"""Mail that is malformed or hostile, through the real processes to its destination."""

from __future__ import annotations

import pytest

from tests.harness import clients, daemon, mailbox, sink
from tests.harness.clients import Conversation
from tests.harness.daemon import Running
from tests.harness.wait import until

HEADER = b"From: a@sender.test\r\nSubject: odd\r\n\r\n"
# What some server or other takes for the end of a message, and is not.
FALSE_ENDS = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r\n.\n",
    b"\r.\r",
    b"\r.\r\n",
    b"\r\n.\r",
    b"\n.\r",
    b"\r.\n",
    b"\r\r\n.\r\r\n",
    b"\r\n.\0\r\n",
    b"\r\n\0.\r\n",
    b"\0.\0",
    b"\r\n. \r\n",
    b"\r\n\t.\r\n",
    b"\x85.\x85",
    b"\x0b.\x0b",
]
SMUGGLED = (
    b"MAIL FROM:<admin@relay.test>\r\nRCPT TO:<victim@relay.test>\r\nDATA\r\n"
    b"Subject: smuggled\r\n\r\nhello\r\n"
)


def begin(client: Conversation, recipient: str = "alice@local.test") -> None:
    """Up to the point where the message may come."""
    codes = client.codes(
        "EHLO client.test", "MAIL FROM:<a@sender.test>", f"RCPT TO:<{recipient}>", "DATA"
    )
    assert codes == [250, 250, 250, 354]


def taken_by(peer: sink.Sink) -> list[str]:
    """All recipients of the messages that the sink has taken."""
    return [each for message in peer.messages() for each in message.recipients]


def nothing_left(mta: Running) -> None:
    """Not a file of any message is in the spool."""
    until(
        lambda: not [f for f in (mta.spool / "input").rglob("*") if f.is_file()],
        10.0,
        "an empty spool",
    )


def test_no_false_end_of_a_message_makes_two_of_one() -> None:
    with sink.listening() as peer, daemon.running(sink=peer.port) as mta:
        for end in FALSE_ENDS:
            with Conversation(mta.address) as client:
                begin(client, "bob@relay.test")
                client.send(HEADER + b"first" + end + SMUGGLED + b".\r\n")
                assert client.reply().code == 250
                assert client.command("QUIT").code == 221
        mta.await_empty()
        taken = peer.await_messages(len(FALSE_ENDS))
        assert peer.count() == len(FALSE_ENDS)
        for message in taken:
            assert message.recipients == ("bob@relay.test",)
            assert not [each for each in message.commands if "victim" in each]
            # Nor could a server behind the next one see two: no bare CR or LF leaves us.
            lines = message.data.replace(b"\r\n", b"")
            assert b"\r" not in lines
            assert b"\n" not in lines
            assert b"RCPT TO:<victim@relay.test>" in message.data


def test_no_false_line_end_hides_a_command() -> None:
    with daemon.running() as mta:
        for ending in (b"\n", b"\r", b"\r\r\n", b"\n\r\n"):
            with Conversation(mta.address) as client:
                client.command("EHLO client.test")
                client.send(b"NOOP" + ending + b"MAIL FROM:<a@sender.test>" + ending + b"\r\n")
                assert client.reply().code >= 500
                client.send(b"QUIT\r\n")
                while (reply := client.reply()).code not in (0, 221):
                    assert reply.code >= 500


def test_octets_of_all_kinds_arrive_as_they_were_sent() -> None:
    every = bytes(each for each in range(256) if each not in b"\r\n")
    body = every + b"\r\n" + b"x" * 200_000 + b"\r\n\0\r\n" + every
    with daemon.running() as mta:
        with Conversation(mta.address) as client:
            begin(client)
            client.send(HEADER + body + b"\r\n.\r\n")
            assert client.reply().code == 250
        (message,) = mailbox.await_messages(mta.maildir("alice"), 1)
        sent = (HEADER + body + b"\r\n").replace(b"\r\n", b"\n")
        assert mailbox.without_trace(message) == sent
        mta.await_empty()


@pytest.mark.parametrize(
    "endless",
    [b"X-Again: and again\r\n", b"X-Word:" + b"x" * 1000, b" folded\r\n", b"\0\0\0\0\0\0\0\0"],
    ids=["fields", "one line", "one field", "NULs"],
)
def test_a_header_without_end_is_refused_and_nothing_is_left(endless: bytes) -> None:
    with daemon.running() as mta:
        with Conversation(mta.address, seconds=30) as client:
            begin(client)
            client.send(b"Subject: endless\r\n")
            for _ in range(3):
                client.send(endless * ((1 << 20) // len(endless)))
            client.send(b"\r\n\r\nbody\r\n.\r\n")
            reply = client.reply()
            assert (reply.code, reply.text) == (
                552,
                "5.3.4 Message header is ridiculously long",
            )
            # The conversation goes on as if nothing had been.
            begin(client)
            client.send(clients.MESSAGE + b".\r\n")
            assert client.reply().code == 250
        mailbox.await_messages(mta.maildir("alice"), 1)
        nothing_left(mta)


def test_a_command_line_without_end_is_answered_once_and_then_dropped() -> None:
    with daemon.running() as mta, Conversation(mta.address) as client:
        client.send(b"EHLO " + b"x" * 3_000_000 + b"\r\n")
        assert client.reply().code == 500
        assert client.command("EHLO client.test").code == 250
        client.send(b"NOOP\0 HELP\r\n")
        assert client.reply().code in (250, 500, 501)
        assert client.command("QUIT").code == 221


def test_ten_thousand_recipients_each_get_the_message_once() -> None:
    wanted = [f"user{number}@relay.test" for number in range(10_000)]
    with sink.listening() as peer, daemon.running(sink=peer.port) as mta:
        with Conversation(mta.address, seconds=60) as client:
            client.command("EHLO client.test")
            client.command("MAIL FROM:<a@sender.test>")
            for start in range(0, 10_000, 500):
                some = wanted[start : start + 500]
                client.send(b"".join(b"RCPT TO:<%s>\r\n" % each.encode() for each in some))
                assert {client.reply().code for _ in some} == {250}
            client.command("DATA")
            client.send(clients.MESSAGE + b".\r\n")
            assert client.reply().code == 250
        mta.await_empty(60)
        until(lambda: len(taken_by(peer)) >= 10_000, 5.0, "the sink's last note")
        assert sorted(taken_by(peer)) == sorted(wanted)


def test_more_recipients_than_allowed_are_deferred_and_the_others_served() -> None:
    config = daemon.BASIC.replace("split_spool", "recipients_max = 100\nsplit_spool")
    with sink.listening() as peer, daemon.running(config, sink=peer.port) as mta:
        with Conversation(mta.address) as client:
            client.command("EHLO client.test")
            client.command("MAIL FROM:<a@sender.test>")
            codes = client.codes(*(f"RCPT TO:<u{n}@relay.test>" for n in range(150)))
            assert codes == [250] * 100 + [452] * 50
            client.command("DATA")
            client.send(clients.MESSAGE + b".\r\n")
            assert client.reply().code == 250
        mta.await_empty()
        until(lambda: taken_by(peer), 5.0, "the sink's note")
        assert len(taken_by(peer)) == 100


def test_a_local_message_with_nuls_and_long_lines_arrives() -> None:
    with daemon.running() as mta:
        body = b"\0" * 1000 + b"\n" + b"y" * 300_000 + b"\n.\n..\n"
        text = b"Subject: local\n\n" + body
        result = mta.run("sendmail", *mta.arguments(), "-i", "alice@local.test", message=text)
        assert (result.returncode, result.stderr) == (0, b"")
        (message,) = mailbox.await_messages(mta.maildir("alice"), 1)
        assert message.partition(b"\n\n")[2] == body


def test_a_local_message_with_an_endless_header_is_refused() -> None:
    with daemon.running() as mta:
        text = b"X-Again: and again\n" * 200_000
        result = mta.run("sendmail", *mta.arguments(), "-i", "alice@local.test", message=text)
        assert result.returncode == 69
        assert b"header is ridiculously long" in result.stderr
        nothing_left(mta)
