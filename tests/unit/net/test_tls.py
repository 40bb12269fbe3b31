"""TLS over streams: handshakes, what is verified, ends, and files that change."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from mta.base.errors import TempFail
from mta.net import tls
from mta.net.tls import ClientSettings, Contexts, Facts, ServerSettings, TlsError, TlsStream
from mta.smtp.stream import SocketStream
from mta.unix.process import run_child

PATIENCE = 5.0
HOST = "mx.example.test"


def write(directory: Path, host: str) -> tuple[str, str]:
    """A certificate and its key in files."""
    key, certificate = tls.self_signed(host)
    files = directory / f"{host}.crt", directory / f"{host}.key"
    files[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return str(files[0]), str(files[1])


def echo(stream: TlsStream) -> None:
    """A server that sends back what it gets."""
    stream.handshake()
    while octets := stream.read(100):
        stream.write(octets)
    stream.close()


@contextmanager
def server(
    settings: ServerSettings, work: Callable[[TlsStream], None] = echo
) -> Iterator[SocketStream]:
    """The client's end of a connection to a process that does this."""
    context = Contexts().get(settings)
    ours, theirs = socket.socketpair()

    def child() -> None:
        ours.close()
        below = SocketStream(theirs)
        below.set_timeout(PATIENCE)
        try:
            work(TlsStream(below, context, server=True))
        except OSError:
            theirs.close()

    pid = run_child(child)
    theirs.close()
    stream = SocketStream(ours)
    stream.set_timeout(PATIENCE)
    try:
        yield stream
    finally:
        ours.close()
        os.waitpid(pid, 0)


def connect(
    below: SocketStream, settings: ClientSettings | None = None
) -> tuple[TlsStream, Facts]:
    context = Contexts().get(settings or ClientSettings())
    stream = TlsStream(below, context, server=False, name=HOST)
    return stream, stream.handshake()


def test_octets_go_both_ways_and_the_end_is_told() -> None:
    with server(ServerSettings(HOST)) as below:
        stream, facts = connect(below)
        stream.write(b"hello")
        assert stream.read(100) == b"hello"
        assert (facts.version, facts.bits) == ("TLS1.3", 256)
        assert str(facts).startswith("TLS1.3:TLS_")
        assert facts.peer == f"/CN={HOST}"
        stream.close()


def test_a_large_amount_goes_through() -> None:
    octets = os.urandom(300_000)

    def take(stream: TlsStream) -> None:
        stream.handshake()
        got = b""
        while len(got) < len(octets):
            got += stream.read(5000)
        stream.write(got)
        stream.close()

    with server(ServerSettings(HOST), take) as below:
        stream, _ = connect(below)
        stream.write(octets)
        got = b""
        while part := stream.read(65536):
            got += part
        assert got == octets


def test_the_server_learns_the_name_that_was_asked_for() -> None:
    def tell(stream: TlsStream) -> None:
        stream.write(stream.handshake().server_name.encode())

    with server(ServerSettings(HOST), tell) as below:
        stream, _ = connect(below)
        assert stream.read(100) == HOST.encode()


def test_a_certificate_that_nobody_vouches_for_is_noted() -> None:
    with server(ServerSettings(HOST)) as below:
        _, facts = connect(below)
    assert (facts.verified, facts.trouble) == (False, "self-signed certificate")


def test_a_certificate_that_is_trusted_is_verified(tmp_path: Path) -> None:
    certificate, key = write(tmp_path, HOST)
    with server(ServerSettings(HOST, certificate, key)) as below:
        settings = ClientSettings(authorities=certificate, require=True)
        stream, facts = connect(below, settings)
        assert (facts.verified, facts.trouble) == (True, "")
        assert stream.peer_names() == [HOST]


def test_a_client_may_insist_on_a_good_certificate() -> None:
    with (
        server(ServerSettings(HOST)) as below,
        pytest.raises(TlsError, match="certificate verify failed"),
    ):
        connect(below, ClientSettings(require=True))


def test_a_client_shows_its_certificate(tmp_path: Path) -> None:
    certificate, key = write(tmp_path, "client.example.test")

    def tell(stream: TlsStream) -> None:
        facts = stream.handshake()
        stream.write(f"{facts.peer} {facts.verified}".encode())

    asking = ServerSettings(HOST, authorities=certificate, ask=True)
    with server(asking, tell) as below:
        stream, _ = connect(below, ClientSettings(certificate, key))
        assert stream.read(100) == b"/CN=client.example.test True"
    with server(asking, tell) as below:
        stream, _ = connect(below)
        assert stream.read(100) == b" False"


def test_a_server_may_require_a_certificate(tmp_path: Path) -> None:
    certificate, _ = write(tmp_path, "client.example.test")
    with server(ServerSettings(HOST, authorities=certificate, require=True)) as below:
        stream, _ = connect(below)  # TLS 1.3: the refusal comes after it
        with pytest.raises(TlsError, match="certificate required"):
            stream.read(100)


