"""TLS with the real processes: other people's clients, keys of root's, renewal, resumption."""

from __future__ import annotations

import os
import shutil
import smtplib
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness import daemon, mailbox, ports
from tests.harness.certificates import Authority, Pair
from tests.harness.daemon import Running
from tests.harness.wait import until

HOST = "mx.test"
MESSAGE = "Subject: secret\r\n\r\nhello\r\n"
needs = pytest.mark.skipif


def trusting(authority: Authority) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority.certificate)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def stranger() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@contextmanager
def serving(options: str = "", *, pair: Pair | None = None) -> Iterator[tuple[Running, int]]:
    """A daemon that speaks TLS, and its port for TLS from the first octet on."""
    (port,) = ports.free()
    text = f"tls_on_connect_ports = {port}\n{options}\n"
    if pair is not None:
        text += f"tls_certificate = {pair.certificate}\ntls_privatekey = {pair.key}\n"
        for path in (pair.certificate, pair.key):
            os.chmod(path, 0o644)
    config = text + daemon.BASIC.replace(
        "daemon_smtp_ports = PORT", f"daemon_smtp_ports = PORT : {port}"
    )
    with daemon.running(config) as mta:
        yield mta, port


@pytest.fixture
def authority() -> Iterator[Authority]:
    """In a directory that everybody can look into; pytest's own are for its user only."""
    with tempfile.TemporaryDirectory(prefix="mta-tls-") as directory:
        os.chmod(directory, 0o755)
        yield Authority(Path(directory))


def sends(mta: Running, context: ssl.SSLContext, *, port: int = 0) -> None:
    """smtplib sends a message, after STARTTLS or with TLS from the start."""
    if port:
        client: smtplib.SMTP = smtplib.SMTP_SSL(HOST_AT, port, context=context, timeout=10)
    else:
        client = smtplib.SMTP(*mta.address, timeout=10)
    with client:
        if not port:
            client._host = HOST  # type: ignore[attr-defined]  # who is wanted, not where
            client.starttls(context=context)
        client.sendmail("a@sender.test", ["alice@local.test"], MESSAGE)


HOST_AT = "127.0.0.1"


def test_without_a_certificate_one_is_made() -> None:
    with serving() as (mta, port):
        sends(mta, stranger())
        sends(mta, stranger(), port=port)
        first, second = mailbox.await_messages(mta.maildir("alice"), 2)
        for message in (first, second):
            assert b"with esmtps  (TLS1.3) tls TLS_AES_256_GCM_SHA384\n" in message
        lines = [line for line in mta.log().split("\n") if " <= " in line]
        assert len(lines) == 2
        for line in lines:
            assert "P=esmtps X=TLS1.3:TLS_AES_256_GCM_SHA384:256 S=" in line


def test_a_certificate_is_shown_and_good(authority: Authority) -> None:
    with serving(pair=authority.issue(HOST)) as (mta, _):
        sends(mta, trusting(authority))
        mailbox.await_messages(mta.maildir("alice"), 1)


def fingerprint(mta: Running, context: ssl.SSLContext) -> bytes:
    with smtplib.SMTP(*mta.address, timeout=10) as client:
        client._host = HOST  # type: ignore[attr-defined]
        client.starttls(context=context)
        assert isinstance(client.sock, ssl.SSLSocket)
        found = client.sock.getpeercert(binary_form=True)
        assert found is not None
        return found


def test_a_renewed_certificate_is_picked_up_without_a_restart(authority: Authority) -> None:
    with serving(pair=authority.issue(HOST)) as (mta, _):
        context = trusting(authority)
        before = fingerprint(mta, context)
        assert fingerprint(mta, context) == before
        fresh = authority.issue(HOST, file="fresh")
        for ours in ("key", "crt"):
            old = authority.directory / f"{HOST}.{ours}"
            os.chmod(authority.directory / f"fresh.{ours}", 0o644)
            os.replace(authority.directory / f"fresh.{ours}", old)
        assert fresh.serial
        until(lambda: fingerprint(mta, context) != before, 20.0, "the new certificate")


def test_a_key_that_does_not_fit_is_told_when_the_daemon_starts(authority: Authority) -> None:
    pair, other = authority.issue(HOST), authority.issue("other.test")
    with serving(pair=Pair(pair.certificate, other.key, 0)) as (mta, _):
        assert "does not hold the key of" in mta.await_log("TLS will not work")
        with smtplib.SMTP(*mta.address, timeout=10) as client:
            client.ehlo()
            assert client.docmd("STARTTLS")[0] == 454
        mta.await_log("TLS error on connection from ")


def reconnects(mta: Running, port: int, times: int, directory: Path) -> list[bool]:
    """Whether openssl could take up its session again, for each further connection."""
    saved = directory / "session"
    command = ["openssl", "s_client", "-connect", f"{HOST_AT}:{port}", "-ign_eof"]
    command += ["-sess_out", str(saved)]
    reused = []
    saved.unlink(missing_ok=True)
    for _ in range(times + 1):
        more = ["-sess_in", str(saved)] if saved.exists() else []
        done = subprocess.run(
            [*command, *more],
            input=b"QUIT\r\n",
            capture_output=True,
            timeout=20,
            check=False,
        )
        assert b"Cipher is TLS_" in done.stdout, done.stderr.decode()
        reused.append(b"Reused, TLSv1.3" in done.stdout)
    return reused[1:]


