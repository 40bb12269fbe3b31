"""Submission mode, as Exim 4.98 does it: what is added, removed and changed of a message."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable

import pytest

from tests.unit.receive.conftest import Post, post
from tests.unit.smtpd.test_session import hold

Maker = Callable[..., Post]
__all__ = ["post"]

AUTHENTICATORS = """begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = yes
  server_set_id = $auth2
"""


def submitted(
    post: Maker,
    message: str,
    *,
    control: str = "submission",
    user: str = "user",
    sender: str = "env@y.example",
) -> Post:
    mail = post(
        f"acl_smtp_rcpt = rcpt\nbegin acl\nrcpt:\n  accept control = {control}\n"
        f"{AUTHENTICATORS}"
    )
    data = b64encode(f"\0{user}\0word".encode())
    login = [b"AUTH PLAIN %b\r\n" % data] if user else []
    text = message.replace("\n", "\r\n").encode()
    replies = hold(
        mail,
        b"EHLO c.example\r\n",
        *login,
        b"MAIL FROM:<%b>\r\n" % sender.encode(),
        b"RCPT TO:<a@b.example>\r\n",
        b"DATA\r\n",
        text + b"\r\n\r\nbody\r\n.\r\n",
        b"QUIT\r\n",
    )
    assert replies[-2].startswith("250"), replies
    return mail


def shown(mail: Post) -> list[str]:
    """The headers with their kinds, without the stamps of this very message."""
    (envelope,) = mail.envelopes()
    lines = [line.rstrip("\n") for line in mail.headers()]
    return [
        line.partition(":")[0] if "Date:" in line or envelope.id in line else line
        for line in lines
    ]


USER = "user@local.example"
ADDED = ["I Message-Id", "  Date"]

CASES = {
    "nothing is there": (
        {"message": "Subject: x"},
        USER,
        [
            "  Subject: x",
            "I Message-Id",
            "F From: env@y.example",
            f"S Sender: {USER}",
            "  Date",
        ],
    ),
    "the user wrote it": (
        {"message": f"From: {USER}\nSender: evil@x.example\nTo: bare"},
        USER,
        [f"F From: {USER}", "* Sender: evil@x.example", "T To: bare", *ADDED],
    ),
    "somebody else wrote it": (
        {"message": "From: other@x.example\nMessage-ID: <a@b>\nDate: x"},
        USER,
        ["F From: other@x.example", "I Message-ID: <a@b>", "  Date", f"S Sender: {USER}"],
    ),
    "case does not count": (
        {"message": "From: User@LOCAL.example", "user": "USER"},
        "USER@local.example",
        ["F From: User@LOCAL.example", *ADDED],
    ),
    "two authors": (
        {"message": f"From: {USER}, a@x.example"},
        USER,
        [f"F From: {USER}, a@x.example", "I Message-Id", f"S Sender: {USER}", "  Date"],
    ),
    "two From headers": (
        {"message": f"From: a@x.example\nFrom: {USER}"},
        USER,
        [
            "F From: a@x.example",
            f"F From: {USER}",
            "I Message-Id",
            f"S Sender: {USER}",
            "  Date",
        ],
    ),
    "an author that cannot be read": (
        {"message": f"From: {USER}, foo@bar <"},
        USER,
        [f"F From: {USER}, foo@bar <", "I Message-Id", f"S Sender: {USER}", "  Date"],
    ),
    "the null sender": (
        {"message": "Subject: x\nSender: s@x.example", "sender": ""},
        "",
        [
            "  Subject: x",
            "* Sender: s@x.example",
            "I Message-Id",
            f"F From: {USER}",
            "  Date",
        ],
    ),
    "nobody authenticated": (
        {"message": "Subject: x\nSender: s@x.example", "user": ""},
        "env@y.example",
        [
            "  Subject: x",
            "* Sender: s@x.example",
            "I Message-Id",
            "F From: env@y.example",
            "  Date",
        ],
    ),
    "a domain": (
        {"message": "From: user@D.example", "control": "submission/domain=d.example"},
        "user@d.example",
        ["F From: user@D.example", *ADDED],
    ),
    "whole addresses": (
        {
            "message": "From: a@x.example",
            "control": "submission/domain=",
            "user": "u@d.example",
        },
        "u@d.example",
        ["F From: a@x.example", "I Message-Id", "S Sender: u@d.example", "  Date"],
    ),
    "no whole address after all": (
        {"message": "From: a@x.example", "control": "submission/domain=", "user": "us er"},
        '"us er"@local.example',
        ["F From: a@x.example", "I Message-Id", 'S Sender: "us er"@local.example', "  Date"],
    ),
    "an id with @ is a local part": (
        {"message": "From: a@x.example", "user": "u@d.example"},
        '"u@d.example"@local.example',
        [
            "F From: a@x.example",
            "I Message-Id",
            'S Sender: "u@d.example"@local.example',
            "  Date",
        ],
    ),
    "a name": (
        {
            "message": "Subject: x",
            "control": "submission/domain=d.example/name=Foo, Bar/Baz",
        },
        "user@d.example",
        [
            "  Subject: x",
            "I Message-Id",
            'F From: "Foo, Bar/Baz" <env@y.example>',
            'S Sender: "Foo, Bar/Baz" <user@d.example>',
            "  Date",
        ],
    ),
    "the sender is retained": (
        {
            "message": "From: other@x.example\nSender: s@x.example",
            "control": "submission/sender_retain",
        },
        "env@y.example",
        ["F From: other@x.example", "S Sender: s@x.example", *ADDED],
    ),
    "a resent message": (
        {"message": "Resent-From: other@x.example\nFrom: a@b.example\nSender: q@x.example"},
        USER,
        [
            "  Resent-Date",
            "I Resent-Message-Id",
            "F Resent-From: other@x.example",
            "F From: a@b.example",
            "S Sender: q@x.example",
            f"S Resent-Sender: {USER}",
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_submitted_message_is_completed(name: str, post: Maker) -> None:
    given, sender, headers = CASES[name]
    mail = submitted(post, **given)
    assert shown(mail) == headers
    (envelope,) = mail.envelopes()
    assert envelope.sender == sender
    received = envelope.headers[0].text.decode()
    assert (f"(envelope-from <{sender}>)" in received) == bool(sender)


def test_the_name_begins_no_header_of_its_own(post: Maker) -> None:
    mail = submitted(post, "Subject: x", control=r"submission/name=Foo${if eq{a}{a}{\nX: y}}")
    assert 'F From: "Foo X: y" <env@y.example>' in shown(mail)


def test_suppressed_fixups_are_for_local_messages_only(post: Maker) -> None:
    mail = submitted(post, "Subject: x", control="suppress_local_fixups")
    assert shown(mail) == ["  Subject: x"]


@pytest.mark.parametrize("option", ["foo=bar", "sender_retain=1", "domain", ""])
def test_an_option_that_there_is_not_is_a_temporary_error(option: str, post: Maker) -> None:
    mail = post(f"acl_smtp_rcpt = accept control = submission/{option}\n")
    replies = hold(mail, b"EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<a@b.example>\r\n")
    assert replies[-1] == "451 4.3.0 Temporary local problem - please try later"
    assert f'syntax error in "control=submission/{option}"' in mail.logged()[0]


def test_who_is_known_stands_in_the_spool(post: Maker) -> None:
    (envelope,) = submitted(post, "Subject: x", control="freeze").envelopes()
    assert (envelope.host_auth, envelope.host_auth_pubname) == ("plain", "PLAIN")
    assert (envelope.auth_id, envelope.received_protocol) == ("user", "esmtpa")
    assert envelope.sender == "env@y.example"
