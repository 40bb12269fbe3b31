"""Mail to and from Debian's Postfix and Exim."""

from __future__ import annotations

import pytest

from tests.harness import clients, daemon, mailbox, peers, ports

KINDS = sorted(peers.KINDS)
CONFIG = daemon.BASIC.replace(
    "relay_domains = relay.test", "relay_domains = peer.test"
).replace("local_domains = local.test", "local_domains = relay.test")
MESSAGE = (
    b"From: Ann <ann@sender.test>\r\nTo: alice@local.test\r\nSubject: between systems\r\n"
    b"Message-Id: <1@sender.test>\r\nDate: Mon, 23 Nov 2026 12:00:00 +0000\r\n\r\n"
    b".dot\r\n\r\n" + b"x" * 900 + b"\r\n"
)
STORED = MESSAGE.replace(b"\r\n", b"\n")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", KINDS)
def test_what_we_relay_arrives_there(kind: str) -> None:
    with (
        peers.running(kind, relay_to=9) as peer,
        daemon.running(CONFIG, sink=peer.port) as mta,
    ):
        clients.send(mta.address, "ann@sender.test", ["alice@peer.test"], MESSAGE)
        (arrived,) = mailbox.await_messages(peer.maildir, 1, 30.0)
        mta.await_empty()
    assert arrived.endswith(STORED.partition(b"\n\n")[2])
    assert mailbox.header(arrived, "Subject") == ["between systems"]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", KINDS)
def test_what_it_relays_arrives_here(kind: str) -> None:
    port = ports.free()[0]
    with (
        peers.running(kind, relay_to=port) as peer,
        daemon.running(CONFIG, macros={"PORT": str(port)}) as mta,
    ):
        clients.send(peer.address, "ann@sender.test", ["alice@relay.test"], MESSAGE)
        (arrived,) = mailbox.await_messages(mta.maildir("alice"), 1, 30.0)
    assert arrived.endswith(STORED.partition(b"\n\n")[2])
    assert mailbox.header(arrived, "Return-path") == ["<ann@sender.test>"]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", KINDS)
def test_a_recipient_it_refuses_is_bounced_to_the_sender(kind: str) -> None:
    with (
        peers.running(kind, relay_to=9) as peer,
        daemon.running(CONFIG, sink=peer.port) as mta,
    ):
        clients.send(mta.address, "bob@relay.test", ["unknown@peer.test"], MESSAGE)
        (bounce,) = mailbox.await_messages(mta.maildir("bob"), 1, 30.0)
        mta.await_empty()
    assert b"unknown@peer.test" in bounce
    assert mailbox.header(bounce, "Return-path") == ["<>"]
