"""Debian's Exim and we answer AUTH with the same words and log the same lines."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import clients, daemon, peers
from tests.harness.wait import until

pytestmark = pytest.mark.timeout(300)  # the first use makes Exim's system

GOOD = b64encode(f"\0{peers.USER}\0{peers.PASSWORD}".encode()).decode()
WRONG = b64encode(f"\0{peers.USER}\0other".encode()).decode()
TALKS = {
    "success": ["EHLO c", f"AUTH PLAIN {GOOD}", "MAIL FROM:<a@b.test>"],
    "twice": ["EHLO c", f"AUTH PLAIN {GOOD}", f"AUTH PLAIN {GOOD}", "AUTH"],
    "prompted": ["EHLO c", "AUTH PLAIN", GOOD],
    "odd spelling": ["EHLO c", f"auth  plain\t{GOOD}  "],
    "wrong": ["EHLO c", f"AUTH PLAIN {WRONG}", f"AUTH PLAIN {GOOD}"],
    "parts": ["EHLO c", f"AUTH PLAIN {b64encode(b'x').decode()}", "AUTH PLAIN ="],
    "empty": ["EHLO c", "AUTH PLAIN", ""],
    "cancelled": ["EHLO c", "AUTH PLAIN", "*"],
    "no base 64": ["EHLO c", "AUTH PLAIN !", "AUTH PLAIN", "YWJj=="],
    "unknown": ["EHLO c", "AUTH GSSAPI", "AUTH CRAM-MD5 abc", "AUTH"],
    "before EHLO": [f"AUTH PLAIN {GOOD}", "HELO c", "AUTH PLAIN"],
    "in a transaction": ["EHLO c", "MAIL FROM:<a@b.test>", "AUTH PLAIN", "RSET"],
    "after HELO": ["EHLO c", f"AUTH PLAIN {GOOD}", "HELO c", "MAIL FROM:<a@b.test> AUTH=a@b"],
    "author": ["EHLO c", "MAIL FROM:<a@b.test> AUTH=a+40b.test"],
    "known author": ["EHLO c", f"AUTH PLAIN {GOOD}", "MAIL FROM:<a@b.test> AUTH=a+40b.test"],
    "no author": ["EHLO c", "MAIL FROM:<a@b.test> AUTH=<>", "RSET"],
    "bad author": ["EHLO c", "MAIL FROM:<a@b.test> AUTH=a+zz", "MAIL FROM:<a@b.test>"],
    "refused": ["EHLO c", "MAIL FROM:<a@b.test>", "RCPT TO:<alice@peer.test>"],
    "refused when known": [
        *("EHLO c", f"AUTH PLAIN {GOOD}", "MAIL FROM:<a@b.test>"),
        "RCPT TO:<nobody@elsewhere.test>",
    ],
}
OURS = daemon.BASIC.replace(
    "check_rcpt:\n", "check_rcpt:\n  deny !authenticated = *\n       message = who are you?\n"
).replace("primary_hostname = mx.test", "primary_hostname = peer.test")
for old, new in {
    "domains = local.test": "domains = peer.test",
    "begin acl": "auth_failure_delay = 0s\nbegin acl",
    "relay not permitted": "Unrouteable address",
}.items():
    OURS = OURS.replace(old, new)


def replies(address: clients.Address, lines: list[str]) -> list[tuple[int, str]]:
    """What is answered, without the codes of RFC 2034 that Exim does not send."""
    found = []
    with clients.Conversation(address) as client:
        for line in lines:
            said = client.command(line)
            if line[:4] not in ("EHLO", "HELO"):
                found.append((said.code, re.sub(r"^[245]\.\d+\.\d+ ", "", said.text)))
    return found


def logged(text: str) -> list[str]:
    """The lines about AUTH."""
    lines = [line[20:] for line in text.split("\n")]
    about = ("authenticator failed", "ignoring AUTH", "rejected RCPT")
    return sorted(line for line in lines if any(each in line for each in about))


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[peers.Peer, daemon.Running]]:
    section = peers.EXIM_LOGIN["begin retry\n"].replace("begin retry\n", "")
    with (
        peers.running("exim", relay_to=9, login=True) as exim,
        daemon.running(OURS + section) as mta,
    ):
        yield exim, mta


@pytest.mark.parametrize("name", TALKS)
def test_the_replies_are_the_same(name: str, both: tuple[peers.Peer, daemon.Running]) -> None:
    exim, mta = both
    assert replies(mta.address, TALKS[name]) == replies(exim.address, TALKS[name])


def test_the_log_lines_are_the_same(both: tuple[peers.Peer, daemon.Running]) -> None:
    exim, mta = both
    for log in (exim.log, Path(mta.spool / "log" / "mainlog")):
        log.write_text("")
    for lines in TALKS.values():
        for address in (mta.address, exim.address):
            replies(address, lines)
    until(lambda: len(logged(exim.said())) >= len(logged(mta.log())), 10, "Exim's log")
    assert logged(mta.log()) == logged(exim.said())
