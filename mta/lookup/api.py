"""What a look-up is, how its driver is found, and what is kept open between look-ups."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Tables:
    """The open files and the answers that one process keeps; made after the fork."""

    opened: dict[tuple[str, str], object] = field(default_factory=dict)
