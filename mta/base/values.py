"""Values: small records that nobody changes once they are made.

To the type checker they are frozen dataclasses, and that is where a change is refused.  When
the program runs they are plain ones: a frozen dataclass sets each of its fields by a call that
costs twenty times as much as setting it, which for an envelope with all its fields was a tenth
of what a delivery did.  This is for what is made for every message; all other values are
frozen in every way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(eq_default=True, frozen_default=True, field_specifiers=(field,))
def value(cls: type[T]) -> type[T]:
    """Make a class a dataclass, with slots, whose fields are not to be assigned again."""
    return dataclass(slots=True, unsafe_hash=True)(cls)
