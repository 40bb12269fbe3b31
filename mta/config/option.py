"""Options: one line each declares name, kind, default and documentation.

From that line come the parser, `mta config show`, the manual page and the static type.  The
default is text, as an administrator would write it, and goes through the same parser.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, overload

from mta.base.errors import ConfigError, MtaError, Where
from mta.base.registry import suggestion

T = TypeVar("T")

DEFAULT = Where("default", 0)


class BadValue(MtaError):
    """A value that its kind does not allow.  The option's name belongs between the texts."""

    def __init__(self, before: str, after: str = "", suggestion: str = "") -> None:
        self.before = before
        self.after = after
        self.suggestion = suggestion
        super().__init__(f"{before}this option{after}")


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """A kind of value: its name for the manual, how it is read, how it is shown.

    `parse` gets the text after "=" without the white space around it, and without the quotes
    where `takes_quotes` allows them; it raises ConfigError or BadValue.  An option with a
    `join` may stand several times; that puts the values together.
    """

    name: str
    parse: Callable[[str, Where], T]
    show: Callable[[T], str]
    is_boolean: bool = False
    join: Callable[[T, T], T] | None = None
    takes_quotes: bool = True


@dataclass(frozen=True, slots=True)
class Setting:
    """One line that sets an option: `value` is None for a bare name, as booleans allow.

    `quoted` says that the value stood in quotes; it is here without them.
    """

    name: str
    value: str | None
    where: Where
    hidden: bool = False
    quoted: bool = False


class Option(Generic[T]):
    """One option.  `name` is filled in by Python from the attribute's name.

    A name that Python reserves, or another topic's, is written with a final underscore.
    """

    name: str

    def __init__(self, kind: Kind[T], default: str | None, doc: str) -> None:
        self.kind = kind
        self.default = default
        self.doc = doc
        # None stands for "unset" and is only given to kinds whose value may be None.
        self.initial: T = kind.parse(default or "", DEFAULT)

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name.removesuffix("_")

    @overload
    def __get__(self, owner: None, cls: type) -> Option[T]: ...
    @overload
    def __get__(self, owner: object, cls: type) -> T: ...
    def __get__(self, owner: object, cls: type) -> T | Option[T]:
        # `Configured` stores every value in the instance, and an instance attribute hides a
        # descriptor without __set__: reading an option at run time never comes here.
        return self if owner is None else self.initial


class Configured:
    """A group of options with values: a topic of the main section, or a driver's instance.

    `where` says for each option that was set where that was done.
    """

    where: dict[str, Where]
    hidden: frozenset[str]
    # True where no error may show the texts: whoever loads them says what is wrong.
    keeps_secrets = False

    @classmethod
    def options(cls) -> dict[str, Option[Any]]:
        """All options of this class and its bases, by name."""
        found: dict[str, Option[Any]] = {}
        for base in reversed(cls.__mro__):
            for value in vars(base).values():
                if isinstance(value, Option):
                    found[value.name] = value
        return found

    def __init__(self, settings: list[Setting]) -> None:
        """Set what the settings say and leave the rest at its default.  Raises ConfigError."""
        options = type(self).options()
        attributes = {
            option.name: attribute
            for base in type(self).__mro__
            for attribute, option in vars(base).items()
            if isinstance(option, Option)
        }
        self.where = {}
        self.hidden = frozenset(setting.name for setting in settings if setting.hidden)
        for name, option in options.items():
            self.__dict__[attributes[name]] = option.initial
        for setting in settings:
            name, negated = resolve(setting, options)
            option = options[name]
            value = _value(option, setting, negated)
            if name in self.where:
                if option.kind.join is None:
                    raise ConfigError(
                        setting.where,
                        f'"{setting.name}" option set for the second time',
                        f"it was set at {self.where[name]}",
                    )
                value = option.kind.join(self.__dict__[attributes[name]], value)
            self.__dict__[attributes[name]] = value
            self.where[name] = setting.where

    def shown(self) -> Iterator[tuple[str, str]]:
        """Every option with its value as an administrator would write it."""
        for name, option in type(self).options().items():
            yield name, option.kind.show(getattr(self, name, getattr(self, name + "_", None)))


def resolve(setting: Setting, options: dict[str, Option[Any]]) -> tuple[str, bool]:
    """The option that a setting means and whether it is negated: `no_more` is `more` false.

    Raises ConfigError for a name that is not among the options.
    """
    name = setting.name
    if name in options:
        return name, False
    for prefix in ("no_", "not_"):
        bare = name.removeprefix(prefix)
        if bare != name and bare in options:
            if options[bare].kind.is_boolean:
                return bare, True
            raise ConfigError(
                setting.where,
                "negation prefix applied to a non-boolean option",
                f"write {bare} = …",
            )
    raise ConfigError(
        setting.where, f'option "{name}" unknown', suggestion(name, list(options))
    )


def _value(option: Option[Any], setting: Setting, negated: bool) -> Any:
    kind = option.kind
    text = setting.value
    if text is None:
        if not kind.is_boolean:
            raise ConfigError(
                setting.where,
                f"unexpected end of line (data missing) after {setting.name}",
                f"write {setting.name} = …",
            )
        text = "false" if negated else "true"
    elif negated:
        raise ConfigError(
            setting.where,
            f"extra characters follow boolean option {setting.name}",
            f"write {option.name} = …",
        )
    if setting.quoted and not kind.takes_quotes:
        text = f'"{text}"'
    try:
        return kind.parse(text, setting.where)
    except BadValue as wrong:
        reason = f"{wrong.before}{option.name}{wrong.after}"
        raise ConfigError(setting.where, reason, wrong.suggestion) from None
