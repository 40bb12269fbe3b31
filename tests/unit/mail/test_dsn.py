"""Bounces: their parts, what is returned, and that nobody's text escapes from its place."""

from __future__ import annotations

import email
import email.policy
import re
from dataclasses import replace
from email.message import EmailMessage

import pytest

from mta.mail.dsn import (
    BounceReport,
    FailedRecipient,
    Status,
    Succeeded,
    bounce,
    references,
    status_fields,
    success,
)
from mta.mail.header import Header, join, make

REPORT = BounceReport(
    primary_hostname="mx.example",
    qualify_domain="local.example",
    to="sender@local.example",
    message_id="1xVW8Z-000000003Wt-3wrt",
    now=1795446421,
    failed=(
        FailedRecipient(
            "q@remote.example",
            "host mx.remote.example [192.0.2.1]\n"
            "SMTP error from remote mail server after RCPT TO:<q@remote.example>: "
            "550-5.1.1 no such\n550 5.1.1 user here",
            status="5.1.1",
            host="mx.remote.example",
            diagnostic="550-5.1.1 no such\n550 5.1.1 user here",
        ),
        FailedRecipient("z@bad.example", "no such thing", original="rfc822;zz@bad.example"),
    ),
    headers=(make("From", "sender@local.example"), make("Message-Id", "<mm@x>")),
    body=b"body line\n.dot\n",
)


def written(report: BounceReport) -> tuple[str, str]:
    headers, body = bounce(report)
    text = join(headers).decode()
    boundary = re.search(r"boundary=(\S+)", text)
    assert boundary
    return (
        text.replace(boundary[1], "BOUNDARY"),
        body.decode("utf-8", "surrogateescape").replace(boundary[1], "BOUNDARY"),
    )


def test_the_headers_of_a_bounce() -> None:
    assert written(REPORT)[0].split("\nDate:")[0] == (
        "X-Failed-Recipients: q@remote.example,\n  z@bad.example\n"
        "Auto-Submitted: auto-replied\n"
        "From: Mail Delivery System <Mailer-Daemon@local.example>\n"
        "To: sender@local.example\n"
        "References: <mm@x>\n"
        "Content-Type: multipart/report; report-type=delivery-status; boundary=BOUNDARY\n"
        "MIME-Version: 1.0\n"
        "Subject: Mail delivery failed: returning message to sender\n"
        "Message-Id: <E1xVW8Z-000000003Wt-3wrt@mx.example>"
    )


def test_the_body_of_a_bounce() -> None:
    assert written(REPORT)[1] == (
        "--BOUNDARY\n"
        "Content-type: text/plain; charset=us-ascii\n"
        "\n"
        "This message was created automatically by mail delivery software.\n"
        "\n"
        "A message that you sent could not be delivered to one or more of its\n"
        "recipients. This is a permanent error. The following address(es) failed:\n"
        "\n"
        "  q@remote.example\n"
        "    host mx.remote.example [192.0.2.1]\n"
        "    SMTP error from remote mail server after RCPT TO:<q@remote.example>:\n"
        "    550-5.1.1 no such\n"
        "    550 5.1.1 user here\n"
        "  z@bad.example\n"
        "    no such thing\n"
        "\n"
        "--BOUNDARY\n"
        "Content-type: message/delivery-status\n"
        "\n"
        "Reporting-MTA: dns; mx.example\n"
        "\n"
        "Original-Recipient: rfc822;zz@bad.example\n"
        "Action: failed\n"
        "Final-Recipient: rfc822;z@bad.example\n"
        "Status: 5.0.0\n"
        "\n"
        "Action: failed\n"
        "Final-Recipient: rfc822;q@remote.example\n"
        "Status: 5.0.0\n"
        "Remote-MTA: dns; mx.remote.example\n"
        "Diagnostic-Code: smtp; 550-5.1.1 no such\n"
        " 550 5.1.1 user here\n"
        "\n"
        "--BOUNDARY\n"
        "Content-type: message/rfc822\n"
        "\n"
        "Return-path: <sender@local.example>\n"
        "From: sender@local.example\n"
        "Message-Id: <mm@x>\n"
        "\n"
        "body line\n"
        ".dot\n"
        "\n"
        "--BOUNDARY--\n"
    )