@needs(shutil.which("openssl") is None, reason="needs openssl")
def test_sessions_are_taken_up_by_other_receivers(tmp_path: Path) -> None:
    with serving("receiver_max_use = 1") as (mta, port):
        sends(mta, stranger())  # from here on the listener has what it takes
        mailbox.await_messages(mta.maildir("alice"), 1)
        until(lambda: any(reconnects(mta, port, 1, tmp_path)), 10.0, "a resumed session")
        assert all(reconnects(mta, port, 3, tmp_path))


@needs(shutil.which("openssl") is None, reason="needs openssl")
def test_where_certificates_are_asked_for_none_is(tmp_path: Path) -> None:
    with serving("tls_try_verify_hosts = *") as (mta, port):
        sends(mta, stranger())
        mailbox.await_messages(mta.maildir("alice"), 1)
        assert not any(reconnects(mta, port, 3, tmp_path))


def test_clients_are_judged_by_their_certificates(authority: Authority) -> None:
    client = authority.issue("client.test")
    options = (
        "log_selector = +tls_certificate_verified +tls_peerdn\ntls_try_verify_hosts = *\n"
        f"tls_verify_certificates = {authority.certificate}"
    )
    os.chmod(authority.certificate, 0o644)
    with serving(options) as (mta, port):
        context = stranger()
        sends(mta, context, port=port)
        assert " CV=no S=" in mta.await_log(" <= ")
        context.load_cert_chain(client.certificate, client.key)
        sends(mta, context, port=port)
        assert 'CV=yes DN="/CN=client.test" S=' in mta.await_log("CV=yes")


@pytest.mark.parametrize("how", ["missing", "unknown", "expired", "revoked"])
def test_a_client_without_a_good_certificate_is_turned_away(
    authority: Authority, how: str
) -> None:
    good = authority.issue("good.test")
    bad = authority.issue("bad.test", days=-1 if how == "expired" else 30)
    if how == "unknown":
        other = authority.directory / "other"
        other.mkdir()
        bad = Authority(other, "Another").issue("bad.test")
    options = (
        f"tls_verify_hosts = *\ntls_verify_certificates = {authority.certificate}\n"
        f"tls_crl = {authority.revoke(bad) if how == 'revoked' else authority.revoke()}"
    )
    for path in authority.directory.glob("*.*"):
        path.chmod(0o644)
    with serving(options) as (mta, port):
        context = stranger()
        context.load_cert_chain(good.certificate, good.key)
        sends(mta, context, port=port)
        context = stranger()
        if how != "missing":
            context.load_cert_chain(bad.certificate, bad.key)
        with pytest.raises((OSError, smtplib.SMTPException)):
            sends(mta, context, port=port)
        line = mta.await_log("TLS error on connection from [127.0.0.1] (SSL_accept): ")
        assert "certificate" in line


def test_who_asks_for_a_host_gets_its_certificate(authority: Authority) -> None:
    for host in ("a.test", "b.test"):
        authority.issue(host)
    for path in authority.directory.glob("*.*"):
        path.chmod(0o644)
    named = f"{authority.directory}/${{if eq{{$tls_in_sni}}{{b.test}}{{b.test}}{{a.test}}}}"
    options = f"tls_certificate = {named}.crt\ntls_privatekey = {named}.key"
    with serving(options) as (_, port):
        for host, shown in (("a.test", "a.test"), ("b.test", "b.test"), ("c.test", "a.test")):
            with socket.create_connection((HOST_AT, port), 10) as plain:
                context = trusting(authority)
                context.check_hostname = False
                with context.wrap_socket(plain, server_hostname=host) as secret:
                    assert secret.recv(4) == b"220 "
                    names = secret.getpeercert()
            assert names is not None
            assert ("DNS", shown) in names["subjectAltName"]


def test_garbage_and_silence_cost_one_receiver_only() -> None:
    with (
        serving("smtp_receive_timeout = 2s") as (mta, port),
        socket.create_connection((HOST_AT, port), 10) as silent,
        socket.create_connection((HOST_AT, port), 10) as garbage,
    ):
        garbage.sendall(os.urandom(2000))
        sends(mta, stranger(), port=port)
        mta.await_log("(SSL_accept): timed out")
        assert silent.recv(100) == b""


def loaded(pid: int) -> bool:
    """True if a process has OpenSSL's library in it (Python's own hashlib has another)."""
    return "_rust" in Path(f"/proc/{pid}/maps").read_text()


