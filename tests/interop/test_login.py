"""Logging in: the programs people send with, and the servers that want to know who we are."""

from __future__ import annotations

import base64
import shutil
import smtplib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mta.lookup import crypt
from tests.harness import clients, daemon, mailbox, peers, ports

USER, PASSWORD = peers.USER, peers.PASSWORD
MESSAGE = (
    b"From: Ann <someone@else.test>\nTo: alice@local.test\nSubject: greetings\n\nHello.\n"
)
SERVER = """begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${if crypteq{$auth3}{${lookup{$auth2}lsearch{PASSWORDS}}}}
  server_set_id = $auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${if crypteq{$auth2}{${lookup{$auth1}lsearch{PASSWORDS}}}}
  server_set_id = $auth1
cram:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = ${if eq{$auth1}{ann}{WORD}fail}
  server_set_id = $auth1
"""
CLIENT = """begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  client_send = ^ann^WORD
  client_set_id = ann
"""


def configuration(*, server: bool = False, client: bool = False) -> str:
    text = daemon.BASIC
    if server:
        text = text.replace(
            "check_rcpt:\n",
            "check_rcpt:\n  deny !authenticated = *\n       message = 530 5.7.0 Who are you?\n"
            "  warn control = submission/domain=users.test\n",
        ).replace("alice : bob : carol", "alice : bob : carol : swaks : curl : msmtp : lib")
        text += SERVER
    if client:
        text = text.replace("allow_localhost", "allow_localhost\n  hosts_require_auth = *")
        text += CLIENT
    return text.replace("begin acl", "log_selector = +smtp_mailauth\nbegin acl")


@pytest.fixture(scope="module")
def passwords() -> Iterator[Path]:
    """A file that the tree can read, whoever it runs as."""
    place = Path(tempfile.mkdtemp(prefix="mta-users-"))
    place.chmod(0o755)
    file = place / "passwd"
    file.write_text(f"{USER}: {crypt.make(PASSWORD)}\n")
    file.chmod(0o644)
    yield file
    shutil.rmtree(place)


@pytest.fixture(scope="module")
def mta(passwords: Path) -> Iterator[daemon.Running]:
    macros = {"PASSWORDS": str(passwords), "WORD": PASSWORD}
    with daemon.running(configuration(server=True), macros=macros) as tree:
        yield tree


def arrived(mta: daemon.Running, user: str, by: str) -> None:
    """The message is there, bears the name of the user, and the log says how he came."""
    (message,) = mailbox.await_messages(mta.maildir(user), 1)
    assert mailbox.header(message, "Sender") == ["ann@users.test"]
    assert mailbox.header(message, "Return-path") == ["<ann@users.test>"]
    assert len(mailbox.header(message, "Message-Id")) == 1
    assert b" with esmtpa " in message
    line = mta.await_log(f" A={by}:ann")
    assert " P=esmtpa " in line


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
def test_swaks_logs_in(mechanism: str, mta: daemon.Running) -> None:
    host, port = mta.address
    command = [
        *(clients.program("swaks"), "--server", f"{host}:{port}", "--from", "a@sender.test"),
        *("--to", "swaks@local.test", "--auth", mechanism, "--auth-user", USER),
        *("--auth-password", PASSWORD, "--header", "From: x@y.test", "--body", "Hello."),
    ]
    sent = clients.run(command)
    assert sent.returncode == 0, sent.stdout.decode()
    line = mta.await_log(f" A={mechanism.partition('-')[0].lower()}:ann ")
    assert " P=esmtpa " in line


def test_swaks_with_a_wrong_password_sends_nothing(mta: daemon.Running) -> None:
    host, port = mta.address
    command = [
        *(clients.program("swaks"), "--server", f"{host}:{port}", "--from", "a@sender.test"),
        *("--to", "swaks@local.test", "--auth", "PLAIN", "--auth-user", USER),
        *("--auth-password", "guessed-wrong", "--body", "Hello."),
    ]
    sent = clients.run(command)
    assert sent.returncode == 28, sent.stdout.decode()  # no AUTH succeeded
    mta.await_log("535 Incorrect authentication data (set_id=ann)")


def test_curl_logs_in(mta: daemon.Running, tmp_path: Path) -> None:
    (tmp_path / "message").write_bytes(MESSAGE.replace(b"\n", b"\r\n"))
    host, port = mta.address
    sent = clients.run(
        [
            *(clients.program("curl"), "--silent", "--show-error"),
            *(f"smtp://{host}:{port}/client.test", "--mail-from", "ann@sender.test"),
            *("--mail-rcpt", "curl@local.test", "--user", f"{USER}:{PASSWORD}"),
            *("--login-options", "AUTH=PLAIN", "--upload-file", str(tmp_path / "message")),
        ]
    )
    assert (sent.returncode, sent.stderr) == (0, b"")
    arrived(mta, "curl", "plain")


def test_msmtp_logs_in(mta: daemon.Running) -> None:
    host, port = mta.address
    sent = clients.run(
        [
            *(clients.program("msmtp"), "--file=/dev/null", f"--host={host}"),
            *(f"--port={port}", "--tls=off", "--auth=login", f"--user={USER}"),
            *(f"--passwordeval=printf %s '{PASSWORD}'", "--from=a@sender.test"),
            "msmtp@local.test",
        ],
        MESSAGE,
    )
    assert (sent.returncode, sent.stderr) == (0, b"")
    arrived(mta, "msmtp", "login")


