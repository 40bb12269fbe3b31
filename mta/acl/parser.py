"""Reading ACLs: lines become statements, and whatever is wrong in them is found here."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import import_module

from mta.acl import later
from mta.acl.program import Program, Statement, Step, Verb
from mta.acl.registry import SET, WORDS, Word
from mta.base.errors import ConfigError, Where
from mta.base.registry import suggestion
from mta.base.text import trim
from mta.config.line import Line
from mta.config.template import template
from mta.expand.compile import compile_template

_FAMILIES = (
    "mta.acl.conditions.state",
    "mta.acl.conditions.lists",
    "mta.acl.conditions.verify",
    "mta.acl.modifiers.messages",
    "mta.acl.modifiers.headers",
    "mta.acl.modifiers.control",
    "mta.acl.controls.connection",
    "mta.acl.controls.message",
)
for _family in _FAMILIES:
    import_module(_family)

_VERBS = {verb.value: verb for verb in Verb}
_FIRST_WORD = re.compile(r"([a-z_]+)(?=[ \t]|\Z)[ \t]*")
_STEP = re.compile(r"(!?)[ \t]*([A-Za-z0-9_]+)[ \t]*(=?)[ \t]*(.*)", re.DOTALL)
_SET = re.compile(r"set[ \t]+([A-Za-z0-9_]+)[ \t]*=[ \t]*(.*)", re.DOTALL)
_PART = re.compile(r'"(?:[^"\\]|\\.)*"?|[^ \t\n]+')
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
MOST_ARGUMENTS = 9
_VARIABLE = re.compile(r"acl_[cm](?:[0-9]|_)[A-Za-z0-9_]*")


def parse(name: str, lines: Iterable[Line]) -> Program:
    """The program of an ACL.  Raises ConfigError."""
    statements: list[Statement] = []
    verb: Verb | None = None
    steps: list[Step] = []
    start: Where | None = None
    for line in lines:
        rest = trim(line.text)
        first = _FIRST_WORD.match(rest)
        if first and first[1] in _VERBS:
            if verb is not None and start is not None:
                statements.append(_statement(verb, steps, start))
            verb, steps, start = _VERBS[first[1]], [], line.where
            rest = rest[first.end() :]
        elif verb is None:
            word = first[1] if first else rest[:20]
            meant = suggestion(word, list(_VERBS))
            raise ConfigError(line.where, f'unknown ACL verb "{word}" in "{rest}"', meant)
        if rest:
            steps.append(_step(rest, line.where))
    if verb is not None and start is not None:
        statements.append(_statement(verb, steps, start))
    return Program(name, tuple(statements))


def parse_text(name: str, text: str, where: Where) -> Program:
    """The program of an ACL that stands in an option.  Raises ConfigError."""
    lines = text.split("\n")
    return parse(name, [Line(line, where) for line in lines if trim(line)])


def _statement(verb: Verb, steps: list[Step], where: Where) -> Statement:
    if verb not in (Verb.ACCEPT, Verb.DISCARD):
        for step in steps:
            if step.word.name == "endpass":
                reason = '"endpass" is not allowed with this verb'
                raise ConfigError(step.argument.where, reason, "it goes with accept, discard")
    return Statement(verb, tuple(steps), where)


def _step(text: str, where: Where) -> Step:
    if found := _SET.fullmatch(text):
        return _set(found[1], found[2], where)
    found = _STEP.fullmatch(text)
    if not found:
        raise ConfigError(where, f'malformed ACL line "{text}"', "write name = value")
    negated, name, equals, value = bool(found[1]), found[2], found[3], trim(found[4])
    word = WORDS.get(name)
    if word is None:
        raise _unknown(name, text, where)
    if negated and word.is_modifier:
        raise ConfigError(where, f'ACL error: negation is not allowed with "{name}"')
    if name == "endpass":
        if equals or value:
            raise ConfigError(where, '"endpass" takes no value')
    elif not equals:
        raise ConfigError(where, f'"=" missing after ACL "{name}" condition')
    if name == "acl":
        return _call(word, value, negated, where)
    argument = template(value, where)
    compile_template(argument)
    if word.check is not None and "$" not in value:
        word.check(value, where)
    return Step(word, argument, negated)


def _call(word: Word, value: str, negated: bool, where: Where) -> Step:
    """acl = NAME ARGUMENT …: each is expanded by itself; one with blanks stands in quotes."""
    parts = [template(unquoted(part), where) for part in _PART.findall(value)]
    if not parts or len(parts) > MOST_ARGUMENTS + 1:
        raise ConfigError(where, f'malformed call of an ACL "{value}"', "NAME, 9 arguments")
    for part in parts:
        compile_template(part)
    return Step(word, parts[0], negated, arguments=tuple(parts[1:]))


def unquoted(part: str) -> str:
    """A word without the quotes around it."""
    if not part.startswith('"'):
        return part
    return _ESCAPE.sub(r"\1", part[1:].removesuffix('"'))


def _set(variable: str, value: str, where: Where) -> Step:
    if not _VARIABLE.fullmatch(variable):
        reason = f'invalid variable name "{variable}" after "set" in ACL'
        raise ConfigError(where, reason, "it must start acl_c or acl_m and a digit or _")
    argument = template(value, where)
    compile_template(argument)
    return Step(SET, argument, variable=variable)


def _unknown(name: str, text: str, where: Where) -> ConfigError:
    if name in later.CONDITIONS:
        return ConfigError(where, f'ACL condition "{name}" is not supported yet')
    known = [*WORDS.names(), *_VERBS]
    reason = f'unknown ACL condition/modifier in "{text}"'
    return ConfigError(where, reason, suggestion(name, known))
