"""The warning that a message is delayed: RFC 3464 with Action: delayed, in Exim's words.

The parts are those of a bounce (`dsn`), but of the message only the headers come along: its
sender has the rest, and it may still arrive.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from mta.base.text import one_line, to_bytes, to_text
from mta.mail import dsn
from mta.mail.date import rfc5322
from mta.mail.header import DELETED, Header, first, make

FIRST_LINE = "This message was created automatically by mail delivery software.\n"


@dataclass(frozen=True, slots=True)
class DelayedRecipient:
    """An address that waits: `shown` as people see it, with what it came of and why it waits
    in `text`; `original` is what ORCPT= said, or ""."""

    address: str
    shown: str
    text: str = ""
    original: str = ""


@dataclass(frozen=True, slots=True)
class DelayReport:
    """All that goes into a warning.  `delay` is in words; `sender` is None where the warning
    goes to nobody but him; `own_headers`, `opening` and `ending` are from a template."""

    primary_hostname: str
    to: str
    message_id: str
    about: str
    now: float
    delay: str
    delayed: tuple[DelayedRecipient, ...]
    headers: tuple[Header, ...]
    dsn_from: str
    envelope_sender: str
    envelope_id: str = ""
    sender: str | None = None
    reply_to: str = ""
    own_headers: str = ""
    opening: str = ""
    ending: str = ""


def warning(report: DelayReport) -> tuple[list[Header], bytes]:
    """The headers and the body of the warning; Received: is added when it is taken in."""
    unguessable = int.from_bytes(os.urandom(12), "big")
    boundary = f"{int(report.now)}-eximdsn-{unguessable}"
    mark = to_bytes(boundary)
    part = b"\n--%b\nContent-type: %b\n\n"
    kept = [header.text for header in report.headers if header.kind != DELETED]
    people = to_bytes(_for_people(report))
    charset = b"us-ascii" if people.isascii() else b"utf-8"
    body = b"".join(
        (
            (part % (mark, b"text/plain; charset=%b" % charset))[1:],
            people,
            part % (mark, b"message/delivery-status"),
            to_bytes(_for_programs(report)),
            part % (mark, b"text/rfc822-headers"),
            b"Return-path: <%b>\n" % to_bytes(one_line(report.envelope_sender)),
            *kept,
            b"\n\n--%b--\n" % mark,
        )
    )
    return _headers(report, boundary), body


def _headers(report: DelayReport, boundary: str) -> list[Header]:
    content = f"multipart/report; report-type=delivery-status; boundary={boundary}"
    subject = f"Warning: message {report.about} delayed {report.delay}"
    return [
        *([make("Reply-To", one_line(report.reply_to))] if report.reply_to else []),
        make("Auto-Submitted", "auto-replied"),
        make("From", report.dsn_from),
        make("To", one_line(report.to)),
        *dsn.references(report.headers),
        make("Content-Type", content),
        make("MIME-Version", "1.0"),
        *dsn.titles(report.own_headers, subject),
        make("Message-Id", f"<E{report.message_id}@{report.primary_hostname}>"),
        make("Date", rfc5322(report.now)),
    ]


def _for_people(report: DelayReport) -> str:
    lines = [f"{report.opening.rstrip(chr(10))}\n\n" if report.opening else _opening(report)]
    for each in report.delayed:
        lines.append(f"  {one_line(each.shown)}\n")
        if each.text:
            lines.append(f"    {dsn.indented(each.text)}\n")
    lines.append(f"\n{report.ending.strip(chr(10))}\n" if report.ending else _ENDING)
    return "".join(lines)


def _opening(report: DelayReport) -> str:
    if report.sender is None:
        who = (
            "A message that you sent has not yet been delivered to one or more of its\n"
            f"recipients after more than {report.delay} on the queue on "
            f"{report.primary_hostname}.\n\n"
        )
    else:
        who = (
            f"A message sent by\n\n  <{one_line(report.sender)}>\n\n"
            "has not yet been delivered to one or more of its recipients after more than \n"
            f"{report.delay} on the queue on {report.primary_hostname}.\n\n"
        )
    facts = f"The message identifier is:     {report.about}\n"
    for name in ("subject", "date"):
        if (found := first(report.headers, name)) is not None:
            value = one_line(to_text(found.body).strip(" \t\r\n").replace("\n", ""))
            label = f"The {name} of the message is:"
            facts += f"{label:<30} {value[:500]}\n"
    several = len(report.delayed) > 1
    which = "The addresses to which" if several else "The address to which"
    verb = "are" if several else "is"
    return (
        f"{FIRST_LINE}{who}{facts}\n{which} the message has not yet been delivered {verb}:\n\n"
    )


_ENDING = """
No action is required on your part. Delivery attempts will continue for
some time, and this warning may be repeated at intervals if the message
remains undelivered. Eventually the mail delivery software will give up,
and when that happens, the message will be returned to you.
"""


def _for_programs(report: DelayReport) -> str:
    lines = [f"Reporting-MTA: dns; {report.primary_hostname}\n"]
    if report.envelope_id:
        lines.append(f"Original-Envelope-ID: {one_line(report.envelope_id)}\n")
    for each in report.delayed:
        lines.append("\n")
        if each.original:
            lines.append(f"Original-Recipient: {one_line(each.original)}\n")
        lines += (
            "Action: delayed\n",
            f"Final-Recipient: rfc822;{one_line(each.address)}\n",
            "Status: 4.0.0\n",
        )
    return "".join(lines)
