"""Whatever a string or its data is, expansion ends, soon, with a result or a proper error."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mta.match.check  # declares match_domain and its relatives
from mta.base.errors import ExpansionFail, TempFail
from mta.base.trust import Trusted
from mta.config.model import Configuration
from mta.expand.compile import compile_text
from mta.expand.parser import DEPTH_LIMIT
from mta.expand.registry import CONDITIONS, ITEMS, OPERATORS, VARIABLES
from mta.expand.run import expand_text
from mta.expand.split import join_list, separated
from mta.lookup.pcre import Pattern
from tests.conform.language import PLACE, configuration, context

assert mta.match.check.GRAMMARS

_NAMES = [*ITEMS.names(), *CONDITIONS.names(), *OPERATORS.names(), *VARIABLES.names()]
_PIECES = st.sampled_from(
    [
        *"${}{}{}:<>,;!_\\N^*()[]/@ 019ab\n",
        "${if ",
        "${lookup",
        "yes",
        "fail",
        "lsearch;/x",
        *_NAMES,
    ]
)
_STRINGS = st.lists(_PIECES, max_size=25).map("".join)


@pytest.fixture(scope="module")
def conf(tmp_path_factory: pytest.TempPathFactory) -> Configuration:
    return configuration(Path(tmp_path_factory.mktemp("conf")))


@given(text=_STRINGS | st.text(max_size=60).map(lambda text: f"${{{text}}}"))
@settings(max_examples=400, deadline=None, derandomize=True)
def test_no_string_makes_anything_but_a_text_or_a_proper_error(
    conf: Configuration, text: str
) -> None:
    ctx = context(conf)
    ctx.place.local_part = "joe"
    try:
        result = expand_text(ctx, Trusted(text), PLACE)
    except (ExpansionFail, TempFail):
        return
    assert isinstance(result, str)


@given(
    name=st.sampled_from(OPERATORS.names()),
    argument=st.sampled_from(["", "_1", "_3_2", "_-2", "_256", "_0"]),
    data=st.text(max_size=50)
    | st.binary(max_size=50).map(lambda b: b.decode("utf-8", "surrogateescape")),
)
@settings(max_examples=400, deadline=None, derandomize=True)
def test_no_data_makes_an_operator_do_anything_but_work_or_fail(
    conf: Configuration, name: str, argument: str, data: str
) -> None:
    ctx = context(conf)
    ctx.place.local_part = data
    try:
        result = expand_text(ctx, Trusted(f"${{{name}{argument}:$local_part}}"), PLACE)
    except (ExpansionFail, TempFail):
        return
    assert isinstance(result, str)


@given(items=st.lists(st.text(alphabet="ab:;,!", min_size=1, max_size=5)))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_a_list_that_was_joined_comes_apart_as_it_was(items: list[str]) -> None:
    assert separated(join_list(":", items))[1] == items


@pytest.mark.parametrize("opening", ["${lc:", "${if !{", "${if and{{", "${map{", "${sg{"])
def test_nesting_has_an_end(opening: str) -> None:
    error = compile_text(opening * (DEPTH_LIMIT + 5000), PLACE).error
    assert error is not None


def test_a_result_has_a_greatest_length(conf: Configuration) -> None:
    ctx = context(conf)
    doubled = "${reduce{" + ":".join(["x"] * 30) + "}{0123456789}{$value$value}}"
    with pytest.raises(ExpansionFail, match="longer than"):
        expand_text(ctx, Trusted(doubled), PLACE)


def test_loops_have_a_greatest_number_of_turns(conf: Configuration) -> None:
    ctx = context(conf)
    many = ":".join(["x"] * 2000)
    text = f"${{if forall{{{many}}}{{forall{{{many}}}{{eq{{$item}}{{x}}}}}}}}"
    with pytest.raises(ExpansionFail, match="steps"):
        expand_text(ctx, Trusted(text), PLACE)


def test_a_pattern_that_would_take_for_ever_is_given_up() -> None:
    with pytest.raises(ExpansionFail, match="given up"):
        Pattern("^(a+)+$").matches("a" * 5000 + "b")


def test_the_context_is_as_it_was_after_a_failure(conf: Configuration) -> None:
    ctx = context(conf)
    ctx.captures = ("before",)
    text = "${if match{a}{(a)}{${map{1:2}{${eval:x}}}}}"
    with pytest.raises(ExpansionFail):
        expand_text(ctx, Trusted(text), PLACE)
    assert ctx.captures == ("before",)
    assert ctx.values == {}
