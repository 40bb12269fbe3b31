"""Clients: a conversation in raw octets, and the programs people really send with."""

from __future__ import annotations

import shutil
import smtplib
import socket
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import pytest

Address = tuple[str, int]
MESSAGE = (
    b"From: a@sender.test\r\nTo: alice@local.test\r\nSubject: greetings\r\n\r\nHello.\r\n"
)


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply as it came: its code and the text of its lines."""

    code: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


class Conversation:
    """One connection in which the test decides over every octet."""

    def __init__(
        self, address: Address, *, seconds: float = 10.0, greeting: bool = True
    ) -> None:
        self.socket = socket.create_connection(address, timeout=seconds)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.unread = b""
        self.greeting = self.reply() if greeting else None

    def send(self, octets: bytes) -> None:
        self.socket.sendall(octets)

    def line(self) -> bytes:
        """The next line without its end; b"" when the server has closed."""
        while b"\n" not in self.unread:
            more = self.socket.recv(65536)
            if not more:
                last, self.unread = self.unread, b""
                return last
            self.unread += more
        line, _, self.unread = self.unread.partition(b"\n")
        return line.removesuffix(b"\r")

    def reply(self) -> Reply:
        """The next reply; code 0 when the server has closed."""
        lines = []
        while True:
            line = self.line()
            lines.append(line[4:].decode("utf-8", "surrogateescape"))
            if line[3:4] != b"-":
                return Reply(int(line[:3] or b"0"), tuple(lines))

    def command(self, line: str) -> Reply:
        self.send(line.encode("utf-8", "surrogateescape") + b"\r\n")
        return self.reply()

    def codes(self, *lines: str) -> list[int]:
        """Send each line in turn, and tell what was answered."""
        return [self.command(line).code for line in lines]

    def closed(self) -> bool:
        """True if the server has closed, or does so before the time limit."""
        try:
            return self.line() == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Conversation:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def send(
    address: Address, sender: str, recipients: Iterable[str], message: bytes = MESSAGE
) -> dict[str, tuple[int, bytes]]:
    """Send by the standard library's client; the recipients that were refused."""
    with smtplib.SMTP(*address, timeout=30) as client:
        return client.sendmail(sender, list(recipients), message)


def transmit(address: Address, sender: str, recipients: Iterable[str], wire: bytes) -> None:
    """Send these very octets, dots doubled: the standard library's client mends line ends."""
    stuffed = wire.replace(b"\r\n.", b"\r\n..")
    with Conversation(address, seconds=60.0) as client:
        commands = ["EHLO client.test", f"MAIL FROM:<{sender}>"]
        commands += [f"RCPT TO:<{each}>" for each in recipients]
        codes = client.codes(*commands, "DATA")
        assert codes == [250] * len(commands) + [354]
        client.send((b"." if wire.startswith(b".") else b"") + stuffed + b".\r\n")
        answer = client.reply()
        assert answer.code == 250, answer.text
        # Not waited for: Exim answers it after 200 ms.
        client.send(b"QUIT\r\n")


def program(name: str) -> str:
    """The path of a program; the test is skipped where it is not installed."""
    found = shutil.which(name, path="/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"needs {name}")
    return found


def run(
    command: Sequence[str | Path], message: bytes = b"", *, seconds: float = 60.0
) -> subprocess.CompletedProcess[bytes]:
    """Run a mail program with a message as its input."""
    return subprocess.run(
        command, input=message, capture_output=True, timeout=seconds, check=False
    )
