"""Nodes for what is declared by a plain function: operators, items and conditions.

The trust of a result follows from the inputs here, so that no such function thinks of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from mta.base.errors import ExpansionFail
from mta.expand.context import Context
from mta.expand.nodes import Check, Item, Node, Program, Test, Text
from mta.expand.registry import ConditionEntry, ItemEntry, OperatorEntry
from mta.expand.trust import keep, keep_all


def operator_node(entry: OperatorEntry, name: str, argument: str, inner: Node) -> Item:
    """${name_argument:inner}"""
    if argument and not entry.argument:
        raise ExpansionFail(f'unknown expansion operator "{name}"')
    function = entry.function

    def make(programs: Sequence[Program], checks: Sequence[Check]) -> Program:
        (program,) = programs
        if entry.context:
            # These say themselves whether their result can be trusted.
            def in_context(ctx: Context) -> str:
                result: str = function(ctx, program(ctx))
                return result

            return in_context

        def with_argument(ctx: Context) -> str:
            text = program(ctx)
            return keep(text, function(text, argument))

        def plain(ctx: Context) -> str:
            text = program(ctx)
            return keep(text, function(text))

        return with_argument if entry.argument else plain

    return Item(name, (inner,), make)


def item_node(entry: ItemEntry, nodes: list[Node]) -> Item:
    """${name{…}{…}}"""
    function = entry.function

    def make(programs: Sequence[Program], checks: Sequence[Check]) -> Program:
        def run(ctx: Context) -> str:
            values = [program(ctx) for program in programs]
            return keep_all(values, function(ctx, *values))

        return run

    return Item(entry.name, tuple(nodes), make)


def condition_node(entry: ConditionEntry, nodes: list[Node]) -> Test:
    """name{…}{…}"""
    function = entry.function

    def make(programs: Sequence[Program], checks: Sequence[Check]) -> Check:
        if len(programs) == 2 and isinstance(nodes[1], Text):
            (first, _), constant = programs, nodes[1].text

            def with_constant(ctx: Context) -> bool:
                holds: bool = function(ctx, first(ctx), constant)
                return holds

            return with_constant

        if len(programs) == 2:
            first, second = programs

            def two(ctx: Context) -> bool:
                holds: bool = function(ctx, first(ctx), second(ctx))
                return holds

            return two

        def run(ctx: Context) -> bool:
            holds: bool = function(ctx, *(program(ctx) for program in programs))
            return holds

        return run

    return Test(entry.name, tuple(nodes), make)