def test_smtplib_logs_in_by_itself(mta: daemon.Running) -> None:
    with smtplib.SMTP(*mta.address, timeout=30) as client:
        client.login(USER, PASSWORD)
        client.sendmail("a@sender.test", ["lib@local.test"], MESSAGE)
    arrived(mta, "lib", "cram")


def test_whoever_has_not_logged_in_hears_that_he_must(mta: daemon.Running) -> None:
    with smtplib.SMTP(*mta.address, timeout=30) as client:
        client.ehlo()
        client.mail("a@sender.test")
        assert client.rcpt("alice@local.test") == (530, b"5.7.0 Who are you?")


def test_no_password_is_anywhere_in_the_spool_and_in_the_logs(mta: daemon.Running) -> None:
    for word in (PASSWORD, "guessed-wrong"):
        with smtplib.SMTP(*mta.address, timeout=30) as client:
            client.ehlo()
            client.docmd(
                "AUTH", "PLAIN " + base64.b64encode(f"\0{USER}\0{word}".encode()).decode()
            )
            client.docmd("NO SUCH COMMAND")
            client.docmd("MAIL", "FROM:<a@b.test>")
            client.docmd("RCPT", "TO:<alice@local.test>")
    files = [file.read_bytes() for file in mta.spool.rglob("*") if file.is_file()]
    assert any(b"set_id=ann" in octets for octets in files)
    for word in (PASSWORD, "guessed-wrong"):
        for form in (word.encode(), base64.b64encode(f"\0{USER}\0{word}".encode())):
            assert not any(form in octets for octets in files)


def test_one_of_ours_logs_in_at_another(mta: daemon.Running) -> None:
    macros = {"WORD": PASSWORD.replace("^", "^^")}
    config = (
        configuration(client=True)
        .replace("relay_domains = relay.test", "relay_domains = local.test")
        .replace("local_domains = local.test", "local_domains = none.test")
    )
    with daemon.running(config, sink=mta.address[1], macros=macros) as other:
        clients.send(other.address, "bob@sender.test", ["carol@local.test"])
        line = other.await_log(" => carol@local.test")
        assert " A=plain:ann " in line
        other.await_empty()
    (message,) = mailbox.await_messages(mta.maildir("carol"), 1)
    assert mailbox.header(message, "Return-path") == ["<ann@users.test>"]


PEER_CONFIG = {"relay_domains = relay.test": "relay_domains = peer.test",
               "local_domains = local.test": "local_domains = relay.test"}  # fmt: skip


def at_peers(text: str) -> str:
    for old, new in PEER_CONFIG.items():
        text = text.replace(old, new)
    return text


@pytest.mark.timeout(300)  # the first use makes a Debian system
@pytest.mark.parametrize("kind", peers.RELAYS)
def test_a_smarthost_that_wants_a_login_gets_it(kind: str) -> None:
    config = at_peers(configuration(client=True))
    macros = {"WORD": PASSWORD.replace("^", "^^")}
    with (
        peers.running(kind, relay_to=9, login=True) as peer,
        daemon.running(config, sink=peer.port, macros=macros) as mta,
    ):
        clients.send(mta.address, "bob@sender.test", ["alice@peer.test"])
        line = mta.await_log(" => alice@peer.test", 30.0)
        mailbox.await_messages(peer.maildir(), 1, 30.0)
    assert " A=plain:ann " in line


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", peers.RELAYS)
def test_a_smarthost_that_gets_a_wrong_login_gets_no_message(kind: str) -> None:
    config = at_peers(configuration(client=True))
    with (
        peers.running(kind, relay_to=9, login=True) as peer,
        daemon.running(config, sink=peer.port, macros={"WORD": "guessed-wrong"}) as mta,
    ):
        clients.send(mta.address, "bob@sender.test", ["alice@peer.test"])
        mta.await_log("plain authenticator failed H=127.0.0.1 [127.0.0.1] 535 ", 30.0)
        line = mta.await_log(" == alice@peer.test", 30.0)
        assert "guessed-wrong" not in mta.log()
    assert line.endswith(
        "defer (-42): authentication required but authentication attempt(s) failed"
    )


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", peers.RELAYS)
def test_a_neighbour_logs_in_here(kind: str, passwords: Path) -> None:
    port = ports.free()[0]
    macros = {"PORT": str(port), "PASSWORDS": str(passwords), "WORD": PASSWORD}
    with (
        peers.running(kind, relay_to=port, login=True) as peer,
        daemon.running(at_peers(configuration(server=True)), macros=macros) as mta,
    ):
        with smtplib.SMTP(*peer.address, timeout=30) as client:
            client.login(USER, PASSWORD)
            client.sendmail("bob@peer.test", ["alice@relay.test"], MESSAGE)
        # Exim speaks TLS where it is offered.
        line = mta.await_log(" P=esmtpsa " if kind == "exim" else " P=esmtpa ", 30.0)
        mailbox.await_messages(mta.maildir("alice"), 1, 30.0)
    assert " A=plain:ann" in line