def test_a_large_message_is_returned_as_headers_and_that_is_said() -> None:
    body = written(replace(REPORT, body_size=200_000))[1]
    assert body.endswith(
        "Content-type: text/rfc822-headers\n"
        "\n"
        "Return-path: <sender@local.example>\n"
        "From: sender@local.example\n"
        "Message-Id: <mm@x>\n"
        "X-Exim-DSN-Information: Due to administrative limits only headers are returned\n"
        "\n"
        "\n"
        "--BOUNDARY--\n"
    )


def test_a_body_with_an_endless_line_is_not_returned() -> None:
    assert (
        "text/rfc822-headers" in written(replace(REPORT, body=b"a\n" + b"x" * 999 + b"\n"))[1]
    )
    assert "message/rfc822" in written(replace(REPORT, body=b"a\n" + b"x" * 998 + b"\n"))[1]


def test_a_sender_who_wanted_headers_only_gets_those_without_comment() -> None:
    body = written(replace(REPORT, headers_only=True, envelope_id="QQ314159"))[1]
    assert "Original-Envelope-ID: QQ314159\n" in body
    assert "X-Exim-DSN-Information" not in body
    assert "body line" not in body


def test_texts_of_other_servers_begin_no_header_and_no_part() -> None:
    nasty = FailedRecipient(
        "a@b\n\n--x", "t\r\n\0\n--x", host="h\nStatus: 2.0.0", diagnostic="\n\n"
    )
    body = written(replace(REPORT, failed=(nasty,)))[1]
    assert "\n--x" not in body
    assert "\nStatus: 2.0.0" not in body
    assert "  a@b\\n\\n--x\n    t\\r\n    \\000\n    --x\n" in body


def test_the_boundary_is_another_one_each_time() -> None:
    assert bounce(REPORT)[1] != bounce(REPORT)[1]


def test_a_text_in_other_letters_says_so() -> None:
    report = replace(REPORT, failed=(FailedRecipient("a@b", "Größe"),))
    assert "Content-type: text/plain; charset=utf-8\n" in written(report)[1]


def test_many_failed_recipients_are_named_in_several_headers() -> None:
    failed = tuple(FailedRecipient(f"u{number}@b", "no") for number in range(60))
    headers = written(replace(REPORT, failed=failed))[0]
    assert headers.count("X-Failed-Recipients: ") == 2
    assert "u49@b\nX-Failed-Recipients: u50@b,\n" in headers


def parsed(report: BounceReport, *succeeded: Succeeded) -> EmailMessage:
    """A report as Python's own library reads it."""
    headers, body = success(report, succeeded) if succeeded else bounce(report)
    message = email.message_from_bytes(
        join(headers) + b"\n" + body, policy=email.policy.default
    )
    assert isinstance(message, EmailMessage)
    assert not [defect for part in message.walk() for defect in part.defects]
    return message


def kinds(message: EmailMessage) -> list[str]:
    return [part.get_content_type() for part in message.iter_parts()]


def groups(message: EmailMessage) -> list[list[tuple[str, str]]]:
    """The groups of fields in the part for programs."""
    status = list(message.iter_parts())[1]
    return [group.items() for group in status.get_payload()]  # type: ignore[union-attr,misc]


def test_the_standard_library_reads_a_bounce_as_a_report() -> None:
    message = parsed(REPORT)
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    assert kinds(message) == ["text/plain", "message/delivery-status", "message/rfc822"]
    assert groups(message)[2] == [
        ("Action", "failed"),
        ("Final-Recipient", "rfc822;q@remote.example"),
        ("Status", "5.0.0"),
        ("Remote-MTA", "dns; mx.remote.example"),
        ("Diagnostic-Code", "smtp; 550-5.1.1 no such 550 5.1.1 user here"),
    ]


