"""A mail server that follows a script, in a process of its own, over a socket pair.

    s: TEXT    the server says this line
    c:         the client says a line, which is noted
    d:         the client sends lines up to a single dot, which are noted as one
    eof        the client closes
    tls FILES  the server does its part of a handshake, with this certificate and key
    idle       the server says nothing until the client closes
    deaf       it does not even read until then

When the script ends the server closes.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
from pathlib import Path
from typing import IO

from mta.net.socket import Link
from mta.unix.process import run_child

GREETING = ("s: 220 mx.example.net ESMTP", "c:")
PLAIN = (*GREETING, "s: 250 mx.example.net")
PIPELINING = (*GREETING, "s: 250-mx.example.net", "s: 250-PIPELINING", "s: 250 SIZE 1000000")


class Servers:
    """The servers that the next connections lead to, in order; an OSError refuses one."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.scripts: list[tuple[str, ...] | OSError] = []
        self.asked: list[tuple[str, int, str]] = []
        self.children: list[int] = []

    def expect(self, *scripts: tuple[str, ...] | OSError) -> None:
        self.scripts += scripts

    def connect(
        self, address: str, port: int, deadline: float, *, interface: str, keepalive: bool
    ) -> Link:
        self.asked.append((address, port, interface))
        script = self.scripts.pop(0)
        if isinstance(script, OSError):
            raise script
        ours, theirs = socket.socketpair()
        note = self.directory / f"heard{len(self.children)}"
        self.children.append(run_child(lambda: _serve(ours, theirs, script, note)))
        theirs.close()
        return Link(ours)

    def listen(self, path: Path, script: tuple[str, ...]) -> None:
        """Follow a script in the one connection to a UNIX socket of this path."""
        note = self.directory / f"heard{len(self.children)}"
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
            listening.listen(1)

            def work() -> None:
                theirs, _ = listening.accept()
                _serve(listening, theirs, script, note)

            self.children.append(run_child(work))

    def heard(self, number: int = 0) -> list[str]:
        """What the client said in a connection that is over."""
        os.waitpid(self.children[number], 0)
        octets = (self.directory / f"heard{number}").read_bytes()
        return octets.decode("utf-8", "surrogateescape").replace("\r\n", "|").split("\n")[:-1]


def _secured(plain: socket.socket, step: str) -> tuple[socket.socket, IO[bytes]]:
    _, certificate, key = step.split(" ")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    secret = context.wrap_socket(plain.dup(), server_side=True, suppress_ragged_eofs=False)
    return secret, secret.makefile("rwb")


def _serve(
    ours: socket.socket, theirs: socket.socket, script: tuple[str, ...], note: Path
) -> None:
    ours.close()
    theirs.settimeout(10)
    stream = theirs.makefile("rwb")
    with note.open("wb") as heard:
        for step in script:
            if step.startswith("tls "):
                stream.flush()
                # It stays behind the first stream, which has read nothing of what follows.
                theirs, stream = _secured(theirs, step)
                continue
            if step.startswith("s: "):
                stream.write(step[3:].encode("utf-8", "surrogateescape") + b"\r\n")
                continue
            stream.flush()
            if step == "c:":
                heard.write(stream.readline() + b"\n")
            elif step == "deaf":
                poll = select.poll()
                poll.register(theirs, 0)
                poll.poll(10_000)
            elif step == "d:":
                heard.write(b"".join(iter(stream.readline, b".\r\n")) + b".\r\n\n")
            else:
                heard.write(stream.read() + b"\n")
        stream.flush()
    stream.close()
    theirs.close()
