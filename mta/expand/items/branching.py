"""Items that choose: if and lookup."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mta.base.errors import ExpansionFail, TempFail, Where
from mta.base.text import trim
from mta.base.trust import Trusted
from mta.expand.context import Context
from mta.expand.nodes import Branches, Check, Item, Node, Program, program_of, restore
from mta.expand.parser import Reader
from mta.expand.registry import syntax_item
from mta.expand.trust import keep, require_inside
from mta.lookup.api import CannotOpen
from mta.lookup.search import Search, parse_search

Maker = Callable[[Sequence[Program], Sequence[Check]], Program]
_TRUE = "true"


@syntax_item("if")
def if_(reader: Reader) -> Item:
    """One text if a condition holds, another if not.

    ${if eq{a}{b}{yes}{no}} → no
    ${if eq{a}{a}} → true
    ${if match{abc}{b(.)}{$1}} → c
    """
    test = reader.condition()
    branches = reader.branches("if")
    true = reader.constant(_TRUE)

    def make(programs: Sequence[Program], checks: Sequence[Check]) -> Program:
        (check,) = checks
        yes, no = branches.arms(programs)

        def run(ctx: Context) -> str:
            captures, value = ctx.captures, ctx.values.get("value")
            try:
                if not check(ctx):
                    return no(ctx)
                return true if yes is None else yes(ctx)
            finally:
                # What a match or a look-up of the condition left is for the arms only.
                ctx.captures = captures
                if ctx.values.get("value") is not value:
                    restore(ctx, "value", value)

        return run

    return Item("if", branches.parts, make, (test,))


def entry_expander(ctx: Context, where: Where) -> Callable[[Trusted], str]:
    """Expands the entries of tables such as wildlsearch's, which the administrator wrote."""

    def expand_entry(text: Trusted) -> str:
        if "$" not in text and "\\" not in text:
            return text
        return program_of(Reader(text, where).sequence(closing=False))(ctx)

    return expand_entry


@syntax_item("lookup")
def lookup(reader: Reader) -> Item:
    """What a table says: ${lookup{key}type{file}{yes}{no}} or ${lookup type{query}…}.

    $value is the answer in the first arm; without arms the answer is the result.  It can be
    trusted, whoever chose the key; the name of the file must not come from a stranger.

    ${lookup{root}lsearch{/etc/passwd}{found}{none}} → found
    ${lookup passwd{root}{${extract{2}{:}{$value}}}} → 0
    """
    reader.skip()
    key = reader.argument() if reader.peek() == "{" else None
    search = _search(reader)
    if search.driver.query_style:
        if key is not None:
            raise ExpansionFail(
                f'a single key was given for lookup type "{search.name}",'
                " which is not a single-key lookup type"
            )
    elif key is None:
        raise ExpansionFail(f'missing {{key}} for single-key "{search.name}" lookup')
    reader.skip()
    table = reader.argument()
    branches = reader.branches("lookup")
    keys: tuple[Node, ...] = () if key is None else (key,)
    return Item("lookup", (*keys, table, *branches.parts), _looker(reader, search, branches))


def _search(reader: Reader) -> Search:
    start = reader.at
    while reader.peek() and reader.peek() != "{":
        reader.at += 1
    name = trim(reader.text[start : reader.at])
    if not name or name == "}":
        raise ExpansionFail("missing lookup type")
    search = parse_search(name)
    if isinstance(search, str):
        raise ExpansionFail(search)
    return search


def _looker(reader: Reader, search: Search, branches: Branches) -> Maker:
    where = reader.where

    def make(programs: Sequence[Program], checks: Sequence[Check]) -> Program:
        first = programs[0]
        table = None if search.driver.query_style else programs[1]
        found = branches.finder(programs[1 if table is None else 2 :])

        def run(ctx: Context) -> str:
            key = first(ctx)
            name = "" if table is None else table(ctx)
            file = require_inside(
                name,
                "file or directory name for lookup",
                where,
                "a fixed name with $domain_data or the result of a lookup",
            )
            expander = entry_expander(ctx, where) if search.driver.expands else None
            try:
                answer = search.find(ctx.tables, key, file, expander)
            except CannotOpen:
                raise
            except TempFail as error:
                raise TempFail(f'lookup of "{key}" gave DEFER: {error.text}') from error
            captures = ctx.captures
            if answer is None:
                return found(ctx, None)
            try:
                if answer.captures:
                    ctx.captures = tuple(keep(key, each) for each in answer.captures)
                return found(ctx, answer.data)
            finally:
                ctx.captures = captures

        return run

    return make
