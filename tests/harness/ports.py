"""Loopback ports that are free at the moment."""

from __future__ import annotations

import socket
from contextlib import ExitStack


def free(number: int = 1) -> list[int]:
    """So many different free ports of 127.0.0.1.

    Somebody may take one before it is used; the kernel hands out ports in turn, so that is
    rare, and a daemon that cannot bind says so.
    """
    with ExitStack() as held:
        found = []
        for _ in range(number):
            each = held.enter_context(socket.socket())
            each.bind(("127.0.0.1", 0))
            found.append(each.getsockname()[1])
    return found
