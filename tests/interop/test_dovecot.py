"""Delivery into a real Dovecot over LMTP, to its UNIX socket and over TCP."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator

import pytest

from tests.harness import clients, daemon, mailbox, peers
from tests.harness.peers import Peer

pytestmark = pytest.mark.timeout(300)  # the first use makes Dovecot's system

MAILDIR = daemon.BASIC[daemon.BASIC.index("maildir:\n") : daemon.BASIC.index("begin retry")]
UNIX = """maildir:
  driver = lmtp
  socket = STORE/srv/lmtp
  batch_max = 20
"""
TCP = """maildir:
  driver = smtp
  protocol = lmtp
  hosts = 127.0.0.1
  port = LMTP
  allow_localhost
"""


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Peer]:
    with peers.running("dovecot", relay_to=9) as peer:
        yield peer


@pytest.mark.parametrize("transport", [UNIX, TCP], ids=["unix", "tcp"])
def test_one_mailbox_is_full_and_the_other_is_not(dovecot: Peer, transport: str) -> None:
    config = daemon.BASIC.replace(MAILDIR, transport)
    macros = {"STORE": str(dovecot.root), "LMTP": str(dovecot.port)}
    for user in ("alice", "bob"):
        shutil.rmtree(dovecot.maildir(user), ignore_errors=True)
    large = b"Subject: large\r\n\r\n" + (b"y" * 70 + b"\r\n") * 800
    people = ["alice@local.test", "bob@local.test"]
    with daemon.running(config, macros=macros) as mta:
        clients.transmit(mta.address, "a@sender.test", people[:1], large)
        mta.await_log("=> alice")
        clients.transmit(mta.address, "a@sender.test", people, large)
        mta.await_log("** alice@local.test")
        mta.await_log("=> bob")
        log = mta.log()
    assert re.search(r"\*\* alice@local.test .*LMTP error after .*: 552 5\.2\.2", log)
    assert re.search(r'=> bob.* C="250 2\.0\.0 <bob@local\.test> \S+ Saved"', log)
    assert len(mailbox.messages(dovecot.maildir("alice"))) == 1
    assert len(mailbox.messages(dovecot.maildir("bob"))) == 1
