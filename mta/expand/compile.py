"""Compiling strings: nodes → closures, kept in the template they came from.

Called by whoever loads a part of the configuration, before the first fork.  A string that
cannot be compiled gets a program that fails with Exim's words when it is run, since Exim finds
such errors only then; `prepare` returns them, so that a loader can warn or refuse.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass

import mta.expand.conditions
import mta.expand.items
import mta.expand.operators
import mta.expand.variables
from mta.base.errors import ConfigError, ExpansionFail, Where
from mta.base.trust import Trusted, is_trusted
from mta.config.model import Configuration
from mta.config.option import Configured
from mta.config.template import Template
from mta.expand.context import Context
from mta.expand.nodes import Node, Program, Text, program_of
from mta.expand.parser import Reader
from mta.expand.registry import operator
from mta.expand.trust import trusted

CACHE_LIMIT = 500
_DEPTH_LIMIT = 20
_NO_PLACE = Where("${expand:…}", 0)

_FAMILIES = (
    mta.expand.conditions,
    mta.expand.items,
    mta.expand.operators,
    mta.expand.variables,
)
for _family in _FAMILIES:
    for _module in pkgutil.iter_modules(_family.__path__, _family.__name__ + "."):
        importlib.import_module(_module.name)


@dataclass(slots=True, eq=False)
class Compiled:
    """The program of a template; `constant` is its value where that is always the same.

    `lists` keeps what `match` made of a constant list, by the kind of the list.
    """

    run: Program
    constant: Trusted | None = None
    error: ExpansionFail | None = None
    node: Node | None = field(default=None, repr=False)
    lists: dict[object, object] = field(default_factory=dict, repr=False)


def compile_text(text: str, where: Where) -> Compiled:
    """The program of a text that nobody but the administrator may have written."""
    if "$" not in text and "\\" not in text:
        return _constant(trusted(text))
    try:
        reader = Reader(text, where)
        node = reader.sequence(closing=False)
    except ExpansionFail as error:
        return Compiled(_failing(error), error=error)
    if isinstance(node, Text):
        return _constant(node.text)
    return Compiled(program_of(node), node=node)


def compile_template(template: Template) -> ConfigError | None:
    """Fill a template's program; returns what is wrong with it, if anything is."""
    error = compiled(template).error
    if error is None:
        return None
    return ConfigError(template.where, f'failed to expand "{template.text}": {error.text}')


def compiled(template: Template) -> Compiled:
    """The program of a template, made now if it was not made at load."""
    program = template.program
    if not isinstance(program, Compiled):
        program = template.program = compile_text(template.text, template.where)
    return program


def prepare(*things: object) -> list[ConfigError]:
    """Compile every template in these: configurations, groups of options, lists of any.

    Returns what is wrong, in the order found.
    """
    found: list[ConfigError] = []
    for template in templates(things):
        if (error := compile_template(template)) is not None:
            found.append(error)
    return found


def templates(thing: object) -> Iterator[Template]:
    """All templates in a configuration, a group of options, or a collection of such."""
    if isinstance(thing, Template):
        yield thing
    elif isinstance(thing, Configured):
        for value in () if thing.keeps_secrets else vars(thing).values():
            yield from templates(value)
    elif isinstance(thing, dict):
        for value in thing.values():
            yield from templates(value)
    elif isinstance(thing, (list, tuple, set, frozenset)):
        for value in thing:
            yield from templates(value)
    elif isinstance(thing, Configuration) or (is_dataclass(thing) and not _is_plain(thing)):
        for each in fields(thing):
            yield from templates(getattr(thing, each.name))


def _is_plain(thing: object) -> bool:
    return isinstance(thing, (type, Where, Compiled))


def cached(ctx: Context, text: str, where: Where) -> Compiled:
    """The program of a trusted text that came up at run time, kept for the next time."""
    cache = ctx.tables.programs
    program = cache.get(text)
    if not isinstance(program, Compiled):
        program = compile_text(text, where)
        if len(cache) >= CACHE_LIMIT:
            del cache[next(iter(cache))]
        cache[text] = program
    return program


@operator("expand", context=True)
def expand_again(ctx: Context, text: str) -> str:
    r"""The result of expanding a text once more; text of strangers is refused.

    ${expand:\${lc:ABC\}} → abc
    """
    failed = f'internal expansion of "{text[:80]}" failed'
    if not is_trusted(text) and text:
        raise ExpansionFail(f"{failed}: attempt to expand tainted string '{text[:80]}'")
    depth = ctx.depth
    if depth >= _DEPTH_LIMIT:
        raise ExpansionFail(f"{failed}: nested more than {_DEPTH_LIMIT} deep")
    ctx.depth = depth + 1
    try:
        return cached(ctx, text, _NO_PLACE).run(ctx)
    except ExpansionFail as error:
        if error.forced:
            raise
        raise ExpansionFail(f"{failed}: {error.text}") from error
    finally:
        ctx.depth = depth


def _constant(text: Trusted) -> Compiled:
    return Compiled(lambda ctx: text, constant=text)


def _failing(error: ExpansionFail) -> Program:
    text, forced = error.text, error.forced

    def run(ctx: Context) -> str:
        raise ExpansionFail(text, forced=forced)

    return run
