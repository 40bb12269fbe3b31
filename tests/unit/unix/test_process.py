"""Forking, and what children inherit."""

from __future__ import annotations

import os
from pathlib import Path

from mta.unix import process


def exit_code(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_the_result_of_the_work_is_the_exit_code() -> None:
    assert exit_code(process.run_child(lambda: 3)) == 3
    assert exit_code(process.run_child(lambda: None)) == 0


def test_an_error_nobody_expected_is_written_down_and_ends_the_child(tmp_path: Path) -> None:
    with (tmp_path / "panic").open("w+b", buffering=0) as panic:

        def bad() -> int:
            raise ValueError("unforeseen")

        assert exit_code(process.run_child(bad, panic=panic.fileno())) == 70
        panic.seek(0)
        assert b"ValueError: unforeseen" in panic.read()


def test_a_child_that_leaves_by_exit_runs_nothing_of_its_parent() -> None:
    def leave() -> int:
        raise SystemExit(5)

    assert exit_code(process.run_child(leave)) == 5


def test_only_wanted_descriptors_are_kept() -> None:
    first, second = os.pipe()

    def look() -> int:
        process.keep_descriptors([0, 1, 2, first])
        for fd in (0, 1, 2, first):
            os.fstat(fd)
        try:
            os.fstat(second)
        except OSError:
            return 7
        return 0

    assert exit_code(process.run_child(look)) == 7
    os.close(first)
    os.close(second)


def test_descriptors_are_placed_even_where_they_stand_in_each_others_way(
    tmp_path: Path,
) -> None:
    for name in "ab":
        (tmp_path / name).write_text(name)

    def swap() -> int:
        process.keep_descriptors([0, 1, 2])
        a = os.open(tmp_path / "a", os.O_RDONLY)
        b = os.open(tmp_path / "b", os.O_RDONLY)
        process.place_descriptors([b, a], a)
        return 0 if os.read(a, 1) + os.read(a + 1, 1) == b"ba" else 1

    assert exit_code(process.run_child(swap)) == 0