def test_the_standard_library_reads_a_report_of_success() -> None:
    relayed = Succeeded("a@b.example", "relayed", "so", "rfc822;o", "mx.b.example", "250 OK")
    message = parsed(REPORT, relayed)
    assert message["Auto-Submitted"] == "auto-generated"
    assert kinds(message) == [
        "text/plain",
        "message/delivery-status",
        "text/rfc822-headers",
    ]
    assert groups(message)[1] == [
        ("Original-Recipient", "rfc822;o"),
        ("Action", "relayed"),
        ("Final-Recipient", "rfc822;a@b.example"),
        ("Status", "2.0.0"),
        ("Remote-MTA", "dns; mx.b.example"),
        ("Diagnostic-Code", "smtp; 250 OK"),
    ]


HOSTILE = "550 x\n\n--BOUNDARY\nContent-type: text/html\r\n\r\nStatus: 2.0.0\0\x1b[m\x85\u2028"


def test_a_hostile_reply_makes_neither_part_nor_field() -> None:
    failed = FailedRecipient("a@b.example", HOSTILE, host="mx\nAction: x", diagnostic=HOSTILE)
    message = parsed(replace(REPORT, failed=(failed,)))
    assert kinds(message) == ["text/plain", "message/delivery-status", "message/rfc822"]
    names = [name for name, _ in groups(message)[1]]
    assert names == ["Action", "Final-Recipient", "Status", "Remote-MTA", "Diagnostic-Code"]


KINDS_OF_FAILURE = {
    "by a host, at RCPT": FailedRecipient(
        "a@b.example",
        "host mx.b.example [192.0.2.1]\nSMTP error from remote mail server after "
        "RCPT TO:<a@b.example>:\n550 no such user",
        "5.1.1",
        host="mx.b.example",
        diagnostic="550 no such user",
    ),
    "by a router": FailedRecipient("a@b.example", "Unrouteable address"),
    "behind an alias": FailedRecipient(
        "a@b.example",
        "(generated from l@b.example)\nno such person",
        recipient="l@b.example",
        original="rfc822;l@b.example",
    ),
    "for lack of time": FailedRecipient("a@b.example", "retry timeout exceeded"),
    "of a mailbox": FailedRecipient("a@b.example", "mailbox is full: quota exceeded", "5.2.2"),
    "without a word": FailedRecipient("a@b.example", ""),
    "hostile": FailedRecipient("a@b.example", HOSTILE, diagnostic=HOSTILE, host="mx"),
}


@pytest.mark.parametrize("details", [False, True])
@pytest.mark.parametrize("kind", KINDS_OF_FAILURE)
def test_list_managers_find_who_failed(kind: str, details: bool) -> None:
    bounces = pytest.importorskip("flufl.bounce")
    failed = KINDS_OF_FAILURE[kind]
    report = replace(REPORT, failed=(failed,), details=details, arrived=1795440000)
    temporary, permanent = bounces.all_failures(parsed(report))
    known = to_octets(failed.recipient or failed.address)
    assert (temporary, {known} <= permanent) == (set(), True)


def to_octets(address: str) -> bytes:
    return address.encode("ascii")


def test_list_managers_take_no_success_for_a_failure() -> None:
    bounces = pytest.importorskip("flufl.bounce")
    delivered = Succeeded("a@b.example", "delivered", "so", diagnostic="so")
    assert bounces.all_failures(parsed(REPORT, delivered)) == (set(), set())


# Addresses and words beyond ASCII: RFC 6533.

ABROAD = replace(
    REPORT,
    is_utf8=True,
    failed=(
        FailedRecipient("b\xe4d@remote.example", "kein Anschlu\xdf", diagnostic="550 \xdf"),
    ),
)


def test_a_message_that_needed_smtputf8_is_reported_in_its_form() -> None:
    message = parsed(ABROAD)
    assert kinds(message) == ["text/plain", "message/global-delivery-status", "message/global"]
    _, body = bounce(ABROAD)
    assert b"Final-Recipient: utf-8;b\xc3\xa4d@remote.example\n" in body
    assert b"Diagnostic-Code: smtp; 550 \xc3\x9f\n" in body
    assert b"charset=utf-8\n" in body


