"""How many messages one receiver takes, and what a command costs it.

    python -m tests.bench.bench_smtpd [DIRECTORY] [--profile]

The client is a child at the other end of a socket pair; the directory (a temporary one) holds
the spool, so that a disk and a memory file system can be compared.  Prints JSON lines.
"""

from __future__ import annotations

import cProfile
import os
import pstats
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from typing import BinaryIO

from mta.config.load import load
from mta.log.sink import open_log
from mta.proc import roles
from mta.proc.service import make_service
from mta.receive.service import Service
from mta.smtpd import session
from mta.spool import layout
from mta.unix import frames, privilege, process
from tests.bench.production import configuration, report

# One session is all there is.
LIMITS = """
smtp_accept_max_per_connection = 0
smtp_accept_max_nonmail = 1000000
smtp_accept_queue_per_connection = 0
"""
BODY = b"Subject: bench\r\nFrom: a@example.net\r\nMessage-ID: <1@example.net>\r\n\r\n" + (
    b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n" * 64
)
ENVELOPE = (b"MAIL FROM:<a@example.net>\r\n", b"RCPT TO:<alice@local.test>\r\n", b"DATA\r\n")


def service(directory: str) -> Service:
    """What a receiver has at hand, on a fresh spool."""
    conf = load(configuration(directory, LIMITS))
    layout.prepare(conf.queue.spool_directory, split=True)
    spool = layout.Spool(conf.queue.spool_directory, split=True)
    me, (control, _) = privilege.myself(), frames.pair()
    log = open_log(f"{directory}/%slog")
    who = roles.Identities(me, me, False)
    return make_service(roles.Inherited(conf, control, log, {}, [], who), spool, None)


def messages(count: int, per_session: int) -> Callable[[socket.socket], None]:
    """A client that sends messages and waits for each reply."""

    def talk(sock: socket.socket) -> None:
        reader = sock.makefile("rb")
        for number in range(count):
            if number % per_session == 0:
                if number:
                    _expect(reader, sock, b"RSET\r\n", 1)
                _expect(reader, sock, b"EHLO client.example\r\n", 1)
            for line in ENVELOPE:
                _expect(reader, sock, line, 1)
            _expect(reader, sock, BODY + b".\r\n", 1)
        sock.sendall(b"QUIT\r\n")
        reader.read()

    return talk


def commands(count: int) -> Callable[[socket.socket], None]:
    """A client that never gets as far as DATA: ten recipients, then RSET."""
    group = b"MAIL FROM:<a@b.example>\r\n" + b"RCPT TO:<alice@local.test>\r\n" * 10

    def talk(sock: socket.socket) -> None:
        reader = sock.makefile("rb")
        _expect(reader, sock, b"EHLO client.example\r\n", 1)
        for _ in range(count):
            _expect(reader, sock, group, 11)
            _expect(reader, sock, b"EHLO client.example\r\n", 1)
        sock.sendall(b"QUIT\r\n")
        reader.read()

    return talk


def _expect(reader: BinaryIO, sock: socket.socket, octets: bytes, replies: int) -> None:
    sock.sendall(octets)
    for _ in range(replies):
        while reader.readline()[3:4] == b"-":
            pass


def converse(made: Service, talk: Callable[[socket.socket], None]) -> tuple[float, float]:
    """One conversation: the time it took, and the CPU seconds on our side."""
    client, server = socket.socketpair()

    def child() -> None:
        server.close()
        client.recv(1000)
        talk(client)

    process.run_child(child)
    client.close()
    started, cpu = time.monotonic(), time.process_time()
    session.serve(made, server, ("192.0.2.7", 1000))
    server.close()
    os.wait()
    return time.monotonic() - started, time.process_time() - cpu


def main() -> None:
    """Run all."""
    arguments = [each for each in sys.argv[1:] if not each.startswith("--")]
    directory = tempfile.mkdtemp(dir=arguments[0] if arguments else None)
    made = service(directory)
    process.settle()
    converse(made, messages(100, 100))
    profile = cProfile.Profile()
    if "--profile" in sys.argv:
        profile.enable()
    for name, talk, count in (
        ("smtpd.messages", messages(2000, 2000), 2000),
        ("smtpd.commands", commands(500), 500 * 12),
    ):
        taken, cpu = converse(made, talk)
        report(f"{name}.rate", count / taken, "per second")
        report(f"{name}.cpu", cpu / count * 1e6, "us each")
    if "--profile" in sys.argv:
        profile.disable()
        pstats.Stats(profile).sort_stats("tottime").print_stats(35)
    shutil.rmtree(directory)


if __name__ == "__main__":
    main()
