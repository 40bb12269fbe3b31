"""A message as programs want it: lines escaped, ended by CRLF, or wrapped as batch SMTP.

Lines that begin with a check string get an escape string in its place (`From ` becomes
`>From `).  Batch SMTP is the conversation that would have carried the message, with nobody to
answer it: MAIL, RCPT, DATA, the message with its dots, a dot alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from mta.base.errors import PermFail
from mta.base.text import to_bytes
from mta.transport.writing import Stream, chunks, for_smtp


def escaped(parts: Iterable[bytes], check: bytes, escape: bytes) -> Iterator[bytes]:
    """The same octets, with `escape` for `check` at the start of each line that begins so."""
    if not check:
        yield from parts
        return
    held, at_start = b"", True
    for part in parts:
        octets = held + part
        last = octets.rfind(b"\n") + 1
        # A line that has only begun may go on as the check string does.
        may_match = (last > 0 or at_start) and check.startswith(octets[last:])
        held, octets = (octets[last:], octets[:last]) if may_match else (b"", octets)
        if not octets:
            continue
        ends_line = octets.endswith(b"\n")
        yield _escape(octets, check, escape, at_start=at_start)
        at_start = ends_line
    if held:
        yield escape if held == check else held


def _escape(octets: bytes, check: bytes, escape: bytes, *, at_start: bool) -> bytes:
    changed = octets.replace(b"\n" + check, b"\n" + escape)
    if at_start and octets.startswith(check):
        changed = escape + changed[len(check) :]
    return changed


def with_crlf(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The same octets, each LF as CRLF."""
    for part in parts:
        yield part.replace(b"\n", b"\r\n")


def batch_smtp(
    stream: Stream, sender: str, recipients: Sequence[str], *, crlf: bool
) -> Iterator[bytes]:
    """A message as batch SMTP.  Raises PermFail for an address that is not one line."""
    end = "\r\n" if crlf else "\n"
    if any(character in each for each in (sender, *recipients) for character in "\r\n\0"):
        raise PermFail("an address has characters that SMTP cannot carry", status="5.1.3")
    lines = [
        f"MAIL FROM:<{sender}>",
        *(f"RCPT TO:<{recipient}>" for recipient in recipients),
        "DATA",
    ]
    yield to_bytes("".join(line + end for line in lines))
    if crlf:
        yield from for_smtp(stream)
        return
    last = b"\n"
    for part in escaped(chunks(stream), b".", b".."):
        yield part
        last = part[-1:] or last
    yield b".\n" if last == b"\n" else b"\n.\n"
