"""Reading what was delivered: Maildirs, and messages without the trace a delivery adds."""

from __future__ import annotations

from pathlib import Path

from tests.harness.wait import until

# What final delivery puts on top, in any order; below it stands the trace line of reception.
DELIVERY = (b"return-path:", b"envelope-to:", b"delivery-date:")


def messages(maildir: Path) -> list[bytes]:
    """The messages in `new`, in the order of delivery."""
    try:
        files = list((maildir / "new").iterdir())
    except FileNotFoundError:
        return []
    files.sort(key=lambda file: (file.stat().st_mtime_ns, file.name))
    return [file.read_bytes() for file in files]


def await_messages(maildir: Path, number: int, seconds: float = 10.0) -> list[bytes]:
    """The messages, once there are as many."""
    return until(
        lambda: found if len(found := messages(maildir)) >= number else [],
        seconds,
        f"{number} messages in {maildir} (there are {len(messages(maildir))})",
    )


def without_trace(message: bytes) -> bytes:
    """The message without what one delivery and one reception put on top of it."""
    rest = message
    while rest.lower().startswith(DELIVERY):
        rest = without_first_field(rest)
    assert rest.startswith(b"Received: "), rest[:200]
    return without_first_field(rest)


def without_first_field(message: bytes) -> bytes:
    """The message without its first header field."""
    rest = message.partition(b"\n")[2]
    while rest[:1] in (b" ", b"\t"):
        rest = rest.partition(b"\n")[2]
    return rest


def header(message: bytes, name: str) -> list[str]:
    """The values of all fields of this name, unfolded."""
    head = message.replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    unfolded = head.replace(b"\n ", b" ").replace(b"\n\t", b" ")
    wanted = name.lower() + ":"
    lines = unfolded.decode("utf-8", "surrogateescape").split("\n")
    return [
        line[len(wanted) :].strip(" \t") for line in lines if line.lower().startswith(wanted)
    ]
