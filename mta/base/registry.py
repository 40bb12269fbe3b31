"""Registries: the named things of the language, each declared once, where it lives.

An entry without documentation and a name given twice are programming errors and stop the
program when the module is imported.  Registries are filled by decorators at import and frozen
before the first fork.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Generic, TypeVar

T = TypeVar("T")


def suggestion(name: str, known: list[str]) -> str:
    """What was perhaps meant by an unknown name, as a phrase for an error message, or ""."""
    near = get_close_matches(name, known, n=1, cutoff=0.7)
    return f"did you mean {near[0]!r}?" if near else ""


class Registry(Generic[T]):
    """Named things of one kind, in the order of their declaration."""

    __slots__ = ("_entries", "_frozen", "noun")

    def __init__(self, noun: str) -> None:
        self.noun = noun
        self._entries: dict[str, T] = {}
        self._frozen = False

    def add(self, name: str, entry: T, doc: str | None) -> None:
        """Declare an entry; `doc` is its documentation."""
        assert not self._frozen, f"{self.noun} {name} declared after the first fork"
        assert doc, f"{self.noun} {name} has no documentation"
        assert name not in self._entries, f"{self.noun} {name} is declared twice"
        self._entries[name] = entry

    def get(self, name: str) -> T | None:
        """The entry of this name, or None."""
        return self._entries.get(name)

    def freeze(self) -> None:
        """From now on nothing can be declared."""
        self._frozen = True

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._entries)

    def items(self) -> Iterator[tuple[str, T]]:
        """All entries, sorted by name."""
        return iter(sorted(self._entries.items()))

    def suggest(self, name: str) -> str:
        """What was perhaps meant by an unknown name, as a phrase, or ""."""
        return suggestion(name, list(self._entries))

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def __len__(self) -> int:
        return len(self._entries)
