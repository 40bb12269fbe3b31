"""Delivery status notifications with Debian's Postfix and Exim, and Exim's spool with them."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from mta.mail.header import parse_block
from mta.spool.envelope import (
    DSN_DELAY,
    DSN_NEVER,
    DSN_SUCCESS,
    RET_HEADERS,
    Envelope,
    Recipient,
)
from mta.spool.header_file import decode, encode
from tests.harness import clients, daemon, mailbox, peers, ports, reports, sink
from tests.harness.peers import Peer
from tests.harness.wait import until

KINDS = peers.RELAYS
CONFIG = (
    daemon.BASIC.replace("relay_domains = relay.test", "relay_domains = peer.test")
    .replace("local_domains = local.test", "local_domains = relay.test")
    .replace(
        "acl_smtp_rcpt = check_rcpt", "acl_smtp_rcpt = check_rcpt\ndsn_advertise_hosts = *"
    )
)
QUIET = CONFIG.replace("\ndsn_advertise_hosts = *", "")
MESSAGE = b"Subject: x\r\nMessage-ID: <m@x>\r\n\r\nthe body\r\n.\r\n"
TO = "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;"
NOWHERE = 9

pytestmark = pytest.mark.timeout(300)  # the first use makes a Debian system


def send(address: tuple[str, int], sender: str, *recipients: str) -> None:
    """Send a message with these arguments of RCPT TO."""
    with clients.Conversation(address, seconds=30.0) as client:
        said = ["EHLO client.test", f"MAIL FROM:<{sender}> RET=HDRS ENVID=QQ+2B1"]
        said += [f"RCPT TO:{each}" for each in recipients]
        assert client.codes(*said, "DATA") == [250] * len(said) + [354]
        client.send(MESSAGE)
        assert client.reply().code == 250


def only_report(maildir: Path) -> reports.Read:
    (message,) = mailbox.await_messages(maildir, 1, 30.0)
    return reports.read(message)


def check_delivered(report: reports.Read, recipient: str) -> None:
    """A report of success; Exim writes in xtext what RFC 3461 6.3 wants decoded."""
    about = {name.lower(): value for name, value in report.about.items()}
    assert about["original-envelope-id"] in ("QQ+1", "QQ+2B1")
    (found,) = report.recipients
    assert found["Action"] == "delivered"
    assert bare(found["Final-Recipient"]) == f"rfc822;{recipient}"
    assert bare(found["Original-Recipient"]) in ("rfc822;B@x", "rfc822;B+40x")


def bare(address: str) -> str:
    return address.replace(" ", "")


@pytest.mark.parametrize("kind", KINDS)
def test_a_neighbour_reports_what_our_client_wished_for(kind: str) -> None:
    port = ports.free()[0]
    with (
        peers.running(kind, relay_to=port) as peer,
        daemon.running(CONFIG, sink=peer.port, macros={"PORT": str(port)}) as mta,
    ):
        send(mta.address, "alice@relay.test", f"<bob@peer.test> {TO}B+40x")
        report = only_report(mta.maildir("alice"))
        check_delivered(report, "bob@peer.test")


@pytest.mark.parametrize("kind", KINDS)
def test_we_report_what_the_client_of_a_neighbour_wished_for(kind: str) -> None:
    port = ports.free()[0]
    with (
        peers.running(kind, relay_to=port) as peer,
        daemon.running(CONFIG, sink=peer.port, macros={"PORT": str(port)}),
    ):
        send(peer.address, "alice@peer.test", f"<bob@relay.test> {TO}B+40x")
        report = only_report(peer.maildir("alice"))
        check_delivered(report, "bob@relay.test")


@pytest.mark.parametrize("kind", KINDS)
def test_a_refusal_of_a_neighbour_is_reported_in_its_words(kind: str) -> None:
    port = ports.free()[0]
    with (
        peers.running(kind, relay_to=port) as peer,
        daemon.running(CONFIG, sink=peer.port, macros={"PORT": str(port)}) as mta,
    ):
        wishes = f"<nonesuch@peer.test> {TO}n@peer.test"
        send(mta.address, "alice@relay.test", wishes)
        report = only_report(mta.maildir("alice"))
        (found,) = report.recipients
        assert (found["Action"], found["Original-Recipient"]) == (
            "failed",
            "rfc822;n@peer.test",
        )
        assert found["Diagnostic-Code"].startswith("smtp; 55")


@pytest.mark.parametrize("kind", KINDS)
def test_where_we_offer_no_dsn_the_neighbour_reports_that_it_relayed(kind: str) -> None:
    port = ports.free()[0]
    with (
        peers.running(kind, relay_to=port) as peer,
        daemon.running(QUIET, sink=peer.port, macros={"PORT": str(port)}) as mta,
    ):
        send(peer.address, "alice@peer.test", f"<bob@relay.test> {TO}b")
        assert only_report(peer.maildir("alice")).recipients[0]["Action"] in (
            "relayed",
            "delivered",  # as Exim calls it
        )
        mailbox.await_messages(mta.maildir("bob"), 1, 30.0)
        assert len(mailbox.messages(mta.maildir("bob"))) == 1


WISHES = (
    Recipient("bob@relay.test", dsn_flags=DSN_SUCCESS | DSN_DELAY, orcpt="rfc822;B+40x"),
    Recipient("carol@relay.test", dsn_flags=DSN_NEVER),
    Recipient("dave@relay.test"),
)


def put_into(peer: Peer) -> None:
    """Write a message of ours into Exim's spool."""
    message_id = "1vNcbb-00000X-2U"
    spool = peer.root / "var/spool/exim4/input"
    owner = pwd.struct_passwd(passwd_of(peer.root, "Debian-exim"))
    headers, _ = parse_block(b"Subject: from our spool\n")
    envelope = Envelope(
        message_id,
        "Debian-exim",
        owner.pw_uid,
        owner.pw_gid,
        "alice@peer.test",
        1_795_000_000.0,
        received_protocol="local",
        body_linecount=1,
        dsn_envid="QQ+2B1",
        dsn_ret=RET_HEADERS,
        recipients=WISHES,
        headers=tuple(headers),
    )
    for name, octets in (
        ("D", f"{message_id}-D\nthe body\n".encode("ascii")),
        ("H", encode(envelope)),
    ):
        path = spool / f"{message_id}-{name}"
        path.write_bytes(octets)
        os.chown(path, owner.pw_uid, owner.pw_gid)
        path.chmod(0o640)


