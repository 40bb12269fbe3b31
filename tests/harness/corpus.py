"""Odd and broken messages, and what must become of them.

Half of them are those that Python's own `email` package is tested with (in Debian:
libpython3.*-testsuite), malformed ones included; the others are our own.  All stand here as a
program hands them in, mostly with LF line ends.

`stored` and `submitted` say what a mailbox holds below the trace lines.  That is what was
sent, but for these:

    line ends        LF in a file; the last line has one; a bare CR is one as well, in the
                     header with a blank behind it
    the header       ends at an empty line; where it just stops being a header one is put
                     there; a NUL in it is a question mark; lines of blanks at the end of a
                     field are gone
    old deliveries   their Return-path:, Envelope-to: and Delivery-date: are gone
    local programs   Message-Id:, From: and Date: where they are missing, domains for bare
                     names; the "From " line of an mbox file is gone

tests/interop/test_against_exim.py shows that this is what Exim does with every one of them.
"""

from __future__ import annotations

import re
import sysconfig
from pathlib import Path

SENDER = "ann@sender.test"
PLACES = ("/usr/lib/python3.*", sysconfig.get_path("stdlib"))
# The fields that local programs leave out, as `submitted` and `normal` show them.
ADDED = {
    b"message-id": b"Message-Id: ID\n",
    b"from": f"From: {SENDER}\n".encode(),
    b"date": b"Date: NOW\n",
}
DELIVERY = (b"return-path", b"envelope-to", b"delivery-date")
POSTMARK = b"From ann@sender.test Mon Nov 23 12:00:00 2026\n"
OWN = {
    "only a body": b"no header at all\n",
    "empty": b"",
    "an empty line": b"\n",
    "two empty lines": b"\n\n",
    "one field": b"Subject: x\n",
    "no end of the last line": b"Subject: x\n\nbody without end",
    "no end of the header": b"Subject: x",
    "a continuation first": b" continued\nSubject: x\n\nbody\n",
    "an empty line first": b"\nSubject: x\n\nbody\n",
    "a blank before the colon": b"Subject : x\n\nbody\n",
    "a line of blanks": b"Subject: x\n  \nTo: y@z\n\nbody\n",
    "a tab for the empty line": b"Subject: x\n\t\n\nbody\n",
    "a line of blanks within": b"Subject: x\n \n y \nTo: y@z\n\nbody\n",
    "a line of blanks at the end": b"Subject:\n ",
    "a line of an mbox file": POSTMARK + b"Subject: x\n\nbody\n",
    "a quoted line of an mbox file": b">" + POSTMARK + b"Subject: x\n\nbody\n",
    "a line of an mbox file later": b"Subject: x\n" + POSTMARK + b"\nbody\n",
    "an 8-bit name": b"Subj\xe9ct: x\nTo: a\n\nbody\n",
    "an empty name": b": x\nTo: a\n\nbody\n",
    "a control character in a name": b"Sub\x01ject: x\nTo: a\n\nbody\n",
    "no empty line between header and body": b"Subject: x\nthis is body\n",
    "every octet but NUL, CR and LF": b"Subject: x\n\n"
    + bytes(set(range(256)) - {0, 10, 13})
    + b"\n",
    "an 8-bit header": b"Subject: caf\xc3\xa9 \xff\xfe\n\nbody\n",
    "NULs in the body": b"Subject: x\n\na\0b\n\0\n",
    "a NUL in a field": b"Subject: a\0b\nTo: z\n\nbody\n",
    "a NUL in a name": b"Sub\0ject: ab\nTo: z\n\nbody\n",
    "bare CRs in the body": b"Subject: x\n\na\rb\n\r\r\nend\n",
    "bare CRs in the header": b"Subject: a\rX-Forged: b\nTo: z\n\nbody\n",
    "CRLF": b"Subject: x\r\nTo: y@z\r\n\r\nbody\r\n",
    "dots": b"Subject: x\n\n.\n..\n...\n.x\n\n.\n",
    "a dot in front of the header": b".Subject: x\n\n",
    "a line of 998 octets": b"Subject: x\n\n" + b"y" * 998 + b"\n",
    "a line of 999 octets": b"Subject: x\n\n" + b"y" * 999 + b"\n",
    "a line of 300,000 octets": b"Subject: x\n\n" + b"y" * 300_000 + b"\n",
    "a field of 10,000 octets": b"Subject: x" + b"y" * 10_000 + b"\n\nbody\n",
    "a thousand fields": b"".join(b"X-%d: y\n" % n for n in range(1000)) + b"\nbody\n",
    "a field of a thousand lines": b"Subject: x\n" + b" more\n" * 1000 + b"\nbody\n",
    "blanks at the ends of lines": b"Subject: x  \t\n\nbody  \t\n\n\n\n",
    "fields of an earlier delivery": b"Return-Path: <a@b>\nEnvelope-To: c\n d\n"
    b"Delivery-Date: d\nSubject: x\n\nReturn-path: <x>\n",
    "a hidden copy": b"To: a@b.test\nBcc: c@d.test\nSubject: x\n\nbody\n",
    "bare names": b"From: ann\nTo: bob, Carl <carl>, d@e.test\nCc: x (c)\n\nbody\n",
    "a group": b"To: friends: a@b.test, carl;, dave\nCc: undisclosed:;\n\nb\n",
    "encoded names": b'From: =?utf-8?q?caf=C3=A9?= <x@y>\nTo: "a, b" <carl> (c), dave\n\nb\n',
    "addresses that are none": b"From: ann@@b <\nTo: <<x>>, a b c\nReply-To: joe\n\nb\n",
    "folded addresses": b"To: a,\n b,\n\tc@d.test\n\nb\n",
    "empty fields": b"To: \nFrom:\nSubject:\n\nbody\n",
    "fields twice": b"From: a@b\nFrom: c@d\nDate: x\nDate: y\nMessage-ID: <a>\n\nbody\n",
    "two megabytes": b"Subject: x\n\n" + (b"z" * 76 + b"\n") * 27_000,
}
# What becomes of names without a domain when a local program hands the message in.
QUALIFIED = {
    "msg_05.txt": [
        (b"From: foo\n", b"From: foo@peer.test\n"),
        (b"To: baz\n", b"To: baz@peer.test\n"),
    ],
    "msg_15.txt": [(b"To: XX\n", b"To: XX@peer.test\n")],
    "an 8-bit name": [(b"To: a\n", b"To: a@peer.test\n")],
    "an empty name": [(b"To: a\n", b"To: a@peer.test\n")],
    "a NUL in a field": [(b"To: z\n", b"To: z@peer.test\n")],
    "bare CRs in the header": [(b"To: z\n", b"To: z@peer.test\n")],
    "bare names": [
        (b"From: ann\n", b"From: ann@peer.test\n"),
        # The fold is Exim's: a list goes on in a new line after 40 columns.
        (
            b"To: bob, Carl <carl>, d@e",
            b"To: bob@peer.test, Carl <carl@peer.test>, \n\td@e",
        ),
        (b"Cc: x (c)", b"Cc: x@peer.test (c)"),
    ],
    "a group": [(b"carl;, dave", b"carl@peer.test;, dave@peer.test")],
    "encoded names": [(b"<carl> (c), dave", b"<carl@peer.test> (c), dave@peer.test")],
    "addresses that are none": [(b"Reply-To: joe", b"Reply-To: joe@peer.test")],
    "folded addresses": [(b"a,\n b,", b"a@peer.test,\n b@peer.test,")],
}
FIELD = re.compile(rb"[^\0-\x20:\x7f]*[ \t]*:")


