"""The values of the SMTP parameters for delivery status notifications.  RFC 3461 4 and 5.

They stay in the form in which they came - xtext, in which +XX stands for an octet - from the
command to the spool, to the next host and into reports, and are checked where they enter.
"""

from __future__ import annotations

import re

from mta.base.text import lower, to_bytes, to_text, upper

LONGEST_ENVELOPE_ID = 100  # RFC 3461 4.4
LONGEST_ORIGINAL_RECIPIENT = 500  # RFC 3461 4.2

# What would be a control character when it is decoded is refused.
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+(?!7F)[2-9A-F][0-9A-F])*")
_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/?^_`{|}~-]+")
_PLAIN = re.compile(rb"[!-*,-<>-~]")
_CODED = re.compile(rb"\+([0-9A-F]{2})")
_WISHES = {"never": 0x02, "success": 0x04, "failure": 0x08, "delay": 0x10}
_NEVER = _WISHES["never"]


def is_envelope_id(text: str) -> bool:
    """True for a value that ENVID= may have."""
    return len(text) <= LONGEST_ENVELOPE_ID and _XTEXT.fullmatch(text) is not None


def is_original_recipient(text: str) -> bool:
    """True for a value that ORCPT= may have: a type, a semicolon, an address in xtext."""
    kind, _, address = text.partition(";")
    return (
        bool(address)
        and len(text) <= LONGEST_ORIGINAL_RECIPIENT
        and _ATOM.fullmatch(kind) is not None
        and _XTEXT.fullmatch(address) is not None
    )


def original_recipient(address: str) -> str:
    """The value of ORCPT= for an address that came without one; "" where it can have none.

    An address beyond ASCII has none: its type could be told to few servers.  RFC 6533 3
    """
    if not address.isascii():
        return ""
    text = f"rfc822;{encode(address)}"
    return text if is_original_recipient(text) else ""


def encode(text: str) -> str:
    """Text as xtext."""
    return "".join(
        [
            chr(octet) if _PLAIN.fullmatch(bytes((octet,))) else f"+{octet:02X}"
            for octet in to_bytes(text)
        ]
    )


def decode(text: str) -> str:
    """What xtext stands for; what is no xtext stays as it is."""
    return to_text(_CODED.sub(lambda found: bytes((int(found[1], 16),)), to_bytes(text)))


def notify_flags(text: str) -> int:
    """The bits of `Recipient.dsn_flags` for a value of NOTIFY=; 0 for none that it may have.

    NEVER stands alone.  RFC 3461 4.1
    """
    flags = 0
    for word in text.split(","):
        flag = _WISHES.get(lower(word), 0)
        if not flag or (flags and _NEVER in (flag, flags)):
            return 0
        flags |= flag
    return flags


def notify_words(flags: int) -> str:
    """The value of NOTIFY= for such bits, in Exim's order."""
    return ",".join([upper(word) for word, flag in _WISHES.items() if flags & flag])
