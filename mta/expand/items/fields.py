"""Items that take one part out of many: extract, listextract, and env."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence

from mta.base.errors import ExpansionFail
from mta.base.text import is_number, lower, to_bytes, to_text, trim
from mta.expand.context import Context
from mta.expand.nodes import Branches, Check, Item, Node, Program, Text
from mta.expand.parser import Reader
from mta.expand.registry import syntax_item
from mta.expand.split import split_list
from mta.expand.trust import keep, trusted

_PAIR = re.compile(r"\s*(?:\"((?:[^\"\\]|\\.)*)\"?|([^=\s]*))\s*(=?)\s*", re.ASCII)
_VALUE = re.compile(r"\"((?:[^\"\\]|\\.)*)\"?|(\S*)", re.ASCII)


@syntax_item("extract")
def extract(reader: Reader) -> Item:
    """A field of a text: by name from name=value pairs, by number from separated fields.

    $value is the field in the first arm; without arms the field is the result.

    ${extract{age}{name=ann age="sixty one"}} → sixty one
    ${extract{2}{:,}{a,b:c}} → b
    ${extract{-1}{:}{a:b:c}} → c
    ${extract{x}{a=1}{$value}{none}} → none
    """
    reader.skip()
    nodes = [_argument(reader, 1)]
    reader.skip()
    first = nodes[0]
    if isinstance(first, Text):
        wanted = 3 if _field_number(first.text) is not None else 2
        while len(nodes) < wanted:
            nodes.append(_argument(reader, len(nodes) + 1))
            reader.skip()
        branches = reader.branches("extract")
        return Item("extract", (*nodes, *branches.parts), _extractor(nodes, branches))
    return _late(reader, nodes)


def _argument(reader: Reader, number: int) -> Node:
    if reader.peek() != "{":
        raise ExpansionFail(f"missing '{{' for arg {number} of extract")
    return reader.argument()


Maker = Callable[[Sequence[Program], Sequence[Check]], Program]


def _extractor(nodes: list[Node], branches: Branches) -> Maker:
    wanted = len(nodes)
    given = [each.text for each in nodes[:-1] if isinstance(each, Text)]

    def make(programs: Sequence[Program], checks: Sequence[Check]) -> Program:
        inputs = programs[:wanted]
        found = branches.finder(programs[wanted:])

        def run(ctx: Context) -> str:
            return found(ctx, take([program(ctx) for program in inputs]))

        number = _field_number(given[0])
        if number is None or not number or len(given) < 2 or len(given[1]) != 1:
            return run
        separator, source = given[1], inputs[-1]
        # What stands behind the field needs not be cut up.
        most, least = max(number, -1), abs(number)
        at = number - 1 if number > 0 else number

        def run_fixed(ctx: Context) -> str:
            """The usual case: number and separator are known."""
            text = source(ctx)
            parts = text.split(separator, most)
            return found(ctx, keep(text, parts[at]) if least <= len(parts) else None)

        return run_fixed

    return make


def _late(reader: Reader, nodes: list[Node]) -> Item:
    """An extract of which only the values will tell whether it is by name or by number."""
    while reader.peek() == "{":
        nodes.append(reader.argument())
        reader.skip()
    fails = reader.name() == "fail"
    reader.close("extract")
    count = len(nodes)
    if not 2 <= count <= 5:
        raise ExpansionFail("wrong number of arguments for 'extract'")

    def make(programs: Sequence[Program], checks: Sequence[Check]) -> Program:
        arms = {}
        for wanted in (2, 3):
            yes, no = (nodes[at] if at < count else None for at in (wanted, wanted + 1))
            arms[wanted] = Branches("extract", yes, no, fails).finder(programs[wanted:])

        def run(ctx: Context) -> str:
            key = programs[0](ctx)
            wanted = 2 if _field_number(key) is None else 3
            if count < wanted:
                raise ExpansionFail(f"Not enough arguments for 'extract' (min is {wanted})")
            values = [key, *(program(ctx) for program in programs[1:wanted])]
            return arms[wanted](ctx, take(values))

        return run

    return Item("extract", tuple(nodes), make)


def take(values: list[str]) -> str | None:
    """The field that the arguments of an extract ask for, None if there is none."""
    number = _field_number(values[0])
    source = values[-1]
    if number is None:
        key = trim(values[0])
        if not key:
            raise ExpansionFail('first argument of "extract" must not be empty')
        found = named_field(key, source)
    elif number == 0:
        found = source
    else:
        found = numbered_field(number, values[1], source)
    return None if found is None else keep(source, found)


def _field_number(text: str) -> int | None:
    """The number of a field, if the text is one."""
    bare = trim(text)
    if not is_number(bare.removeprefix("-")):
        return None
    return int(bare[:10])


def named_field(key: str, source: str) -> str | None:
    """The value of the first pair with this name, whatever the case of its letters."""
    at, sought = 0, lower(key)
    while at < len(source):
        pair = _PAIR.match(source, at)
        if pair is None or pair.end() == at:
            return None
        value = _VALUE.match(source, pair.end())
        if value is None:
            return None
        name = _bare(pair[1]) if pair[1] is not None else pair[2]
        if lower(name or "") == sought:
            return _bare(value[1]) if value[1] is not None else value[2]
        at = value.end()
    return None


def _bare(quoted: str | None) -> str:
    """A quoted text without its backslashes."""
    escapes = {"n": "\n", "t": "\t", "r": "\r"}
    return re.sub(
        r"\\(.)", lambda each: escapes.get(each[1], each[1]), quoted or "", flags=re.DOTALL
    )


def numbered_field(number: int, separators: str, source: str) -> str | None:
    """A field by its number, from 1, or from the end for a negative one."""
    parts = [source]
    if separators:
        parts = re.split("[" + re.escape(separators) + "]", source)
    return _at(number, parts)


def _at(number: int, parts: list[str]) -> str | None:
    if number < 0:
        number += len(parts) + 1
    return parts[number - 1] if 1 <= number <= len(parts) else None


@syntax_item("listextract")
def listextract(reader: Reader) -> Item:
    """An item of a list by its number, from 1, or from the end for a negative one.

    ${listextract{2}{a:b:c}} → b
    ${listextract{-1}{<;a;b}} → b
    ${listextract{9}{a:b}{$value}{none}} → none
    """
    nodes = reader.arguments("listextract", 2, 2, last=False)
    branches = reader.branches("listextract")

    def make(programs: Sequence[Program], checks: Sequence[Check]) -> Program:
        found = branches.finder(programs[2:])

        def run(ctx: Context) -> str:
            number = _field_number(programs[0](ctx))
            if number is None:
                raise ExpansionFail('first argument of "listextract" must be numeric')
            items = split_list(programs[1](ctx))
            at = number - 1 if number > 0 else len(items) + number
            return found(ctx, items[at] if number and 0 <= at < len(items) else None)

        return run

    return Item("listextract", (*nodes, *branches.parts), make)


@syntax_item("env")
def env(reader: Reader) -> Item:
    """A variable of the environment.

    ${env{NO_SUCH_VARIABLE}{$value}{unset}} → unset
    """
    nodes = reader.arguments("env", 1, 1, last=False)
    branches = reader.branches("env")

    def make(programs: Sequence[Program], checks: Sequence[Check]) -> Program:
        found = branches.finder(programs[1:])

        def run(ctx: Context) -> str:
            value = os.environb.get(to_bytes(programs[0](ctx)))
            # The environment is that in which the administrator started the program.
            return found(ctx, None if value is None else trusted(to_text(value)))

        return run

    return Item("env", (*nodes, *branches.parts), make)
