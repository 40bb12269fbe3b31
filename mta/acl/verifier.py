"""Asking the routers whether an address can be delivered to, without delivering."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from mta.expand.context import Context


class Result(Enum):
    """Whether an address is good."""

    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verification:
    """The answer: `text` is for the client, `log` for the log."""

    result: Result
    text: str = ""
    log: str = ""
    status: str = ""


# The address, and "recipient" or "sender".
Verifier = Callable[[Context, str, str], Verification]
