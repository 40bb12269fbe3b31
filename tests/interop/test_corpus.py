"""Odd, broken and large messages: what arrives is what was sent, octet for octet.

The corpus is the one that Python's own `email` package is tested with (in Debian:
libpython3.*-testsuite), malformed messages included, and some of our own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import clients, daemon, mailbox

CORPUS = sorted(Path("/usr/lib").glob("python3.*/test/test_email/data/*.txt"))
FIELD = re.compile(rb"[!-9;-~]+[ \t]*:")
OWN = {
    "only a body": b"no header at all\n",
    "empty": b"",
    "one field": b"Subject: x\n",
    "no empty line between header and body": b"Subject: x\nthis is body\n",
    "every octet but NUL, CR and LF": b"Subject: x\n\n"
    + bytes(set(range(256)) - {0, 10, 13})
    + b"\n",
    "dots": b"Subject: x\n\n.\n..\n...\n.x\n\n.\n",
    "a line of 900 octets": b"Subject: x\n\n" + b"y" * 900 + b"\n",
    "a thousand fields": b"".join(b"X-%d: y\n" % n for n in range(1000)) + b"\nbody\n",
    "a field of a thousand lines": b"Subject: x\n" + b" more\n" * 1000 + b"\nbody\n",
    "ten megabytes": b"Subject: x\n\n" + (b"z" * 76 + b"\n") * 136_000,
}


def as_stored(sent: bytes) -> bytes:
    """What a mailbox must hold: a body that begins within the header gets its empty line.

    What an earlier delivery wrote into the header is taken out, as it would now be untrue.
    """
    sent = without_earlier_delivery(sent)
    lines = sent.split(b"\n")
    for number, line in enumerate(lines):
        if line == b"":
            return sent if number < len(lines) - 1 else sent + b"\n"
        if not FIELD.match(line) and not (number and line[:1] in (b" ", b"\t")):
            return b"\n".join([*lines[:number], b"", *lines[number:]])
    return sent


def without_earlier_delivery(sent: bytes) -> bytes:
    kept, rest = b"", sent
    while FIELD.match(rest):
        after = mailbox.without_first_field(rest)
        if not rest.lower().startswith(mailbox.DELIVERY):
            kept += rest[: len(rest) - len(after)]
        rest = after
    return kept + rest


@pytest.fixture(scope="module")
def mta() -> Iterator[daemon.Running]:
    users = " : ".join(f"user{number}" for number in range(200))
    with daemon.running(daemon.BASIC.replace("alice : bob : carol", users)) as tree:
        yield tree


def arrives(mta: daemon.Running, number: int, message: bytes) -> bytes:
    """Send it, line ends made CRLF, and fetch it."""
    to = f"user{number}"
    wire = message.replace(b"\n", b"\r\n")
    assert clients.send(mta.address, "ann@sender.test", [f"{to}@local.test"], wire) == {}
    (stored,) = mailbox.await_messages(mta.maildir(to), 1, 30.0)
    return mailbox.without_trace(stored)


@pytest.mark.skipif(not CORPUS, reason="needs libpython3.*-testsuite")
@pytest.mark.parametrize("number", range(len(CORPUS)), ids=[file.name for file in CORPUS])
def test_a_message_of_the_corpus_arrives_as_it_was_sent(
    mta: daemon.Running, number: int
) -> None:
    # Bare CRs are refused (they smuggle): what lines the file has are made plain ones.
    message = re.sub(rb"\r\n?", b"\n", CORPUS[number].read_bytes())
    if not message.endswith(b"\n"):
        message += b"\n"
    assert arrives(mta, number, message) == as_stored(message)


@pytest.mark.parametrize("name", sorted(OWN))
def test_an_odd_message_arrives_as_it_was_sent(mta: daemon.Running, name: str) -> None:
    number = 100 + sorted(OWN).index(name)
    assert arrives(mta, number, OWN[name]) == as_stored(OWN[name])
