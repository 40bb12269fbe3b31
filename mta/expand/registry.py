"""How items, operators, conditions and variables of the language are declared.

    @operator("lc")                          def lc(text) -> str
    @operator("substr", argument=True)       def substr(text, argument) -> str
    @operator("listnamed", context=True)     def listnamed(ctx, text) -> str
    @item("sg", least=3, most=3)             def sg(ctx, *arguments) -> str
    @syntax_item("lookup")                   def lookup(reader) -> Item
    @condition("eq", 2)                      def eq(ctx, left, right) -> bool
    @syntax_condition("and")                 def and_(reader) -> Test
    @variable("sender_address")              def sender_address(ctx) -> str

A docstring is required; lines `${lc:ABC} → abc` in it are examples that are run as tests.
The result of an operator or plain item is trusted if all its inputs were; a variable's is what
its function returned, or trusted always for those that the program itself makes.  `Reader` is
the parser (`mta.expand.parser`), handed to those which have a syntax of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from mta.base.registry import Registry

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class OperatorEntry:
    """${name:text}; `argument` for ${name_argument:text}, "" when it is left out."""

    name: str
    function: Callable[..., str]
    argument: bool
    context: bool


@dataclass(frozen=True, slots=True)
class ItemEntry:
    """${name{…}{…}}, or with `syntax` an item that reads itself."""

    name: str
    function: Callable[..., Any]
    least: int
    most: int
    syntax: bool


@dataclass(frozen=True, slots=True)
class ConditionEntry:
    """name{…}{…}, or with `syntax` a condition that reads itself.

    The second argument of a `literal` one is not expanded, as it is a list or a pattern that
    nobody but the administrator may write.
    """

    name: str
    function: Callable[..., Any]
    arguments: int
    literal: bool
    syntax: bool


@dataclass(frozen=True, slots=True)
class VariableEntry:
    """$name.  `trusted`: the program makes this value itself, no stranger has a say in it."""

    name: str
    read: Callable[[Any], str]
    trusted: bool


ITEMS: Registry[ItemEntry] = Registry("expansion item")
OPERATORS: Registry[OperatorEntry] = Registry("expansion operator")
CONDITIONS: Registry[ConditionEntry] = Registry("expansion condition")
VARIABLES: Registry[VariableEntry] = Registry("variable")


def operator(
    name: str, *more: str, argument: bool = False, context: bool = False
) -> Callable[[Function], Function]:
    """Declare an operator under one or several names."""

    def declare(function: Function) -> Function:
        for each in (name, *more):
            entry = OperatorEntry(each, function, argument, context)
            OPERATORS.add(each, entry, function.__doc__)
        return function

    return declare


def item(name: str, *, least: int, most: int) -> Callable[[Function], Function]:
    """Declare an item that has only arguments."""

    def declare(function: Function) -> Function:
        ITEMS.add(name, ItemEntry(name, function, least, most, False), function.__doc__)
        return function

    return declare


def syntax_item(name: str) -> Callable[[Function], Function]:
    """Declare an item that reads its own syntax."""

    def declare(function: Function) -> Function:
        ITEMS.add(name, ItemEntry(name, function, 0, 0, True), function.__doc__)
        return function

    return declare


def condition(
    name: str, arguments: int, *, literal: bool = False
) -> Callable[[Function], Function]:
    """Declare a condition that has only arguments."""

    def declare(function: Function) -> Function:
        entry = ConditionEntry(name, function, arguments, literal, False)
        CONDITIONS.add(name, entry, function.__doc__)
        return function

    return declare


def syntax_condition(name: str) -> Callable[[Function], Function]:
    """Declare a condition that reads its own syntax."""

    def declare(function: Function) -> Function:
        CONDITIONS.add(name, ConditionEntry(name, function, 0, False, True), function.__doc__)
        return function

    return declare


def variable(name: str, *more: str, trusted: bool = False) -> Callable[[Function], Function]:
    """Declare a variable under one or several names."""

    def declare(function: Function) -> Function:
        for each in (name, *more):
            VARIABLES.add(each, VariableEntry(each, function, trusted), function.__doc__)
        return function

    return declare
