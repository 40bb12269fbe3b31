"""Odd, broken and large messages: what arrives is what was sent, octet for octet.

What may differ is told in tests/harness/corpus.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.harness import clients, corpus, daemon, mailbox, sink

MESSAGES = corpus.messages()
NAMES = list(MESSAGES)
CONFIG = daemon.BASIC.replace("mx.test", "peer.test").replace(
    "alice : bob : carol",
    " : ".join(
        f"{way}{number}" for way in ("smtp", "sendmail") for number in range(len(NAMES))
    ),
)


@dataclass(frozen=True, slots=True)
class Arrived:
    """Everything was sent in all ways before the tests look at it."""

    mta: daemon.Running
    relayed: dict[str, sink.Taken]

    def in_mailbox(self, way: str, name: str) -> bytes:
        """The message below the trace lines."""
        (message,) = mailbox.messages(self.mta.maildir(f"{way}{NAMES.index(name)}"))
        return mailbox.without_trace(message)


@pytest.fixture(scope="module")
def arrived() -> Iterator[Arrived]:
    with sink.listening() as peer, daemon.running(CONFIG, sink=peer.port) as mta:
        for number, message in enumerate(MESSAGES.values()):
            text = corpus.wire(message)
            to = [f"smtp{number}@local.test", f"{number}@relay.test"]
            clients.transmit(mta.address, corpus.SENDER, to, text)
            submit(mta, ["-i", "-f", corpus.SENDER, f"sendmail{number}@local.test"], message)
        mta.await_empty(60.0)
        taken = peer.messages()
        yield Arrived(mta, {each.recipients[0].partition("@")[0]: each for each in taken})


def submit(mta: daemon.Running, arguments: list[str], message: bytes) -> None:
    sent = mta.run("sendmail", *mta.arguments(), *arguments, message=message)
    assert (sent.returncode, sent.stderr) == (0, b"")


def test_the_corpus_of_python_is_there() -> None:
    if not corpus.files():
        pytest.skip("needs libpython3.*-testsuite, or a Python with its tests")
    assert len(corpus.files()) > 40


@pytest.mark.parametrize("name", NAMES)
def test_a_message_by_smtp_is_stored_as_it_was_sent(arrived: Arrived, name: str) -> None:
    assert arrived.in_mailbox("smtp", name) == corpus.stored(MESSAGES[name])


@pytest.mark.parametrize("name", NAMES)
def test_a_message_by_sendmail_is_stored_as_it_was_sent(arrived: Arrived, name: str) -> None:
    found = corpus.normal(arrived.in_mailbox("sendmail", name))
    assert found == corpus.submitted(name, MESSAGES[name])


@pytest.mark.parametrize("name", NAMES)
def test_a_message_is_relayed_as_it_was_sent(arrived: Arrived, name: str) -> None:
    taken = arrived.relayed[str(NAMES.index(name))]
    assert taken.sender == corpus.SENDER
    # Line ends are CRLF and nothing else, whatever came in.
    assert b"\n" not in taken.data.replace(b"\r\n", b"")
    assert b"\r" not in taken.data.replace(b"\r\n", b"")
    text = taken.data.replace(b"\r\n", b"\n")
    assert mailbox.without_trace(text) == corpus.stored(MESSAGES[name])
