"""Delivery status notifications: RFC 6522 and 3464, in Exim's words.

A report has three parts: a text for people, a part for programs with one group of fields for
each address, and what is returned of the message.  Error texts come from other people's
servers: they are put on lines of their own, without control characters, and can begin neither
a header nor a part, as nobody can guess the boundary.

A message that needed SMTPUTF8 is reported in the form of RFC 6533.  In all other reports the
part for programs is ASCII: octets beyond it are shown as \\ooo there, as Exim does it.

With `details` the part for programs has what RFC 3464 offers beyond Exim: when the message
arrived and when it was tried last, and the status codes of the servers.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace

from mta.base.text import one_line, to_bytes, to_text
from mta.mail import xtext
from mta.mail.date import rfc5322
from mta.mail.header import DELETED, Header, first, make, parse_block

RETURN_SIZE_LIMIT = 100 * 1024
RETURN_LINE_LIMIT = 998
TEXT_LIMIT = 8192
_NAMED_LIMIT = 50  # addresses in one X-Failed-Recipients
_LONG_LINE = 45

# What a report refers to: the first message of a thread and the last ones.
_MOST_REFERENCES = 12
_LONGEST_REFERENCES = 4096
_LONG_HEADER = 900
_MESSAGE_ID = re.compile(rb"<[^<>\s\0]{1,500}>")

# The status of a domain that says so itself.  RFC 7505 4.1
TAKES_NO_MAIL = "5.1.10"

_CREATED = "This message was created automatically by mail delivery software.\n"
SUCCESS_SUBJECT = "Delivery Status Notification"
RETURNED_SUBJECT = "Mail delivery failed: returning message to sender"
FAILED_SUBJECT = "Mail delivery failed"

_EIGHT_BIT = b"Content-Transfer-Encoding: 8bit\n"
_LIMITED = b"X-Exim-DSN-Information: Due to administrative limits only headers are returned\n"


@dataclass(frozen=True, slots=True)
class FailedRecipient:
    """An address that failed, and why.

    `original` is what ORCPT= said ("rfc822;user@example.com") or ""; `host` the name of the
    server that refused it, with its words in `diagnostic`, or "" when we did so ourselves.
    `recipient` is the address that the sender knows it by, where that is another one.  People
    see `shown` in place of the address; `output` is what a command said when it was run.
    """

    address: str
    text: str
    status: str = ""
    original: str = ""
    host: str = ""
    diagnostic: str = ""
    recipient: str = ""
    shown: str = ""
    output: str = ""


@dataclass(frozen=True, slots=True)
class Succeeded:
    """A recipient whose success is reported: `action` is delivered, relayed or expanded.

    `host` took it, with the words in `diagnostic`; `note` says in brackets how it went.
    """

    address: str
    action: str
    note: str
    original: str = ""
    host: str = ""
    diagnostic: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """The fields of one recipient, for programs; times are 0 where they are not told."""

    recipient: str
    action: str
    status: str
    original: str = ""
    host: str = ""
    diagnostic: str = ""
    diagnostic_type: str = "smtp"
    last_attempt: float = 0.0
    retry_until: float = 0.0


@dataclass(frozen=True, slots=True)
class BounceReport:
    """All that goes into a report, beside the recipients of whom success is told.

    `message_id` is the id of the report itself, and `now` the time of its Date; `body` is the
    body of the message with LF line ends, or what was read of it; `body_size` its true size.
    `sender` is whose message it was, where somebody else is told; `arrived` is when it came.
    """

    primary_hostname: str
    qualify_domain: str
    to: str
    message_id: str
    now: float
    failed: tuple[FailedRecipient, ...]
    headers: tuple[Header, ...]
    sender: str = ""
    arrived: float = 0.0
    is_utf8: bool = False
    details: bool = False
    body: bytes = b""
    body_size: int = 0
    headers_only: bool = False
    body_is_denied: bool = False  # the sender asked for it, the administrator does not
    dsn_from: str = ""
    envelope_id: str = ""
    return_size_limit: int = RETURN_SIZE_LIMIT
    return_line_limit: int = RETURN_LINE_LIMIT
    reply_to: str = ""
    own_headers: str = ""  # whole lines that stand in the place of Subject:
    opening: str = ""  # what stands in the place of the first paragraphs
    remark: str = ""  # behind the first line
    returns: bool = True  # anything at all


def bounce(report: BounceReport) -> tuple[list[Header], bytes]:
    """The headers and the body of the bounce; Received: is added when it is taken in."""
    boundary = _boundary(report)
    failed = [_failure(report, each) for each in reversed(report.failed)]
    body = _parts(boundary, report, _for_people(report), status_fields(report, failed))
    return _bounce_headers(report, _kind(boundary, body)), body


def success(
    report: BounceReport, succeeded: tuple[Succeeded, ...]
) -> tuple[list[Header], bytes]:
    """The headers and the body of a report that all went well, as the sender wished for.

    Of the message only its headers are returned, whatever RET= says.  RFC 3461 6.2
    """
    boundary = _boundary(report)
    lines = [
        _CREATED,
        " ----- The following addresses had successful delivery notifications -----\n",
        *(f"<{one_line(each.address)}> ({each.note})\n\n" for each in succeeded),
    ]
    fields = status_fields(report, [_status_of(each) for each in succeeded])
    report = replace(report, headers_only=True, body=b"", body_size=0)
    body = _parts(boundary, report, to_bytes("".join(lines))[:-1], fields)
    headers = [
        make("From", _from(report)),
        make("Auto-Submitted", "auto-generated"),
        make("To", one_line(report.to)),
        make("Subject", SUCCESS_SUBJECT),
        *references(report.headers),
        *_kind(boundary, body),
        make("Message-Id", f"<E{report.message_id}@{report.primary_hostname}>"),
        make("Date", rfc5322(report.now)),
    ]
    return headers, body


def _boundary(report: BounceReport) -> str:
    # Exim's form of boundary, but with a number that the sender of a message cannot guess.
    unguessable = int.from_bytes(os.urandom(12), "big")
    return f"{int(report.now)}-eximdsn-{unguessable}"


def _parts(boundary: str, report: BounceReport, people: bytes, programs: bytes) -> bytes:
    charset = b"us-ascii" if people.isascii() else b"utf-8"
    status = b"global-delivery-status" if report.is_utf8 else b"delivery-status"
    parts = (
        (b"text/plain; charset=%b" % charset, people),
        (b"message/%b" % status, programs),
        *((_returned(report),) if report.returns else ()),
    )
    mark = to_bytes(boundary)
    written = [
        b"\n--%b\nContent-type: %b\n%b\n%b"
        % (mark, kind, b"" if content.isascii() else _EIGHT_BIT, content)
        for kind, content in parts
    ]
    return b"%b\n--%b--\n" % (b"".join(written)[1:], mark)


def _from(report: BounceReport) -> str:
    return report.dsn_from or f"Mail Delivery System <Mailer-Daemon@{report.qualify_domain}>"


def _kind(boundary: str, body: bytes) -> list[Header]:
    content = f"multipart/report; report-type=delivery-status; boundary={boundary}"
    kind = [make("Content-Type", content), make("MIME-Version", "1.0")]
    if not body.isascii():
        # What is in a part is in the whole.  RFC 2045 6.4
        kind.append(make("Content-Transfer-Encoding", "8bit"))
    return kind


def _bounce_headers(report: BounceReport, kind: list[Header]) -> list[Header]:
    named = [to_text(_ascii(to_bytes(one_line(failed.address)))) for failed in report.failed]
    return [
        *(
            make("X-Failed-Recipients", ",\n  ".join(named[at : at + _NAMED_LIMIT]))
            for at in range(0, len(named), _NAMED_LIMIT)
        ),
        *([make("Reply-To", one_line(report.reply_to))] if report.reply_to else []),
        make("Auto-Submitted", "auto-replied"),
        make("From", _from(report)),
        make("To", one_line(report.to)),
        *references(report.headers),
        *kind,
        *titles(report.own_headers, FAILED_SUBJECT if report.sender else RETURNED_SUBJECT),
        make("Message-Id", f"<E{report.message_id}@{report.primary_hostname}>"),
        make("Date", rfc5322(report.now)),
    ]


def titles(own: str, subject: str) -> list[Header]:
    """The header lines of a template, or the usual Subject: for want of them."""
    found, _ = parse_block(to_bytes(own.strip("\n") + "\n")) if own else ([], b"")
    return found or [make("Subject", subject)]


def references(headers: tuple[Header, ...]) -> list[Header]:
    """What a report refers to: the thread of the message and the message.  RFC 5322 3.6.4"""
    thread = first(headers, "references") or first(headers, "in-reply-to")
    octets = thread.body[-_LONGEST_REFERENCES:] if thread else b""
    ids = _MESSAGE_ID.findall(octets)
    if thread and len(ids) > _MOST_REFERENCES:
        beginning = _MESSAGE_ID.search(thread.body)
        assert beginning is not None
        ids = [beginning[0], *ids[1 - _MOST_REFERENCES :]]
    message = first(headers, "message-id")
    if message and (found := _MESSAGE_ID.search(message.body)):
        ids.append(found[0])
    between = b" " if sum(map(len, ids)) < _LONG_HEADER else b"\n "
    return [make("References", to_text(between.join(ids)))] if ids else []


_FAILED = """
A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

