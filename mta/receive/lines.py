"""The text of a message as local programs give it: lines end with LF or CRLF.

A line of one dot ends the message, unless -i was given; there is no stuffing of dots.  A CR
alone ends a line too, as with Exim, and none is ever kept: a server to which the message goes
on might take what follows it for a header or a command.
"""

from __future__ import annotations

_END = b"\n.\n"


class Returns:
    """Makes line ends of bare CRs; in the header with a blank behind them, so that what
    follows cannot begin a header of its own.
    """

    __slots__ = ("_at_line_start", "_in_header")

    def __init__(self) -> None:
        self._in_header = True
        self._at_line_start = True

    def mended(self, text: bytes) -> bytes:
        """The next piece, in which CRLF has become LF already."""
        if self._in_header:
            return self._mended_header(text)
        return text.replace(b"\r", b"\n") if b"\r" in text else text

    def _mended_header(self, text: bytes) -> bytes:
        if not text:
            return text
        empty = self._at_line_start and text.startswith(b"\n")
        end = 0 if empty else text.find(b"\n\n")
        self._in_header = end < 0
        self._at_line_start = text.endswith(b"\n")
        if b"\r" not in text:
            return text
        size = end + 1 if end >= 0 else len(text)
        return text[:size].replace(b"\r", b"\n ") + text[size:].replace(b"\r", b"\n")


class LocalText:
    """Turns what comes into internal form (LF line ends)."""

    __slots__ = ("_at_end", "_begun", "_dot_ends", "_held", "_returns", "ended")

    def __init__(self, *, dot_ends: bool) -> None:
        self._dot_ends = dot_ends
        # The start of the text is the start of a line: as if a line end stood before it.
        self._held = b"\n"
        self._begun = False
        self._at_end = True  # of a line
        self._returns = Returns()
        self.ended = False

    def feed(self, octets: bytes) -> bytes:
        """The next piece; what cannot be judged yet is held back."""
        if self.ended:
            return b""
        block = self._held + octets
        # A CR at the end may be half of a line end.
        self._held = b"\r" if block.endswith(b"\r") else b""
        block = block.removesuffix(b"\r").replace(b"\r\n", b"\n")
        if self._dot_ends:
            if (end := block.find(_END)) >= 0:
                self.ended, self._held = True, b""
                return self._given(block[: end + 1])
            for size in (2, 1):
                if block.endswith(_END[:size]):
                    self._held = block[-size:] + self._held
                    block = block[:-size]
                    break
        return self._given(block)

    def end(self) -> bytes:
        """What was held back until now; a last line without an end gets one."""
        if self.ended:
            return b""
        self.ended = True
        block = self._held
        if block.endswith(b"\n.") and self._dot_ends:
            # A dot that the end of the input follows ends the message too.
            block = block[:-1]
        text = self._given(block)
        return text if self._at_end else text + b"\n"

    def _given(self, block: bytes) -> bytes:
        if not block:
            return block
        if not self._begun:
            self._begun = True
            block = block[1:]
        text = self._returns.mended(block)
        if text:
            self._at_end = text.endswith(b"\n")
        return text
