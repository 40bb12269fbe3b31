"""Header lines that ACLs add: text becomes headers, and no stranger's text a second one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mta.acl.situation import AddedHeader
from mta.base.text import trim
from mta.mail.header import make

# A name that may be followed by blanks before its colon.
_NAMED = re.compile(r"([!-9;-~]+)[ \t]*:[ \t]?(.*)", re.DOTALL)
_PLACES = {
    ":at_start:": "start",
    ":after_received:": "received",
    ":at_start_rfc:": "rfc",
    ":at_end:": "end",
}
_WARNING = "X-ACL-Warn"


def lines_of(text: str) -> Iterator[str]:
    """The parts of unexpanded text that each make a header line.

    They are cut before they are expanded, at line breaks (also those written \\n) outside of
    braces, so that a line break in a value begins no header of its own.
    """
    depth = start = at = 0
    while at < len(text):
        letter = text[at]
        if letter == "\\" and text[at + 1 : at + 2] != "n":
            at += 2
            continue
        depth += {"{": 1, "}": -1}.get(letter, 0)
        width = 1 if letter == "\n" else 2 if letter == "\\" else 0
        if width and depth <= 0 and text[at + width : at + width + 1] not in (" ", "\t"):
            yield text[start:at]
            start = at + width
        at += width or 1
    yield text[start:]


def headers_of(lines: list[str]) -> list[AddedHeader]:
    """The headers that expanded lines make; what has no name becomes X-ACL-Warn:."""
    added: list[AddedHeader] = []
    place = "end"
    for line in lines:
        text = line
        for mark, where in _PLACES.items():
            if text.startswith(mark):
                text, place = text[len(mark) :], where
        if not trim(text):
            continue
        found = _NAMED.fullmatch(text)
        name, value = (found[1], found[2]) if found else (_WARNING, text)
        added.append(AddedHeader(make(name, value), place))
    return added
