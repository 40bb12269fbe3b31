"""Death at every system call of a delivery to a command and over LMTP: nothing is lost.

The command and the mail store write what they have into a Maildir, where the messages are
counted.  One may be there twice where the process died after they had it and before that was
noted, which no protocol can prevent; never more often.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from mta.unix.process import run_child
from tests.fault import strace
from tests.fault.test_kill import CONFIG, deaths
from tests.harness import daemon
from tests.harness.daemon import Running

MAILDIR = CONFIG[CONFIG.index("maildir:\n") : CONFIG.index("begin retry")]
PIPE = """maildir:
  driver = pipe
  message_prefix =
  command = /bin/sh -c 'n=\\$(date +%s%N).\\$\\$; \\
    cat > MAIL/alice/tmp/\\$n && mv MAIL/alice/tmp/\\$n MAIL/alice/new/\\$n'
"""
LMTP = """maildir:
  driver = lmtp
  socket = MAIL/store.sock
"""

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(autouse=True)
def _strace() -> None:
    strace.needs_strace()


@contextmanager
def ready(transport: str) -> Iterator[tuple[Running, Path]]:
    """A tree with this transport for alice's mail, and where her Maildir is."""
    with daemon.prepared(CONFIG.replace(MAILDIR, transport)) as mta:
        alice = mta.maildir("alice")
        for part in ("tmp", "new", "cur"):
            (alice / part).mkdir(parents=True)
        for each in (alice.parent, alice, *alice.iterdir()):
            each.chmod(0o777)
        yield mta, alice


@contextmanager
def store(path: Path, maildir: Path) -> Iterator[None]:
    """A mail store that speaks LMTP, to one client after another."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen(8)
        path.chmod(0o777)
        pid = run_child(lambda: _serve(listening, maildir))
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _serve(listening: socket.socket, maildir: Path) -> None:
    number = 0
    while True:
        client, _ = listening.accept()
        number += 1
        # A client that dies breaks what is said to it, and the closing of it.
        with suppress(OSError), client, client.makefile("rwb") as stream:
            _converse(stream, maildir, number)  # type: ignore[arg-type]


def _converse(stream: socket.SocketIO, maildir: Path, number: int) -> None:
    def say(text: bytes) -> None:
        stream.write(text + b"\r\n")
        stream.flush()

    say(b"220 store")
    while line := stream.readline():
        if line.startswith(b"DATA"):
            say(b"354 go on")
            octets = b""
            while (line := stream.readline()) and line != b".\r\n":
                octets += line.replace(b"\r\n", b"\n")
            if not line:
                return  # without the dot it is none
            (maildir / "new" / str(number)).write_bytes(octets)
        say(b"250 ok")


def test_nothing_is_lost_when_a_delivery_to_a_command_dies_at_any_call() -> None:
    with ready(PIPE) as (mta, _):
        mta.start()
        deaths(mta, "mta: user")


def test_nothing_is_lost_when_a_delivery_over_lmtp_dies_at_any_call() -> None:
    with ready(LMTP) as (mta, alice), store(alice.parent / "store.sock", alice):
        mta.start()
        deaths(mta, "mta: user")
