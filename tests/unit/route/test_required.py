"""require_files: what has to be there, as whom, and what cannot be told."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from tests.unit.route.conftest import Route

ROUTER = """
first:
  driver = accept
  require_files = {files}
  transport = box
last:
  driver = accept
  transport = out
"""
ME = pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "there").touch()
    (tmp_path / "closed").mkdir(0o700)
    return tmp_path


def routed(route: Route, files: str) -> str:
    (line,) = route(ROUTER.format(files=files), "a@x.example")
    return line.partition("a@x.example ")[2]


@pytest.mark.parametrize(
    ("files", "runs"),
    [
        ("{0}/there", True),
        ("{0}/none", False),
        ("!{0}/none", True),
        ("!{0}/there", False),
        ("{0}/there : {0}/none", False),
        ("{0}/there : !{0}/none", True),
        ("<; {0}/there ; {0}", True),
        ("${{if eq{{1}}{{2}}{{/none}}}} : {0}/there", True),
        ("${{if eq{{1}}{{2}}{{/none}}fail}} : {0}/there", True),
        ("+{0}/none", False),
        ("+!{0}/none", True),
    ],
)
def test_a_router_runs_where_the_files_are_as_they_have_to_be(
    route: Route, place: Path, files: str, *, runs: bool
) -> None:
    expected = "R=first T=box" if runs else "R=last T=out"
    assert routed(route, files.format(place)) == expected


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ("there", 'user "there" for require_files not found'),
        ("root,nogroupofthisname:/etc", 'group "nogroupofthisname" for require_files not'),
        ("some/where", 'require_files: "some/where" is not absolute'),
        ("!+/etc", 'require_files: "+/etc" is not absolute'),
        ("{0}/there/below", "require_files: error for {0}/there/below: Not a directory"),
        ("/$local_part", "Tainted '/a' (require_files) not permitted"),
    ],
)
def test_what_cannot_be_told_defers(route: Route, place: Path, files: str, said: str) -> None:
    line = routed(route, files.format(place))
    assert line.startswith(f"R=first deferred: {said.format(place)}")


def test_a_user_must_be_able_to_read_what_follows(route: Route, place: Path) -> None:
    assert routed(route, f"{ME} : {place}/there") == "R=first T=box"


def test_require_files_is_asked_behind_the_lists(route: Route) -> None:
    routers = ROUTER.format(files="relative/path") + ""
    routers = routers.replace("first:\n", "first:\n  local_parts = b\n", 1)
    assert route(routers, "a@x.example") == ["a@x.example R=last T=out"]
