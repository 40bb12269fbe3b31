"""Message ids: Exim's form, no two alike, and nothing else taken for one."""

from __future__ import annotations

import os

import pytest

from mta.spool.ids import Ticks, base62, is_id, new_id, subdirectory


def test_an_id_says_when_and_where_it_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    # Made by Exim 4.98.2: process 25859 at 1795447298.081542.
    monkeypatch.setattr(os, "getpid", lambda: 25859)
    assert new_id(Ticks(lambda: 1795447298.081542)) == "1xVVrO-000000006j5-0LDC"


def test_ids_of_one_moment_differ_and_sort_by_age() -> None:
    ticks = Ticks(lambda: 1795447298.5)
    made = [new_id(ticks) for _ in range(5000)]
    assert len(set(made)) == 5000
    assert made == sorted(made)


def test_a_clock_that_hesitates_does_not_repeat_an_id() -> None:
    times = iter([100.000010, 100.000009, 100.000011])
    ticks = Ticks(lambda: next(times))
    assert [ticks.next() for _ in range(3)] == [100_000_010, 100_000_011, 100_000_012]


def test_a_clock_that_was_set_back_is_believed() -> None:
    times = iter([100.0, 50.0])
    ticks = Ticks(lambda: next(times))
    assert [ticks.next(), ticks.next()] == [100_000_000, 50_000_000]


@pytest.mark.parametrize(
    ("number", "width", "text"),
    [(0, 4, "0000"), (61, 1, "z"), (62, 2, "10"), (999_999, 4, "4C91"), (62**3, 3, "000")],
)
def test_numbers_are_written_in_base_62(number: int, width: int, text: str) -> None:
    assert base62(number, width) == text


@pytest.mark.parametrize("text", ["1xVVrO-000000006j5-0LDC", "1nXyZa-0001Ab-Cd"])
def test_ids_of_both_lengths_are_known(text: str) -> None:
    assert is_id(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1xVVrO-000000006j5-0LDC\n",
        "1xVVrO-000000006j5-0LDC-H",
        "1xVVrO-000000006j5-0LD",
        "1xVVrO-000000006j5-0LD/",
        "1xVVrO-000000006j-0LDCC",
        "1nXyZa-0001Ab-Cd1",
        "../../etc/passwd",
        "1xVVrO-000000006j5-0LDé",
    ],
)
def test_nothing_else_is_an_id(text: str) -> None:
    assert not is_id(text)


def test_the_subdirectory_is_the_sixth_character() -> None:
    assert subdirectory("1xVVrO-000000006j5-0LDC") == "O"
