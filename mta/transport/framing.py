"""A message as programs want it: lines escaped, ended by CRLF, or wrapped as batch SMTP.

Lines that begin with a check string get an escape string in its place (`From ` becomes
`>From `).  Batch SMTP is the conversation that would have carried the message, with nobody to
answer it: MAIL, RCPT, DATA, the message with its dots, a dot alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from mta.base.errors import PermFail
from mta.base.text import to_bytes
from mta.transport.writing import Stream, chunks, for_smtp


def escaped(parts: Iterable[bytes], check: bytes, escape: bytes) -> Iterator[bytes]:
    """The same octets, with `escape` for `check` at the start of each line that begins so.

    `check` may end in a line end: then it is a whole line.
    """
    if not check:
        yield from parts
        return
    found = re.compile(rb"(?<=\n)" + re.escape(check))
    held, line_start = b"", True
    for part in parts:
        # A line end that was given away already stands in front, so that the pattern sees it.
        data = b"\n" + held + part if line_start else held + part
        made, done = _replaced(data, found, escape, int(line_start))
        # A line that begins near the end may have the rest of `check` in the next part.
        at = data.find(b"\n", max(len(data) - len(check), done - 1, 0))
        line_start = at >= 0
        end = at + 1 if line_start else len(data)
        held = data[end:]
        yield made + data[done:end]
    yield held


def _replaced(
    data: bytes, found: re.Pattern[bytes], escape: bytes, done: int
) -> tuple[bytes, int]:
    """The data up to the end of the last changed line, changed; and where that line ends."""
    parts = []
    for match in found.finditer(data):
        parts += [data[done : match.start()], escape]
        done = match.end()
    return b"".join(parts), done


def with_crlf(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The same octets, each LF as CRLF."""
    for part in parts:
        yield part.replace(b"\n", b"\r\n")


def commands(sender: str, recipients: Iterable[str], end: str) -> bytes:
    """The commands of SMTP that come before a message, each with this line end."""
    lines = [f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{each}>" for each in recipients), "DATA"]
    return to_bytes("".join([line + end for line in lines]))


def batch_smtp(
    stream: Stream, sender: str, recipients: Sequence[str], *, crlf: bool
) -> Iterator[bytes]:
    """A message as batch SMTP.  Raises PermFail for an address that is not one line."""
    end = "\r\n" if crlf else "\n"
    if any(character in each for each in (sender, *recipients) for character in "\r\n\0"):
        raise PermFail("an address has characters that SMTP cannot carry", status="5.1.3")
    yield commands(sender, recipients, end)
    if crlf:
        yield from for_smtp(stream)
        return
    last = b"\n"
    for part in escaped(chunks(stream), b".", b".."):
        yield part
        last = part[-1:] or last
    yield b".\n" if last == b"\n" else b"\n.\n"
