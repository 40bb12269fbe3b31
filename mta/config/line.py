"""A logical line of the configuration and the place where it begins."""

from __future__ import annotations

from dataclasses import dataclass

from mta.base.errors import Where


@dataclass(frozen=True, slots=True)
class Line:
    """A logical line: continued, macros replaced, comments gone."""

    text: str
    where: Where
