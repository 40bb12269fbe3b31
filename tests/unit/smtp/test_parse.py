"""The arguments of commands: what is taken, and what is said of the rest."""

from __future__ import annotations

import pytest

from mta.base.errors import Reject
from mta.smtp.parse import MailFrom, Manner, RcptTo, helo_name, mail_from, rcpt_to

NETWORK = Manner(postmaster="here.example")
LOCAL = Manner("from.example", "to.example", "to.example")


@pytest.mark.parametrize(
    "name", ["x", "mail.example.com", "a-b.c", "[192.0.2.1]", "[IPv6:2001:db8::1]", " x "]
)
def test_names_that_a_client_may_have(name: str) -> None:
    assert helo_name(name) == name.strip(" ")


@pytest.mark.parametrize(
    "name", ["", "a_b", "a b", "[1.2.3]", "[junk]", "x\xa0", "\u0664", "a/b", "${x}", "a\0"]
)
def test_names_that_no_client_may_have(name: str) -> None:
    assert helo_name(name) is None


@pytest.mark.parametrize(
    ("argument", "parsed"),
    [
        ("<a@b.example>", MailFrom("a@b.example")),
        (" <a@b.example>", MailFrom("a@b.example")),
        ("<>", MailFrom("")),
        ("a@b.example", MailFrom("a@b.example")),
        ("<a@b.example> SIZE=12", MailFrom("a@b.example", 12)),
        ("<a@b.example> body=8bitmime size=1", MailFrom("a@b.example", 1, True)),
        ("<a@b.example> RET=HDRS ENVID=x+2B", MailFrom("a@b.example", ret=2, envid="x+2B")),
        ('<"a b"@c.example>', MailFrom('"a b"@c.example')),
        ("<a@b.example> AUTH=x+2By@z", MailFrom("a@b.example", auth="x+2By@z")),
        ("<a@b.example> AUTH=<>", MailFrom("a@b.example", auth="<>")),
    ],
)
def test_senders_that_are_taken(argument: str, parsed: MailFrom) -> None:
    assert mail_from(argument, NETWORK, esmtp=True, dsn=True) == parsed


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        ("", "MAIL must have an address operand"),
        ("  ", "MAIL must have an address operand"),
        ("<a@b", "<a@b: '>' missing at end of address"),
        ("<a>", "<a>: sender address must contain a domain"),
        ("<a@b> x=", "<a@b> x=: malformed address: x= may not follow <a@b> "),
        ("<a@b> SIZE=", "<a@b> SIZE=: malformed address: SIZE= may not follow <a@b> "),
        (
            "<a@b> SIZE=\u0661",
            "<a@b> SIZE=\u0661: malformed address: SIZE=\u0661 may not follow <a@b> ",
        ),
        ("<a@b> RET=ALL", "Value for RET is invalid"),
        ("<a@b> ENVID=a=b", "Value for ENVID is invalid"),
        ("<a@b> ENVID=a+00", "Value for ENVID is invalid"),
        ("<a@b> ENVID=a+0A", "Value for ENVID is invalid"),
        ("<a@b> AUTH=", "invalid data for AUTH"),
        ("<a@b> AUTH=a+0A", "invalid data for AUTH"),
        ("<a@b> AUTH=+zz", "invalid data for AUTH"),
    ],
)
def test_senders_that_are_refused(argument: str, text: str) -> None:
    with pytest.raises(Reject) as caught:
        mail_from(argument, NETWORK, esmtp=True, dsn=True)
    assert (caught.value.code, caught.value.text) == (501, text)


def test_parameters_of_esmtp_are_none_after_helo() -> None:
    with pytest.raises(Reject):
        mail_from("<a@b> BODY=8BITMIME", NETWORK, esmtp=False)
    with pytest.raises(Reject):
        mail_from("<a@b> AUTH=a@b", NETWORK, esmtp=False)


@pytest.mark.parametrize(
    ("argument", "parsed"),
    [
        ("<a@b.example>", RcptTo("a@b.example")),
        ("<postmaster>", RcptTo("postmaster@here.example")),
        ("<PostMaster>", RcptTo("PostMaster@here.example")),
        ("<@x.example:a@b.example>", RcptTo("a@b.example")),
        ("<a@b> NOTIFY=success,delay", RcptTo("a@b", 20)),
        ("<a@b> NOTIFY=NEVER ORCPT=rfc822;a+40b", RcptTo("a@b", 2, "rfc822;a+40b")),
    ],
)
def test_recipients_that_are_taken(argument: str, parsed: RcptTo) -> None:
    assert rcpt_to(argument, NETWORK, dsn=True) == parsed


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        ("", "RCPT must have an address operand"),
        ("<>", "<>: missing or malformed local part"),
        ("<bob>", "<bob>: recipient address must contain a domain"),
        ("<a@b> NOTIFY=NEVER,SUCCESS", "Invalid value for NOTIFY parameter"),
        ("<a@b> NOTIFY=", "Invalid value for NOTIFY parameter"),
        (
            "<a@b> ORCPT=rfc822;a b",
            "<a@b> ORCPT=rfc822;a b: malformed address: "
            "ORCPT=rfc822;a b may not follow <a@b> ",
        ),
        ("<a@b> ORCPT=;x", "Invalid value for ORCPT parameter"),
        ("<a@[192.0.2.1]>", "<a@[192.0.2.1]>: domain literals not allowed"),
    ],
)
def test_recipients_that_are_refused(argument: str, text: str) -> None:
    with pytest.raises(Reject) as caught:
        rcpt_to(argument, NETWORK, dsn=True)
    assert (caught.value.code, caught.value.text) == (501, text)


def test_local_programs_may_leave_the_domain_out() -> None:
    assert mail_from("<a>", LOCAL, esmtp=True).sender == "a@from.example"
    assert rcpt_to("<a>", LOCAL, dsn=True).recipient == "a@to.example"
