"""Hints may be lost, and never stand in the way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mta.hints.retry import Record, RetryHints

NOW = 1_700_000_000
RECORD = Record("T:mx.example:192.0.2.1", NOW - 60, NOW, NOW + 900, code=111, text="refused")


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "hints" / "retry")


def test_what_is_saved_is_found_by_another_process(path: str) -> None:
    RetryHints(path).save([RECORD])
    assert RetryHints(path).find([RECORD.key, "R:other"], NOW) == {RECORD.key: RECORD}


def test_looking_makes_no_file(path: str) -> None:
    assert RetryHints(path).find(["R:x"], NOW) == {}
    assert not os.path.exists(path)


def test_the_addresses_of_a_host_are_found_by_its_name(path: str) -> None:
    hints = RetryHints(path)
    other = Record("T:mx.example.org:192.0.2.9", NOW, NOW, NOW)
    hints.save([RECORD, other])
    assert hints.hosts_named("mx.example", NOW) == [RECORD]


def test_what_works_again_is_forgotten(path: str) -> None:
    hints = RetryHints(path)
    hints.save([RECORD])
    hints.forget([RECORD.key])
    assert hints.find([RECORD.key], NOW) == {}


def test_what_another_process_saves_later_is_seen(path: str) -> None:
    ours, theirs = RetryHints(path), RetryHints(path)
    theirs.save([RECORD])
    theirs.forget([RECORD.key])
    assert ours.find([RECORD.key], NOW) == {}
    theirs.save([RECORD])
    assert ours.find([RECORD.key], NOW) == {RECORD.key: RECORD}


def test_old_records_count_for_nothing_and_are_tidied_away(path: str) -> None:
    hints = RetryHints(path)
    hints.save([RECORD])
    later = NOW + 8 * 86400
    assert hints.find([RECORD.key], later) == {}
    hints.tidy(later)
    assert hints.everything() == []


def test_a_damaged_file_is_replaced(path: str) -> None:
    before = RetryHints(path)
    before.save([RECORD])
    before.close()
    Path(path).write_bytes(b"this is no database" * 100)
    hints = RetryHints(path)
    assert hints.find([RECORD.key], NOW) == {}
    hints.save([RECORD])
    assert hints.find([RECORD.key], NOW) == {RECORD.key: RECORD}


def test_a_file_that_is_removed_is_missed_by_nobody(path: str) -> None:
    hints = RetryHints(path)
    hints.save([RECORD])
    for name in os.listdir(os.path.dirname(path)):
        os.unlink(os.path.join(os.path.dirname(path), name))
    assert hints.find([RECORD.key], NOW) == {}
    hints.save([RECORD])
    assert hints.find([RECORD.key], NOW) == {RECORD.key: RECORD}


def test_a_place_where_nothing_can_be_made_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    hints = RetryHints(str(tmp_path / "file" / "retry"))
    hints.save([RECORD])
    assert hints.find([RECORD.key], NOW) == {}


def test_keys_of_strangers_are_mere_values(path: str) -> None:
    hints = RetryHints(path)
    evil = Record("R:x'; DROP TABLE retry; --\udcff\0", NOW, NOW, NOW, text="\udc80 ' \"")
    hints.save([RECORD, evil])
    assert RECORD.key in hints.find([RECORD.key], NOW)
    assert len(hints.everything()) == 2
