"""The message after DATA: dots are taken away, line ends become LF, the end is found.

Only CRLF.CRLF ends a message.  A server that also takes LF.LF or CR.CR for the end lets one
message be smuggled inside another past a server that does not.  As in Exim, a bare LF becomes
a blank and a bare CR the end of a line, in the header with a blank behind it, so that it
cannot begin a header of its own.  A message from standard input may end its lines with LF
alone, if its first line does.

Each octet is looked at by a few passes that run in C; what cannot be judged yet because the
next octets are missing, four at most, is held back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mta.base import clock
from mta.receive.lines import Returns
from mta.smtp.wire import Wire

END = b"\r\n.\r\n"
LOOSE_END = b"\n.\n"
_BODY = bytes.maketrans(b"\r\n", b"\n ")
_BARE_LF = re.compile(rb"(?<!\r)\n")
_BARE_CR = re.compile(rb"\r(?!\n)")
# A client may be slow, but not for ever: below this pace it gets this many time-outs in all.
SLOWEST = 200
PATIENCE = 12


class Lost(ConnectionError):
    """The client went away before the end of the message."""


class Dots:
    """The text of one message, in internal form, from its form on the wire.

    The start of a message is the start of a line: it is treated as if a line end stood before
    it, which is not given out.
    """

    __slots__ = ("_at_line_start", "_begun", "_held", "_in_header", "rest")

    start = b"\r\n"

    def __init__(self) -> None:
        self._held = self.start
        self._begun = False
        self._in_header = True
        self._at_line_start = False
        # What follows the end of the message; None until that is seen.
        self.rest: bytes | None = None

    def feed(self, octets: bytes) -> bytes:
        """The next piece; when `rest` is no longer None the message is complete."""
        block = self._held + octets
        self._held = b""
        if (end := block.find(END)) >= 0:
            self.rest = block[end + 5 :]
            block = block[: end + 2]
        elif held := _held_back(block, END):
            self._held = block[-held:]
            block = block[:-held]
        return self._given(self._convert(block)) if block else b""

    def _given(self, text: bytes) -> bytes:
        """The text without the line end that was put before the first piece."""
        self._at_line_start = text.endswith(b"\n")
        if self._begun:
            return text
        self._begun = True
        return text[1:]

    def _convert(self, block: bytes) -> bytes:
        if b"\r\n." in block:
            block = block.replace(b"\r\n.", b"\r\n")
        if self._at_line_start and block.startswith(b"\r\n"):
            self._in_header = False
        ends = block.count(b"\r\n")
        text = block.replace(b"\r", b"")
        # Counted by taking away, which is three times as fast as counting single octets.
        bare = len(text.replace(b"\n", b""))
        if len(block) - len(text) != ends or len(text) - bare != ends:
            return self._mend(block)
        if self._in_header and b"\n\n" in text:
            self._in_header = False
        return text

    def _mend(self, block: bytes) -> bytes:
        """Convert a block that has bare CRs or LFs."""
        header = b""
        if self._in_header:
            end = block.find(b"\r\n\r\n")
            size = end + 2 if end >= 0 else len(block)
            header, block = block[:size], block[size:]
            header = _BARE_CR.sub(b"\n ", _BARE_LF.sub(b" ", header))
            header = header.replace(b"\r\n", b"\n")
            self._in_header = end < 0
        # CRLF and CR are the same from here on.
        return header + block.replace(b"\r\n", b"\r").translate(_BODY)


class LooseDots(Dots):
    """The same for lines that end with LF or CRLF: from standard input only."""

    __slots__ = ("_returns",)

    start = b"\n"

    def __init__(self) -> None:
        super().__init__()
        self._returns = Returns()

    def feed(self, octets: bytes) -> bytes:
        """The next piece; when `rest` is no longer None the message is complete."""
        block = self._held + octets
        # A CR at the end may be half of a line end.
        self._held = b"\r" if block.endswith(b"\r") else b""
        block = block.removesuffix(b"\r").replace(b"\r\n", b"\n")
        if (end := block.find(LOOSE_END)) >= 0:
            self.rest = block[end + 3 :] + self._held
            block = block[: end + 1]
        elif held := _held_back(block, LOOSE_END):
            self._held = block[-held:] + self._held
            block = block[:-held]
        if not block:
            return b""
        return self._returns.mended(self._given(block.replace(b"\n.", b"\n")))


def _held_back(block: bytes, end: bytes) -> int:
    """How many octets at the end of a block may be the beginning of `end`."""
    for size in range(len(end) - 1, 0, -1):
        if block.endswith(end[:size]):
            return size
    return 0


def pieces(wire: Wire, *, lenient: bool) -> Iterator[bytes]:
    """The message in internal form, piece by piece, up to its true end.

    What follows it is put back.  Raises Lost, TimeoutError, OSError.
    """
    started = clock.monotonic()
    total = 0
    octets = wire.chunk()
    dots = LooseDots() if lenient and _first_line_is_loose(octets) else Dots()
    while octets:
        total += len(octets)
        text = dots.feed(octets)
        if text:
            yield text
        if dots.rest is not None:
            wire.put_back(dots.rest)
            return
        taken = clock.monotonic() - started
        if taken > PATIENCE * wire.timeout and total < SLOWEST * taken:
            raise TimeoutError("the message comes too slowly")
        octets = wire.chunk()
    raise Lost("the client went away")


def _first_line_is_loose(octets: bytes) -> bool:
    end = octets.find(b"\n")
    return end >= 0 and octets[max(end - 1, 0) : end] != b"\r"
