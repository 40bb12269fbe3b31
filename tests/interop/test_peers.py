"""Mail to, from and through Debian's Postfix and Exim keeps its octets and its envelope."""

from __future__ import annotations

import re

import pytest

from tests.harness import clients, daemon, mailbox, peers, ports, sink

KINDS = peers.RELAYS
# A neighbour's mail for relay.test comes to us; ours for peer.test goes to it.
CONFIG = (
    daemon.BASIC.replace("relay_domains = relay.test", "relay_domains = peer.test : sink.test")
    .replace("local_domains = local.test", "local_domains = relay.test")
    .replace("acl_smtp_rcpt = check_rcpt", "acl_smtp_rcpt = check_rcpt\nlog_selector = +all")
)
SENDER = "ann@sender.test"
HEADER = (
    b"From: Ann <ann@sender.test>\nTo: alice@local.test\nSubject: between systems\n"
    b"Message-Id: <1@sender.test>\nDate: Mon, 23 Nov 2026 12:00:00 +0000\n"
    b"MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
    b"Content-Transfer-Encoding: 8bit\nX-Folded: one\n two\n\tthree\n"
)
MESSAGES = {
    "plain": HEADER + b"\nHello.\n",
    "dots": HEADER + b"\n.\n..\n.dot\n...\nend.\n.\n",
    "8-bit": HEADER + b"\n" + bytes(range(1, 10)) + bytes(range(128, 256)) + b"\n",
    "a line of 998 octets": HEADER + b"\n" + b"x" * 998 + b"\n" + b"." * 998 + b"\n",
    "an empty body": HEADER + b"\n",
    "empty lines at the end": HEADER + b"\nHello \n\n\n\n",
    "a megabyte": HEADER + b"\n" + (b"." + b"z" * 75 + b"\n") * 13_000,
}
# What the neighbours put on top when they deliver or pass on.
TRACE = re.compile(
    rb"(?:(?:Return-path|Envelope-to|Delivery-date|X-Original-To|Delivered-To|Received):"
    rb"[^\n]*\n(?:[ \t][^\n]*\n)*)*",
    re.IGNORECASE,
)

pytestmark = pytest.mark.timeout(300)  # the first use makes a Debian system


def below_trace(message: bytes) -> bytes:
    found = TRACE.match(message)
    return message[found.end() :] if found else message


def recognized(arrived: list[bytes]) -> list[str]:
    """The names of the messages that arrived; the beginning of one that has changed."""
    names = {message: name for name, message in MESSAGES.items()}
    return sorted(names.get(below_trace(each), repr(each[:2000])) for each in arrived)


def wire(message: bytes) -> bytes:
    return message.replace(b"\n", b"\r\n")


@pytest.mark.parametrize("kind", KINDS)
def test_what_we_relay_arrives_there_octet_for_octet(kind: str) -> None:
    with (
        peers.running(kind, relay_to=9) as peer,
        daemon.running(CONFIG, sink=peer.port) as mta,
    ):
        for message in MESSAGES.values():
            to = ["alice@peer.test", "bob@peer.test"]
            clients.transmit(mta.address, SENDER, to, wire(message))
        mta.await_empty(30.0)
        for user in ("alice", "bob"):
            found = mailbox.await_messages(peer.maildir(user), len(MESSAGES), 30.0)
            assert recognized(found) == sorted(MESSAGES)
            paths = {path for each in found for path in mailbox.header(each, "Return-path")}
            assert paths == {"<ann@sender.test>"}
        # Both recipients went in one transaction.
        assert mta.log().count(" => ") == len(MESSAGES)
        assert mta.log().count(" -> ") == len(MESSAGES)


