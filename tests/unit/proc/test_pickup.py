"""Which files of the drop-box are taken when, as far as the runner decides it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mta.proc.pickup import LONGEST_PAUSE, MOST_OF_ONE, Leftovers
from mta.spool import layout
from mta.spool.layout import Spool


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    path = str(tmp_path / "spool")
    layout.prepare(path, split=False)
    opened = Spool(path, split=False)
    yield opened
    opened.close()


@pytest.fixture
def drop(spool: Spool) -> Callable[[str], Path]:
    """Leave a file of this name."""

    def leave(name: str) -> Path:
        file = Path(spool.path, "drop", name)
        file.touch()
        return file

    return leave


Leave = Callable[[str], Path]


def test_what_was_left_is_taken_at_once(spool: Spool, drop: Leave) -> None:
    leftovers = Leftovers(spool)
    assert leftovers.due(0.0).names == []
    for name in ("m.1", "m.2"):
        drop(name)
        turn = leftovers.due(0.5)
        assert (turn.names, turn.known) == ([name], frozenset())


def test_what_could_not_be_taken_is_left_alone_for_longer_and_longer(
    spool: Spool, drop: Leave
) -> None:
    leftovers = Leftovers(spool)
    drop("m.1")
    assert leftovers.due(0.0).known == frozenset()
    times = [second for second in range(1, 1500) if leftovers.due(float(second)).names]
    assert times == [1, 5, 21, 85, 341, 641, 941, 1241]
    assert times[-1] - times[-2] == LONGEST_PAUSE


def test_what_is_tried_again_is_known(spool: Spool, drop: Leave) -> None:
    leftovers = Leftovers(spool)
    drop("m.1")
    leftovers.due(0.0)
    drop("m.2")
    turn = leftovers.due(1.0)
    assert (sorted(turn.names), turn.known) == (["m.1", "m.2"], frozenset({"m.1"}))


def test_what_is_gone_is_forgotten(spool: Spool, drop: Leave) -> None:
    leftovers = Leftovers(spool)
    file = drop("m.1")
    leftovers.due(0.0)
    file.unlink()
    leftovers.due(0.5)
    drop("m.1")
    turn = leftovers.due(0.6)
    assert (turn.names, turn.known) == (["m.1"], frozenset())


def test_nobody_keeps_others_waiting_with_very_many(spool: Spool, drop: Leave) -> None:
    leftovers = Leftovers(spool)
    names = [f"m.{number}" for number in range(MOST_OF_ONE + 10)]
    for name in names:
        drop(name)
    first, second = leftovers.due(0.0), leftovers.due(0.1)
    assert len(first.names) == MOST_OF_ONE
    # Files that stay do not stand in the way of the rest for ever.
    assert sorted(first.names + second.names) == sorted(names)
    assert second.known == frozenset()
