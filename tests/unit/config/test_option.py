"""Options are declared once, and set in the ways that Exim allows."""

from __future__ import annotations

import pytest

from mta.base.errors import ConfigError, Where
from mta.config import kinds
from mta.config.option import Configured, Option, Setting
from mta.config.template import Template

HERE = Where("mta.conf", 7)


class Sample(Configured):
    """A few options."""

    more = Option(kinds.boolean, "true", "Go on.")
    unseen = Option(kinds.expanded_boolean, "false", "Look again.")
    count = Option(kinds.integer, "5", "How many.")
    room = Option(kinds.size, "10M", "How large.")
    wait = Option(kinds.time, "1h", "How long.")
    mode = Option(kinds.octal, "0600", "Who may.")
    text = Option(kinds.string, "", "What.")
    condition = Option(kinds.conditions, "", "If.")
    headers_add = Option(kinds.header_lines, "", "More of them.")
    group_ = Option(kinds.expanded, "", "A name that is taken.")


def sample(*settings: tuple[str, str | None]) -> Sample:
    return Sample([Setting(name, value, HERE) for name, value in settings])


def refusal(name: str, value: str | None, *, quoted: bool = False) -> str:
    with pytest.raises(ConfigError) as caught:
        Sample([Setting(name, value, HERE, quoted=quoted)])
    assert caught.value.where == HERE
    return caught.value.reason


def test_what_is_not_set_has_its_default() -> None:
    each = sample()
    assert (each.more, each.count, each.room, each.wait) == (True, 5, 10 << 20, 3600)
    assert (each.mode, each.text, each.condition, each.headers_add) == (0o600, "", (), None)
    assert each.where == {}


def test_an_option_knows_where_it_was_set() -> None:
    assert sample(("count", "6")).where == {"count": HERE}


@pytest.mark.parametrize("name", ["no_more", "not_more"])
def test_a_boolean_is_switched_off_by_a_prefix(name: str) -> None:
    assert sample((name, None)).more is False


@pytest.mark.parametrize(
    ("value", "meaning"),
    [(None, True), ("", True), ("YES", True), ("true", True), ("no", False), ("False", False)],
)
def test_a_boolean_takes_these_values(value: str | None, meaning: bool) -> None:
    assert sample(("more", value)).more is meaning


def test_an_expanded_boolean_is_text_only_if_there_is_something_to_expand() -> None:
    assert sample(("unseen", None)).unseen is True
    unseen = sample(("unseen", "${if x}")).unseen
    assert isinstance(unseen, Template)
    assert unseen.text == "${if x}"
    assert refusal("unseen", "x y") == '"x y" is not a valid value for the "unseen" option'


@pytest.mark.parametrize(
    ("value", "meaning"),
    [("7", 7), ("0x10", 16), ("010", 8), ("2K", 2048), ("1m", 1 << 20), ("-3", -3), ("5 ", 5)],
)
def test_an_integer_is_read_as_c_reads_it(value: str, meaning: int) -> None:
    assert sample(("count", value)).count == meaning


@pytest.mark.parametrize(
    ("value", "meaning"),
    [("1w2d3h4m5s", 788645), ("5s1h", 3605), ("90m", 5400), ("0s", 0)],
)
def test_a_time_is_a_sum_of_numbers_with_units(value: str, meaning: int) -> None:
    assert sample(("wait", value)).wait == meaning


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("more", "maybe", '"maybe" is not a valid value for the "more" option'),
        ("count", "", "integer expected for count"),
        ("count", "many", "integer expected for count"),
        ("count", "5x", "extra characters follow integer value for count"),
        (
            "count",
            "5 # five",
            "extra characters follow integer value for count "
            "(# is comment only at line start)",
        ),
        (
            "count",
            "3T",
            'absolute value of integer "3T" is too large (overflow) for count',
        ),
        (
            "count",
            "9" * 30,
            f'absolute value of integer "{"9" * 30}" is too large (overflow) for count',
        ),
        ("count", "٣", "integer expected for count"),
        ("mode", "9", "octal integer expected for mode"),
        ("wait", "5", "invalid time value for wait"),
        ("wait", "", "invalid time value for wait"),
        ("wait", "5 minutes", "invalid time value for wait"),
        ("wait", "5d5", "invalid time value for wait"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(name: str, value: str, reason: str) -> None:
    assert refusal(name, value) == reason


def test_quotes_are_for_strings_only() -> None:
    assert refusal("count", "5", quoted=True) == "integer expected for count"
    assert refusal("more", "yes", quoted=True) == (
        '""yes"" is not a valid value for the "more" option'
    )


def test_an_option_that_needs_a_value_is_refused_without_one() -> None:
    assert refusal("text", None) == "unexpected end of line (data missing) after text"


def test_only_booleans_can_be_negated() -> None:
    assert refusal("no_text", "a") == "negation prefix applied to a non-boolean option"
    assert refusal("no_more", "true") == "extra characters follow boolean option no_more"


def test_an_option_is_set_once() -> None:
    with pytest.raises(ConfigError) as caught:
        sample(("text", "a"), ("text", "b"))
    assert caught.value.reason == '"text" option set for the second time'


def test_conditions_and_added_headers_may_be_repeated() -> None:
    each = sample(
        ("condition", "a"),
        ("condition", "b"),
        ("headers_add", "X: 1"),
        ("headers_add", "Y: 2"),
    )
    assert [condition.text for condition in each.condition] == ["a", "b"]
    assert each.headers_add is not None
    assert each.headers_add.text == "X: 1\nY: 2"


def test_a_misspelt_option_brings_a_suggestion() -> None:
    with pytest.raises(ConfigError) as caught:
        sample(("cuont", "1"))
    assert str(caught.value) == "mta.conf:7: option \"cuont\" unknown (did you mean 'count'?)"


def test_a_name_that_python_reserves_is_written_without_its_underscore() -> None:
    group = sample(("group", "mail")).group_
    assert group is not None
    assert group.text == "mail"


def test_values_are_shown_as_they_would_be_written() -> None:
    each = sample(("wait", "90m"), ("room", "1536K"), ("condition", "a"), ("condition", "b"))
    assert dict(each.shown()) == {
        "more": "true",
        "unseen": "false",
        "count": "5",
        "room": "1536K",
        "wait": "1h30m",
        "mode": "0600",
        "text": "",
        "condition": "a and b",
        "headers_add": "",
        "group": "",
    }
