"""Replies: code, enhanced status code and text, written by the server, read by the client.

A reply is written in two forms when it is made: with the enhanced status code of RFC 2034 for
clients that were offered it, and without.  Constant replies are made once, at import.

Text may come from strangers (an address that is quoted back): control characters are written
as escapes, so that no text can begin a line of its own, and long text is spread over lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from mta.base.errors import ProtocolError
from mta.base.text import one_line, to_bytes
from mta.smtp.wire import Wire

# RFC 5321 4.5.3.1.5: a reply line has at most 512 octets.
TEXT_LIMIT = 480
LINE_LIMIT = 2048
_CODE = re.compile(rb"[0-9]{3}")
MOST_LINES = 100
MOST_OCTETS = 65536


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply and its octets in both forms."""

    code: int
    status: str
    text: str
    plain: bytes
    enhanced: bytes


def reply(code: int, status: str, text: str) -> Reply:
    """A reply; each line of the text becomes one of the reply.  `status` may be ""."""
    lines = [part for line in text.split("\n") for part in _parts(line)]
    plain = _lines(code, "", lines)
    return Reply(code, status, text, plain, _lines(code, status, lines) if status else plain)


@lru_cache(100)
def usual(code: int, status: str, text: str) -> Reply:
    """The same for a reply that is given again and again: it is made once."""
    return reply(code, status, text)


def _parts(line: str) -> list[bytes]:
    octets = to_bytes(one_line(line))
    if len(octets) <= TEXT_LIMIT:
        return [octets]
    return [octets[at : at + TEXT_LIMIT] for at in range(0, len(octets), TEXT_LIMIT)]


def _lines(code: int, status: str, lines: list[bytes]) -> bytes:
    before = f"{status} ".encode() if status else b""
    *others, last = lines
    end = b"%d %b%b\r\n" % (code, before, last)
    if not others:
        return end
    return b"".join([b"%d-%b%b\r\n" % (code, before, line) for line in others]) + end


@dataclass(frozen=True, slots=True)
class ServerReply:
    """What a server answered: `lines` are the texts behind the codes."""

    code: int
    lines: tuple[bytes, ...]

    @property
    def status(self) -> str:
        """The enhanced status code that the first line begins with, or ""."""
        word = self.lines[0].partition(b" ")[0]
        parts = word.split(b".")
        if len(parts) != 3 or parts[0] not in (b"2", b"4", b"5"):
            return ""
        if not all(part.isdigit() and len(part) <= 3 for part in parts):  # ascii: bytes
            return ""
        return word.decode("ascii")


def receive(wire: Wire) -> ServerReply | None:
    """The next reply of a server, or None at the end of input.

    Raises ProtocolError for what is no reply or has no end; TimeoutError; OSError.
    """
    lines: list[bytes] = []
    code = size = 0
    while True:
        line = wire.line(LINE_LIMIT)
        if line is None:
            return None
        number, follows = line[:3], line[3:4]
        if not _CODE.fullmatch(number) or follows not in (b"", b" ", b"-"):
            raise ProtocolError(f"bad reply: {line[:200]!r}")
        size += len(line)
        if len(lines) >= MOST_LINES or size > MOST_OCTETS:
            raise ProtocolError("a reply without end")
        if lines and int(number) != code:
            raise ProtocolError(f"bad reply: {line[:200]!r} after code {code}")
        code = int(number)
        lines.append(line[4:])
        if follows != b"-":
            return ServerReply(code, tuple(lines))
