"""Items on lists: map, filter, reduce, sort, listquote."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cmp_to_key

from mta.base.errors import ExpansionFail
from mta.expand.context import Context
from mta.expand.nodes import Check, Item, Node, Program, restore
from mta.expand.parser import Reader
from mta.expand.registry import CONDITIONS, item, syntax_item
from mta.expand.split import count_step, join_list, separated
from mta.expand.trust import keep, keep_all

_ORDERS = ("<", "<=", ">", ">=", "lt", "lti", "le", "lei", "gt", "gti", "ge", "gei")


def _inner(reader: Reader, name: str) -> Node:
    reader.skip()
    if reader.peek() != "{":
        raise ExpansionFail(f'missing second argument of "{name}"')
    return reader.argument()


def _listing(reader: Reader, name: str) -> Node:
    reader.skip()
    if reader.peek() != "{":
        raise ExpansionFail(f"missing '{{' for first arg of {name}")
    return reader.argument()


def _over(ctx: Context, program: Program, source: str, visit: Callable[[str], None]) -> str:
    """Visit each item of a list as $item; returns the separator."""
    mark, items = separated(source)
    before = ctx.values.get("item")
    try:
        for each in items:
            count_step(ctx)
            ctx.values["item"] = each
            visit(each)
    finally:
        restore(ctx, "item", before)
    return mark


@syntax_item("map")
def map_(reader: Reader) -> Item:
    """A list with the second text instead of each item, which is $item in it.

    ${map{1:2:3}{<$item>}} → <1>:<2>:<3>
    ${map{<, a,b}{$item$item}} → aa,bb
    """
    nodes = (_listing(reader, "map"), _inner(reader, "map"))
    reader.close("map")

    def make(programs: Sequence[Program], checks: Sequence[Check]) -> Program:
        listing, body = programs

        def run(ctx: Context) -> str:
            source, made = listing(ctx), []
            mark = _over(ctx, body, source, lambda each: made.append(body(ctx)))
            return keep_all([source, *made], join_list(mark, made))

        return run

    return Item("map", nodes, make)


@syntax_item("filter")
def filter_(reader: Reader) -> Item:
    """The items of a list for which a condition holds; the item is $item in it.

    ${filter{a:b:c}{!eq{$item}{b}}} → a:c
    """
    listing = _listing(reader, "filter")
    reader.skip()
    if not reader.take("{"):
        raise ExpansionFail('missing second argument of "filter"')
    test = reader.condition()
    reader.skip()
    if not reader.take("}"):
        raise ExpansionFail('missing } at end of condition inside "filter"')
    reader.close("filter")

    def make(programs: Sequence[Program], checks: Sequence[Check]) -> Program:
        (body,), (check,) = programs, checks

        def run(ctx: Context) -> str:
            source, kept = body(ctx), []

            def visit(each: str) -> None:
                if check(ctx):
                    kept.append(each)

            return keep(source, join_list(_over(ctx, body, source, visit), kept))

        return run

    return Item("filter", (listing,), make, (test,))


@syntax_item("reduce")
def reduce(reader: Reader) -> Item:
    """One value made of a list: $value, first the second text, then the third for each item.

    ${reduce{1:2:3}{0}{${eval:$value+$item}}} → 6
    """
    nodes = [_listing(reader, "reduce"), _inner(reader, "reduce")]
    nodes.append(_inner(reader, "reduce"))
    reader.close("reduce")

    def make(programs: Sequence[Program], checks: Sequence[Check]) -> Program:
        listing, initial, body = programs

        def run(ctx: Context) -> str:
            source = listing(ctx)
            before = ctx.values.get("value")
            ctx.values["value"] = initial(ctx)

            def visit(each: str) -> None:
                ctx.values["value"] = keep_all([value := body(ctx)], value)

            try:
                _over(ctx, body, source, visit)
                result = ctx.values["value"]
            finally:
                restore(ctx, "value", before)
            # Which items there were decides the result, whatever it is made of.
            return keep_all([source, result], result)

        return run

    return Item("reduce", tuple(nodes), make)


@syntax_item("sort")
def sort(reader: Reader) -> Item:
    """A list in order: by a comparison such as < or lti, of the third text for each $item.

    ${sort{3:2:1:4}{<}{$item}} → 1:2:3:4
    ${sort{c:a:b}{gt}{$item}} → c:b:a
    """
    listing, order = _listing(reader, "sort"), _inner(reader, "sort")
    key = _inner(reader, "sort")
    reader.close("sort")
    return Item("sort", (listing, order, key), _sorter)


def _sorter(programs: Sequence[Program], checks: Sequence[Check]) -> Program:
    listing, order, key = programs

    def run(ctx: Context) -> str:
        source, name = listing(ctx), order(ctx)
        entry = CONDITIONS.get(name) if name in _ORDERS else None
        if entry is None:
            raise ExpansionFail(f"comparator '{name}' is not one of {', '.join(_ORDERS)}")
        compare = entry.function
        keyed: list[tuple[str, str]] = []
        mark = _over(ctx, key, source, lambda each: keyed.append((key(ctx), each)))
        # For <= and its like equal items keep their order too.
        strict = name.replace("=", "")
        strict = strict[0] + "t" + strict[2:] if len(strict) > 1 else strict
        less = CONDITIONS.get(strict)
        before = less.function if less is not None else compare

        def position(left: tuple[str, str], right: tuple[str, str]) -> int:
            count_step(ctx)
            if before(ctx, left[0], right[0]):
                return -1
            return 1 if before(ctx, right[0], left[0]) else 0

        keyed.sort(key=cmp_to_key(position))
        return keep(source, join_list(mark, [each for _, each in keyed]))

    return run


@item("listquote", least=2, most=2)
def listquote(ctx: Context, mark: str, text: str) -> str:
    """A text as one item of a list: its separators are doubled; nothing becomes a blank.

    ${listquote{:}{a:b}} → a::b
    """
    if len(mark) != 1:
        return text or " "
    return text.replace(mark, mark * 2) or " "