"""
_FAILED_OF = """
A message sent by

  <{}>

could not be delivered to one or more of its recipients. The following
address(es) failed:

"""


def _for_people(report: BounceReport) -> bytes:
    lines = [f"{_CREATED}{report.remark}"]
    lines.append(_FAILED_OF.format(one_line(report.sender)) if report.sender else _FAILED)
    if report.opening:
        lines = [report.opening.rstrip("\n") + "\n\n"]
    for failed in report.failed:
        text = f"    {indented(failed.text)}\n" if failed.text else ""
        lines.append(f"  {_named(failed, 4)}\n{text}")
    spoken = [failed for failed in report.failed if failed.output]
    if spoken:
        attempts = "attempt" if len(spoken) == 1 else "attempts"
        lines.append(f"\nThe following text was generated during the delivery {attempts}:\n")
        lines += [f"\n------ {_named(each, 7)} ------\n\n{_spoken(each)}" for each in spoken]
    return _valid(to_bytes("".join(lines)))


def _named(failed: FailedRecipient, indent: int) -> str:
    """How people see a recipient, each further line indented so far."""
    lines = failed.shown.split("\n") if failed.shown else [failed.address]
    return ("\n" + " " * indent).join([one_line(line) for line in lines])


def _spoken(failed: FailedRecipient) -> str:
    """What a command said, without control characters and with an end."""
    lines = failed.output.rstrip("\n").replace("\r\n", "\n").split("\n")
    return "\n".join(["\t".join(map(one_line, line.split("\t"))) for line in lines]) + "\n"


def indented(text: str) -> str:
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


# ---- for programs


def _shown_status(report: BounceReport, failed: FailedRecipient) -> str:
    """Exim says the same of all; that a domain takes no mail is said in any case."""
    is_shown = report.details or failed.status == TAKES_NO_MAIL
    return (is_shown and failed.status) or "5.0.0"


def _failure(report: BounceReport, failed: FailedRecipient) -> Status:
    return Status(
        failed.recipient or failed.address,
        "failed",
        _shown_status(report, failed),
        failed.original,
        failed.host,
        failed.diagnostic,
        last_attempt=report.now,
    )


def _status_of(succeeded: Succeeded) -> Status:
    return Status(
        succeeded.address,
        succeeded.action,
        "2.0.0",
        succeeded.original,
        succeeded.host,
        succeeded.diagnostic,
        diagnostic_type="smtp" if succeeded.host else "X-Exim",
    )


def status_fields(report: BounceReport, recipients: list[Status]) -> bytes:
    """The part for programs: about the message, then about each recipient.  RFC 3464 2"""
    lines = [f"Reporting-MTA: dns; {report.primary_hostname}\n"]
    if report.envelope_id:
        # In xtext it was told, and out of it it is told back.  RFC 3461 6.3 (a)
        shown = one_line(xtext.decode(report.envelope_id))
        lines.append(f"Original-Envelope-ID: {shown}\n")
    if report.details and report.arrived:
        lines.append(f"Arrival-Date: {rfc5322(report.arrived)}\n")
    for each in recipients:
        lines += _recipient_fields(report, each)
    octets = to_bytes("".join(lines))
    return _valid(octets) if report.is_utf8 else _ascii(octets)


def _recipient_fields(report: BounceReport, each: Status) -> list[str]:
    recipient = one_line(each.recipient)
    kind = "rfc822" if recipient.isascii() or not report.is_utf8 else "utf-8"
    lines = ["\n"]
    if each.original:
        lines.append(f"Original-Recipient: {one_line(each.original)}\n")
    lines += (
        f"Action: {each.action}\n",
        f"Final-Recipient: {kind};{recipient}\n",
        f"Status: {each.status}\n",
    )
    if each.host:
        lines.append(f"Remote-MTA: dns; {one_line(each.host)}\n")
    if each.diagnostic:
        folded = each.diagnostic[:TEXT_LIMIT].rstrip("\r\n").split("\n")
        shown = "\n ".join([one_line(line) for line in folded])
        lines.append(f"Diagnostic-Code: {each.diagnostic_type}; {shown}\n")
    if report.details and each.last_attempt:
        lines.append(f"Last-Attempt-Date: {rfc5322(each.last_attempt)}\n")
    if report.details and each.retry_until:
        lines.append(f"Will-Retry-Until: {rfc5322(each.retry_until)}\n")
    return lines


def _ascii(octets: bytes) -> bytes:
    """Octets beyond ASCII as \\ooo."""
    if octets.isascii():
        return octets
    return b"".join(
        [bytes((octet,)) if octet < 128 else b"\\%03o" % octet for octet in octets]
    )


def _valid(octets: bytes) -> bytes:
    """Octets that are no UTF-8 as \\ooo: they would make the part something else than said."""
    try:
        octets.decode("utf-8")
    except UnicodeDecodeError:
        return _ascii(octets)
    return octets


# ---- what is returned


def _returned(report: BounceReport) -> tuple[bytes, bytes]:
    """The part that carries the message, or its headers alone: its kind and what is in it."""
    too_much = max(report.body_size, len(report.body)) > report.return_size_limit > 0
    limited = (
        too_much
        or report.body_is_denied
        or _has_long_line(report.body, report.return_line_limit)
    )
    whole = not (report.headers_only or limited)
    kind = b"message/rfc822" if whole else b"text/rfc822-headers"
    if report.is_utf8:
        kind = b"message/global" if whole else b"message/global-headers"
    kept = [header.text for header in report.headers if header.kind != DELETED]
    body = report.body
    if body and not body.endswith(b"\n"):
        body += b"\n"
    content = (
        b"Return-path: <%b>\n" % to_bytes(one_line(report.sender or report.to)),
        *kept,
        _LIMITED if limited and not report.headers_only else b"",
        b"\n",
        body if whole else b"",
    )
    return kind, b"".join(content)


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
