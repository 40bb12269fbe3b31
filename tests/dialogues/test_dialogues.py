"""Every conversation in this directory is held with the server, word for word."""

from __future__ import annotations

import os
import re
import select
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mta.acl.acls import load_acls
from mta.auth.engine import load_authenticators, servers
from mta.config.load import load
from mta.expand.compile import prepare as compile_all
from mta.log.sink import open_log
from mta.lookup.api import Tables
from mta.receive.service import Service
from mta.smtpd import session
from mta.spool import layout
from mta.spool.envelope import Envelope
from mta.spool.header_file import decode
from mta.unix.process import run_child

HERE = Path(__file__).parent
USUAL = """
domainlist local_domains = local.example
acl_smtp_rcpt = rcpt
begin acl
rcpt:
  accept domains = +local_domains
  deny message = relay not permitted
"""
ID = re.compile(r"[0-9A-Za-z]{6}-[0-9A-Za-z]{11}-[0-9A-Za-z]{4}")
PATIENCE = 10.0


def service(directory: Path, configuration: str) -> Service:
    """What a receiver has at hand, on a fresh spool."""
    file = directory / "mta.conf"
    # What EHLO offers is written out in most dialogues; a few have TLS as their subject.
    offer = "" if "tls_advertise_hosts" in configuration else "tls_advertise_hosts =\n"
    file.write_text(
        f"{offer}primary_hostname = mx.example\nspool_directory = {directory}/spool\n"
        f"smtp_banner = mx.example ready\n{configuration}"
    )
    conf = load(str(file))
    assert compile_all(conf) == []
    layout.prepare(conf.queue.spool_directory, split=False)
    spool = layout.Spool(conf.queue.spool_directory, split=False)
    log = open_log(str(directory / "%slog"))
    clients = servers(load_authenticators(conf))
    return Service(conf, load_acls(conf), spool, log, Tables(), servers=clients)


