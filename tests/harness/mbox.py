"""Reading mailboxes in one file as another program would, and seeing that they are whole."""

from __future__ import annotations

import mailbox
from pathlib import Path

from tests.harness.wait import until


def messages(path: Path) -> list[bytes]:
    """The messages of a mailbox, without their From lines and the empty lines behind them."""
    if not path.exists():
        return []
    box = mailbox.mbox(path, create=False)
    try:
        return [box.get_bytes(key) for key in box.keys()]  # noqa: SIM118  # no mapping
    finally:
        box.close()


def await_messages(path: Path, number: int, seconds: float = 10.0) -> list[bytes]:
    """The messages, once there are as many."""
    return until(
        lambda: found if len(found := messages(path)) >= number else [],
        seconds,
        f"{number} messages in {path} (there are {len(messages(path))})",
    )
