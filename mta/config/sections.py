"""Sorts logical lines: settings of the main section, named lists, drivers, ACLs, rules.

What a section holds is only taken apart here, never judged beyond its syntax: which options a
driver has is known to the driver, what an ACL says to the ACL parser.  Whatever Exim refuses
in the form of a configuration is refused here, in its words.

Raises:   ConfigError with the place of the line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from mta.base.errors import ConfigError, Where
from mta.base.registry import suggestion
from mta.base.text import SPACES, lower, to_bytes, to_text
from mta.config.line import Line
from mta.config.model import Block, ListKind, NamedList
from mta.config.option import Setting
from mta.config.template import template

_CAPITALS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_LETTERS = _CAPITALS | frozenset("abcdefghijklmnopqrstuvwxyz")
_WORD = _LETTERS | frozenset("0123456789_")
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_OCTAL = frozenset("01234567")
_HEXADECIMAL = frozenset("0123456789abcdefABCDEF")
_SECTIONS = (
    "acl",
    "authenticators",
    "local_scan",
    "retry",
    "rewrite",
    "routers",
    "transports",
)
LONGEST_DRIVER_NAME = 63
MOST_LISTS_OF_A_KIND = 16


@dataclass(slots=True)
class Sections:
    """A configuration, sorted."""

    settings: list[Setting] = field(default_factory=list)
    lists: dict[tuple[ListKind, str], NamedList] = field(default_factory=dict)
    acls: dict[str, list[Line]] = field(default_factory=dict)
    routers: list[Block] = field(default_factory=list)
    transports: list[Block] = field(default_factory=list)
    authenticators: list[Block] = field(default_factory=list)
    retry: list[Line] = field(default_factory=list)
    rewrite: list[Line] = field(default_factory=list)


def sort(lines: Iterable[Line], check_name: Callable[[str, Where], None]) -> Sections:
    """Sort all lines of a configuration.  Raises ConfigError.

    `check_name` raises it for what is no option of the main section; it is asked before the
    rest of the line is looked at, as a line that was lost has no "=" either.
    """
    sections = Sections()
    take = _main_section(sections, check_name)
    finish: Callable[[], None] = _nothing
    begun: dict[str, Where] = {}
    for line in lines:
        if (name := section_begun(line.text)) is None:
            take(line)
            continue
        finish()
        section = _section(name, line.where)
        if section in begun:
            raise ConfigError(
                line.where,
                f'"{name}" section is repeated in the configuration file',
                f"it was begun at {begun[section]}",
            )
        begun[section] = line.where
        take, finish = _taker(section, sections)
    finish()
    return sections


def section_begun(text: str) -> str | None:
    """The name of the section that a line begins, or None."""
    if lower(text[:5]) != "begin" or text[5:6] not in tuple(SPACES):
        return None
    return text[6:].strip(SPACES)


def _nothing() -> None:
    return


def _section(name: str, where: Where) -> str:
    asked = lower(name).removesuffix("s")
    for section in _SECTIONS:
        if section.removesuffix("s") == asked:
            return section
    raise ConfigError(
        where,
        f'"{name}" is not a known configuration section name',
        suggestion(lower(name), list(_SECTIONS)) or f"there are: {', '.join(_SECTIONS)}",
    )


def _taker(
    section: str, sections: Sections
) -> tuple[Callable[[Line], None], Callable[[], None]]:
    """What takes the lines of a section, and what is to be done at its end."""
    match section:
        case "acl":
            return _acl_section(sections.acls), _nothing
        case "retry":
            return sections.retry.append, _nothing
        case "rewrite":
            return sections.rewrite.append, _nothing
        case "local_scan":
            return _refuse_local_scan, _nothing
        case "routers":
            drivers = _Drivers("router", sections.routers)
        case "transports":
            drivers = _Drivers("transport", sections.transports)
        case _:
            drivers = _Drivers("authenticator", sections.authenticators)
    return drivers.take, drivers.finish


def _refuse_local_scan(line: Line) -> None:
    raise ConfigError(line.where, "local_scan() options not supported", "remove the section")


def _main_section(
    sections: Sections, check_name: Callable[[str, Where], None]
) -> Callable[[Line], None]:
    def take(line: Line) -> None:
        word, rest = _word(line.text)
        hidden = word == "hide" and bool(rest)
        if hidden:
            word, rest = _word(rest)
        kind = _list_kind(word)
        if kind is not None:
            _named_list(sections.lists, kind, word, rest, line, hidden=hidden)
            return
        if line.text[0] in _CAPITALS:
            raise ConfigError(line.where, "malformed macro definition", "write NAME = text")
        if word[:1] in _LETTERS:
            check_name(word, line.where)
        sections.settings.append(read_setting(line))

    return take


def _word(text: str) -> tuple[str, str]:
    """The word that a text begins with, and what follows the white space after it."""
    end = 0
    while end < len(text) and text[end] in _WORD:
        end += 1
    return text[:end], text[end:].lstrip(SPACES)


# Settings


def read_setting(line: Line) -> Setting:
    """The setting that a line makes: `name`, `name = value`, or either after `hide`."""
    if line.text[0] not in _LETTERS:
        raise ConfigError(line.where, f"option setting expected: {line.text}")
    name, rest = _word(line.text)
    hidden = name == "hide" and rest[:1] in _LETTERS
    if hidden:
        name, rest = _word(rest)
    if not rest:
        return Setting(name, None, line.where, hidden)
    if not rest.startswith("="):
        raise ConfigError(line.where, f'missing "=" after {name}', f"write {name} = {rest}")
    text = rest[1:].lstrip(SPACES)
    value = unquote(text, name, line.where)
    return Setting(name, value, line.where, hidden, quoted=text.startswith('"'))


def unquote(text: str, name: str, where: Where) -> str:
    """A value as it stands, or, if it is in quotes, without them and with escapes replaced."""
    if not text.startswith('"'):
        return text
    parts, position = [], 1
    while position < len(text) and text[position] != '"':
        if text[position] == "\\":
            character, position = _escape(text, position + 1)
            parts.append(character)
        else:
            parts.append(text[position])
            position += 1
    if position >= len(text):
        raise ConfigError(where, f"missing quote at end of string value for {name}")
    rest = text[position + 1 :].lstrip(SPACES)
    if rest:
        comment = " (# is comment only at line start)" if rest.startswith("#") else ""
        raise ConfigError(where, f"extra characters follow string value for {name}{comment}")
    # Escapes stand for octets: some of them together may be one letter.
    value = to_text(to_bytes("".join(parts)))
    if "\0" in value:
        raise ConfigError(where, f"the value for {name} holds a NUL character")
    return value


def _escape(text: str, position: int) -> tuple[str, int]:
    """What the escape at a position, after its backslash, stands for; where it ends."""
    if position == len(text):
        return "\\", position
    character = text[position]
    if character in _OCTAL:
        end = position
        while end < position + 3 and text[end : end + 1] in _OCTAL:
            end += 1
        return _octet(int(text[position:end], 8) & 255), end
    if character == "x":
        end = position + 1
        while end < position + 3 and text[end : end + 1] in _HEXADECIMAL:
            end += 1
        return _octet(int(text[position + 1 : end] or "0", 16)), end
    return _ESCAPES.get(character, character), position + 1


def _octet(code: int) -> str:
    return to_text(bytes((code,)))


# Named lists


def _list_kind(word: str) -> ListKind | None:
    for kind in ListKind:
        if word.startswith(kind.value):
            return kind
    return None


def _named_list(
    lists: dict[tuple[ListKind, str], NamedList],
    kind: ListKind,
    word: str,
    rest: str,
    line: Line,
    *,
    hidden: bool,
) -> None:
    suffix = word.removeprefix(kind.value)
    if suffix not in ("", "_cache"):
        raise ConfigError(
            line.where, "unrecognized configuration line", f"did you mean '{kind.value}'?"
        )
    name, rest = _word(rest)
    noun = lower(kind.name.replace("_", " "))
    if not name:
        raise ConfigError(line.where, f"a named {noun} list needs a name before the =")
    if not rest.startswith("="):
        raise ConfigError(line.where, f"missing '=' after \"{name}\"")
    if (kind, name) in lists:
        raise ConfigError(
            line.where,
            f'duplicate name "{name}" for a named {noun} list',
            f"the other one is at {lists[kind, name].template.where}",
        )
    if sum(1 for other, _ in lists if other is kind) >= MOST_LISTS_OF_A_KIND:
        raise ConfigError(
            line.where, f"too many named {noun} lists (max is {MOST_LISTS_OF_A_KIND})"
        )
    text = unquote(rest[1:].lstrip(SPACES), name, line.where)
    lists[kind, name] = NamedList(
        kind, name, template(text, line.where), cached=bool(suffix), hidden=hidden
    )


# ACLs


def _acl_section(acls: dict[str, list[Line]]) -> Callable[[Line], None]:
    first: dict[str, Where] = {}
    current: list[Line] | None = None

    def take(line: Line) -> None:
        nonlocal current
        name, rest = _word(line.text)
        if not rest.startswith(":") or not name or name[0] not in _LETTERS:
            if current is None:
                raise ConfigError(
                    line.where, "missing or malformed ACL name", "write NAME: before the verbs"
                )
            current.append(line)
            return
        if name in acls:
            raise ConfigError(
                line.where,
                f'there are two ACLs called "{name}"',
                f"the other one is at {first[name]}",
            )
        if rest[1:].strip(SPACES):
            # Exim takes no notice of it: a verb on this line would never be obeyed.
            raise ConfigError(
                line.where, f"extra characters follow ACL name {name}", "begin a new line"
            )
        first[name] = line.where
        current = acls[name] = []

    return take


# Drivers


class _Drivers:
    """Collects the blocks of a section of drivers."""

    def __init__(self, noun: str, blocks: list[Block]) -> None:
        self.noun = noun
        self.blocks = blocks
        self.names: dict[str, Where] = {}
        self.name = ""
        self.where = Where("", 0)
        self.settings: list[Setting] = []

    def take(self, line: Line) -> None:
        name, rest = _word(line.text)
        if rest.startswith(":") and name and name[0] in _LETTERS:
            self.finish()
            self._begin(name, rest[1:].strip(SPACES), line.where)
        elif not self.name:
            raise ConfigError(line.where, f"{self.noun} name missing", "write NAME: first")
        else:
            self.settings.append(read_setting(line))

    def _begin(self, name: str, rest: str, where: Where) -> None:
        if len(name) > LONGEST_DRIVER_NAME:
            raise ConfigError(
                where, f"{self.noun} name is too long: at most {LONGEST_DRIVER_NAME} letters"
            )
        if name in self.names:
            raise ConfigError(
                where,
                f'there are two {self.noun}s called "{name}"',
                f"the other one is at {self.names[name]}",
            )
        if rest:
            comment = " (# is comment only at line start)" if rest.startswith("#") else ""
            raise ConfigError(where, f"extra characters follow driver name {name}{comment}")
        self.names[name] = where
        self.name, self.where, self.settings = name, where, []

    def finish(self) -> None:
        """Make a block of what was collected."""
        if not self.name:
            return
        drivers = [each for each in self.settings if each.name == "driver"]
        if len(drivers) > 1:
            raise ConfigError(drivers[1].where, '"driver" option set for the second time')
        if not drivers or not drivers[0].value:
            raise ConfigError(
                self.where,
                f'no driver defined for {self.noun} "{self.name}"',
                "add driver = …",
            )
        settings = tuple(each for each in self.settings if each is not drivers[0])
        self.blocks.append(Block(self.name, drivers[0].value, settings, self.where))
        self.name = ""