@dataclass
class Client:
    """The client's end of a conversation."""

    sock: socket.socket
    buffer: bytes = b""
    closed: bool = False

    def go_secret(self, version: str) -> None:
        """The handshake that follows a STARTTLS which was answered with 220."""
        assert self.buffer == b""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion[version or "TLSv1_3"]
        self.sock = context.wrap_socket(self.sock, server_hostname="mx.example")

    def line(self) -> str:
        while b"\r\n" not in self.buffer:
            octets = self.sock.recv(65536)
            assert octets, f"no more lines; left: {self.buffer!r}"
            self.buffer += octets
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        assert b"\n" not in line
        assert b"\r" not in line
        return line.decode()

    def send(self, octets: bytes) -> None:
        """Send, reading meanwhile, so that neither side waits for the other for ever."""
        if isinstance(self.sock, ssl.SSLSocket):
            self.sock.sendall(octets)
            return
        view = memoryview(octets)
        poller = select.poll()  # select() knows only the first thousand descriptors
        poller.register(self.sock, select.POLLIN | select.POLLOUT)
        while view:
            ready = poller.poll(PATIENCE * 1000)
            assert ready, "the server reads no more"
            (_, events) = ready[0]
            writable = events & select.POLLOUT
            if events & ~select.POLLOUT:
                octets = self.sock.recv(65536)
                self.buffer += octets
                if not octets:
                    return
            if not writable:
                continue
            try:
                view = view[self.sock.send(view, socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                return  # what it said before it left is still to be read

    def end(self) -> None:
        while octets := self.sock.recv(65536):
            self.buffer += octets
        assert self.buffer == b""


@dataclass
class Expected:
    """What must be there when the conversation is over."""

    logs: list[str] = field(default_factory=list)
    rejects: list[str] = field(default_factory=list)
    messages: int | None = None
    contents: list[tuple[str, str]] = field(default_factory=list)


def unescape(text: str) -> bytes:
    return text.encode("utf-8").decode("unicode_escape").encode("latin-1")


def steps(text: str) -> Iterator[tuple[str, str]]:
    for line in text.split("\n"):
        if not line.strip(" ") or line.startswith("#"):
            continue
        mark, _, rest = line.partition(" ")
        yield mark, rest


def converse(client: Client, mark: str, rest: str) -> None:
    match mark:
        case "c:":
            client.send(rest.encode() + b"\r\n")
        case "c!":
            client.send(unescape(rest))
        case "c*":
            count, _, what = rest.partition(" ")
            client.send(unescape(what) * int(count))
        case "s:":
            assert client.line() == rest
        case "s~":
            line = client.line()
            assert re.fullmatch(rest, line), line
        case "s*":
            count, _, what = rest.partition(" ")
            for _ in range(int(count)):
                assert client.line() == what
        case "tls":
            client.go_secret(rest)
        case "end":
            client.end()
        case "half":
            client.sock.shutdown(socket.SHUT_WR)
        case "vanish":
            client.sock.close()
            client.closed = True
        case _:
            raise AssertionError(f"unknown step {mark}")


def note(expected: Expected, mark: str, rest: str) -> bool:
    match mark:
        case "log:":
            expected.logs.append(rest)
        case "reject:":
            expected.rejects.append(rest)
        case "messages:":
            expected.messages = int(rest)
        case "body:" | "header:" | "to:" | "dsn:":
            expected.contents.append((mark, rest))
        case _:
            return False
    return True


def logged(path: Path) -> list[str]:
    lines = path.read_text().split("\n")
    shown = [line[20:] for line in lines if re.match(r"[0-9]{4}-", line)]
    # The size of a message depends on how long our version's name is.
    return [re.sub(r" S=[0-9]+", " S=N", ID.sub("ID", line)) for line in shown]


def check(directory: Path, expected: Expected) -> None:
    assert logged(directory / "mainlog") == expected.logs
    if expected.rejects:
        assert logged(directory / "rejectlog") == expected.rejects
    assert logged(directory / "paniclog") == []
    spooled = sorted((directory / "spool" / "input").iterdir())
    headers = [path for path in spooled if path.name.endswith("-H")]
    # Nothing is left over of messages that were not taken.
    assert len(spooled) == 2 * len(headers)
    if expected.messages is not None:
        assert len(headers) == expected.messages
    shown = iter(headers)
    envelope: Envelope | None = None
    for mark, rest in expected.contents:
        if mark == "body:":
            path = next(shown)
            envelope = decode(path.read_bytes(), path.name[:-2])
            body = path.with_name(f"{path.name[:-2]}-D").read_bytes().split(b"\n", 1)[1]
            assert body == unescape(rest)
        elif mark == "header:":
            assert envelope is not None
            assert unescape(rest) in [header.text for header in envelope.headers]
        elif mark == "dsn:":
            assert envelope is not None
            assert wishes(envelope) == rest
        else:
            assert envelope is not None
            assert ", ".join(to.address for to in envelope.recipients) == rest


def wishes(envelope: Envelope) -> str:
    """What the sender wants to be told: RET and ENVID, then flags and ORCPT of each."""
    told = [f"{to.dsn_flags} {to.orcpt}".rstrip(" ") for to in envelope.recipients]
    return ", ".join([f"{envelope.dsn_ret} {envelope.dsn_envid}", *told])


@pytest.mark.parametrize("name", sorted(path.name for path in HERE.glob("*.smtp")))
def test_dialogue(name: str, tmp_path: Path) -> None:
    script = list(steps((HERE / name).read_text()))
    configuration = "\n".join(rest for mark, rest in script if mark == "conf:")
    peer = next((rest for mark, rest in script if mark == "peer:"), "192.0.2.7")
    port = next((rest for mark, rest in script if mark == "port:"), "25")
    made = service(tmp_path, configuration or USUAL)
    ours, theirs = socket.socketpair()

    def server() -> None:
        ours.close()
        session.serve(made, theirs, (peer, 1234), ("192.0.2.1", int(port)))

    pid = run_child(server)
    theirs.close()
    ours.settimeout(PATIENCE)
    client, expected = Client(ours), Expected()
    for mark, rest in script:
        if mark not in ("conf:", "peer:", "port:") and not note(expected, mark, rest):
            converse(client, mark, rest)
    client.sock.close()
    ours.close()
    assert wait(pid) == 0
    check(tmp_path, expected)


def wait(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
