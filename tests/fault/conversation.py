"""Messages that can be told apart, and conversations that may end anywhere."""

from __future__ import annotations

import itertools
import re
import socket
from contextlib import suppress
from pathlib import Path

from mta.cli.control import Control
from mta.proc.control import Run
from tests.harness.daemon import Running
from tests.harness.wait import until

_TOKENS = itertools.count(1)
_TOKEN = re.compile(rb"^X-Token: (\w+)$", re.MULTILINE)
SECONDS = 10.0


def new_token() -> str:
    return f"token{next(_TOKENS)}"


def message(token: str) -> bytes:
    return f"X-Token: {token}\r\nSubject: test\r\n\r\nbody of {token}\r\n".encode()


class Client:
    """An SMTP client that notes whether the server took responsibility."""

    def __init__(self, mta: Running) -> None:
        self.socket = socket.create_connection(mta.address, SECONDS)
        self.file = self.socket.makefile("rb")
        self.reply()

    def reply(self) -> bytes:
        """The last line of a reply; b"" if the connection ended."""
        while line := self.file.readline():
            if line[3:4] != b"-":
                return line
        return b""

    def send(self, token: str, *recipients: str) -> bool:
        """Send a message, to alice if nobody is named; True only if answered with 250."""
        with suppress(ConnectionError):
            for command in (
                b"EHLO client.test\r\n",
                b"MAIL FROM:<sender@else.test>\r\n",
                *(
                    b"RCPT TO:<%s>\r\n" % each.encode()
                    for each in recipients or ("alice@local.test",)
                ),
                b"DATA\r\n",
            ):
                self.socket.sendall(command)
                if self.reply()[:1] not in (b"2", b"3"):
                    return False
            self.socket.sendall(message(token) + b".\r\n")
            return self.reply().startswith(b"250")
        return False

    def quit(self) -> None:
        with suppress(ConnectionError):
            self.socket.sendall(b"QUIT\r\n")
            self.reply()
        self.close()

    def close(self) -> None:
        self.file.close()
        self.socket.close()


def run_queue(mta: Running) -> None:
    """Have everything tried now, due or not."""
    with Control(str(mta.spool)) as control:
        control.count(Run(1))


def empty_queue(mta: Running, seconds: float = 20.0) -> None:
    """Run the queue until nothing is left in it."""

    def done() -> bool:
        if not mta.messages():
            return True
        with suppress(Exception):
            run_queue(mta)
        return not mta.messages()

    until(done, seconds, f"an empty queue; there are {mta.messages()}")


def delivered(maildir: Path) -> dict[str, int]:
    """How often each token has arrived."""
    counts: dict[str, int] = {}
    for file in (maildir / "new").iterdir():
        for token in _TOKEN.findall(file.read_bytes()):
            counts[token.decode()] = counts.get(token.decode(), 0) + 1
    return counts


def logged_deliveries(mta: Running) -> dict[str, int]:
    """How many => and -> lines each message and address has."""
    counts: dict[str, int] = {}
    for line in mta.log().split("\n"):
        parts = line.split(" ")
        if len(parts) > 4 and parts[3] in ("=>", "->"):
            key = f"{parts[2]} {parts[4]}"
            counts[key] = counts.get(key, 0) + 1
    return counts