def test_its_headers_alone_have_a_form_of_their_own() -> None:
    message = parsed(replace(ABROAD, headers_only=True))
    assert kinds(message)[2] == "message/global-headers"


def test_other_reports_are_ascii_for_programs() -> None:
    failed = FailedRecipient("a@b.example", "Anschlu\xdf", diagnostic="550 n\xe4")
    _, body = bounce(replace(REPORT, failed=(failed,)))
    assert b"Diagnostic-Code: smtp; 550 n\\303\\244\n" in body
    assert b"text/plain; charset=utf-8\n" in body
    assert b"message/delivery-status\n" in body


def test_octets_that_are_no_utf8_are_shown_and_not_sent() -> None:
    failed = FailedRecipient("a@b.example", "n\udce4", diagnostic="550 n\udce4")
    _, body = bounce(replace(REPORT, failed=(failed,), is_utf8=True))
    assert body.count(b"n\\344") == 2
    assert b"text/plain; charset=us-ascii\n" in body


def test_parts_beyond_ascii_say_so_and_so_does_the_whole() -> None:
    text, body = written(replace(REPORT, body=b"n\xe4\n"))
    assert "Content-Transfer-Encoding: 8bit\n" in text
    assert body.count("Content-Transfer-Encoding: 8bit\n") == 1
    assert "Content-type: message/rfc822\nContent-Transfer-Encoding: 8bit\n\n" in body


def test_a_report_in_ascii_says_nothing_of_the_kind() -> None:
    assert "Content-Transfer-Encoding" not in "".join(written(REPORT))


def test_addresses_in_the_header_are_ascii() -> None:
    assert written(ABROAD)[0].startswith("X-Failed-Recipients: b\\303\\244d@remote.example\n")


# What a report refers to.


def referred(**headers: str) -> bytes:
    made = tuple(make(name.replace("_", "-"), value) for name, value in headers.items())
    (found,) = references(made)
    return found.text


def test_a_report_goes_on_with_the_thread_of_the_message() -> None:
    text = referred(References="<r1@x> <r2@x>", In_Reply_To="<r2@x>", Message_ID="<m@x>")
    assert text == b"References: <r1@x> <r2@x> <m@x>\n"


def test_without_references_it_goes_on_with_the_reply() -> None:
    assert referred(In_Reply_To="<r2@x>", Message_ID="<m@x>") == b"References: <r2@x> <m@x>\n"


def test_of_a_long_thread_the_first_and_the_last_are_kept() -> None:
    thread = " ".join(f"<r{number}@x>" for number in range(20))
    kept = " ".join(f"<r{number}@x>" for number in (0, *range(9, 20)))
    assert referred(References=thread, Message_ID="<m@x>") == (
        f"References: {kept} <m@x>\n".encode("ascii")
    )


def test_long_ids_are_folded() -> None:
    thread = " ".join("<" + letter * 400 + "@x>" for letter in "abc")
    assert max(map(len, referred(References=thread).split(b"\n"))) < 998


def test_what_is_no_message_id_is_not_referred_to() -> None:
    assert references((make("Message-ID", "none"), make("References", "a < b@c > <"))) == []


def test_no_header_gives_no_reference() -> None:
    assert references((Header(" ", b"Subject: x\n"),)) == []


def test_a_delay_says_until_when_it_is_tried() -> None:
    delayed = Status("a@b.example", "delayed", "4.0.0", last_attempt=1, retry_until=86400)
    fields = status_fields(replace(REPORT, details=True, arrived=0), [delayed])
    assert fields.endswith(
        b"Action: delayed\n"
        b"Final-Recipient: rfc822;a@b.example\n"
        b"Status: 4.0.0\n"
        b"Last-Attempt-Date: Thu, 01 Jan 1970 00:00:01 +0000\n"
        b"Will-Retry-Until: Fri, 02 Jan 1970 00:00:00 +0000\n"
    )
