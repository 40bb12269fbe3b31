"""Locks that hold between processes and against classic fcntl locks."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from mta.unix import locks
from mta.unix.process import run_child


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    return path


def exit_code(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_two_open_files_exclude_each_other(file: Path) -> None:
    with file.open("r+b") as first, file.open("r+b") as second:
        assert locks.lock(first.fileno(), 5)
        assert not locks.lock(second.fileno(), 5)
        assert locks.is_locked(second.fileno(), 5)


def test_a_classic_lock_of_another_process_is_respected(file: Path) -> None:
    with file.open("r+b") as ours:
        assert locks.lock(ours.fileno(), 5)

        def other() -> int:
            with file.open("r+b") as theirs:
                try:
                    fcntl.lockf(theirs, fcntl.LOCK_EX | fcntl.LOCK_NB, 5)
                except OSError:
                    return 1
            return 0

        assert exit_code(run_child(other)) == 1


def test_closing_another_descriptor_does_not_unlock(file: Path) -> None:
    with file.open("r+b") as ours, file.open("r+b") as probe:
        assert locks.lock(ours.fileno(), 5)
        os.close(os.open(file, os.O_RDWR))
        assert locks.is_locked(probe.fileno(), 5)


def test_the_lock_lives_as_long_as_any_holder(file: Path) -> None:
    ours = os.open(file, os.O_RDWR)
    assert locks.lock(ours, 5)
    reader, writer = os.pipe()

    def holder() -> int:
        os.close(writer)
        return len(os.read(reader, 1))  # waits until the parent closes

    pid = run_child(holder)
    os.close(reader)
    os.close(ours)
    with file.open("r+b") as probe:
        assert not locks.lock(probe.fileno(), 5)
        os.close(writer)
        exit_code(pid)
        assert locks.lock(probe.fileno(), 5)


def test_unlock_gives_it_back(file: Path) -> None:
    with file.open("r+b") as first, file.open("r+b") as second:
        assert locks.lock(first.fileno(), 5)
        locks.unlock(first.fileno(), 5)
        assert locks.lock(second.fileno(), 5)
