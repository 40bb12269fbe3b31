"""The examples in the documentation of items, operators, conditions and look-ups are true."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

import mta.match.check  # declares match_domain and its relatives
from mta.config.model import Configuration
from mta.expand.registry import CONDITIONS, ITEMS, OPERATORS
from mta.lookup import api
from tests.conform.language import configuration, context, expanded

assert mta.match.check.GRAMMARS


def examples() -> Iterator[tuple[str, str, str]]:
    api.load_all()
    documented = [
        *((name, entry.function.__doc__) for name, entry in ITEMS.items()),
        *((name, entry.function.__doc__) for name, entry in OPERATORS.items()),
        *((name, entry.function.__doc__) for name, entry in CONDITIONS.items()),
        *((name, entry.__doc__) for name, entry in api.LOOKUPS.items()),
    ]
    for name, doc in documented:
        for line in inspect.cleandoc(doc or "").split("\n"):
            text, arrow, result = line.strip(" ").partition(" →")
            if arrow and text.startswith("$"):
                yield name, text, result.removeprefix(" ")


@pytest.fixture(scope="module")
def conf(tmp_path_factory: pytest.TempPathFactory) -> Configuration:
    return configuration(Path(tmp_path_factory.mktemp("conf")))


@pytest.mark.parametrize(("name", "text", "result"), list(examples()))
def test_an_example_is_true(conf: Configuration, name: str, text: str, result: str) -> None:
    assert expanded(context(conf), text) == result


def test_nearly_everything_has_an_example() -> None:
    shown = {name for name, _, _ in examples()}
    known = {*ITEMS.names(), *OPERATORS.names(), *CONDITIONS.names()}
    listed = {name for name in known if name.startswith("listnamed")}
    # ${acl and its condition stand in another package and are tested there.
    assert known - shown - listed - {"acl"} == set()