def files() -> list[Path]:
    """The messages of Python's tests, from the first place that has them."""
    for place in PLACES:
        directory = Path(place)
        pattern = f"{directory.name}/test/test_email/data/*.txt"
        if found := sorted(directory.parent.glob(pattern)):
            return found
    return []


def messages() -> dict[str, bytes]:
    """All of them by name, those of Python's tests first."""
    return {file.name: file.read_bytes() for file in files()} | OWN


def wire(message: bytes) -> bytes:
    """The message in the form in which SMTP carries it, before dots are doubled."""
    text = re.sub(rb"\r?\n", b"\r\n", message)
    return text if text.endswith(b"\r\n") or not text else text + b"\r\n"


def stored(message: bytes) -> bytes:
    """What a mailbox holds of a message that came by SMTP, less what is put on top."""
    fields, body = cut(with_line_ends(message))
    return b"".join(kept(fields)) + b"\n" + body


def submitted(name: str, message: bytes) -> bytes:
    """The same for a message that a local program handed in with SENDER as its sender."""
    if message.startswith(b"From ") and message.partition(b"\n")[0][-4:].isdigit():
        message = message.partition(b"\n")[2]
    fields, body = cut(with_line_ends(message))
    present = {field.partition(b":")[0].rstrip(b" \t").lower() for field in fields}
    added = [line for each, line in ADDED.items() if each not in present]
    header = b"".join(kept(fields))
    for old, new in QUALIFIED.get(name, []):
        assert old in header, (name, old)
        header = header.replace(old, new)
    return header + b"".join(added) + b"\n" + body


def normal(message: bytes) -> bytes:
    """The message with ID and NOW for the Message-Id and the Date that were added to it."""
    header, end, body = message.partition(b"\n\n")
    header = re.sub(rb"<E[0-9A-Za-z-]{16,23}@peer\.test>", b"ID", header)
    header = re.sub(
        rb"(?m)^Date: \w{3}, [0-9]+ \w+ 20(?!0|10)[0-9]{2} .*$", b"Date: NOW", header
    )
    return header + end + body


def with_line_ends(message: bytes) -> bytes:
    """All line ends made LF."""
    text = message.replace(b"\r\n", b"\n")
    if text and not text.endswith(b"\n"):
        text += b"\n"
    header, end, body = text.partition(b"\n\n")
    return header.replace(b"\r", b"\n ") + end + body.replace(b"\r", b"\n")


def cut(text: bytes) -> tuple[list[bytes], bytes]:
    """The fields of the header, and the body."""
    fields: list[bytes] = []
    rest = text
    while rest:
        line, _, after = rest.partition(b"\n")
        if not line:
            return fields, after
        if line[:1] in b" \t" and fields:
            fields[-1] += line + b"\n"
        elif line[:1] not in b" \t" and FIELD.match(line):
            fields.append(line + b"\n")
        else:
            return fields, rest
        rest = after
    return fields, b""


def kept(fields: list[bytes]) -> list[bytes]:
    """The fields that stay, as they stay."""
    return [
        re.sub(rb"(\n[ \t]*)+\Z", b"\n", field).replace(b"\0", b"?")
        for field in fields
        if field.partition(b":")[0].lower() not in DELIVERY
    ]
