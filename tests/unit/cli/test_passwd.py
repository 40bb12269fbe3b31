"""`mta passwd`: a line for the file of users."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from mta.cli.passwd import passwd
from mta.lookup.crypt import is_password


def test_the_line_has_the_name_and_a_password_that_is_known() -> None:
    result = CliRunner().invoke(passwd, ["alice"], input="some words é\n")
    name, _, kept = result.output.rstrip("\n").partition(": ")
    assert (result.exit_code, name) == (0, "alice")
    assert is_password("some words é", kept)


@pytest.mark.parametrize("name", ["", "a b", "a:b", "#a", '"a', "a\n", "a\tb", "a\0"])
def test_what_would_be_another_line_or_none_is_no_name(name: str) -> None:
    result = CliRunner().invoke(passwd, [name], input="word\n")
    assert result.exit_code == 64
    assert "$" not in result.output


@pytest.mark.parametrize("word", ["", "x" * 600])
def test_what_cannot_be_a_password_is_refused(word: str) -> None:
    result = CliRunner().invoke(passwd, ["alice"], input=f"{word}\n")
    assert result.exit_code == 64
