"""Values: as good as frozen dataclasses, for those who do not try to change them."""

from __future__ import annotations

from dataclasses import field, replace

import pytest

from mta.base.values import value


@value
class Point:
    """A value."""

    x: int
    names: tuple[str, ...] = field(default_factory=tuple)


def test_values_are_equal_by_what_they_say() -> None:
    assert Point(1) == Point(1)
    assert Point(1) != Point(2)
    assert {Point(1): "a"}[Point(1)] == "a"
    assert replace(Point(1), names=("a",)) == Point(1, ("a",))


def test_the_type_checker_refuses_a_change() -> None:
    # Were it to allow this, it would find the comment unused, and say so.
    Point(1).x = 2  # type: ignore[misc]


def test_a_value_has_no_other_fields() -> None:
    with pytest.raises(AttributeError):
        Point(1).y = 2  # type: ignore[attr-defined]
