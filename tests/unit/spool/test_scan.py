"""Finding messages and sweeping what crashes left."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mta.spool import scan
from mta.spool.layout import Spool
from mta.spool.writer import Incoming
from tests.unit.spool.messages import ID, files, store

OLD = "1nXyZa-0001Ab-Cd"
IDS = ["1xVVri-000000006jT-11t8", "1xVVrj-000000000aa-0000", "1xVVrk-000000000aa-0000"]
DAY = 86_400
NOW = 1_900_000_000.0


def aged(spool: Spool, name: str, age: float) -> None:
    (path,) = Path(spool.path, "input").rglob(name)
    os.utime(path, (NOW - age, NOW - age))


def test_all_messages_are_found_and_nothing_else(spool: Spool) -> None:
    for message_id in reversed(IDS):
        store(spool, message_id)
    place = Path(spool.path, "input")
    for name in (f"{OLD}-H", "hdr.x", "notes-H", f"{IDS[0]}x-H", "1xVVrl-000000000aa-0000-D"):
        (place / name).touch()
    assert sorted(scan.ids(spool)) == [OLD, *IDS]
    assert list(scan.ids(spool, oldest_first=True)) == [OLD, *IDS]


def test_both_layouts_are_scanned(spool: Spool) -> None:
    store(spool, IDS[0])
    other = Spool(spool.path, split=not spool.split)
    store(other, IDS[1])
    assert list(scan.ids(spool, oldest_first=True)) == IDS[:2]
    other.close()


def test_two_processes_with_one_descriptor_both_see_everything(spool: Spool) -> None:
    store(spool, IDS[0])
    first = scan.ids(spool)
    assert next(first) == IDS[0]
    assert list(scan.ids(spool)) == [IDS[0]]


def test_what_a_crash_left_is_swept_after_a_day(spool: Spool) -> None:
    with Incoming(spool, ID) as incoming:
        incoming.write(b"x")
        incoming._made.clear()  # the process died here
    (Path(spool.path, "input") / f"hdr.{ID}").touch()
    (Path(spool.path, "input") / f"{OLD}-J").touch()
    names = [f"{OLD}-J", f"{ID}-D", f"hdr.{ID}"]
    for name in names:
        aged(spool, name, DAY - 10)
    assert scan.sweep(spool, NOW) == []
    for name in names:
        aged(spool, name, DAY + 10)
    assert sorted(scan.sweep(spool, NOW)) == names
    assert files(spool) == []


def test_a_sender_who_takes_more_than_a_day_keeps_his_message(spool: Spool) -> None:
    with Incoming(spool, ID):
        aged(spool, f"{ID}-D", 2 * DAY)
        assert scan.sweep(spool, NOW) == []
        assert files(spool) == [f"{ID}-D"]


def test_no_part_of_a_message_is_swept(spool: Spool) -> None:
    store(spool)
    (path,) = Path(spool.path, "input").rglob(f"{ID}-D")
    path.with_name(f"{ID}-J").touch()
    for name in files(spool):
        aged(spool, name, 9 * DAY)
    assert scan.sweep(spool, NOW) == []
    assert files(spool) == [f"{ID}-D", f"{ID}-H", f"{ID}-J"]


def test_a_message_accepted_while_we_sweep_is_kept(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(spool)
    (path,) = Path(spool.path, "input").rglob(f"{ID}-H")
    hidden = path.with_name("elsewhere")
    path.rename(hidden)
    aged(spool, f"{ID}-D", 2 * DAY)
    found = list(scan.orphans(spool, NOW))
    hidden.rename(path)
    monkeypatch.setattr(scan, "orphans", lambda *_, **__: iter(found))
    assert scan.sweep(spool, NOW) == []
    assert files(spool) == [f"{ID}-D", f"{ID}-H"]


def test_links_and_directories_are_left_alone(spool: Spool, tmp_path: Path) -> None:
    os.symlink(tmp_path, Path(spool.path, "input", f"{ID}-D"))
    Path(spool.path, "input", "hdr.directory").mkdir()
    assert scan.sweep(spool, NOW * 2) == []