@pytest.mark.parametrize("kind", KINDS)
def test_what_it_relays_arrives_here_octet_for_octet(kind: str) -> None:
    port = ports.free()[0]
    with (
        peers.running(kind, relay_to=port) as peer,
        daemon.running(CONFIG, macros={"PORT": str(port)}) as mta,
    ):
        for message in MESSAGES.values():
            to = ["alice@relay.test", "bob@relay.test", "carol@relay.test"]
            clients.transmit(peer.address, SENDER, to, wire(message))
        for user in ("alice", "bob", "carol"):
            found = mailbox.await_messages(mta.maildir(user), len(MESSAGES), 30.0)
            assert recognized(found) == sorted(MESSAGES)
            paths = [mailbox.header(each, "Return-path") for each in found]
            assert paths == [["<ann@sender.test>"]] * len(MESSAGES)
        # All recipients of a message came in one transaction.
        assert mta.log().count(" <= ann@sender.test ") == len(MESSAGES)


@pytest.mark.parametrize("kind", KINDS)
def test_what_it_sends_through_us_to_another_is_unchanged(kind: str) -> None:
    port = ports.free()[0]
    config = CONFIG.replace("local_domains = relay.test", "local_domains = none.test").replace(
        "relay_domains = peer.test", "relay_domains = relay.test"
    )
    with (
        sink.listening() as other,
        peers.running(kind, relay_to=port) as peer,
        daemon.running(config, sink=other.port, macros={"PORT": str(port)}) as mta,
    ):
        with clients.Conversation(peer.address) as client:
            client.command("EHLO client.test")
            client.command(f"MAIL FROM:<{SENDER}> BODY=8BITMIME")
            client.command("RCPT TO:<alice@relay.test>")
            assert client.command("DATA").code == 354
            client.send(wire(MESSAGES["8-bit"]) + b".\r\n")
            assert client.reply().code == 250
        (taken,) = other.await_messages(1, 30.0)
        mta.await_empty()
    assert below_trace(taken.data.replace(b"\r\n", b"\n")) == MESSAGES["8-bit"]
    assert (taken.sender, taken.recipients) == (SENDER, ("alice@relay.test",))
    mail = next(line for line in taken.commands if line.startswith("MAIL"))
    assert " BODY=8BITMIME" in mail


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_recipient_it_refuses_is_bounced_to_the_sender(kind: str) -> None:
    with (
        peers.running(kind, relay_to=9) as peer,
        daemon.running(CONFIG, sink=peer.port) as mta,
    ):
        to = ["alice@peer.test", "unknown@peer.test", "bob@peer.test"]
        clients.transmit(mta.address, "bob@relay.test", to, wire(MESSAGES["dots"]))
        (bounce,) = mailbox.await_messages(mta.maildir("bob"), 1, 30.0)
        for user in ("alice", "bob"):
            (arrived,) = mailbox.await_messages(peer.maildir(user), 1, 30.0)
            assert below_trace(arrived) == MESSAGES["dots"]
        mta.await_empty()
    assert mailbox.header(bounce, "Return-path") == ["<>"]
    assert mailbox.header(bounce, "X-Failed-Recipients") == ["unknown@peer.test"]


def test_exim_and_we_pipeline_in_both_directions() -> None:
    port = ports.free()[0]
    with peers.running("exim", relay_to=port) as exim:
        with daemon.running(CONFIG, sink=exim.port, macros={"PORT": str(port)}) as mta:
            clients.transmit(mta.address, SENDER, ["alice@peer.test"], wire(MESSAGES["8-bit"]))
            mailbox.await_messages(exim.maildir(), 1, 30.0)
            clients.transmit(exim.address, SENDER, ["alice@relay.test"], wire(HEADER + b"\n"))
            mailbox.await_messages(mta.maildir("alice"), 1, 30.0)
            mta.await_empty()
        lines = exim.said().split("\n")
    (received,) = [line for line in lines if " <= " in line and "(mx.test)" in line]
    (sent,) = [line for line in lines if " => alice@relay.test" in line]
    # L: the client sent commands ahead.  M8S: BODY=8BITMIME.
    assert " P=esmtp L" in received
    assert " M8S=8 " in received
    # It speaks TLS with us, as we offer that.
    assert " [127.0.0.1] X=TLS1.3:" in sent
    assert " L C=" in sent
