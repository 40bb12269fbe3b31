"""Redirections: lists of addresses and their special items."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest

from mta.base.trust import Trusted
from mta.route.api import Child
from mta.route.forward_list import ListError, Rules, Special, read_list
from tests.unit.route.conftest import Route


def rules(**how: object) -> Rules:
    def qualify(local_part: str, same: bool) -> str:
        return f"{local_part}@{'parent' if same else 'default'}.example"

    return Rules(qualify, **how)  # type: ignore[arg-type]


def texts(text: str, **how: object) -> list[str]:
    found = read_list(text, rules(**how))
    assert isinstance(found, list)
    return [f"{child.kind}={child.text}" for child in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("# nothing but a comment", []),
        ("a@x.example", ["address=a@x.example"]),
        ("a@x, b@y\nc@z", ["address=a@x", "address=b@y", "address=c@z"]),
        ("a@x,\n# not c@z\nb@y", ["address=a@x", "address=b@y"]),
        ("joe", ["address=joe@default.example"]),
        ("\\joe", ["address=joe@parent.example"]),
        ('"Joe, the one" <joe@x>', ["address=joe@x"]),
        (":unknown:, a@x", ["address=a@x"]),
        ("(just a comment), a@x", ["address=a@x"]),
        ("|/usr/bin/prog", ["pipe=|/usr/bin/prog"]),
        ('"|/usr/bin/prog a, b"', ["pipe=|/usr/bin/prog a, b"]),
        ('"|prog \\"q\\""', ['pipe=|prog "q"']),
        ("/var/mail/x", ["file=/var/mail/x"]),
        ("/X=a/Y=b/@gate.example", ["address=/X=a/Y=b/@gate.example"]),
    ],
)
def test_a_list_is_cut_into_items(text: str, expected: list[str]) -> None:
    assert texts(text) == expected


def test_an_item_that_is_no_address_spoils_the_list() -> None:
    with pytest.raises(ListError, match='in "a b c@x"'):
        texts("ok@x, a b c@x")


def test_such_items_may_be_left_out() -> None:
    errors: list[str] = []
    assert texts("ok@x, a b c@x", errors=errors) == ["address=ok@x"]
    assert len(errors) == 1


def test_fail_takes_the_rest_of_its_line() -> None:
    text = "a@x\n:fail: no, such user\nb@x"
    assert read_list(text, rules(allow_fail=True)) == Special("fail", "no, such user")


def test_fail_is_not_permitted_unless_it_is() -> None:
    with pytest.raises(ListError, match='":fail: no" is not permitted'):
        texts(":fail: no")


def test_blackhole_may_be_forbidden() -> None:
    assert read_list(":blackhole:", rules()) == Special("blackhole", "")
    with pytest.raises(ListError):
        texts(":blackhole:", allow_blackhole=False)


def test_an_include_is_read(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("a@x\n# a comment\nb@y\n")
    assert texts(Trusted(f"z@z, :include:{tmp_path}/list")) == [
        "address=z@z",
        "address=a@x",
        "address=b@y",
    ]


def test_an_include_that_a_stranger_could_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ListError, match="Tainted"):
        texts(f":include:{tmp_path}/list")


def test_an_include_of_itself_ends(tmp_path: Path) -> None:
    (tmp_path / "list").write_text(f":include:{tmp_path}/list\n")
    with pytest.raises(ListError, match="more than 10 files deep"):
        texts(Trusted(f":include:{tmp_path}/list"))


def test_an_include_that_is_away_is_another_error_than_a_bad_one(tmp_path: Path) -> None:
    with pytest.raises(ListError) as caught:
        texts(Trusted(f":include:{tmp_path}/none"))
    assert caught.value.by_include
    assert str(caught.value) == (
        f"failed to open included file {tmp_path}/none: No such file or directory"
    )


def test_include_directory_holds_against_links_and_dots(tmp_path: Path) -> None:
    inside = tmp_path / "in"
    inside.mkdir()
    (inside / "list").write_text("a@x")
    (tmp_path / "secret").write_text("b@y")
    os.symlink(tmp_path / "secret", inside / "link")
    assert texts(Trusted(f":include:{inside}/list"), include_directory=str(inside)) == [
        "address=a@x"
    ]
    for path in (f"{inside}/link", f"{inside}/../secret", f"{tmp_path}/secret"):
        with pytest.raises(ListError):
            texts(Trusted(f":include:{path}"), include_directory=str(inside))


def test_a_fifo_is_no_list(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ListError, match="is not a regular file"):
        texts(Trusted(f":include:{tmp_path}/fifo"))


def test_endless_lists_end() -> None:
    with pytest.raises(ListError, match="more than 10000 items"):
        texts("a@x," * 10_001)


def test_hostile_lists_are_read_in_linear_time() -> None:
    for text in ("(" * 200_000, '"' * 200_000, "\\" * 200_000, ":" * 100_000, "<" * 50_000):
        with suppress(ListError):
            texts(text)


def test_what_is_cut_out_of_trusted_text_is_trusted() -> None:
    (child,) = read_list(Trusted("/var/mail/x"), rules())  # type: ignore[misc]
    assert child == Child("/var/mail/x", "file")
    assert type(child.text) is Trusted
    (child,) = read_list("/var/mail/x", rules())  # type: ignore[misc]
    assert type(child.text) is str


ALIASES = """
al:
  driver = redirect
  allow_fail
  allow_defer
  data = {data}
