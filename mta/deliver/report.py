"""How an attempt at a message is made, and what is told of it afterwards."""

from __future__ import annotations

from dataclasses import dataclass

GONE = "gone"  # there is no such message, or no more
DONE = "done"
DEFERRED = "deferred"
FROZEN = "frozen"
LOCKED = "locked"
DAMAGED = "damaged"
SKIPPED = "skipped"  # it was not what the queue run is for


@dataclass(frozen=True, slots=True)
class Report:
    """What came of an attempt: when to try again (0: never, or nobody knows), where to, and
    the ids of bounces that wait for delivery now."""

    message_id: str
    state: str
    next_try: float = 0.0
    destination: str = ""
    bounces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class How:
    """How an attempt is made.

    `force` ignores retry times, `thaw` thaws; `queue_run` keeps all retry times.  In `only`, l
    is for local deliveries only, i for messages that were never tried before.
    """

    force: bool = False
    queue_run: bool = False
    thaw: bool = False
    only: str = ""


USUALLY = How()
