"""TLS over streams: handshakes, what is verified, ends, and files that change."""

from __future__ import annotations

import datetime
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from mta.base import clock
from mta.base.errors import TempFail
from mta.net import certificates, tls_terms
from mta.net.tls import SSL, TlsStream
from mta.net.tls_contexts import Contexts
from mta.net.tls_terms import ClientSettings, Facts, ServerSettings, TlsError, standard_name
from mta.smtp.stream import SocketStream
from mta.unix.process import run_child
from tests.harness.certificates import Authority, Pair

PATIENCE = 5.0
HOST = "mx.example.test"


def write(directory: Path, host: str) -> tuple[str, str]:
    """A certificate and its key in files."""
    key, certificate = certificates.self_signed(host)
    files = directory / f"{host}.crt", directory / f"{host}.key"
    files[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return str(files[0]), str(files[1])


def echo(stream: TlsStream) -> None:
    """A server that sends back what it gets."""
    stream.handshake(PATIENCE)
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
    return stream, stream.handshake(PATIENCE)


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
        stream.handshake(PATIENCE)
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
        stream.write(stream.handshake(PATIENCE).server_name.encode())

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
        _, facts = connect(below, settings)
        assert (facts.verified, facts.trouble) == (True, "")
        assert facts.names == (HOST,)


def test_a_client_may_insist_on_a_good_certificate() -> None:
    with (
        server(ServerSettings(HOST)) as below,
        pytest.raises(TlsError, match="certificate verify failed"),
    ):
        connect(below, ClientSettings(require=True))


def test_a_client_shows_its_certificate(tmp_path: Path) -> None:
    certificate, key = write(tmp_path, "client.example.test")

    def tell(stream: TlsStream) -> None:
        facts = stream.handshake(PATIENCE)
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
        stream.handshake(PATIENCE)
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
    context = Contexts().get(ClientSettings())
    with ours, theirs, pytest.raises(TimeoutError):
        TlsStream(stream, context, server=False).handshake(0.05)


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
        stream.handshake(PATIENCE)
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
    facts = stream.handshake(PATIENCE)
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
        context.set_max_proto_version(SSL.TLS1_1_VERSION)
        stream = TlsStream(below, context, server=False)
        with pytest.raises(TlsError):
            stream.handshake(PATIENCE)


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
    assert tls_terms.is_for(names, host) is is_for


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


# What must not be believed.


def resumed(settings: ServerSettings, client: ClientSettings) -> tuple[str, str]:
    """What the server saw in a first conversation and in one that takes up its session."""
    context = Contexts().get(settings)
    ours = Contexts().get(client)
    session, seen = None, []
    for _ in range(2):
        here, there = socket.socketpair()

        def child(there: socket.socket = there, here: socket.socket = here) -> None:
            here.close()
            stream = TlsStream(SocketStream(there), context, server=True)
            facts = stream.handshake(PATIENCE)
            said = f"{facts.verified}"
            stream.write(said.encode())
            stream.read(1)

        pid = run_child(child)
        there.close()
        below = SocketStream(here)
        stream = TlsStream(below, ours, server=False, name=HOST)
        if session is not None:
            stream._connection.set_session(session)
        facts = stream.handshake(PATIENCE)
        reused = SSL._lib.SSL_session_reused(stream._connection._ssl)  # type: ignore[attr-defined]
        seen.append(f"{stream.read(100).decode()} {facts.verified} {reused}")
        session = stream._connection.get_session()
        stream.close()
        os.waitpid(pid, 0)
    return seen[0], seen[1]


@pytest.mark.parametrize("version", ["TLS1.2", "TLS1.3"])
def test_a_session_is_taken_up_again_by_another_child(version: str) -> None:
    without = tuple({"TLS1.2", "TLS1.3"} - {version})
    first, second = resumed(ServerSettings(HOST, without=without), ClientSettings())
    # The certificate of a resumed session was looked at by nobody: it is not verified.
    assert (first, second) == ("False False 0", "False False 1")


@pytest.mark.parametrize("version", ["TLS1.2", "TLS1.3"])
def test_where_certificates_are_asked_for_no_session_is_taken_up(
    tmp_path: Path, version: str
) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("client.example.test")
    without = tuple({"TLS1.2", "TLS1.3"} - {version})
    first, second = resumed(
        ServerSettings(HOST, authorities=authority.certificate, ask=True, without=without),
        ClientSettings(pair.certificate, pair.key),
    )
    assert (first, second) == ("True False 0", "True False 0")


def test_a_trusted_server_is_not_verified_by_a_resumed_session(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue(HOST)
    first, second = resumed(
        ServerSettings(HOST, pair.certificate, pair.key),
        ClientSettings(authorities=authority.certificate),
    )
    assert (first, second) == ("False True 0", "False False 1")


@pytest.mark.parametrize("tickets", [True, False])
def test_a_session_of_one_server_is_nothing_to_another(tickets: bool) -> None:
    here = Contexts().get(ServerSettings(HOST))
    elsewhere = Contexts().get(ServerSettings(HOST))
    client = Contexts().get(ClientSettings())
    session, reused = None, []
    for context in (here, here if tickets else elsewhere):
        ours, theirs = socket.socketpair()

        def child(theirs: socket.socket = theirs, context: SSL.Context = context) -> None:
            stream = TlsStream(SocketStream(theirs), context, server=True)
            stream.handshake(PATIENCE)
            stream.write(b"x")

        pid = run_child(child)
        theirs.close()
        stream = TlsStream(SocketStream(ours), client, server=False)
        if session is not None:
            stream._connection.set_session(session)
        stream.handshake(PATIENCE)
        stream.read(1)
        reused.append(SSL._lib.SSL_session_reused(stream._connection._ssl))  # type: ignore[attr-defined]
        session = stream._connection.get_session()
        stream.close()
        os.waitpid(pid, 0)
    assert reused == [0, int(tickets)]


def broken_names(authority: Authority, host: str) -> Pair:
    """A certificate whose list of names is no list."""
    pair = authority.issue(host, names=())
    key = load_pem_private_key(Path(pair.key).read_bytes(), None)
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, authority.name)]))
        .public_key(key.public_key())  # type: ignore[arg-type]
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.UnrecognizedExtension(
                x509.ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"\x30\x05x"
            ),
            critical=False,
        )
        .sign(authority.key, hashes.SHA256())
    )
    Path(pair.certificate).write_bytes(made.public_bytes(Encoding.PEM))
    return pair


