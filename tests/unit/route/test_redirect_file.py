"""The file of a redirection: whose it may be, its mode, and when it counts as none."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from mta.base.errors import ConfigError
from tests.unit.route.conftest import Route

ROUTERS = """
al:
  driver = redirect
  file = {file}
  domains = x.example
  {options}
last:
  driver = accept
  transport = box
"""
ME = pwd.getpwuid(os.geteuid()).pw_name
GROUP = os.getegid()


def routed(route: Route, file: Path | str, *options: str) -> str:
    """What becomes of an address, without what is the same for all."""
    text = ROUTERS.format(file=file, options="\n  ".join(options))
    (line,) = route(text, "a@x.example")
    return line


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "list"
    path.write_text("b@y.example\n")
    path.chmod(0o644)
    return path


GOOD = "b@y.example <- a@x.example R=last T=box"
NONE = "a@x.example R=last T=box"


def deferred(text: str) -> str:
    return f"a@x.example R=al deferred: {text}"


@pytest.mark.parametrize(
    ("mode", "options", "said"),
    [
        (0o644, (), ""),
        (0o664, (), "bad mode (0100664) for {}: 020 bit(s) unexpected"),
        (0o646, (), "bad mode (0100646) for {}: 02 bit(s) unexpected"),
        (0o666, ("modemask = 002",), "bad mode (0100666) for {}: 02 bit(s) unexpected"),
        (0o664, ("modemask = 002",), ""),
        (0o644, ("modemask = 044",), "bad mode (0100644) for {}: 044 bit(s) unexpected"),
    ],
)
def test_the_mode_of_the_file(
    route: Route, file: Path, mode: int, options: tuple[str, ...], said: str
) -> None:
    file.chmod(mode)
    assert routed(route, file, *options) == (deferred(said.format(file)) if said else GOOD)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("owners = {me}",), ""),
        (("owners = {uid}",), ""),
        (("owners = bin",), "bad owner for {file}"),
        (("owners = bin", "no_check_owner"), ""),
        (("check_owner",), "bad owner for {file}"),
        (("owngroups = {gid}",), ""),
        (("owngroups = 12345",), "bad group for {file}"),
        (("owngroups = 12345", "no_check_group"), ""),
        (("check_group",), "bad group for {file}"),
    ],
)
def test_owner_and_group_of_the_file(
    route: Route, file: Path, options: tuple[str, ...], said: str
) -> None:
    known = {"me": ME, "uid": os.geteuid(), "gid": GROUP, "file": file}
    line = routed(route, file, *[option.format(**known) for option in options])
    assert line == (deferred(said.format(**known)) if said else GOOD)


def test_an_owner_that_there_is_not_is_an_error_of_the_configuration(
    route: Route, file: Path
) -> None:
    with pytest.raises(ConfigError, match='user "nobody-at-all" was not found'):
        routed(route, file, "owners = nobody-at-all")


def test_what_is_no_file_defers(route: Route, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path in (tmp_path, fifo, Path("/dev/zero")):
        assert routed(route, path) == deferred(f"{path} is not a regular file")


def test_a_file_that_is_too_large_defers(route: Route, file: Path) -> None:
    os.truncate(file, (1 << 20) + 1)
    assert routed(route, file) == deferred(f"{file} is too big (max 1048576)")


def test_a_file_that_is_missing_declines(route: Route, tmp_path: Path) -> None:
    assert routed(route, tmp_path / "none") == NONE


def test_a_directory_that_is_away_defers_unless_that_is_ignored(
    route: Route, tmp_path: Path
) -> None:
    file = tmp_path / "away" / "list"
    said = f"failed to stat {tmp_path}/away/. (No such file or directory)"
    assert routed(route, file) == deferred(said)
    assert routed(route, file, "ignore_enotdir") == NONE


def test_a_path_through_a_file_defers_unless_that_is_ignored(route: Route, file: Path) -> None:
    below = file / "list"
    assert routed(route, below) == deferred(f"failed to open {below}: Not a directory")
    assert routed(route, below, "ignore_enotdir") == NONE


@pytest.mark.parametrize("text", ["", "# nothing\n", "\n\n"])
def test_a_file_without_items_declines(route: Route, file: Path, text: str) -> None:
    file.write_text(text)
    assert routed(route, file) == NONE


@pytest.mark.parametrize(
    "text",
    ["# Exim filter\n", "#exim  filter", "  #Sieve filter\nkeep;", "# EXIM FILTER <<== x"],
)
@pytest.mark.parametrize("options", [(), ("allow_filter",), ("skip_syntax_errors",)])
def test_filters_are_not_run_nor_taken_for_lists(
    route: Route, file: Path, text: str, options: tuple[str, ...]
) -> None:
    file.write_text(text)
    line = routed(route, file, *options)
    assert line == deferred("error in filter file: filtering not enabled")


def test_where_no_item_is_an_address_the_router_declines(route: Route, file: Path) -> None:
    file.write_text("a b c@x\n")
    assert routed(route, file, "skip_syntax_errors") == NONE


def test_what_stands_in_a_file_is_not_expanded(route: Route, file: Path) -> None:
    file.write_text('"$local_part ${run{/bin/id}}"@y.example\n')
    line = routed(route, file)
    assert line.startswith('"$local_part ${run{/bin/id}}"@y.example <- ')


def test_a_path_that_a_stranger_chose_is_not_opened(route: Route) -> None:
    line = routed(route, "/home/$local_part/.forward")
    assert line.startswith(deferred("Tainted '/home/a/.forward' (file of a redirect router)"))


def test_includes_of_a_file_are_read(route: Route, file: Path, tmp_path: Path) -> None:
    (tmp_path / "inner").write_text("b@y.example\n")
    file.write_text(f":include:{tmp_path}/inner\n")
    assert routed(route, file) == GOOD
    said = "error in redirect file: included files not permitted"
    assert routed(route, file, "forbid_include") == deferred(said)


def test_names_without_a_domain_get_the_domain_of_the_address(
    route: Route, file: Path
) -> None:
    file.write_text("joe\n")
    assert routed(route, file).startswith("joe@example.org <- ")
    assert routed(route, file, "qualify_preserve_domain").startswith("joe@x.example <- ")


def test_one_time_lists_name_no_files(route: Route, file: Path) -> None:
    file.write_text("/tmp/x\n")
    line = routed(route, file, "one_time", "file_transport = box")
    assert line == "/tmp/x <- a@x.example R=al failed: delivery to file forbidden"


@pytest.mark.parametrize("option", ["headers_add = X: y", "headers_remove = X", "unseen"])
def test_one_time_does_not_go_with_what_it_would_lose(
    route: Route, file: Path, option: str
) -> None:
    with pytest.raises(ConfigError, match="must not be set together with one_time"):
        routed(route, file, "one_time", option)


def test_an_address_that_leads_back_to_itself_is_this_address(
    route: Route, file: Path
) -> None:
    file.write_text("A@X.example, b@y.example\n")
    text = ROUTERS.format(file=file, options="check_ancestor")
    assert route(text, "a@x.example") == [
        "a@x.example <- a@x.example R=last T=box",
        "b@y.example <- a@x.example R=last T=box",
    ]
