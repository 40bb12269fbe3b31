"""The directories of the spool on the disk."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from mta.spool import layout

GET_FLAGS, SET_FLAGS, TOP_OF_TREE = 0x80086601, 0x40086602, 0x00020000


def flags(path: Path) -> int:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        octets = bytearray(8)
        fcntl.ioctl(fd, GET_FLAGS, octets)
    finally:
        os.close(fd)
    return int.from_bytes(octets[:4], "little")


def test_split_directories_are_kept_apart_on_the_disk(tmp_path: Path) -> None:
    probe = tmp_path / "probe"
    probe.mkdir()
    try:
        before = flags(probe)
        fd = os.open(probe, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.ioctl(fd, SET_FLAGS, (before | TOP_OF_TREE).to_bytes(4, "little"))
        os.close(fd)
    except OSError:
        pytest.skip("needs a file system that keeps the attribute T, as ext4 does")
    layout.prepare(str(tmp_path / "spool"), split=True)
    assert flags(tmp_path / "spool" / "input") & TOP_OF_TREE
    assert not flags(tmp_path / "spool" / "input" / "a") & TOP_OF_TREE


def test_where_the_file_system_does_not_know_it_nothing_is_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(25, "Inappropriate ioctl for device")

    monkeypatch.setattr(fcntl, "ioctl", refuse)
    layout.prepare(str(tmp_path / "spool"), split=True)
    assert len(list((tmp_path / "spool" / "input").iterdir())) == 62