def test_a_certificate_with_names_that_cannot_be_read_has_none(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = broken_names(authority, HOST)
    settings = ServerSettings(HOST, pair.certificate, pair.key)
    with server(settings) as below:
        _, facts = connect(below, ClientSettings(authorities=authority.certificate))
    # The common name is for certificates without any list (RFC 6125 6.4.4).
    assert (facts.names, facts.verified) == ((), False)
    assert facts.trouble != ""
    insisting = ClientSettings(authorities=authority.certificate, require=True)
    context = Contexts()
    with server(settings) as below, pytest.raises(TlsError):
        context.connect(below, insisting, PATIENCE, HOST)


def test_a_certificate_without_a_list_of_names_has_its_common_name(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue(HOST, names=())
    with server(ServerSettings(HOST, pair.certificate, pair.key)) as below:
        _, facts = connect(below, ClientSettings(authorities=authority.certificate))
    assert (facts.names, facts.verified) == ((HOST,), True)


@pytest.mark.parametrize("how", ["expired", "revoked"])
def test_certificates_that_are_not_good_any_more(tmp_path: Path, how: str) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue(HOST, days=-1 if how == "expired" else 30)
    revoked = authority.revoke(pair) if how == "revoked" else ""
    settings = ServerSettings(HOST, pair.certificate, pair.key)
    client = ClientSettings(authorities=authority.certificate, revoked=revoked)
    with server(settings) as below:
        _, facts = connect(below, client)
    assert (facts.verified, facts.trouble) == (
        False,
        {"expired": "certificate has expired", "revoked": "certificate revoked"}[how],
    )


def test_what_is_not_on_the_list_is_good(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair, other = authority.issue(HOST), authority.issue("other.test")
    client = ClientSettings(
        authorities=authority.certificate, revoked=authority.revoke(other), require=True
    )
    with server(ServerSettings(HOST, pair.certificate, pair.key)) as below:
        _, facts = connect(below, client)
    assert facts.verified


def test_a_client_that_stalls_in_the_handshake_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It sends an octet before each wait is over; all in all it takes too long."""

    class Dripping(SocketStream):
        def read(self, size: int) -> bytes:
            now[0] += 4.0
            return super().read(1)

    now = [100.0]
    ours, theirs = socket.socketpair()
    theirs.sendall(b"\x16\x03\x01\x02\x00\x01" + bytes(500))
    context = Contexts().get(ServerSettings(HOST))
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])
    with ours, theirs, pytest.raises(TimeoutError, match="too long"):
        TlsStream(Dripping(ours), context, server=True).handshake(10.0)


# Files that others have read.


def test_files_that_were_handed_over_are_used(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue(HOST)
    given = {path: Path(path).read_bytes() for path in (pair.certificate, pair.key)}
    os.unlink(pair.key)
    os.unlink(pair.certificate)
    context = Contexts(given).get(ServerSettings(HOST, pair.certificate, pair.key))
    context.check_privatekey()


# Names of ciphers.


@pytest.mark.parametrize(
    ("ours", "standard"),
    [
        ("TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384"),
        ("ECDHE-RSA-AES256-GCM-SHA384", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
        ("ECDHE-ECDSA-CHACHA20-POLY1305", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
        ("DHE-RSA-AES128-SHA256", "TLS_DHE_RSA_WITH_AES_128_CBC_SHA256"),
        ("AES256-SHA", "TLS_RSA_WITH_AES_256_CBC_SHA"),
        ("", ""),
    ],
)
def test_the_standard_names_of_ciphers(ours: str, standard: str) -> None:
    assert standard_name(ours) == standard
