"""The line "From address date" with which mbox files and old mailers begin a message.

Local programs hand in such messages.  The line is no header and would end the header before it
began, so it is taken away; a caller who may say who the sender is has said it there.
"""

from __future__ import annotations

import re

from mta.base.text import to_text

# What Exim takes for one when uucp_from_pattern is not set.
_LINE = re.compile(
    rb"From[ \t]+([^ \t\n\v\f]+)[ \t]+(?:[A-Za-z]{3},?[ \t]+)?"
    rb"(?:[A-Za-z]{3}[ \t]+[0-9]?[0-9]|"
    rb"[0-9]?[0-9][ \t]+[A-Za-z]{3}[ \t]+[0-9]{2}(?:[0-9]{2})?)"
    rb"[ \t]+[0-9]{1,2}:[0-9]"
)
_WHOLE = re.compile(rb"[^\n]*+\n?(?>(?:[ \t][^\n]*+\n?)*)")


def without_postmark(block: bytes) -> tuple[bytes, str | None]:
    """The start of a message without its postmark, and what stands there for the sender."""
    found = _LINE.match(block)
    whole = _WHOLE.match(block)
    if found is None or whole is None:
        return block, None
    return block[whole.end() :], to_text(found[1])
