"""What a parsed string is made of, and the closures that it becomes.

An item says of which parts it consists and how a closure is made of the closures of its
parts; so the tree can be walked by whoever wants to show it, check it or run it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from mta.base.errors import ExpansionFail
from mta.base.trust import Trusted
from mta.expand.context import Context
from mta.expand.trust import keep_all, trusted

Program = Callable[[Context], str]
Check = Callable[[Context], bool]


@dataclass(frozen=True, slots=True)
class Text:
    """Literal text."""

    text: Trusted


@dataclass(frozen=True, slots=True)
class Variable:
    """$name, ${name} or a header."""

    name: str
    read: Program


@dataclass(frozen=True, slots=True)
class Joined:
    """Several things one after the other."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Item:
    """${name …}: its texts, its conditions, and how it is made to run."""

    name: str
    parts: tuple[Node, ...]
    make: Callable[[Sequence[Program], Sequence[Check]], Program]
    tests: tuple[Test, ...] = ()


@dataclass(frozen=True, slots=True)
class Test:
    """A condition: its texts, the conditions in it, and how it is made to run."""

    name: str
    parts: tuple[Node, ...]
    make: Callable[[Sequence[Program], Sequence[Check]], Check]
    tests: tuple[Test, ...] = ()


Node = Text | Variable | Joined | Item


@dataclass(frozen=True, slots=True)
class Branches:
    """{yes}{no}, or {yes}fail, or nothing, as they stand at the end of many items."""

    name: str
    yes: Node | None = None
    no: Node | None = None
    fails: bool = False
    parts: tuple[Node, ...] = field(init=False)

    def __post_init__(self) -> None:
        both = tuple(node for node in (self.yes, self.no) if node is not None)
        object.__setattr__(self, "parts", both)

    def arms(self, programs: Sequence[Program]) -> tuple[Program | None, Program]:
        """What is run for yes, None where that is missing, and for no.

        `programs` are those of `parts`.
        """
        rest = list(programs)
        yes = rest.pop(0) if self.yes is not None else None
        no = rest.pop(0) if self.no is not None else (self._fail if self.fails else _nothing)
        return yes, no

    def finder(self, programs: Sequence[Program]) -> Callable[[Context, str | None], str]:
        """A closure for items that find a value or not: $value holds it in the yes arm."""
        yes, no = self.arms(programs)
        if yes is None:
            return lambda ctx, value: no(ctx) if value is None else value

        def found(ctx: Context, value: str | None) -> str:
            if value is None:
                return no(ctx)
            before = ctx.values.get("value")
            ctx.values["value"] = value
            try:
                return yes(ctx)
            finally:
                restore(ctx, "value", before)

        return found

    def _fail(self, ctx: Context) -> str:
        raise ExpansionFail(f'"{self.name}" failed and "fail" requested', forced=True)


def restore(ctx: Context, name: str, before: str | None) -> None:
    """Give a value of an item back what it was before."""
    if before is None:
        ctx.values.pop(name, None)
    else:
        ctx.values[name] = before


def _nothing(ctx: Context) -> str:
    return NOTHING


NOTHING = ""


def program_of(node: Node) -> Program:
    """The closure that a node becomes."""
    match node:
        case Text(text):
            return lambda ctx: text
        case Variable(_, read):
            return read
        case Item(_, parts, make, tests):
            return make(programs_of(parts), checks_of(tests))
        case Joined(parts):
            return _joined(programs_of(parts))


def programs_of(nodes: Iterable[Node]) -> list[Program]:
    """The closures of several nodes."""
    return [program_of(node) for node in nodes]


def checks_of(tests: Iterable[Test]) -> list[Check]:
    """The closures of conditions."""
    return [test.make(programs_of(test.parts), checks_of(test.tests)) for test in tests]


def _joined(programs: list[Program]) -> Program:
    if not programs:
        nothing = trusted("")
        return lambda ctx: nothing

    def run(ctx: Context) -> str:
        values = [program(ctx) for program in programs]
        return keep_all(values, "".join(values))

    return run
