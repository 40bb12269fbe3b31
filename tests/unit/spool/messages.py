"""Messages for the tests of the spool."""

from __future__ import annotations

from pathlib import Path

from mta.mail.header import make
from mta.spool.envelope import Envelope, Recipient
from mta.spool.layout import Spool
from mta.spool.writer import Incoming

ID = "1xVVri-000000006jT-11t8"


def envelope(message_id: str = ID) -> Envelope:
    return Envelope(
        message_id,
        "mail",
        8,
        8,
        "sender@example.com",
        1795447318.0,
        recipients=(Recipient("one@example.net"), Recipient("two@example.net")),
        headers=(make("Subject", "hello"),),
    )


def store(spool: Spool, message_id: str = ID, body: bytes = b"body\n") -> int:
    """Put a message into the spool; its size."""
    with Incoming(spool, message_id) as incoming:
        incoming.write(body)
        return incoming.commit(envelope(message_id))


def files(spool: Spool) -> list[str]:
    """The names of all files under input/, without their directories."""
    found = Path(spool.path, "input").rglob("*")
    return sorted(path.name for path in found if not path.is_dir())
