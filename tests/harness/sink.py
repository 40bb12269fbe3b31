"""A scriptable SMTP server to be relayed to: it answers as told and keeps what it is given.

    with sink.listening({"RCPT": ["450 later", "250 now"]}) as peer:
        ... relay to peer.port ...
        (message,) = peer.await_messages(1)

The script maps a verb (GREETING, EHLO, HELO, MAIL, RCPT, DATA, DOT, RSET, QUIT) or a whole
command line to a reply, or to a list of replies used in turn, the last one for ever after. A
reply is text, sent with CRLF; bytes are sent as they are; DROP closes the connection and STALL
answers nothing. The server is a process of its own with one child per connection, so that a
test can also stop and start it like a host that goes down.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from tests.harness.wait import until

DROP, STALL = "\0drop", "\0stall"
Answer = str | bytes
Script = Mapping[str, Answer | list[Answer]]
OFFERED = ("sink.test", "PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "SIZE")
USUAL: dict[str, Answer] = {
    "GREETING": "220 sink.test ESMTP",
    "EHLO": "\r\n".join([*(f"250-{each}" for each in OFFERED), "250 HELP"]),
    "HELO": "250 sink.test",
    "DATA": "354 go on",
    "DOT": "250 2.0.0 taken",
    "QUIT": "221 2.0.0 bye",
}


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that was answered with 2xx."""

    sender: str
    recipients: tuple[str, ...]
    data: bytes
    commands: tuple[str, ...]


class Hangup(Exception):
    """The script says that the connection ends here."""


def message(lines: BinaryIO) -> Iterator[bytes]:
    """The lines of a message before its final dot."""
    while (line := lines.readline()) != b".\r\n":
        if not line:
            raise Hangup
        yield line


@dataclass(slots=True)
class Session:
    """One connection, in a child of the server."""

    connection: socket.socket
    script: Script
    place: Path
    commands: list[str] = field(default_factory=list)
    sender: str = ""
    recipients: list[str] = field(default_factory=list)

    def answer(self, verb: str, line: str) -> str:
        """Send the scripted reply; its first octet tells how the transaction goes on."""
        octets = self.reply(verb, line)
        self.connection.sendall(octets)
        return octets[:1].decode("latin-1")

    def reply(self, verb: str, line: str) -> bytes:
        """The scripted reply."""
        key = line if line in self.script else verb
        said: Answer | list[Answer] = self.script.get(key, USUAL.get(verb, "250 2.0.0 ok"))
        if isinstance(said, list):
            said = said[min(self.turn(key), len(said) - 1)]
        if said == DROP:
            raise Hangup
        if said == STALL:
            time.sleep(3600)
        return said if isinstance(said, bytes) else said.encode() + b"\r\n"

    def turn(self, key: str) -> int:
        """How often this key came up before, in all sessions: a file that grows."""
        name = "turns." + "".join(letter if letter.isalnum() else "_" for letter in key)
        fd = os.open(self.place / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(fd, b".")
        size = os.fstat(fd).st_size
        os.close(fd)
        return size - 1

    def talk(self) -> None:
        self.answer("GREETING", "GREETING")
        with self.connection.makefile("rb") as lines:
            while line := lines.readline():
                text = line.decode("utf-8", "surrogateescape").rstrip("\r\n")
                self.commands.append(text)
                verb = text.split(" ")[0].upper()
                if verb == "DATA" and self.answer(verb, text) == "3":
                    self.take(b"".join(message(lines)))
                elif verb != "DATA":
                    self.obey(verb, text)

    def obey(self, verb: str, text: str) -> None:
        good = self.answer(verb, text) == "2"
        path = text.partition("<")[2].partition(">")[0]
        if verb in ("MAIL", "RSET", "EHLO", "HELO"):
            self.sender, self.recipients = path, []
        elif verb == "RCPT" and good:
            self.recipients.append(path)
        elif verb == "QUIT":
            raise Hangup

    def take(self, stuffed: bytes) -> None:
        """A whole message has come: keep it before saying so."""
        data = stuffed.replace(b"\r\n..", b"\r\n.")
        if data.startswith(b".."):
            data = data[1:]
        record = {
            "sender": self.sender,
            "recipients": self.recipients,
            "data": data.decode("latin-1"),
            "commands": self.commands,
        }
        name = f"{time.time_ns():020d}.{os.getpid()}"
        (self.place / f"tmp.{name}").write_text(json.dumps(record))
        reply = self.reply("DOT", ".")
        try:
            self.connection.sendall(reply)
        finally:
            # It was taken, whether the client listens to all of that or not.
            if reply[:1] == b"2":
                (self.place / f"tmp.{name}").rename(self.place / f"msg.{name}")
        self.sender, self.recipients = "", []


@dataclass(slots=True)
class Sink:
    """The server as the test sees it."""

    script: Script
    place: Path
    port: int = 0
    host: str = "127.0.0.1"
    pid: int = 0

    @property
    def address(self) -> tuple[str, int]:
        return (self.host, self.port)

    def start(self) -> None:
        """Listen; on the same port as before after a stop."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self.host, self.port))
        listener.listen(512)
        self.port = listener.getsockname()[1]
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.setpgid(0, 0)
                serve(listener, self.script, self.place)
            finally:
                os._exit(1)
        with suppress(OSError):  # both sides do it, so that stop() finds the group
            os.setpgid(self.pid, self.pid)
        listener.close()

    def stop(self) -> None:
        """Go down with all connections."""
        if self.pid:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0

    def messages(self) -> list[Taken]:
        """What was taken so far, in order."""
        return self._read("msg.*")

    def _read(self, pattern: str) -> list[Taken]:
        found = []
        for file in sorted(self.place.glob(pattern)):
            text = file.read_text()
            if not text.endswith("}"):
                continue  # it was cut short before any answer
            record = json.loads(text)
            found.append(
                Taken(
                    record["sender"],
                    tuple(record["recipients"]),
                    record["data"].encode("latin-1"),
                    tuple(record["commands"]),
                )
            )
        return found

    def count(self) -> int:
        """How many were taken, without reading them."""
        return sum(1 for _ in self.place.glob("msg.*"))

    def in_doubt(self) -> list[Taken]:
        """What had come as a whole when the server went down, answered perhaps or not."""
        return self._read("tmp.*")

    def await_count(self, number: int, seconds: float = 15.0) -> None:
        until(lambda: self.count() >= number, seconds, f"{number} messages in the sink")

    def await_messages(self, number: int, seconds: float = 15.0) -> list[Taken]:
        self.await_count(number, seconds)
        return self.messages()


def serve(listener: socket.socket, script: Script, place: Path) -> None:
    """Accept for ever; each connection gets a child, which nobody waits for."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        connection, _ = listener.accept()
        # Several short answers to pipelined commands must not wait for acknowledgements.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if os.fork() == 0:
            listener.close()
            with suppress(Hangup, OSError):
                Session(connection, script, place).talk()
            os._exit(0)
        connection.close()


@contextmanager
def listening(script: Script | None = None, *, host: str = "127.0.0.1") -> Iterator[Sink]:
    """A running sink, which is gone afterwards."""
    place = Path(tempfile.mkdtemp(prefix="mta-sink-"))
    sink = Sink(script or {}, place, host=host)
    sink.start()
    try:
        yield sink
    finally:
        sink.stop()
        shutil.rmtree(place, ignore_errors=True)
