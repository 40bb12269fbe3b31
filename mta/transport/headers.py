"""The headers that a delivery adds and removes: Return-path:, Envelope-to:, and what is asked.

Order, as Exim has it: Return-path:, Envelope-to:, Delivery-date:; then the message's own
headers without those that a router or the transport removes; then what the routers add; then
what the transport adds.  What is added is never removed again, and expansions see the headers
as they came.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from mta.base.errors import TempFail
from mta.base.text import lower, to_bytes, to_text, trim
from mta.mail import date, header

_STARTS_HEADER = re.compile(rb"[!-9;-~]+[ \t]*:")


def trace(
    *, return_path: str | None, envelope_to: Sequence[str] = (), delivered: float | None = None
) -> bytes:
    """The headers in front of all others; None and nothing leave them out."""
    lines = []
    if return_path is not None:
        lines.append(f"Return-path: <{_plain(return_path)}>\n")
    if envelope_to:
        addresses = dict.fromkeys(_plain(address) for address in envelope_to)
        lines.append("Envelope-to: " + ",\n ".join(addresses) + "\n")
    if delivered is not None:
        lines.append(f"Delivery-date: {date.rfc5322(delivered)}\n")
    return to_bytes("".join(lines))


def names(text: str) -> list[str]:
    """The names in a headers_remove option: separated by colons, in lower case."""
    return [lower(name) for part in text.replace("\n", ":").split(":") if (name := trim(part))]


def without(block: bytes, unwanted: Iterable[str]) -> bytes:
    """A header block without the headers of these names; a final `*` stands for anything."""
    wanted_away = {to_bytes(lower(name)) for name in unwanted}
    if not wanted_away:
        return block
    beginnings = tuple(name[:-1] for name in wanted_away if name.endswith(b"*"))
    headers, rest = header.parse_block(block)
    kept = [
        each
        for each in headers
        if each.name not in wanted_away
        and not (beginnings and each.name.startswith(beginnings))
    ]
    return header.join(kept) + rest


def lines(text: str, what: str) -> bytes:
    """Header lines that an option adds, made safe: nothing in them can begin the body.

    Empty lines are dropped, and a line that is no header continues the one before it.  Raises
    TempFail, naming the option, when not even the first is a header.
    """
    made: list[bytes] = []
    for line in to_bytes(text).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"):
        if not line.strip(b" \t"):
            continue
        if _STARTS_HEADER.match(line) or (made and line[:1] in b" \t"):
            made.append(line)
        elif made:
            made.append(b"\t" + line)
        else:
            raise TempFail(f'{what}: "{to_text(line[:80])}" is not a header line')
    return b"".join([line + b"\n" for line in made])


def _plain(address: str) -> str:
    """No address can begin another header line."""
    return address.replace("\r", "").replace("\n", "")
