"""The drop-box: what is left is found as it was left, and nothing else is believed."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mta.spool import dropbox, layout
from mta.spool.dropbox import Drop
from mta.spool.drops import Box
from mta.spool.errors import SpoolError
from mta.unix.files import open_dir

RECORDS = [("sender", "me@example.com"), ("to", "a@b"), ("to", "größe@c"), ("flags", "t i")]


@pytest.fixture
def path(tmp_path: Path) -> str:
    layout.prepare(str(tmp_path / "spool"), split=False)
    return str(tmp_path / "spool")


@pytest.fixture
def box(path: str) -> Iterator[Box]:
    root = open_dir(path)
    opened = Box(root)
    os.close(root)
    yield opened
    opened.close()


def leave(path: str, message: bytes = b"Subject: x\n\nbody\n") -> None:
    drop = Drop(path, RECORDS)
    drop.write(message)
    drop.commit()


def only(box: Box) -> str:
    (waiting,) = box.waiting()
    return waiting.name


def test_what_was_left_is_found(path: str, box: Box) -> None:
    leave(path)
    (waiting,) = box.waiting()
    assert waiting.uid == os.geteuid()
    with box.open(waiting.name, limit=100) as dropped:
        assert dropped.uid == os.geteuid()
        assert dropped.records == RECORDS
        assert [dropped.read(12), dropped.read(12), dropped.read(12)] == [
            b"Subject: x\n\n",
            b"body\n",
            b"",
        ]
    box.remove(waiting.name)
    assert box.waiting() == []


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
def test_the_callers_umask_does_not_matter(path: str, box: Box, umask: int) -> None:
    os.umask(umask)
    leave(path)
    box.open(only(box), limit=100).close()


def test_what_is_not_committed_is_not_there(path: str, box: Box) -> None:
    drop = Drop(path, RECORDS)
    drop.write(b"half")
    assert box.waiting() == []
    drop.abandon()
    assert os.listdir(f"{path}/drop") == []


@pytest.mark.parametrize("records", [[("a\0b", "c")], [("a", "b\0c")], [("a=b", "c")]])
def test_a_record_cannot_contain_another_one(
    path: str, records: list[tuple[str, str]]
) -> None:
    with pytest.raises(ValueError, match="not a record"):
        Drop(path, records)
    assert os.listdir(f"{path}/drop") == []


def forge(path: str, octets: bytes, mode: int = 0o640) -> str:
    name = "m.0"
    fd = os.open(f"{path}/drop/{name}", os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(fd, octets)
    os.fchmod(fd, mode)
    os.close(fd)
    return name


GOOD = dropbox.pack(RECORDS) + b"body"


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"", "not in our format"),
        (b"mta-drop 2 00000000\n", "not in our format"),
        (b"mta-drop 1 0000000\n\n", "not in our format"),
        (b"mta-drop 1 00000009\na=b\0", "cut short"),
        (b"mta-drop 1 00000003\na=b\0", "cut short"),
        (b"mta-drop 1 00000002\na\0", "not in our format"),
        (b"mta-drop 1 99999999\n" + b"x" * 100, "not in our format"),
    ],
)
def test_what_is_not_in_our_format_is_refused(
    path: str, box: Box, octets: bytes, reason: str
) -> None:
    with pytest.raises(SpoolError, match=reason):
        box.open(forge(path, octets), limit=1000)


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o660, 0o4640])
def test_another_mode_is_refused(path: str, box: Box, mode: int) -> None:
    with pytest.raises(SpoolError, match="not created here"):
        box.open(forge(path, GOOD, mode), limit=1000)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another group")
def test_a_file_of_another_group_was_not_created_here(path: str, box: Box) -> None:
    name = forge(path, GOOD)
    os.chown(f"{path}/drop/{name}", 1, 1)
    os.chmod(f"{path}/drop/{name}", 0o640)
    with pytest.raises(SpoolError, match="not created here"):
        box.open(name, limit=1000)


def test_a_file_with_another_name_is_refused(path: str, box: Box) -> None:
    name = forge(path, GOOD)
    os.link(f"{path}/drop/{name}", f"{path}/elsewhere")
    with pytest.raises(SpoolError, match="has 2 names"):
        box.open(name, limit=1000)


def test_a_symbolic_link_is_refused_and_removed(path: str, box: Box) -> None:
    os.symlink("/etc/passwd", f"{path}/drop/m.0")
    with pytest.raises(SpoolError, match="cannot be read"):
        box.open(only(box), limit=1000)
    box.remove("m.0")
    assert os.listdir(f"{path}/drop") == []


def test_a_fifo_does_not_hold_us(path: str, box: Box) -> None:
    os.mkfifo(f"{path}/drop/m.0", 0o640)
    with pytest.raises(SpoolError, match="not a regular file"):
        box.open(only(box), limit=1000)


def test_directories_and_other_names_are_not_looked_at(path: str, box: Box) -> None:
    os.mkdir(f"{path}/drop/m.1")
    for name in ("t.1", "m.", "m.x y", "other"):
        Path(path, "drop", name).touch()
    assert box.waiting() == []


def test_a_file_that_grows_while_it_is_read_has_an_end(path: str, box: Box) -> None:
    leave(path, b"x" * 10)
    with box.open(only(box), limit=10) as dropped:
        assert dropped.read(10) == b"x" * 10
        with open(f"{path}/drop/{only(box)}", "ab") as file:
            file.write(b"y")
        with pytest.raises(SpoolError, match="grows"):
            dropped.read(10)


def test_a_file_larger_than_any_message_is_refused(path: str, box: Box) -> None:
    name = forge(path, GOOD)
    os.truncate(f"{path}/drop/{name}", dropbox.RECORDS_LIMIT + 2000)
    with pytest.raises(SpoolError, match="too large"):
        box.open(name, limit=1000)


def test_leftovers_are_swept_after_a_day(path: str, box: Box) -> None:
    leave(path)
    Path(path, "drop", "t.1").touch()
    Path(path, "drop", "junk").mkdir()
    now = os.stat(f"{path}/drop/t.1").st_ctime
    assert box.sweep(now + 10) == []
    assert sorted(box.sweep(now + 86_500)) == ["junk", "t.1"]
    assert len(box.waiting()) == 1


def test_leaving_a_message_needs_few_modules() -> None:
    load = "before = set(sys.modules); import mta.spool.dropbox"
    code = f"{load}; print(*set(sys.modules) - before)"
    result = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(result.stdout.split()) - {"__future__"} == {
        "mta",
        "mta.spool",
        "mta.spool.dropbox",
    }


def test_a_message_whose_hand_over_may_not_last_is_taken_back(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: object, fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("mta.spool.dropbox._FileSystem.sync", fail)
    drop = Drop(path, RECORDS)
    with pytest.raises(OSError, match="Input/output error"):
        drop.commit()
    assert os.listdir(Path(path, "drop")) == []
