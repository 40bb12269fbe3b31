"""A message of 100 megabytes passes through, and no process grows with it."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness import clients, daemon, mailbox
from tests.harness.daemon import identity
from tests.harness.source import TREE

SIZE = 100 << 20
GROWTH = 20 << 10  # in KiB, as the kernel counts
HEADER = b"From: ann@sender.test\nDate: now\nMessage-Id: <1@sender.test>\nSubject: large\n\n"
BODIES = {
    "lines": (b"." + b"x" * 75 + b"\n") * (SIZE // 77),
    "one line": b"y" * SIZE + b"\n",
}
CONFIG = daemon.BASIC.replace("acl_smtp_rcpt", "message_size_limit = 200M\nacl_smtp_rcpt", 1)


def high_water(mta: daemon.Running) -> dict[int, int]:
    """The most memory that each process has ever used, in KiB."""
    found = {}
    for pid in mta.processes():
        for line in Path(f"/proc/{pid}/status").read_text().split("\n"):
            if line.startswith("VmHWM:"):
                found[pid] = int(line.split()[1])
    return found


@contextmanager
def flat(mta: daemon.Running) -> Iterator[None]:
    """No process of the tree grows while the block runs, and none that is new is larger."""
    before = high_water(mta)
    yield
    after = high_water(mta)
    assert set(before) <= set(after)  # those that did the work have lived to tell
    grown = {
        pid: Path(f"/proc/{pid}/cmdline").read_bytes()[:60]
        for pid, size in after.items()
        if size > before.get(pid, max(before.values())) + GROWTH
    }
    assert grown == {}


@pytest.fixture(scope="module")
def target() -> Iterator[socket.socket]:
    """Where relayed mail goes to: it is taken by the test itself, without keeping it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60.0)
        yield listener


@pytest.fixture(scope="module")
def mta(target: socket.socket) -> Iterator[daemon.Running]:
    with daemon.running(CONFIG, sink=target.getsockname()[1]) as tree:
        # All processes have done their work once before anything is measured.
        to = ["bob@local.test", "ann@relay.test"]
        clients.transmit(tree.address, "ann@sender.test", to, b"\r\n")
        take(target)
        tree.await_empty()
        yield tree


def take(target: socket.socket) -> bytes:
    """Be the server of one connection, and return the last message it carried."""
    connection, _ = target.accept()
    message = b""
    with connection, connection.makefile("rb") as lines:
        connection.settimeout(60.0)
        connection.sendall(b"220 target.test ESMTP\r\n")
        while line := lines.readline():
            verb = line[:4].upper()
            if verb == b"DATA":
                connection.sendall(b"354 go on\r\n")
                message = b"".join(iter(lines.readline, b".\r\n"))
            connection.sendall(b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n")
            if verb in (b"DATA", b"QUIT"):
                break
    return message.replace(b"\r\n..", b"\r\n.").replace(b"\r\n", b"\n")


@pytest.mark.parametrize("form", sorted(BODIES))
def test_100_megabytes_by_smtp_are_stored_and_relayed_in_flat_memory(
    mta: daemon.Running, target: socket.socket, form: str
) -> None:
    message = HEADER + BODIES[form]
    to = ["alice@local.test", "ann@relay.test"]
    with flat(mta):
        clients.transmit(mta.address, "ann@sender.test", to, message.replace(b"\n", b"\r\n"))
        relayed = take(target)
        mta.await_empty(60.0)
    (stored,) = mailbox.messages(mta.maildir("alice"))
    (mta.maildir("alice") / "new").rename(mta.maildir("alice") / f"old {form}")
    # Not compared by a plain ==, whose report would be as large.
    assert (len(relayed) > SIZE, mailbox.without_trace(relayed) == message) == (True, True)
    assert (len(stored) > SIZE, mailbox.without_trace(stored) == message) == (True, True)


def test_100_megabytes_by_sendmail_are_stored_in_flat_memory(
    mta: daemon.Running, tmp_path: Path
) -> None:
    message = HEADER + BODIES["lines"]
    (tmp_path / "message").write_bytes(message)
    command = [TREE / "bin/sendmail", *mta.arguments(), "-i", "-f", "ann@sender.test"]
    with flat(mta), (tmp_path / "message").open("rb") as stdin:
        sent = subprocess.run(
            [*command, "carol@local.test"],
            stdin=stdin,
            capture_output=True,
            timeout=60,
            check=False,
            cwd="/",
            **identity(mta.who),
        )
        mta.await_empty(60.0)
    assert (sent.returncode, sent.stderr) == (0, b"")
    (stored,) = mailbox.messages(mta.maildir("carol"))
    assert (len(stored) > SIZE, mailbox.without_trace(stored) == message) == (True, True)
