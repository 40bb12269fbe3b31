"""Files: directories that are made while somebody else may rename what is above them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from mta.unix import files


def test_a_directory_gets_exactly_its_mode(tmp_path: Path) -> None:
    at = files.open_dir(str(tmp_path))
    assert files.make_dir(at, "drop", 0o3733)
    os.close(at)
    assert stat.S_IMODE((tmp_path / "drop").stat().st_mode) == 0o3733


def test_a_directory_that_exists_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "drop").mkdir(0o700)
    at = files.open_dir(str(tmp_path))
    assert not files.make_dir(at, "drop", 0o777)
    os.close(at)
    assert stat.S_IMODE((tmp_path / "drop").stat().st_mode) == 0o700


def test_a_link_that_takes_the_place_of_a_new_directory_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    precious = tmp_path / "precious"
    precious.mkdir(0o700)
    make = os.mkdir

    def swapped(name: str, mode: int, *, dir_fd: int) -> None:
        make(name, mode, dir_fd=dir_fd)
        os.rmdir(name, dir_fd=dir_fd)
        os.symlink("precious", name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", swapped)
    at = files.open_dir(str(tmp_path))
    with pytest.raises(NotADirectoryError):
        files.make_dir(at, "input", 0o3770)
    os.close(at)
    assert stat.S_IMODE(precious.stat().st_mode) == 0o700
