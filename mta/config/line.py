"""A logical line of the configuration and the place where it begins."""

from __future__ import annotations

from mta.base.errors import Where


class Line(tuple[str, Where]):
    """A logical line: continued, macros replaced, comments gone.  A tuple, as `Where` is."""

    __slots__ = ()

    def __new__(cls, text: str, where: Where) -> Line:
        return super().__new__(cls, (text, where))

    @property
    def text(self) -> str:
        """The text of the line."""
        return self[0]

    @property
    def where(self) -> Where:
        """Where it begins."""
        return self[1]
