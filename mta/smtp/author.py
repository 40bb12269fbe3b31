"""AUTH= of MAIL: who handed a message in first, in xtext.  RFC 4954 5.

What would be a control character when it is decoded is refused: it would go into headers,
logs and the spool.
"""

from __future__ import annotations

import re

from mta.base.text import to_bytes, to_text

LONGEST = 500
# RFC 3461 4
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+(?!7F)[2-9A-F][0-9A-F])+")
_ENCODED = re.compile(rb"\+([0-9A-F]{2})")
_UNSAFE = re.compile(rb"[^!-*,-<>-~]")


def decode(value: str) -> str | None:
    """What a value means, or None for what is none."""
    if len(value) > LONGEST or not _XTEXT.fullmatch(value):
        return None
    octets = to_bytes(value)
    return to_text(_ENCODED.sub(lambda found: bytes.fromhex(found[1].decode()), octets))


def encode(text: str) -> str:
    """The value for an address."""
    return _UNSAFE.sub(lambda found: b"+%02X" % found[0][0], to_bytes(text)).decode()
