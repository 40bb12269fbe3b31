"""Compiled lists: items in order, negation, named lists, files.

Each kind of list says what its items mean by a `Grammar`; what all lists have in common is
here.  Items that are wrong do not stop a list from being compiled: they fail when they are
reached, as Exim's do, and stand in `errors` for whoever loads the configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from mta.base.errors import ConfigError, ExpansionFail, TempFail, Where
from mta.base.registry import suggestion
from mta.base.text import SPACES
from mta.base.trust import Trusted
from mta.config.model import Configuration, ListKind
from mta.config.template import Template
from mta.expand.compile import Compiled, compiled
from mta.expand.context import Context
from mta.expand.run import expand
from mta.expand.split import split_list
from mta.lookup.lines import read_lines

CACHE_LIMIT = 500
_NOUNS = {
    ListKind.DOMAIN: "domain",
    ListKind.HOST: "host",
    ListKind.ADDRESS: "address",
    ListKind.LOCAL_PART: "local part",
}


@dataclass(frozen=True, slots=True)
class Match:
    """It matched; `data` is what the item or its look-up left, if anything."""

    data: Trusted | None = None


MATCHED = Match()


def left_by_table(data: str) -> Match:
    """What a look-up leaves: nothing if strangers said it, as in the DNS."""
    return Match(data if type(data) is Trusted else None)


# What a file of items answers when the line that matched has a "!".
REFUSED = Match()


# Nothing that follows counts: the list does not match, or does, whatever the sign was.
ENDS_WITHOUT = Match()
ENDS_WITH = Match()


class HostUnknown(TempFail):
    """A host or its name does not exist, so an item cannot be decided; the text says which."""


class HostLater(TempFail):
    """The same, but later it may be possible."""


# What is looked for comes as it is, and in lower case where letters count alike.
Check = Callable[[Context, str, str], Match | None]


@dataclass(frozen=True, slots=True)
class Literal:
    """An item that is nothing but the text to be matched; several become one table."""

    key: str
    match: Match
    caseful: bool = False


@dataclass(slots=True)
class Building:
    """A list while it is compiled: which kind, where it stands, what was wrong."""

    kind: ListKind
    where: Where | None
    caseful: bool = False
    errors: list[ConfigError] = field(default_factory=list)
    asks: bool = False  # the item that is being compiled may have to ask for a host
    unknown: str = ""  # from here on, hosts that do not exist: "include", "ignore"
    later: str = ""  # and those that cannot be found now

    def wrong(self, reason: str, meant: str = "") -> Check:
        """Note an error; the item raises TempFail when it is reached."""
        self.errors.append(ConfigError(self.where, reason, meant))

        def check(ctx: Context, subject: str, folded: str) -> Match | None:
            raise TempFail(reason)

        return check


class Grammar(Protocol):
    """What the items of one kind of list mean.

    One object for each kind, and one more where case may count from the start.
    """

    @property
    def kind(self) -> ListKind:
        """The kind of list."""

    @property
    def caseful(self) -> bool:
        """True if the case of letters counts even without +caseful."""

    def item(self, text: str, building: Building) -> Check | Literal | None:
        """The check for an item without its "!", None for one that only changes others."""


# What the items of a kind of list mean, for those whom that kind needs itself.
GRAMMARS: dict[ListKind, Grammar] = {}


@dataclass(frozen=True, slots=True)
class CompiledList:
    """Items in order with their signs; `default` is the answer when none matches."""

    items: tuple[tuple[bool, Check], ...]
    default: bool
    errors: tuple[ConfigError, ...] = ()

    def match(self, ctx: Context, subject: str, folded: str) -> Match | None:
        """What the list says.  Raises TempFail."""
        for positive, check in self.items:
            if (found := check(ctx, subject, folded)) is not None:
                if found is REFUSED:
                    return None if positive else MATCHED
                if found is ENDS_WITHOUT or found is ENDS_WITH:
                    return MATCHED if found is ENDS_WITH else None
                return found if positive else None
        return MATCHED if self.default else None


def compile_list(
    grammar: Grammar, texts: Iterable[str], where: Where | None, *, in_file: bool = False
) -> CompiledList:
    """Compile a list from its items."""
    building = Building(grammar.kind, where, grammar.caseful)
    items: list[tuple[bool, Check]] = []
    run: list[Literal] = []
    positive = run_positive = True
    for text in texts:
        positive, bare = _sign(text)
        building.asks = False
        made = _common(grammar, bare, building, in_file=in_file)
        if made is None:
            continue
        if building.asks and not in_file and not isinstance(made, Literal):
            made = _decided(made, building.unknown, building.later)
        if run and (not isinstance(made, Literal) or positive != run_positive):
            items.append((run_positive, _table(run)))
            run = []
        if isinstance(made, Literal):
            run.append(made)
            run_positive = positive
        else:
            items.append((positive, made))
    if run:
        items.append((run_positive, _table(run)))
    return CompiledList(tuple(items), bool(items) and not positive, tuple(building.errors))


def _decided(check: Check, unknown: str, later: str) -> Check:
    """A check in a host list that copes with hosts that cannot be found, as it was told to."""

    def decided(ctx: Context, subject: str, folded: str) -> Match | None:
        try:
            return check(ctx, subject, folded)
        except HostUnknown as error:
            if unknown == "include":
                ctx.connection.log_line(f"{error.text}: accepted by +include_unknown")
                return ENDS_WITH
            return None if unknown == "ignore" else ENDS_WITHOUT
        except HostLater as error:
            if later == "include":
                ctx.connection.log_line(f"{error.text}: accepted by +include_defer")
                return ENDS_WITH
            if later == "ignore":
                return None
            raise

    return decided


def _sign(text: str) -> tuple[bool, str]:
    positive = True
    while text.startswith("!"):
        positive, text = not positive, _trusting(text, text[1:].lstrip(SPACES))
    return positive, text


def _trusting(whole: str, part: str) -> str:
    return Trusted(part) if type(whole) is Trusted else part


def _table(run: list[Literal]) -> Check:
    """One check for several texts: a look into a table.  The first of equal ones counts."""
    alike: dict[str, Match] = {}
    exact: dict[str, Match] = {}
    for each in run:
        (exact if each.caseful else alike).setdefault(each.key, each.match)
    if not exact:
        find = alike.get
        return lambda ctx, subject, folded: find(folded)
    return lambda ctx, subject, folded: alike.get(folded) or exact.get(subject)


def _common(
    grammar: Grammar, text: str, building: Building, *, in_file: bool
) -> Check | Literal | None:
    """What every kind of list has: named lists and files."""
    if text.startswith("+") and (made := grammar.item(text, building)) is None:
        return None
    if text.startswith("+"):
        return made
    if text.startswith("/") and ";" not in text and not in_file:
        if type(text) is not Trusted:
            return building.wrong(f"Tainted '{text}' (file name for list) not permitted")
        building.asks = grammar.kind is ListKind.HOST
        return _file(grammar, text, building.where)
    return grammar.item(text, building)


def named(grammar: Grammar, text: str, building: Building) -> Check:
    """+NAME: another list, which is found when it is needed."""
    if type(text) is not Trusted:
        return building.wrong(f"Tainted '{text}' (name of a list) not permitted")
    key = (grammar.kind, text[1:])
    busy: list[bool] = []
    # A constant list that does not contain itself needs to be looked for once only.
    known: tuple[Configuration, CompiledList] | None = None

    def check(ctx: Context, subject: str, folded: str) -> Match | None:
        nonlocal known
        if known is not None and known[0] is ctx.conf:
            return known[1].match(ctx, subject, folded)
        wanted = ctx.conf.lists.get(key)
        if wanted is None:
            raise TempFail(f'unknown named {_NOUNS[grammar.kind]} list "{text}"')
        if busy:
            raise TempFail(f'the named list "{text}" contains itself')
        busy.append(True)
        try:
            found = match_template(ctx, grammar, wanted.template, subject, folded)
        finally:
            busy.pop()
        made = compiled(wanted.template).lists.get(grammar)
        if isinstance(made, CompiledList) and not _contains_itself(
            ctx.conf, grammar.kind, text[1:], frozenset()
        ):
            known = (ctx.conf, made)
        return found

    return check


def _file(grammar: Grammar, path: Trusted, where: Where | None) -> Check:
    """/PATH: the lines of a file are items."""

    def check(ctx: Context, subject: str, folded: str) -> Match | None:
        lines = read_lines(ctx.tables, path)
        known = lines.made.get(grammar)
        if not isinstance(known, CompiledList):
            known = compile_list(grammar, lines.lines, where, in_file=True)
            lines.made[grammar] = known
        # The default of a list in a file does not count: only its items are put in here.
        for positive, each in known.items:
            found = each(ctx, subject, folded)
            if found is not None:
                return found if positive else REFUSED
        return None

    return check


def match_template(
    ctx: Context, grammar: Grammar, template: Template, subject: str, folded: str
) -> Match | None:
    """What the list of a template says; a forced failure is no match.  Raises TempFail."""
    program = template.program
    if not isinstance(program, Compiled):
        program = compiled(template)
    if program.constant is not None:
        known = program.lists.get(grammar)
        if type(known) is not CompiledList:
            known = compile_list(grammar, split_list(program.constant), template.where)
            program.lists[grammar] = known
        return known.match(ctx, subject, folded)
    try:
        text = expand(ctx, template)
    except ExpansionFail as error:
        if error.forced:
            return None
        reason = f'failed to expand "{template.text}" ({template.where}): {error.text}'
        raise TempFail(reason) from error
    return match_text(ctx, grammar, text, subject, folded, template.where)


def match_text(
    ctx: Context,
    grammar: Grammar,
    text: str,
    subject: str,
    folded: str,
    where: Where | None,
) -> Match | None:
    """What a list that came up at run time says.  Raises TempFail."""
    cache = ctx.tables.lists
    key = ((grammar, type(text) is Trusted), text)
    known = cache.get(key)
    if not isinstance(known, CompiledList):
        try:
            known = compile_list(grammar, split_list(text), where)
        except ExpansionFail as error:
            raise TempFail(error.text) from error
        if len(cache) >= CACHE_LIMIT:
            del cache[next(iter(cache))]
        cache[key] = known
    return known.match(ctx, subject, folded)


def condition_holds(
    ctx: Context, grammar: Grammar, subject: str, folded: str, listing: str
) -> bool:
    """What a condition match_… says; $value is what the item left."""
    try:
        found = match_text(ctx, grammar, listing, subject, folded, None)
    except TempFail as error:
        raise ExpansionFail(
            f'unable to complete match against "{listing}": {error.text}'
        ) from error
    if found is not None and found.data is not None:
        ctx.values["value"] = found.data
    return found is not None


def check_template(
    conf: Configuration, grammar: Grammar, template: Template
) -> list[ConfigError]:
    """What is wrong with a list, as far as its text is known when it is loaded."""
    program = compiled(template)
    if program.constant is None:
        return []
    texts = split_list(program.constant)
    found = list(compile_list(grammar, texts, template.where).errors)
    for text in texts:
        _, bare = _sign(text)
        if not bare.startswith("+") or bare in SPECIAL:
            continue
        if (grammar.kind, bare[1:]) not in conf.lists:
            known = [name for kind, name in conf.lists if kind is grammar.kind]
            noun = _NOUNS[grammar.kind]
            meant = suggestion(bare[1:], known)
            reason = f'unknown named {noun} list "{bare}"'
            found.append(ConfigError(template.where, reason, meant))
        elif _contains_itself(conf, grammar.kind, bare[1:], frozenset()):
            reason = f'the named list "{bare}" contains itself'
            found.append(ConfigError(template.where, reason))
    return found


SPECIAL = frozenset(
    {
        "+caseful",
        "+include_unknown",
        "+ignore_unknown",
        "+include_defer",
        "+ignore_defer",
    }
)


def _contains_itself(
    conf: Configuration, kind: ListKind, name: str, above: frozenset[str]
) -> bool:
    if name in above:
        return True
    wanted = conf.lists.get((kind, name))
    text = None if wanted is None else compiled(wanted.template).constant
    if text is None:
        return False
    inner = (_sign(each)[1] for each in split_list(text))
    return any(
        _contains_itself(conf, kind, each[1:], above | {name})
        for each in inner
        if each.startswith("+") and each not in SPECIAL
    )