def passwd_of(root: Path, name: str) -> tuple[str, str, int, int, str, str, str]:
    for line in (root / "etc/passwd").read_text().split("\n"):
        fields = line.split(":")
        if fields[0] == name:
            return (*fields[:2], int(fields[2]), int(fields[3]), *fields[4:7])  # type: ignore[return-value]
    raise AssertionError(f"no {name} in {root}")


def test_exim_obeys_the_wishes_in_our_spool() -> None:
    knows = {"EHLO": "250-sink.test\r\n250-PIPELINING\r\n250 DSN"}
    with sink.listening(knows) as ours, peers.running("exim", relay_to=ours.port) as peer:
        put_into(peer)
        (taken,) = ours.await_messages(1, 30.0)
        told = [each for each in taken.commands if each[:4] in ("MAIL", "RCPT")]
        assert told == [
            "MAIL FROM:<alice@peer.test> RET=HDRS ENVID=QQ+2B1",
            "RCPT TO:<bob@relay.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;B+40x",
            "RCPT TO:<carol@relay.test> NOTIFY=NEVER",
            "RCPT TO:<dave@relay.test>",
        ]


def test_we_read_the_wishes_in_exims_spool() -> None:
    with peers.running("exim", relay_to=NOWHERE) as peer:
        wishes = ("NOTIFY=SUCCESS,DELAY ORCPT=rfc822;B+40x", "NOTIFY=NEVER", "")
        arguments = [
            f"<{recipient.address}> {wish}"
            for recipient, wish in zip(WISHES, wishes, strict=True)
        ]
        send(peer.address, "alice@peer.test", *arguments)
        spool = peer.root / "var/spool/exim4/input"
        (path,) = until(lambda: list(spool.rglob("*-H")), 10.0, "a message in Exim's spool")
        envelope = decode(path.read_bytes(), path.name[:-2])
        assert envelope.recipients == WISHES
        assert (envelope.dsn_envid, envelope.dsn_ret) == ("QQ+2B1", RET_HEADERS)
