"""The programs people and machines send mail with, on a Debian whose mail system we are."""

from __future__ import annotations

import email
import email.message
import email.policy
from collections.abc import Iterator

import pytest

from tests.harness import machine, mailbox
from tests.harness.machine import Machine

PACKAGES = (
    *("s-nail", "mutt", "git-email", "php-cli", "cron", "nodejs", "node-nodemailer", "at"),
    "libmailtools-perl",
    *("bsd-mailx", "msmtp", "curl", "swaks", "procps"),
)
NODE = """
const mailer = require("nodemailer");
const to = mailer.createTransport({host: "127.0.0.1", port: 25, ignoreTLS: true});
const mail = {from: "alice@clients.test", to: "bob@clients.test", subject: "nodemailer"};
to.sendMail({...mail, text: "Hello."}).then(() => process.exit(0), error => {
  console.error(error); process.exit(1);
});
"""
PATCH = """\
From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001
From: Alice <alice@clients.test>
Date: Mon, 23 Nov 2026 12:00:00 +0000
Subject: [PATCH] git

---
 a | 1 +
"""

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(600)]


def adapted(text: str) -> str:
    return text.replace("# local_interfaces =", "local_interfaces = 127.0.0.1\n# was =")


@pytest.fixture(scope="module")
def debian() -> Iterator[Machine]:
    with machine.running("clients", *PACKAGES, adapted=adapted) as made:
        yield made


def arrived(debian: Machine, subject: str, seconds: float = machine.LIMIT) -> bytes:
    """The message of bob's with this subject; there must be one."""
    debian.await_log("=> bob")

    def found() -> list[bytes]:
        every = mailbox.messages(debian.root / "home/bob/Maildir")
        return [each for each in every if mailbox.header(each, "Subject") == [subject]]

    (message,) = machine.until(found, seconds, f"a message about {subject}")
    return message


def text_of(message: bytes) -> str:
    """The words of it, as its reader sees them."""
    read = email.message_from_bytes(message, policy=email.policy.default)
    assert isinstance(read, email.message.EmailMessage)
    return str(read.get_content())


def test_bsd_mailx(debian: Machine) -> None:
    debian.run("alice", "bsd-mailx", "-s", "bsd-mailx", "bob", message="Hello.\n")
    message = arrived(debian, "bsd-mailx")
    assert mailbox.header(message, "Return-path") == ["<alice@clients.test>"]


def test_s_nail(debian: Machine) -> None:
    command = ("s-nail", "-:/", "-s", "s-nail", "-r", "alice@clients.test", "bob@clients.test")
    debian.run("alice", *command, message="Grüße.\n")
    assert text_of(arrived(debian, "s-nail")) == "Grüße.\n"


def test_mutt(debian: Machine) -> None:
    debian.run("alice", "mutt", "-s", "mutt", "--", "bob", message="Grüße.\n")
    assert text_of(arrived(debian, "mutt")) == "Grüße.\n"


def test_git_send_email(debian: Machine) -> None:
    script = (
        'cat > "$HOME/1.patch" && git -c user.name=Alice send-email --quiet '
        "--confirm=never --suppress-cc=all "
        '--from=alice@clients.test --to=bob@clients.test "$HOME/1.patch"'
    )
    debian.run("alice", "sh", "-c", script, message=PATCH)
    arrived(debian, "[PATCH] git")


def test_php(debian: Machine) -> None:
    script = (
        'exit(mail("bob@clients.test", "php", "Hello.\\r\\n", "X-One: 1\\r\\nX-Two: 2", '
        '"-falice@clients.test") ? 0 : 1);'
    )
    debian.run("alice", "php", "-r", script)
    message = arrived(debian, "php")
    assert mailbox.header(message, "X-Two") == ["2"]
    assert b"\r" not in message


def test_nodemailer(debian: Machine) -> None:
    debian.run("alice", "env", "NODE_PATH=/usr/share/nodejs", "node", "-e", NODE)
    arrived(debian, "nodemailer")


def test_cron(debian: Machine) -> None:
    tab = "MAILTO=bob\n* * * * * echo said by cron\n"
    debian.run("alice", "crontab", "-", message=tab)
    # A minute or two: cron has no other clock.
    debian.run("root", "cron")
    message = arrived(debian, "Cron <alice@clients> echo said by cron", 150.0)
    assert b"\nsaid by cron\n" in message


def test_at_runs_what_sends_a_message(debian: Machine) -> None:
    debian.run("root", "sh", "-c", "mkdir -p /run/lock; exec atd")
    debian.run("alice", "sh", "-c", "echo 'echo said by at | bsd-mailx -s at bob' | at now")
    assert b"\nsaid by at\n" in arrived(debian, "at")
