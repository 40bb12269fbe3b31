"""Files of keys and values are read as Exim reads them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mta.base.errors import TempFail
from mta.base.trust import Trusted, is_trusted
from mta.lookup.api import CannotOpen, Tables
from mta.lookup.linear import FILES_LIMIT, parse
from mta.lookup.search import Found, Search, parse_search

TEXT = (
    "alpha: one\nbeta:  two\n  continued\n# comment\n\n\tonce more\n"
    '"quoted key": three\n"k:3": colon\n"k\\"4": dq\nempty:\n'
    "nocolon data here\nUPPER: up\nspaced : value\nalpha: second\n*@d.example: at\n*: default"
)


@pytest.fixture
def file(tmp_path: Path) -> Trusted:
    (tmp_path / "table").write_text(TEXT)
    return Trusted(tmp_path / "table")


def found(kind: str, key: str, file: Trusted, tables: Tables | None = None) -> str | None:
    search = parse_search(kind)
    assert isinstance(search, Search)
    answer = search.find(tables or Tables(), key, file)
    if answer is None:
        return None
    assert is_trusted(answer.data)
    return answer.data


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        ("lsearch", "alpha", "one"),
        ("lsearch", "ALPHA", "one"),
        ("lsearch", "beta", "two continued once more"),
        ("lsearch", "quoted key", "three"),
        ("lsearch", "k:3", "colon"),
        ("lsearch", 'k"4', "dq"),
        ("lsearch", "empty", ""),
        ("lsearch", "nocolon", "data here"),
        ("lsearch", "upper", "up"),
        ("lsearch", "spaced", "value"),
        ("lsearch", "# comment", None),
        ("lsearch", "", None),
        ("lsearch*", "nosuch", "default"),
        ("lsearch*@", "x@d.example", "at"),
        ("lsearch*@", "x@e.example", "default"),
        ("lsearch,ret=full", "alpha", "alpha: one"),
        ("lsearch,ret=key", "Alpha", "Alpha"),
    ],
)
def test_an_entry(file: Trusted, kind: str, key: str, value: str | None) -> None:
    assert found(kind, key, file) == value


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        ("partial-lsearch", "a.b.c", "bc"),
        ("partial-lsearch", "x.y.c", None),
        ("partial1-lsearch", "x.y.c", "c"),
        ("partial0-lsearch", "q", "star"),
        ("partial-lsearch", "b.c", "bc"),
        ("partial(.)lsearch", "x.d.e", "dotted"),
    ],
)
def test_a_partial_search(tmp_path: Path, kind: str, key: str, value: str | None) -> None:
    (tmp_path / "table").write_text("*.c: c\n*.b.c: bc\n*: star\n.d.e: dotted\n")
    assert found(kind, key, Trusted(tmp_path / "table")) == value


def test_the_wild_part_and_the_rest_are_kept(tmp_path: Path) -> None:
    (tmp_path / "table").write_text("*.b.c: bc\n")
    search = parse_search("partial-lsearch")
    assert isinstance(search, Search)
    answer = search.find(Tables(), "x.a.b.c", Trusted(tmp_path / "table"))
    assert answer == Found(Trusted("bc"), ("", "x.a", "b.c"))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("nosuch", 'unknown lookup type "nosuch"'),
        ("../lsearch", 'unknown lookup type "../lsearch"'),
        ("", 'unknown lookup type ""'),
        ("api", 'unknown lookup type "api"'),
    ],
)
def test_a_kind_that_is_none(kind: str, words: str) -> None:
    assert parse_search(kind) == words


def test_a_file_that_cannot_be_opened_is_an_error_not_an_empty_table(tmp_path: Path) -> None:
    with pytest.raises(CannotOpen) as caught:
        found("lsearch", "x", Trusted("/no/such/file"))
    assert caught.value.text == (
        "failed to open /no/such/file for linear search: No such file or directory"
    )
    with pytest.raises(TempFail):
        found("lsearch", "x", Trusted("/no\0such"))
    with pytest.raises(TempFail):
        found("lsearch", "x", Trusted(tmp_path))


def test_a_fifo_in_the_place_of_a_file_does_not_hold_us(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert found("lsearch", "x", Trusted(tmp_path / "fifo")) is None


def test_a_file_that_was_replaced_is_read_again(file: Trusted, tmp_path: Path) -> None:
    tables = Tables()
    assert found("lsearch", "alpha", file, tables) == "one"
    (tmp_path / "new").write_text("alpha: changed\n")
    os.rename(tmp_path / "new", file)
    assert found("lsearch", "alpha", file, tables) == "changed"


def test_only_so_many_files_are_kept(tmp_path: Path) -> None:
    tables = Tables()
    for number in range(FILES_LIMIT + 10):
        (tmp_path / str(number)).write_text("a: b\n")
        assert found("lsearch", "a", Trusted(tmp_path / str(number)), tables) == "b"
    assert len(tables.opened) == FILES_LIMIT


def test_a_key_with_endless_dots_costs_a_bounded_number_of_searches(file: Trusted) -> None:
    assert found("partial0-lsearch", "." * 100_000, file) is None


def test_octets_that_are_no_text_survive() -> None:
    entries = list(parse(b"caf\xe9: \xff\xfe\n".decode("utf-8", "surrogateescape")))
    assert entries[0].value.encode("utf-8", "surrogateescape") == b"\xff\xfe"


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        ("iplsearch", "192.0.2.7", "single"),
        ("iplsearch", "192.0.2.8", "net"),
        ("iplsearch", "2001:db8::9", "six"),
        ("iplsearch", "198.51.100.1", "any"),
        ("nwildlsearch", "abz", "regex"),
        ("nwildlsearch", "X.sub.Example", "star"),
        ("nwildlsearch", "exact.example", "ex"),
        ("nwildlsearch", "nothing", None),
    ],
)
def test_keys_that_are_patterns(
    tmp_path: Path, kind: str, key: str, value: str | None
) -> None:
    nets = '192.0.2.7: single\n192.0.2.0/24: net\n"2001:db8::/32": six\n*: any\n'
    wild = "^a.*z$: regex\n*.sub.example: star\nexact.example: ex\n"
    (tmp_path / "t").write_text(nets if kind == "iplsearch" else wild)
    assert found(kind, key, Trusted(tmp_path / "t")) == value


def test_a_key_that_is_no_address_cannot_be_looked_up_among_addresses(file: Trusted) -> None:
    with pytest.raises(TempFail, match='"notip" is not a valid iplsearch key'):
        found("iplsearch", "notip", file)


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        ("dsearch", "a", "a"),
        ("dsearch", "nosuch", None),
        ("dsearch", "../etc", None),
        ("dsearch", "sub/inner", None),
        ("dsearch", "..", ".."),
        ("dsearch,filter=subdir", "..", None),
        ("dsearch,filter=subdir", "sub", "sub"),
        ("dsearch,filter=file", "sub", None),
        ("dsearch", "a\0b", None),
    ],
)
def test_names_in_a_directory(tmp_path: Path, kind: str, key: str, value: str | None) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "sub").mkdir()
    assert found(kind, key, Trusted(tmp_path)) == value


def test_the_users_of_the_system() -> None:
    assert (users("root") or "").startswith("*:0:0:")
    assert users("no-such-user") is None


def users(name: str) -> str | None:
    search = parse_search("passwd")
    assert isinstance(search, Search)
    answer = search.find(Tables(), name, Trusted(""))
    return None if answer is None else answer.data
