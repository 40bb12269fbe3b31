"""The first use of a source tree: when an installation counts as complete."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from mta.cli import bootstrap

NEEDS = {"run": ["click>=8.1"], "test": ["click>=8.1", "pytest>=8"]}


@pytest.fixture
def tree(tmp_path: Path) -> str:
    """A tree in which everything is installed."""
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").symlink_to("/bin/true")
    stamps = {part: bootstrap.fingerprint(str(tmp_path), NEEDS[part]) for part in NEEDS}
    Path(bootstrap.stamp_path(str(tmp_path))).write_text(json.dumps(stamps))
    return str(tmp_path)


def test_a_stamped_installation_is_used_as_it_is(tree: str) -> None:
    assert bootstrap.is_ready(tree, NEEDS, "run")
    assert bootstrap.is_ready(tree, NEEDS, "test")


def test_an_interrupted_installation_is_no_installation(tree: str) -> None:
    os.unlink(bootstrap.stamp_path(tree))
    assert not bootstrap.is_ready(tree, NEEDS, "run")


def test_a_stamp_cut_short_is_no_stamp(tree: str) -> None:
    Path(bootstrap.stamp_path(tree)).write_text('{"run": {"tree"')
    assert not bootstrap.is_ready(tree, NEEDS, "run")


def test_new_requirements_ask_for_a_new_installation(tree: str) -> None:
    changed = {**NEEDS, "run": ["click>=9"]}
    assert not bootstrap.is_ready(tree, changed, "run")
    assert bootstrap.is_ready(tree, changed, "test")


def test_an_environment_does_not_move_with_its_tree(tree: str, tmp_path: Path) -> None:
    moved = tmp_path.with_name("moved")
    tmp_path.rename(moved)
    assert not bootstrap.is_ready(str(moved), NEEDS, "run")


def test_an_environment_whose_python_has_gone_is_made_again(tree: str) -> None:
    os.unlink(f"{tree}/.venv/bin/python")
    os.symlink("/nonexistent/python3.10", f"{tree}/.venv/bin/python")
    assert not bootstrap.is_ready(tree, NEEDS, "run")


def test_the_test_part_includes_what_the_program_needs(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        "[project]\ndependencies = ['a', 'b']\n[project.optional-dependencies]\ntest = ['c']\n"
    )
    assert bootstrap.requirements(str(tmp_path)) == {
        "run": ["a", "b"],
        "test": ["a", "b", "c"],
    }


def test_a_file_below_a_closed_directory_is_private(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)
    (tmp_path / "closed/python").touch()
    assert bootstrap.is_private(str(tmp_path / "closed/python"))
    assert not bootstrap.is_private("/bin/sh")
    assert not bootstrap.is_private("/nonexistent/bin/python")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_tree_that_may_not_be_written_says_what_to_do(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(bootstrap.Unable, match="run it once as the owner of the tree"):
        bootstrap.with_lock(str(tmp_path), NEEDS, "run")


def test_an_installation_that_another_has_just_finished_is_not_repeated(
    tree: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "install", lambda *_: pytest.fail("installed again"))
    bootstrap.with_lock(tree, NEEDS, "run")


def _no_network(python: str, needs: list[str]) -> None:
    raise bootstrap.Unable("the packages could not be installed")


def test_tests_that_cannot_be_installed_leave_the_program_at_work(
    tree: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "run_pip", _no_network)
    monkeypatch.setattr(bootstrap, "make_environment", lambda _: pytest.fail("made anew"))
    changed = {**NEEDS, "test": ["click>=8.1", "pytest>=9"]}
    with pytest.raises(bootstrap.Unable):
        bootstrap.with_lock(tree, changed, "test")
    assert bootstrap.is_ready(tree, changed, "run")
    assert not bootstrap.is_ready(tree, changed, "test")


def test_a_renewal_that_failed_is_begun_again_in_the_same_environment(
    tree: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "run_pip", _no_network)
    monkeypatch.setattr(bootstrap, "make_environment", lambda _: pytest.fail("made anew"))
    changed = {**NEEDS, "run": ["click>=9"]}
    for _ in range(2):
        with pytest.raises(bootstrap.Unable):
            bootstrap.with_lock(tree, changed, "run")
        assert not bootstrap.is_ready(tree, changed, "run")
