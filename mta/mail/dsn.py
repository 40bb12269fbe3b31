"""The report that a message could not be delivered: RFC 3462 and 3464, in Exim's words.

It has three parts: a text for people, a part for programs with one group of fields for each
address, and what is returned of the message.  Error texts come from other people's servers:
they are put on lines of their own, without control characters, and can begin neither a header
nor a part, as nobody can guess the boundary.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from mta.base.text import one_line, to_bytes
from mta.mail.date import rfc5322
from mta.mail.header import DELETED, OTHER, Header, first, make

RETURN_SIZE_LIMIT = 100 * 1024
RETURN_LINE_LIMIT = 998
TEXT_LIMIT = 8192
_NAMED_LIMIT = 50  # addresses in one X-Failed-Recipients
_LONG_LINE = 45

_LIMITED = b"X-Exim-DSN-Information: Due to administrative limits only headers are returned\n"


@dataclass(frozen=True, slots=True)
class FailedRecipient:
    """An address that failed, and why.

    `original` is what ORCPT= said ("rfc822;user@example.com") or ""; `host` the name of the
    server that refused it, with its words in `diagnostic`, or "" when we did so ourselves.
    """

    address: str
    text: str
    status: str = "5.0.0"
    original: str = ""
    host: str = ""
    diagnostic: str = ""


@dataclass(frozen=True, slots=True)
class BounceReport:
    """All that goes into a bounce.

    `message_id` is the id of the bounce itself, and `now` the time of its Date; `body` is the
    body of the message with LF line ends, or what was read of it; `body_size` its true size.
    """

    primary_hostname: str
    qualify_domain: str
    to: str
    message_id: str
    now: float
    failed: tuple[FailedRecipient, ...]
    headers: tuple[Header, ...]
    body: bytes = b""
    body_size: int = 0
    headers_only: bool = False
    dsn_from: str = ""
    envelope_id: str = ""
    subject: str = "Mail delivery failed: returning message to sender"
    return_size_limit: int = RETURN_SIZE_LIMIT
    return_line_limit: int = RETURN_LINE_LIMIT


def bounce(report: BounceReport) -> tuple[list[Header], bytes]:
    """The headers and the body of the bounce; Received: is added when it is taken in."""
    # Exim's form of boundary, but with a number that the sender of a message cannot guess.
    unguessable = int.from_bytes(os.urandom(12), "big")
    boundary = f"{int(report.now)}-eximdsn-{unguessable}"
    mark = to_bytes(boundary)
    part = b"\n--%b\nContent-type: %b\n\n"
    body = b"".join(
        (
            (part % (mark, b"text/plain; charset=%b" % _charset(report)))[1:],
            _for_people(report),
            part % (mark, b"message/delivery-status"),
            _for_programs(report),
            *_returned(report, mark),
            b"\n--%b--\n" % mark,
        )
    )
    return _headers(report, boundary), body


def _headers(report: BounceReport, boundary: str) -> list[Header]:
    sender = report.dsn_from or (
        f"Mail Delivery System <Mailer-Daemon@{report.qualify_domain}>"
    )
    named = [one_line(failed.address) for failed in report.failed]
    content = f"multipart/report; report-type=delivery-status; boundary={boundary}"
    headers = [
        make("X-Failed-Recipients", ",\n  ".join(named[at : at + _NAMED_LIMIT]))
        for at in range(0, len(named), _NAMED_LIMIT)
    ]
    headers += [
        make("Auto-Submitted", "auto-replied"),
        make("From", sender),
        make("To", one_line(report.to)),
        make("Content-Type", content),
        make("MIME-Version", "1.0"),
        make("Subject", report.subject),
        make("Message-Id", f"<E{report.message_id}@{report.primary_hostname}>"),
        make("Date", rfc5322(report.now)),
    ]
    original = first(report.headers, "message-id")
    if original and original.body.strip(b" \t\r\n"):
        headers.insert(-5, Header(OTHER, b"References:" + original.body))
    return headers


def _charset(report: BounceReport) -> bytes:
    plain = all(failed.text.isascii() and failed.address.isascii() for failed in report.failed)
    return b"us-ascii" if plain else b"utf-8"


def _for_people(report: BounceReport) -> bytes:
    lines = [
        "This message was created automatically by mail delivery software.\n\n"
        "A message that you sent could not be delivered to one or more of its\n"
        "recipients. This is a permanent error. The following address(es) failed:\n\n"
    ]
    for failed in report.failed:
        lines.append(f"  {one_line(failed.address)}\n    {_indented(failed.text)}\n")
    return to_bytes("".join(lines))


def _indented(text: str) -> str:
    """An error text: each line indented, and a new line after a colon behind a long run."""
    result: list[str] = []
    for line in text[:TEXT_LIMIT].rstrip("\r\n").split("\n"):
        shown, *pieces = one_line(line).split(": ")
        run = len(shown)
        for piece in pieces:
            if run >= _LONG_LINE:
                shown, run = f"{shown}:\n    {piece}", len(piece)
            else:
                shown, run = f"{shown}: {piece}", run + 2 + len(piece)
        result.append(shown)
    return "\n    ".join(result)


def _for_programs(report: BounceReport) -> bytes:
    lines = [f"Reporting-MTA: dns; {report.primary_hostname}\n"]
    if report.envelope_id:
        lines.append(f"Original-Envelope-ID: {one_line(report.envelope_id)}\n")
    # Exim writes them in the reverse order of the text for people.
    for failed in reversed(report.failed):
        lines.append("\n")
        if failed.original:
            lines.append(f"Original-Recipient: {one_line(failed.original)}\n")
        lines += (
            "Action: failed\n",
            f"Final-Recipient: rfc822;{one_line(failed.address)}\n",
            f"Status: {failed.status}\n",
        )
        if failed.host:
            lines.append(f"Remote-MTA: dns; {one_line(failed.host)}\n")
        if failed.diagnostic:
            folded = failed.diagnostic[:TEXT_LIMIT].rstrip("\r\n").split("\n")
            shown = "\n ".join([one_line(line) for line in folded])
            lines.append(f"Diagnostic-Code: smtp; {shown}\n")
    return to_bytes("".join(lines))


def _returned(report: BounceReport, mark: bytes) -> tuple[bytes, ...]:
    """The part that carries the message, or its headers alone."""
    too_much = max(report.body_size, len(report.body)) > report.return_size_limit > 0
    limited = too_much or _has_long_line(report.body, report.return_line_limit)
    whole = not (report.headers_only or limited)
    kind = b"message/rfc822" if whole else b"text/rfc822-headers"
    kept = [header.text for header in report.headers if header.kind != DELETED]
    body = report.body
    if body and not body.endswith(b"\n"):
        body += b"\n"
    return (
        b"\n--%b\nContent-type: %b\n\n" % (mark, kind),
        b"Return-path: <%b>\n" % to_bytes(one_line(report.to)),
        *kept,
        _LIMITED if limited and not report.headers_only else b"",
        b"\n",
        body if whole else b"",
    )


def _has_long_line(body: bytes, limit: int) -> bool:
    if limit <= 0 or len(body) <= limit:
        return False
    at = 0
    while at + limit < len(body):
        # The end that a line of tolerable length would have, sought from the far side.
        end = body.rfind(b"\n", at, at + limit + 1)
        if end < 0:
            return True
        at = end + 1
    return False
