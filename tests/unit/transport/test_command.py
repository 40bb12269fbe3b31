"""Tests of command lines: how they are split, what may be in them, what may be run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mta.base.errors import PermFail, TempFail, Where
from mta.base.trust import Trusted
from mta.config.template import Unexpanded
from mta.expand.context import Context, Place
from mta.lookup.api import Tables
from mta.transport.command import arguments, command_line, find, require_permitted, split
from tests.unit.transport.conftest import configuration

HERE = Where("mta.conf", 1)
PLACE = Place(local_part="a b; rm", local_part_data=Trusted("alice x"), domain="example.org")


@pytest.fixture
def given() -> Callable[..., list[str]]:
    """The arguments that a command line gives, for two addresses."""
    ctx = Context(configuration("primary_hostname = mx.example.org"), Tables(), place=PLACE)

    def make(text: str, **how: list[str]) -> list[str]:
        line = command_line(Unexpanded(Trusted(text), HERE))
        return arguments(ctx, line, ["x y@a", "z@b"], "t1 transport", **how)

    return make


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b  c", ["a", "b", "c"]),
        ('a "b c" d', ["a", "b c", "d"]),
        ("a 'b \"c' d", ["a", 'b "c', "d"]),
        (r'"a\tb\"c\101\x42\y"', ['a\tb"cABy']),
        (r"'a\tb'", [r"a\tb"]),
        ('"m"n o"p', ["m", "n", 'o"p']),
        ('a "open', ["a", "open"]),
        ("a 'open", ["a", "open"]),
        ("a \"\" ''", ["a", "", ""]),
        ("  ", []),
    ],
)
def test_a_line_is_split_as_exim_splits_it(text: str, words: list[str]) -> None:
    assert split(text) == words


def test_expansion_never_changes_the_number_of_arguments(
    given: Callable[..., list[str]],
) -> None:
    assert given("/bin/x $local_part_data end") == ["/bin/x", "alice x", "end"]


def test_recipients_are_arguments_each(given: Callable[..., list[str]]) -> None:
    assert given("/bin/x $pipe_addresses -- '${pipe_addresses}'") == [
        "/bin/x",
        "x y@a",
        "z@b",
        "--",
        "x y@a",
        "z@b",
    ]


def test_recipients_within_an_argument_are_an_unknown_variable(
    given: Callable[..., list[str]],
) -> None:
    with pytest.raises(TempFail, match='unknown variable name "pipe_addresses"'):
        given("/bin/x x$pipe_addresses")


def test_text_of_strangers_is_no_argument(given: Callable[..., list[str]]) -> None:
    with pytest.raises(PermFail) as failed:
        given("/bin/x a $local_part")
    assert failed.value.text == "Tainted arg 2 for t1 transport command: 'a b; rm'"


def test_text_of_strangers_is_no_command(given: Callable[..., list[str]]) -> None:
    with pytest.raises(PermFail, match="Tainted arg 0"):
        given("/bin/$local_part a")


def test_an_expansion_that_fails_says_which_word_it_was(
    given: Callable[..., list[str]],
) -> None:
    with pytest.raises(TempFail) as failed:
        given("/bin/x ${if")
    assert failed.value.text == (
        'Expansion of "${if" from command "/bin/x ${if" in t1 transport failed: '
        'condition name expected, but found ""'
    )


def test_a_wrapped_command_keeps_its_words(given: Callable[..., list[str]]) -> None:
    made = given("/bin/wrap -- $address_pipe end", address_pipe=["/bin/y", "c d"])
    assert made == ["/bin/wrap", "--", "/bin/y", "c d", "end"]


def test_a_nul_is_in_no_argument(given: Callable[..., list[str]]) -> None:
    with pytest.raises(PermFail, match="NUL"):
        given(r'/bin/x "a\000b"')


def test_a_bare_name_is_sought_on_the_path() -> None:
    assert find("/a/b", "", "t1 transport") == "/a/b"
    assert find("sh", "/nonexistent:/bin", "t1 transport") == "/bin/sh"
    with pytest.raises(PermFail, match='"nonexistent" command not found for t1 transport'):
        find("nonexistent", "/bin:.", "t1 transport")


def refusal(name: str, allowed: list[str] | None, only_path: bool) -> str:
    try:
        require_permitted(name, allowed, only_path=only_path, what="t1 transport")
    except PermFail as failure:
        return failure.text
    return ""


@pytest.mark.parametrize(
    ("name", "allowed", "only_path", "text"),
    [
        ("/bin/cat", None, False, ""),
        ("/bin/cat", ["/bin/cat"], False, ""),
        ("cat", ["/bin/cat"], False, '"cat" command not permitted by t1 transport'),
        ("cat", [], False, '"cat" command not permitted by t1 transport'),
        ("cat", None, True, ""),
        ("cat", ["/bin/x"], True, ""),
        ("/bin/x", ["/bin/x"], True, ""),
        (
            "../bin/cat",
            None,
            True,
            '"/" found in "../bin/cat" (command for t1 transport)'
            " - failed for security reasons",
        ),
    ],
)
def test_what_may_be_run(
    name: str, allowed: list[str] | None, only_path: bool, text: str
) -> None:
    assert refusal(name, allowed, only_path) == text
