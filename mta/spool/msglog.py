"""A message's own log, SPOOL/msglog/ID: everything that happened to it, for its owner to see.

It begins with a line on how the message arrived.  Exim writes that line on arrival; we make it
from the envelope when there is something to add, as most messages are delivered at once and
never need the file.
"""

from __future__ import annotations

import os

from mta.base.text import one_line, to_bytes
from mta.mail.date import log_stamp
from mta.spool.envelope import Envelope
from mta.spool.errors import disk_failure
from mta.spool.layout import FILE_MODE, Spool
from mta.unix.files import open_at, read_all, write_all

_APPEND = os.O_WRONLY | os.O_APPEND
READ_LIMIT = 16 << 20


def append(spool: Spool, envelope: Envelope, size: int, text: str, *, now: float) -> None:
    """Add a line; `size` is the size of the message, for the first one.  Raises TempFail."""
    line = to_bytes(f"{log_stamp(now)} {one_line(text)}\n")
    try:
        directory = spool.msglog_place(envelope.id)
        try:
            fd = open_at(directory, envelope.id, _APPEND)
        except FileNotFoundError:
            fd = open_at(directory, envelope.id, _APPEND | os.O_CREAT, FILE_MODE)
            os.fchmod(fd, FILE_MODE)
            line = to_bytes(f"{first_line(envelope, size)}\n") + line
        try:
            # One write: two processes that add lines never mix them.
            write_all(fd, line)
        finally:
            os.close(fd)
    except OSError as error:
        raise disk_failure(f"cannot write msglog/{envelope.id}", error) from error


def read(spool: Spool, message_id: str) -> bytes | None:
    """The whole log, or None if the message has none yet.  Raises OSError."""
    for directory in spool.msglog_places(message_id):
        try:
            fd = open_at(directory, message_id, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            return read_all(fd, READ_LIMIT)
        finally:
            os.close(fd)
    return None


def first_line(envelope: Envelope, size: int) -> str:
    """How the message arrived, in the words of the main log's `<=` line."""
    fields = {
        "H": host(envelope),
        "U": envelope.ident,
        "P": envelope.received_protocol,
        "X": envelope.tls_cipher,
        "A": _authenticated(envelope),
        "S": str(size),
    }
    shown = "".join([f" {key}={value}" for key, value in fields.items() if value])
    sender = envelope.sender or "<>"
    return f"{log_stamp(envelope.received_time)} {one_line(f'Received from {sender}{shown}')}"


def host(envelope: Envelope) -> str:
    """The sending host as logs show it: `name (what it called itself) [address]`."""
    if not envelope.host_address:
        return ""
    address = f"[{envelope.host_address}]"
    parts = [envelope.host_name] if envelope.host_name else []
    if envelope.helo_name not in ("", envelope.host_name, address):
        parts.append(f"({envelope.helo_name})")
    return " ".join([*parts, address])


def _authenticated(envelope: Envelope) -> str:
    if not envelope.host_auth:
        return ""
    return (
        f"{envelope.host_auth}:{envelope.auth_id}" if envelope.auth_id else envelope.host_auth
    )
