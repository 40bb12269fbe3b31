"""Bounces: their parts, what is returned, and that nobody's text escapes from its place."""

from __future__ import annotations

import re
from dataclasses import replace

from mta.mail.dsn import BounceReport, FailedRecipient, bounce
from mta.mail.header import join, make

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