def test_a_cut_is_not_an_end() -> None:
    def cut(stream: TlsStream) -> None:
        stream.handshake()
        stream.write(b"half")
        os._exit(0)

    with server(ServerSettings(HOST), cut) as below:
        stream, _ = connect(below)
        assert stream.read(100) == b"half"
        with pytest.raises(TlsError, match="cut off"):
            stream.read(100)


@pytest.mark.parametrize(
    "octets", [b"220 mx.example.test ESMTP\r\n", b"\x16\x03\x01\x00\x05hello", b"\0" * 100]
)
def test_a_server_that_speaks_no_tls(octets: bytes) -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(octets)
    with ours, theirs, pytest.raises(TlsError):
        connect(SocketStream(ours))


def test_silence_ends_at_the_deadline() -> None:
    ours, theirs = socket.socketpair()
    stream = SocketStream(ours)
    stream.set_timeout(0.05)
    with ours, theirs, pytest.raises(TimeoutError):
        connect(stream)


def test_what_is_readable() -> None:
    with server(ServerSettings(HOST)) as below:
        stream, _ = connect(below)
        assert not stream.readable()
        stream.write(b"ab")
        assert stream.read(1) == b"a"
        assert stream.readable()
        assert stream.read(1) == b"b"
        assert not stream.readable()


def test_the_end_is_readable() -> None:
    def leave(stream: TlsStream) -> None:
        stream.handshake()
        stream.read(1)
        stream.close()

    with server(ServerSettings(HOST), leave) as below:
        stream, _ = connect(below)
        stream.write(b"x")
        assert stream.read(1) == b""
        assert stream.readable()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
@pytest.mark.parametrize("version", ["tls1_2", "tls1_3"])
def test_openssl_talks_to_us(version: str) -> None:
    context = Contexts().get(ServerSettings(HOST))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        command = ["openssl", "s_client", "-quiet", f"-{version}", "-connect"]
        client = subprocess.Popen(
            [*command, f"127.0.0.1:{port}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        connection, _ = listening.accept()
    below = SocketStream(connection)
    below.set_timeout(PATIENCE)
    stream = TlsStream(below, context, server=True)
    facts = stream.handshake()
    stream.write(b"220 hello\n")
    assert client.stdout is not None
    assert client.stdout.readline() == b"220 hello\n"
    stream.close()
    client.communicate(timeout=PATIENCE)
    assert facts.version == version.replace("tls", "TLS").replace("_", ".")


def test_old_versions_are_refused() -> None:
    with server(ServerSettings(HOST)) as below:
        context = Contexts().get(ClientSettings())
        context.set_min_proto_version(0)
        context.set_max_proto_version(tls.SSL.TLS1_1_VERSION)
        stream = TlsStream(below, context, server=False)
        with pytest.raises(TlsError):
            stream.handshake()


# Names.


@pytest.mark.parametrize(
    ("names", "host", "is_for"),
    [
        (["mx.example.org"], "mx.example.org", True),
        (["mx.example.org"], "MX.Example.org.", True),
        (["*.example.org"], "mx.example.org", True),
        (["*.example.org"], "a.mx.example.org", False),
        (["*.example.org"], "example.org", False),
        (["*.org"], "example.org", False),
        (["m*.example.org"], "mx.example.org", False),
        (["*"], "org", False),
        (["a.example.org", "b.example.org"], "b.example.org", True),
        ([], "example.org", False),
        ([""], "", True),
    ],
)
def test_whom_a_certificate_is_for(names: list[str], host: str, is_for: bool) -> None:
    assert tls.is_for(names, host) is is_for


# Files.


def test_a_new_certificate_is_taken_without_a_restart(tmp_path: Path) -> None:
    certificate, key = write(tmp_path, HOST)
    settings = ServerSettings(HOST, certificate, key)
    contexts = Contexts()
    before = contexts.get(settings)
    assert contexts.get(settings) is before
    write(tmp_path, HOST)
    after = contexts.get(settings)
    assert after is not before
    assert contexts.get(settings) is after


def test_a_certificate_that_is_being_written_leaves_the_old_one(tmp_path: Path) -> None:
    certificate, key = write(tmp_path, HOST)
    settings = ServerSettings(HOST, certificate, key)
    contexts = Contexts()
    before = contexts.get(settings)
    Path(certificate).write_text("-----BEGIN CERTIF")
    assert contexts.get(settings) is before
    os.unlink(certificate)
    assert contexts.get(settings) is before


def test_what_is_wrong_with_files_is_said(tmp_path: Path) -> None:
    certificate, key = write(tmp_path, HOST)
    other, _ = write(tmp_path, "other.test")
    for settings, said in (
        (ServerSettings(HOST, "/nowhere"), "cannot read /nowhere: No such file"),
        (ServerSettings(HOST, key, key), f"{key} holds no certificate: "),
        (ServerSettings(HOST, other, key), f"{key} does not hold the key of {other}: "),
        (ServerSettings(HOST, certificate, key, "NONE"), 'no cipher is left of "NONE"'),
        (ServerSettings(HOST, authorities="/nowhere"), "cannot read /nowhere: "),
    ):
        with pytest.raises(TempFail) as caught:
            Contexts().get(settings)
        assert caught.value.text.startswith(said)
