"""TLS with Debian's Postfix (OpenSSL) and Exim (GnuTLS), both ways."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.harness import clients, daemon, mailbox, peers, ports
from tests.harness.certificates import Authority

KINDS = peers.RELAYS
CONFIG = daemon.BASIC.replace(
    "relay_domains = relay.test", "relay_domains = peer.test"
).replace("local_domains = local.test", "local_domains = relay.test")
SENDER = "ann@sender.test"
MESSAGE = b"Subject: secret\r\n\r\nhello\r\n"
Change = Callable[[str, Path], None]

pytestmark = pytest.mark.timeout(300)  # the first use makes a Debian system


@pytest.fixture
def authority() -> Iterator[Authority]:
    directory = Path(tempfile.mkdtemp(prefix="mta-tls-"))
    directory.chmod(0o755)
    yield Authority(directory)
    shutil.rmtree(directory)


def speaking_tls(authority: Authority, host: str, more: str = "") -> Change:
    """A neighbour that offers TLS with a certificate for this host."""
    pair = authority.issue(host)
    for path in authority.directory.glob("*.*"):
        path.chmod(0o644)

    def change(kind: str, root: Path) -> None:
        place = root / "etc/mta-tls"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(mode=0o755)
        for source, name in (
            (pair.certificate, "crt"),
            (pair.key, "key"),
            (authority.certificate, "ca"),
        ):
            shutil.copy(source, place / name)
        if kind == "exim":
            file = root / "etc/exim4/exim4.conf"
            text = file.read_text().replace(
                "tls_advertise_hosts =\n",
                "tls_advertise_hosts = *\ntls_certificate = /etc/mta-tls/crt\n"
                "tls_privatekey = /etc/mta-tls/key\n",
            )
            file.write_text(text.replace("  allow_localhost\n", f"  allow_localhost\n{more}"))
        else:
            file = root / "etc/postfix/main.cf"
            text = file.read_text().replace("smtp_tls_security_level =\n", "")
            file.write_text(
                f"{text}smtp_tls_security_level = {more or 'may'}\n"
                "smtpd_tls_security_level = may\nsmtp_tls_CAfile = /etc/mta-tls/ca\n"
                "smtpd_tls_cert_file = /etc/mta-tls/crt\n"
                "smtpd_tls_key_file = /etc/mta-tls/key\n"
            )

    return change


@pytest.mark.parametrize("kind", KINDS)
def test_what_we_relay_goes_there_in_secret(kind: str, authority: Authority) -> None:
    config = CONFIG.replace(
        "  allow_localhost\n",
        "  allow_localhost\n  hosts_require_tls = *\n  tls_verify_hosts = *\n"
        f"  tls_verify_certificates = {authority.certificate}\n"
        "  tls_verify_cert_hostnames =\n",
    )
    config = "log_selector = +tls_certificate_verified +tls_peerdn\n" + config
    change = speaking_tls(authority, "peer.test")
    with (
        peers.running(kind, relay_to=9, change=change) as peer,
        daemon.running(config, sink=peer.port) as mta,
    ):
        for _ in range(2):
            clients.transmit(mta.address, SENDER, ["alice@peer.test"], MESSAGE)
        found = mailbox.await_messages(peer.maildir("alice"), 2, 30.0)
        line = mta.await_log(" => ")
        assert re.search(
            r" H=127\.0\.0\.1 \[127\.0\.0\.1\]\*? X=TLS1\.3:TLS_AES_256_GCM_SHA384:256 CV=yes"
            r' DN="/CN=peer\.test" C="250',
            line,
        ), line
    assert b" esmtps " in found[0].lower()


@pytest.mark.parametrize("kind", KINDS)
def test_what_it_relays_comes_here_in_secret(kind: str, authority: Authority) -> None:
    port = ports.free()[0]
    pair = authority.issue("mx.test")
    more = {"exim": "  hosts_require_tls = *\n", "postfix": "encrypt"}[kind]
    change = speaking_tls(authority, "peer.test", more)
    config = f"tls_certificate = {pair.certificate}\ntls_privatekey = {pair.key}\n{CONFIG}"
    with (
        peers.running(kind, relay_to=port, change=change) as peer,
        daemon.running(config, macros={"PORT": str(port)}) as mta,
    ):
        for _ in range(3):
            clients.transmit(peer.address, SENDER, ["alice@relay.test"], MESSAGE)
        found = mailbox.await_messages(mta.maildir("alice"), 3, 30.0)
        lines = [line for line in mta.log().split("\n") if " <= ann" in line]
        assert len(lines) == 3
        for line in lines:
            assert re.search(r" P=esmtps X=TLS1\.3:TLS_[A-Z0-9_]+:(128|256) S=", line), line
    assert b"with esmtps  (TLS1.3) tls TLS_" in found[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_certificate_for_somebody_else_keeps_the_message_here(
    kind: str, authority: Authority
) -> None:
    config = CONFIG.replace(
        "  allow_localhost\n",
        "  allow_localhost\n  hosts_require_tls = *\n  tls_verify_hosts = *\n"
        f"  tls_verify_certificates = {authority.certificate}\n",
    )
    change = speaking_tls(authority, "peer.test")
    with (
        peers.running(kind, relay_to=9, change=change) as peer,
        daemon.running(config, sink=peer.port) as mta,
    ):
        clients.transmit(mta.address, SENDER, ["alice@peer.test"], MESSAGE)
        line = mta.await_log(" == alice@peer.test ", 30.0)
        assert "TLS session: (SSL_connect): certificate name mismatch" in line
        assert mailbox.messages(peer.maildir("alice")) == []
