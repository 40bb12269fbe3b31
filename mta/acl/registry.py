"""How the words of ACLs are declared: conditions, modifiers and controls, by decorators.

A condition is a function of the situation and its argument, a Template that it expands or
matches itself; it answers True or False.  A modifier does something instead.  `check`, where
given, looks at an argument without "$" in it when the configuration is read and raises
ConfigError.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mta.acl.phase import Phase
from mta.acl.situation import Situation
from mta.base.errors import Where
from mta.base.registry import Registry
from mta.config.template import Template
from mta.match.lists import Grammar

Test = Callable[[Situation, Template], bool]
Act = Callable[[Situation, Template], None]
Check = Callable[[str, Where], None]
Switch = Callable[[Situation, list[str]], None]


@dataclass(frozen=True, slots=True)
class Word:
    """A condition (`test`) or modifier (`act`); with neither the engine itself acts on it."""

    name: str
    phases: Phase
    test: Test | None = None
    act: Act | None = None
    check: Check | None = None
    is_modifier: bool = False
    listing: Grammar | None = None  # what its argument is a list of
    # `phases` as a number: flags are slow to compare, and this is done for every step.
    mask: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "mask", self.phases.value)


@dataclass(frozen=True, slots=True)
class Control:
    """What stands behind `control =`; the options are what follows it after slashes."""

    name: str
    phases: Phase
    switch: Switch


WORDS: Registry[Word] = Registry("ACL condition or modifier")
CONTROLS: Registry[Control] = Registry("control")


def acl_condition(
    name: str, phases: Phase, *, check: Check | None = None, listing: Grammar | None = None
) -> Callable[[Test], Test]:
    """Declare a condition and where it may be tested."""

    def declare(function: Test) -> Test:
        word = Word(name, phases, test=function, check=check, listing=listing)
        WORDS.add(name, word, function.__doc__)
        return function

    return declare


def acl_modifier(
    name: str, phases: Phase, *, check: Check | None = None
) -> Callable[[Act], Act]:
    """Declare a modifier and where it may be used."""

    def declare(function: Act) -> Act:
        word = Word(name, phases, act=function, check=check, is_modifier=True)
        WORDS.add(name, word, function.__doc__)
        return function

    return declare


def control(*names: str, phases: Phase) -> Callable[[Switch], Switch]:
    """Declare a control under one or more names."""

    def declare(function: Switch) -> Switch:
        for name in names:
            CONTROLS.add(name, Control(name, phases, function), function.__doc__)
        return function

    return declare


# These steer the engine itself.
ENGINE_WORDS = {
    "acl": "Run another ACL: its name, then arguments for $acl_arg1 to $acl_arg9.",
    "message": "What the client is told when this statement decides.",
    "log_message": "What the log says when this statement decides.",
    "endpass": "In accept and discard: from here on a condition that fails denies.",
}
SET = Word("set", Phase.ANY, is_modifier=True)
WORDS.add("set", SET, "Give acl_c… (until the connection ends) or acl_m… (message) a value.")
for _name, _doc in ENGINE_WORDS.items():
    WORDS.add(_name, Word(_name, Phase.ANY, is_modifier=_name != "acl"), _doc)
