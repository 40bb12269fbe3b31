"""The text of a message as local programs give it: lines end with LF or CRLF.

A line of one dot ends the message, unless -i was given; there is no stuffing of dots.
"""

from __future__ import annotations

_END = b"\n.\n"


class LocalText:
    """Turns what comes into internal form (LF line ends)."""

    __slots__ = ("_at_end", "_begun", "_dot_ends", "_held", "ended")

    def __init__(self, *, dot_ends: bool) -> None:
        self._dot_ends = dot_ends
        # The start of the text is the start of a line: as if a line end stood before it.
        self._held = b"\n"
        self._begun = False
        self._at_end = True  # of a line
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
        self._at_end = block.endswith(b"\n")
        if self._begun:
            return block
        self._begun = True
        return block[1:]
