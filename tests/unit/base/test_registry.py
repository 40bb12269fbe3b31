"""Registries of named things."""

from __future__ import annotations

import pytest

from mta.base.registry import Registry, suggestion


def test_an_entry_without_documentation_is_refused() -> None:
    with pytest.raises(AssertionError, match="thing x has no documentation"):
        Registry[int]("thing").add("x", 1, None)


def test_a_name_is_declared_once() -> None:
    things = Registry[int]("thing")
    things.add("x", 1, "An x.")
    with pytest.raises(AssertionError, match="thing x is declared twice"):
        things.add("x", 2, "Another x.")


def test_nothing_is_declared_after_the_registry_is_frozen() -> None:
    things = Registry[int]("thing")
    things.freeze()
    with pytest.raises(AssertionError, match="after the first fork"):
        things.add("x", 1, "An x.")


def test_an_unknown_name_brings_a_suggestion() -> None:
    assert suggestion("qualify_domian", ["qualify_domain", "qualify_recipient"]) == (
        "did you mean 'qualify_domain'?"
    )


def test_a_name_like_no_other_brings_none() -> None:
    assert suggestion("zzz", ["qualify_domain"]) == ""
