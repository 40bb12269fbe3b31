"""What is particular about one message on its way in, and what is counted of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mta.acl.phase import Phase
from mta.receive.fixup import Author
from mta.receive.service import Caller


@dataclass(slots=True)
class Terms:
    """What is particular about this message.

    `caller` is the local user who hands it in, None for a client from elsewhere; `protocol` is
    for P= and Received:; with `from_headers` the recipients are those of the header less those
    given.  `reason` says why it is not delivered now, "" if it is.
    """

    protocol: str
    caller: Caller | None = None
    author: Author | None = None
    phase: Phase = Phase.DATA
    fixups: bool = False
    from_headers: bool = False
    sender_set_untrusted: bool = False
    is_local: bool = False  # the sender is the caller himself
    queue_only: bool = False
    reason: str = ""
    size_limit: int = 0
    dsn_ret: int = 0
    dsn_envid: str = ""
    dsn_flags: int = 0
    # For a message that may begin with a postmark: what to do with the sender in it.
    postmark: Callable[[str], None] | None = None
    discarded_by: str = ""  # which ACL discarded all recipients


@dataclass(slots=True)
class Counted:
    """What is counted while a message comes in."""

    size: int = 0
    lines: int = 0
    zeros: int = 0
    longest: int = 0
    open_line: int = 0

    def add(self, octets: bytes) -> None:
        """Count a piece of the body."""
        if b"\0" in octets:
            self.zeros += octets.count(b"\0")
        pieces = octets.split(b"\n")
        self.lines += len(pieces) - 1
        longest = max(map(len, pieces))
        first_line = self.open_line + len(pieces[0])
        self.longest = max(self.longest, longest, first_line)
        self.open_line = len(pieces[-1]) if len(pieces) > 1 else first_line
