"""Trusted text: what the administrator, the system or a look-up in his tables said.

Trust is marked, not taint.  Slicing, `+`, `.lower()` and f-strings on a subclass of str all
give plain `str`, so a mark on strangers' text would be lost by any of them and fail open; a
mark on trusted text is lost instead and fails closed.

Sinks — paths to open, arguments of commands, queries, text to be expanded again — take
`Trusted` in their signatures and test `type(text) is Trusted` when they run.  Only the modules
listed in tests/house may make trusted text.
"""

from __future__ import annotations


class Trusted(str):
    """Text that no stranger chose."""

    __slots__ = ()


class Quoted(str):
    """Text made safe for one kind of look-up, named in `by`, and for no other."""

    __slots__ = ("by",)
    by: str


def is_trusted(text: str) -> bool:
    """True if no stranger had a say in this text."""
    return type(text) is Trusted
