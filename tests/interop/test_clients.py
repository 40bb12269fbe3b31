"""The programs people send mail with: what arrives is what they were given."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import clients, daemon, mailbox
from tests.harness.source import TREE

MESSAGE = (
    b"From: Ann <ann@sender.test>\nTo: alice@local.test\nSubject: greetings\n"
    b"Message-Id: <1@sender.test>\nDate: Mon, 23 Nov 2026 12:00:00 +0000\n\n"
    b".a dot, and trailing blanks \n\n..two dots\n.\nlast line\n"
)
WIRE = MESSAGE.replace(b"\n", b"\r\n")


@pytest.fixture(scope="module")
def mta() -> Iterator[daemon.Running]:
    """One tree of processes for all the clients; each sends to a mailbox of its own."""
    clients = "swaks lib pipelining curl msmtp mailx sendmail bs quick".split(" ")
    names = " : ".join([*clients, *(f"{each}-2" for each in clients)])
    with daemon.running(daemon.BASIC.replace("alice : bob : carol", names)) as tree:
        yield tree


def only_message(mta: daemon.Running, user: str) -> bytes:
    (message,) = mailbox.await_messages(mta.maildir(user), 1)
    return message


def test_swaks_delivers(mta: daemon.Running, tmp_path: Path) -> None:
    (tmp_path / "message").write_bytes(MESSAGE)
    host, port = mta.address
    sent = clients.run(
        [
            clients.program("swaks"),
            "--server", f"{host}:{port}",
            "--from", "ann@sender.test",
            "--to", "swaks@local.test",
            "--data", f"@{tmp_path}/message",
            "--suppress-data",
        ]
    )  # fmt: skip
    assert sent.returncode == 0, sent.stdout.decode()
    arrived = mailbox.without_trace(only_message(mta, "swaks"))
    # swaks adds an empty line where its --data ends.
    assert arrived.rstrip(b"\n") + b"\n" == MESSAGE


def test_smtplib_delivers(mta: daemon.Running) -> None:
    assert clients.send(mta.address, "ann@sender.test", ["lib@local.test"], WIRE) == {}
    assert mailbox.without_trace(only_message(mta, "lib")) == MESSAGE


def test_a_pipelining_client_delivers(mta: daemon.Running) -> None:
    with clients.Conversation(mta.address) as client:
        assert client.command("EHLO client.test").code == 250
        client.send(
            b"MAIL FROM:<ann@sender.test>\r\nRCPT TO:<pipelining@local.test>\r\nDATA\r\n"
        )
        assert [client.reply().code for _ in range(3)] == [250, 250, 354]
        client.send(WIRE.replace(b"\r\n.", b"\r\n..") + b".\r\nQUIT\r\n")
        assert [client.reply().code for _ in range(2)] == [250, 221]
    assert mailbox.without_trace(only_message(mta, "pipelining")) == MESSAGE


def test_curl_delivers(mta: daemon.Running, tmp_path: Path) -> None:
    (tmp_path / "message").write_bytes(WIRE)
    host, port = mta.address
    sent = clients.run(
        [
            clients.program("curl"),
            "--silent", "--show-error",
            f"smtp://{host}:{port}/client.test",
            "--mail-from", "ann@sender.test",
            "--mail-rcpt", "curl@local.test",
            "--upload-file", tmp_path / "message",
        ]
    )  # fmt: skip
    assert (sent.returncode, sent.stderr) == (0, b"")
    assert mailbox.without_trace(only_message(mta, "curl")) == MESSAGE


def test_msmtp_delivers(mta: daemon.Running) -> None:
    host, port = mta.address
    sent = clients.run(
        [
            clients.program("msmtp"),
            "--file=/dev/null",
            f"--host={host}",
            f"--port={port}",
            "--tls=off",
            "--auth=off",
            "--from=ann@sender.test",
            "msmtp@local.test",
        ],
        MESSAGE,
    )
    assert (sent.returncode, sent.stderr) == (0, b"")
    assert mailbox.without_trace(only_message(mta, "msmtp")) == MESSAGE


EIGHT_BIT = MESSAGE + "Grüße\n".encode() + bytes(range(128, 256)) + b"\n"


def test_smtplib_sends_8_bits_to_several_and_hears_who_is_refused(mta: daemon.Running) -> None:
    wire = EIGHT_BIT.replace(b"\n", b"\r\n")
    to = ["lib-2@local.test", "stranger@elsewhere.test", "pipelining-2@local.test"]
    with smtplib.SMTP(*mta.address, timeout=30) as client:
        refused = client.sendmail("ann@sender.test", to, wire, mail_options=["BODY=8BITMIME"])
        # The same connection carries another message.
        client.sendmail("ann@sender.test", ["bs-2@local.test"], wire)
        assert client.esmtp_features.keys() >= {"size", "pipelining", "8bitmime"}
    assert refused == {"stranger@elsewhere.test": (550, b"5.7.1 relay not permitted")}
    for user in ("lib-2", "pipelining-2", "bs-2"):
        assert mailbox.without_trace(only_message(mta, user)) == EIGHT_BIT


def test_swaks_pipelines_to_several(mta: daemon.Running) -> None:
    host, port = mta.address
    sent = clients.run(
        [
            clients.program("swaks"),
            "--server", f"{host}:{port}",
            "--pipeline",
            "--from", "ann@sender.test",
            "--to", "swaks-2@local.test,curl-2@local.test",
            "--header", "Subject: pipelined",
            "--body", "Hello.",
        ]
    )  # fmt: skip
    assert sent.returncode == 0, sent.stdout.decode()
    for user in ("swaks-2", "curl-2"):
        assert mailbox.header(only_message(mta, user), "Subject") == ["pipelined"]


def test_msmtp_takes_the_recipients_from_the_header(mta: daemon.Running) -> None:
    host, port = mta.address
    message = b"To: Ann <msmtp-2@local.test>\nCc: quick-2@local.test\nFrom: a@sender.test\n"
    message += b"Date: Mon, 23 Nov 2026 12:00:00 +0000\nMessage-Id: <1@sender.test>\n\n.\n..\n"
    where = ["--file=/dev/null", f"--host={host}", f"--port={port}", "--tls=off", "--auth=off"]
    command = [clients.program("msmtp"), *where, "--from=a@sender.test", "-t"]
    sent = clients.run(command, message)
    assert (sent.returncode, sent.stderr) == (0, b"")
    for user in ("msmtp-2", "quick-2"):
        assert mailbox.without_trace(only_message(mta, user)) == message


def test_sendmail_delivers(mta: daemon.Running) -> None:
    sent = mta.run(
        "sendmail", *mta.arguments(), "-i", "-f", "ann@sender.test", "sendmail@local.test",
        message=MESSAGE,
    )  # fmt: skip
    assert (sent.returncode, sent.stderr) == (0, b"")
    assert mailbox.without_trace(only_message(mta, "sendmail")) == MESSAGE


def test_sendmail_bs_delivers(mta: daemon.Running) -> None:
    talk = (
        b"EHLO client.test\r\nMAIL FROM:<ann@sender.test>\r\n"
        b"RCPT TO:<bs@local.test>\r\nDATA\r\n"
        + WIRE.replace(b"\r\n.", b"\r\n..")
        + b".\r\nQUIT\r\n"
    )
    sent = mta.run("sendmail", *mta.arguments(), "-bs", message=talk)
    assert sent.returncode == 0, sent.stderr
    assert mailbox.without_trace(only_message(mta, "bs")) == MESSAGE


def test_mailx_delivers_through_sendmail(mta: daemon.Running, tmp_path: Path) -> None:
    mail = clients.program("bsd-mailx")
    script = mta.place / "sendmail"
    quoted = " ".join(f"'{each}'" for each in mta.arguments())
    script.write_text(f"#!/bin/sh\nexec '{TREE}/bin/sendmail' {quoted} \"$@\"\n")
    script.chmod(0o755)
    (tmp_path / "mailrc").write_text(f"set sendmail={script}\n")
    command = ["env", f"MAILRC={tmp_path}/mailrc", mail, "-s", "by mailx"]
    command += ["-c", "mailx-2@local.test", "-b", "sendmail-2@local.test", "mailx@local.test"]
    sent = clients.run(command, "Hello.\n.\nGrüße\n".encode())
    assert (sent.returncode, sent.stderr) == (0, b"")
    for user in ("mailx", "mailx-2", "sendmail-2"):
        arrived = only_message(mta, user)
        assert mailbox.header(arrived, "Subject") == ["by mailx"]
        assert mailbox.header(arrived, "Cc") == ["mailx-2@local.test"]
        assert mailbox.header(arrived, "Bcc") == []
        assert arrived.endswith("\n\nHello.\n.\nGrüße\n".encode())