@needs(os.geteuid() != 0, reason="reads the memory maps of undumpable processes")
def test_nobody_loads_openssl_before_a_client_wants_tls() -> None:
    with serving() as (mta, _):
        with smtplib.SMTP(*mta.address, timeout=10) as client:
            client.sendmail("a@sender.test", ["alice@local.test"], MESSAGE)
        mailbox.await_messages(mta.maildir("alice"), 1)
        assert not any(loaded(pid) for pid in mta.processes())
        sends(mta, stranger())
        until(lambda: any(loaded(pid) for pid in mta.processes()), 10.0, "OpenSSL")


def swaks_has_tls() -> bool:
    """True if there is swaks, and what it needs for TLS."""
    if shutil.which("swaks") is None:
        return False
    asked = subprocess.run(["swaks", "--support"], capture_output=True, check=False)
    return b"TLS not available" not in asked.stdout + asked.stderr


@needs(not swaks_has_tls(), reason="needs swaks and Net::SSLeay")
@pytest.mark.parametrize("way", ["--tls", "--tls-on-connect"])
def test_swaks_sends(way: str) -> None:
    with serving() as (mta, port):
        chosen = port if "connect" in way else mta.address[1]
        command = ["swaks", way, "--server", HOST_AT, "--port", str(chosen)]
        addresses = ["--from", "a@sender.test", "--to", "alice@local.test"]
        done = subprocess.run(
            [*command, *addresses], capture_output=True, timeout=30, check=False
        )
        assert done.returncode == 0, done.stdout.decode()
        mailbox.await_messages(mta.maildir("alice"), 1)


@needs(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_curl_sends(scheme: str, tmp_path: Path) -> None:
    (tmp_path / "mail").write_text(MESSAGE)
    with serving() as (mta, port):
        chosen = port if scheme == "smtps" else mta.address[1]
        command = ["curl", "-sS", "--ssl-reqd", "-k", f"{scheme}://{HOST_AT}:{chosen}"]
        addresses = ["--mail-from", "a@sender.test", "--mail-rcpt", "alice@local.test"]
        done = subprocess.run(
            [*command, *addresses, "-T", str(tmp_path / "mail")],
            capture_output=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        mailbox.await_messages(mta.maildir("alice"), 1)


# Ours to ours.


RELAY = daemon.BASIC.replace("local.test", "none.test").replace(
    "relay_domains = relay.test", "relay_domains = local.test"
)


@contextmanager
def relayed(options: str, receiver: Running) -> Iterator[Running]:
    """A daemon that passes mail for local.test on to another one."""
    config = RELAY.replace("  allow_localhost\n", f"  allow_localhost\n{options}")
    config = "log_selector = +tls_certificate_verified +tls_peerdn\n" + config
    with daemon.running(config, sink=receiver.address[1]) as mta:
        yield mta


def relay(mta: Running) -> None:
    with smtplib.SMTP(*mta.address, timeout=10) as client:
        client.sendmail("a@sender.test", ["alice@local.test"], MESSAGE)


def test_between_two_of_ours_mail_is_secret() -> None:
    with serving() as (far, _):
        with relayed("", far) as near:
            relay(near)
            line = near.await_log(" => alice@local.test ")
            assert (
                " H=127.0.0.1 [127.0.0.1] X=TLS1.3:TLS_AES_256_GCM_SHA384:256 CV=no "
                'DN="/CN=mx.test" C="250 '
            ) in line
        assert " P=esmtps X=TLS1.3:" in far.await_log(" <= ")


def test_over_465_too(authority: Authority) -> None:
    pair = authority.issue(HOST)
    authority.directory.joinpath("Test-Authority.crt").chmod(0o644)
    with serving(pair=pair) as (far, port):
        options = (
            f"  protocol = smtps\n  tls_verify_certificates = {authority.certificate}\n"
            "  tls_verify_cert_hostnames =\n"
        )
        config = RELAY.replace("  allow_localhost\n", f"  allow_localhost\n{options}")
        config = "log_selector = +tls_certificate_verified\n" + config
        with daemon.running(config, sink=port) as near:
            relay(near)
            assert " CV=yes C=" in near.await_log(" => alice@local.test ")
        mailbox.await_messages(far.maildir("alice"), 1)


def test_a_server_that_must_be_trusted_and_is_not_gets_nothing() -> None:
    with serving() as (far, _):
        with relayed("  hosts_require_tls = *\n  tls_verify_hosts = *\n", far) as near:
            relay(near)
            assert (
                "defer (-37) H=127.0.0.1 [127.0.0.1]: TLS session: (SSL_connect): "
                "certificate verify failed"
            ) in near.await_log(" == alice@local.test ")
            assert "TLS session" not in near.log().partition(" == ")[0]
        assert mailbox.messages(far.maildir("alice")) == []


def test_without_that_it_gets_it_in_the_clear() -> None:
    with serving() as (far, _):
        with relayed("  tls_verify_hosts = *\n", far) as near:
            relay(near)
            assert (
                "TLS session: (SSL_connect): certificate verify failed: delivering "
                "unencrypted to H=127.0.0.1 [127.0.0.1] (not in hosts_require_tls)"
            ) in near.await_log("delivering unencrypted")
            near.await_log(" => alice@local.test ")
        mailbox.await_messages(far.maildir("alice"), 1)
