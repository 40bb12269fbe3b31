"""Conditions made of conditions, and those that ask whether something is set or true."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mta.base.errors import ExpansionFail
from mta.base.text import is_number, lower, trim
from mta.expand.context import Context
from mta.expand.nodes import Check, Program, Test, Variable, restore
from mta.expand.parser import Reader
from mta.expand.registry import condition, syntax_condition
from mta.expand.split import count_step, split_list
from mta.expand.variable import find_variable

_HEADERS = ("h_", "header_", "rh_", "rheader_", "bh_", "bheader_", "lh_", "lheader_")


@syntax_condition("and")
def and_(reader: Reader) -> Test:
    """True if all conditions in it hold; those after the first that does not are not tried.

    ${if and{{eq{a}{a}}{eq{b}{c}}}{yes}{no}} → no
    ${if and{}{yes}{no}} → yes
    """
    tests = _group(reader, "and")

    def make(programs: Sequence[Program], checks: Sequence[Check]) -> Check:
        return lambda ctx: all(check(ctx) for check in checks)

    return Test("and", (), make, tests)


@syntax_condition("or")
def or_(reader: Reader) -> Test:
    """True if one of the conditions in it holds; those after it are not tried.

    ${if or{{eq{a}{b}}{eq{b}{b}}}{yes}{no}} → yes
    """
    tests = _group(reader, "or")

    def make(programs: Sequence[Program], checks: Sequence[Check]) -> Check:
        return lambda ctx: any(check(ctx) for check in checks)

    return Test("or", (), make, tests)


def _group(reader: Reader, name: str) -> tuple[Test, ...]:
    reader.skip()
    if not reader.take("{"):
        raise ExpansionFail(f'missing {{ after "{name}"')
    tests: list[Test] = []
    while True:
        reader.skip()
        if reader.take("}"):
            return tuple(tests)
        if not reader.take("{"):
            raise ExpansionFail(
                f'each subcondition inside an "{name}{{...}}" condition'
                " must be in its own {}"
            )
        tests.append(_inside(reader, f' inside "{name}{{...}}" condition'))
        reader.skip()
        if not reader.take("}"):
            raise ExpansionFail(f'missing }} at end of condition inside "{name}" group')


def _inside(reader: Reader, place: str) -> Test:
    try:
        return reader.condition()
    except ExpansionFail as error:
        raise ExpansionFail(error.text + place) from None


@syntax_condition("def")
def defined(reader: Reader) -> Test:
    """True if the variable is set to something, or the header exists.

    ${if def:sender_ident{yes}{no}} → no
    ${if def:h_Subject:{yes}{no}} → no
    """
    if not reader.take(":"):
        raise ExpansionFail('":" expected after "def"')
    if reader.text.startswith(_HEADERS, reader.at):
        return _defined(reader.header())
    name = reader.name()
    found = find_variable(name)
    if isinstance(found, str):
        raise ExpansionFail(f'unknown variable "{name}" after "def:"{found}')
    return _defined(found)


def _defined(found: Variable) -> Test:

    def make(programs: Sequence[Program], checks: Sequence[Check]) -> Check:
        (program,) = programs
        return lambda ctx: program(ctx) != ""

    return Test("def", (found,), make)


@condition("bool", 1)
def bool_(ctx: Context, text: str) -> bool:
    """True for true, yes and numbers but 0; anything that is no boolean is an error.

    ${if bool{yes}{y}{n}}${if bool{0}{y}{n}}${if bool{}{y}{n}} → ynn
    """
    word = lower(trim(text))
    if is_number(word.removeprefix("-")):
        return word.strip("-0") != ""
    if word in ("true", "yes"):
        return True
    if word in ("false", "no", ""):
        return False
    raise ExpansionFail(f'unrecognised boolean value "{trim(text)}"')


@condition("bool_lax", 1)
def bool_lax(ctx: Context, text: str) -> bool:
    """False for false, no, 0 and nothing; anything else is true.

    ${if bool_lax{maybe}{y}{n}}${if bool_lax{ no }{y}{n}} → yn
    """
    return lower(trim(text)) not in ("", "0", "no", "false")


def _each(name: str, answer: bool) -> Callable[[Reader], Test]:
    """forany ends at the first item for which the condition holds, forall where it fails."""

    def read(reader: Reader) -> Test:
        reader.skip()
        if reader.peek() != "{":
            raise ExpansionFail(f'missing {{ after "{name}"')
        listing = reader.argument()
        reader.skip()
        if not reader.take("{"):
            raise ExpansionFail(f'missing {{ after "{name}"')
        test = _inside(reader, f' inside "{name}" condition')
        reader.skip()
        if not reader.take("}"):
            raise ExpansionFail(f'missing }} at end of condition inside "{name}"')

        def make(programs: Sequence[Program], checks: Sequence[Check]) -> Check:
            (program,), (check,) = programs, checks

            def run(ctx: Context) -> bool:
                before = ctx.values.get("item")
                items = split_list(program(ctx))
                if not items:
                    return False  # for both: Exim takes "all of none" for no
                try:
                    for each in items:
                        count_step(ctx)
                        ctx.values["item"] = each
                        if check(ctx) is answer:
                            return answer
                finally:
                    restore(ctx, "item", before)
                return not answer

            return run

        return Test(name, (listing,), make, (test,))

    return read


@syntax_condition("forany")
def forany(reader: Reader) -> Test:
    """True if the condition holds for one item of the list, which is $item in it.

    ${if forany{1:5:2}{>{$item}{4}}{yes}{no}} → yes
    ${if forany{}{eq{$item}{}}{yes}{no}} → no
    """
    return _each("forany", True)(reader)


@syntax_condition("forall")
def forall(reader: Reader) -> Test:
    """True if the condition holds for every item of the list, which is $item in it.

    For an empty list it is false, unlike in logic.

    ${if forall{1:2:3}{<{$item}{4}}{yes}{no}} → yes
    """
    return _each("forall", False)(reader)


@syntax_condition("first_delivery")
def first_delivery(reader: Reader) -> Test:
    """True in the first attempt to deliver a message.

    ${if first_delivery{yes}{no}} → no
    """
    return Test("first_delivery", (), lambda *_: lambda ctx: ctx.message.first_delivery)


@syntax_condition("queue_running")
def queue_running(reader: Reader) -> Test:
    """True in a delivery that a queue run began.

    ${if queue_running{yes}{no}} → no
    """
    return Test("queue_running", (), lambda *_: lambda ctx: "queue_running" in ctx.values)