"""
LAST = "last:\n driver = accept\n transport = box\n"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (":fail: no such person", "a@x.example R=al failed: no such person"),
        (":fail:", "a@x.example R=al failed: forced rejection"),
        (":defer: try later", "a@x.example R=al deferred: try later"),
        (":blackhole:", "a@x.example R=al discarded"),
        (
            "|/bin/cat",
            "|/bin/cat <- a@x.example R=al deferred: pipe_transport unset in al router",
        ),
        ("/tmp/x", "/tmp/x <- a@x.example R=al deferred: file_transport unset in al router"),
        (":bogus:", None),
    ],
)
def test_special_items(route: Route, data: str, expected: str | None) -> None:
    (line,) = route(ALIASES.format(data=data), "a@x.example")
    if expected is None:
        assert "deferred: error in redirect data:" in line
    else:
        assert line == expected


def test_files_go_to_the_transport_for_files(route: Route) -> None:
    routers = ALIASES.format(data="/var/mail/x") + " file_transport = box\n"
    assert route(routers, "a@x.example") == ["/var/mail/x <- a@x.example R=al T=box"]


def test_forbidden_files_fail(route: Route) -> None:
    routers = ALIASES.format(data="/var/mail/x") + " file_transport = box\n forbid_file\n"
    assert route(routers, "a@x.example") == [
        "/var/mail/x <- a@x.example R=al failed: delivery to file forbidden"
    ]


def test_a_file_of_aliases_may_be_missing(route: Route, tmp_path: Path) -> None:
    routers = f"al:\n driver = redirect\n file = {tmp_path}/list\n" + LAST
    assert route(routers, "a@x.example") == ["a@x.example R=last T=box"]
    (tmp_path / "list").write_text("b@y.example\n")
    assert route(routers, "a@x.example") == ["b@y.example <- b@y.example R=last T=box"]


def test_nothing_that_a_stranger_wrote_is_expanded(route: Route) -> None:
    routers = ALIASES.format(data="${quote_local_part:$local_part}@y.example") + LAST
    (line,) = route(routers, '"${run{id}}"@x.example')
    assert line == "${run{id}}@y.example <- ${run{id}}@y.example R=last T=box"


def test_an_empty_list_that_is_given_as_such_declines(route: Route) -> None:
    assert route("a:\n driver = redirect\n data =\n", "x@y.example") == [
        "x@y.example failed: Unrouteable address"
    ]
