"""Statements as data: what the parser makes and the engine runs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum

from mta.acl.registry import Word
from mta.base.errors import Where
from mta.config.template import Template


class Verb(Enum):
    """What a statement does when its conditions hold."""

    __hash__ = object.__hash__  # members are single; Enum's own hash is slow

    ACCEPT = "accept"
    DEFER = "defer"
    DENY = "deny"
    DISCARD = "discard"
    DROP = "drop"
    REQUIRE = "require"
    WARN = "warn"


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One condition or modifier.

    `variable` is the one of `set acl_… = …`; `arguments` are what `acl = NAME …` hands over.
    """

    word: Word
    argument: Template
    negated: bool = False
    variable: str = ""
    arguments: tuple[Template, ...] = ()


@dataclass(frozen=True, slots=True)
class Words:
    """What modifiers have said by some place in a statement; the last of each counts.

    `strict` says that a condition which fails refuses: in require, and behind endpass.
    """

    message: Template | None = None
    log_message: Template | None = None
    strict: bool = False

    def after(self, step: Step) -> Words:
        """What holds behind one more step."""
        match step.word.name:
            case "message":
                return replace(self, message=step.argument)
            case "log_message":
                return replace(self, log_message=step.argument)
            case "endpass":
                return replace(self, strict=True)
        return self


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    """A verb and its steps in the order in which they were written.

    `tasks` are the steps that do something, each with the words that hold there; `words` are
    those that hold in the end.
    """

    verb: Verb
    steps: tuple[Step, ...]
    where: Where
    tasks: tuple[tuple[Step, Words], ...] = field(init=False)
    words: Words = field(init=False)

    def __post_init__(self) -> None:
        tasks: list[tuple[Step, Words]] = []
        words = Words(strict=self.verb is Verb.REQUIRE)
        for step in self.steps:
            following = words.after(step)
            if following is words:
                tasks.append((step, words))
            words = following
        object.__setattr__(self, "tasks", tuple(tasks))
        object.__setattr__(self, "words", words)


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """One ACL."""

    name: str
    statements: tuple[Statement, ...] = field(default=())


class Action(Enum):
    """What an ACL decides."""

    ACCEPT = "accept"
    DENY = "deny"
    DEFER = "defer"
    DISCARD = "discard"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision, what the client is told ("" for the usual words), the log's words."""

    action: Action
    message: str = ""
    log: str = ""
    status: str = ""


ACCEPTED = Verdict(Action.ACCEPT)
DENIED = Verdict(Action.DENY)
