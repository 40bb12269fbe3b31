"""Reads configuration files into logical lines: includes, conditionals, macros, continuation.

The order in which a physical line is treated is Exim's, and it matters: macros are replaced
first, everywhere but in the name of a macro being defined; then comments go, conditionals are
obeyed, files are included, and what is left is joined to the line before if that ended with a
backslash.  So a conditional or an include may stand between two halves of a continued line, a
comment there is skipped, and an empty line ends it.

Lines come one at a time: whoever needs only the first lines of a long configuration reads no
further.  This module is on the way of every `sendmail`, so it imports little.

Raises:   ConfigError, and nothing else, whatever the files hold.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator

from mta.base.errors import ConfigError, Where, describe
from mta.base.text import SPACES, to_text
from mta.config.line import Line

# No file of an administrator comes near these; a device or a macro that feeds itself does.
LARGEST_FILE = 4 << 20
LONGEST_LINE = 1 << 20
MOST_FILES = 1000
DEEPEST_INCLUDE = 20
DEEPEST_CONDITION = 20
LONGEST_NAME = 63

_UPPER = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_NAME = _UPPER | frozenset("abcdefghijklmnopqrstuvwxyz0123456789_")
_CONDITIONALS = frozenset({"ifdef", "ifndef", "elifdef", "elifndef", "else", "endif"})
# What a conditional does with the lines that follow it.
_USE, _SKIP, _DONE = "use", "skip until another branch holds", "skip until .endif"


def _no_names() -> frozenset[str]:
    return frozenset()


class _Source:
    """A file being read: its lines and how far we are."""

    __slots__ = ("lines", "name", "number")

    def __init__(self, name: str, lines: list[str]) -> None:
        self.name = name
        self.lines = lines
        self.number = 0


class Reader:
    """The logical lines of one configuration.

    `macros` are the ones given on the command line: they win over definitions in the files.
    `builtins` says the names of the macros that tell what this program can do, such as
    _DRIVER_ROUTER_ACCEPT; they live in the registries of packages that know more than this
    one, and it is called only if a line holds such a name.  `check_writers` refuses files that
    others than their owner can write; `doubts` has what root should think twice about.
    """

    def __init__(
        self,
        path: str,
        macros: dict[str, str] | None = None,
        *,
        builtins: Callable[[], frozenset[str]] = _no_names,
        check_writers: bool = False,
    ) -> None:
        self.macros = dict(macros or {})
        self.doubts: list[tuple[Where, str]] = []
        self._fixed = frozenset(self.macros)
        self._builtins = builtins
        self._known: frozenset[str] | None = None
        self._check_writers = check_writers
        self._files = 0
        self._state = _USE
        self._states: list[tuple[str, Where]] = []
        self._sources = [self._open(path, None)]

    def __iter__(self) -> Iterator[Line]:
        """The logical lines; definitions of macros are obeyed and not among them."""
        text, begun = "", self._where()
        while (physical := self._physical(first=not text)) is not None:
            if not text:
                begun = self._where()
            text = (text + physical).rstrip(SPACES)
            if len(text) > LONGEST_LINE:
                raise ConfigError(begun, "the line is too long, with its macros replaced")
            if text.endswith("\\"):
                text = text[:-1]
                continue
            if text and not self._define(text, begun):
                yield Line(text, begun)
            text = ""
        if self._states:
            raise ConfigError(
                self._states[-1][1], "Unexpected end of configuration file: .endif missing"
            )
        if text and not self._define(text, begun):
            yield Line(text, begun)

    def _where(self) -> Where:
        source = self._sources[-1]
        return Where(source.name, source.number)

    def _physical(self, *, first: bool) -> str | None:
        """The next physical line that says something, without white space at its start."""
        while self._sources:
            source = self._sources[-1]
            if source.number == len(source.lines):
                if len(self._sources) == 1:
                    return None
                self._sources.pop()
                continue
            source.number += 1
            line = source.lines[source.number - 1].lstrip(SPACES)
            if "\0" in line:
                raise ConfigError(self._where(), "there is a NUL character in the line")
            line, replaced = self._replace(line, first=first)
            line = line.lstrip(SPACES)
            if line.startswith("#"):
                continue
            if line.startswith(".") and self._directive(line, replaced):
                continue
            if self._state == _USE:
                return line
        return None

    # Macros

    def _replace(self, line: str, *, first: bool) -> tuple[str, bool]:
        """The line with macros replaced, each once, in the order of their definition."""
        start = 0
        if first and line[:1] in _UPPER:
            end = _end_of_name(line)
            if line[end:].lstrip(SPACES).startswith("="):
                start = end
        head, rest, replaced = line[:start], line[start:], False
        if "_" in rest:
            rest, replaced = self._replace_builtins(rest)
        for name, value in self.macros.items():
            if name in rest:
                rest = rest.replace(name, value)
                replaced = True
                if len(rest) > LONGEST_LINE:
                    raise ConfigError(self._where(), f"macro {name} makes the line too long")
        return head + rest, replaced

    def _replace_builtins(self, text: str) -> tuple[str, bool]:
        replaced, position = False, 0
        while (position := text.find("_", position)) >= 0:
            if (position and text[position - 1] in _NAME) or (
                text[position + 1 : position + 2] not in _UPPER
            ):
                position += 1
                continue
            end = _end_of_name(text, position)
            if self._known is None:
                self._known = self._builtins()
            if text[position:end] in self._known:
                text = f"{text[:position]}y{text[end:]}"
                end, replaced = position + 1, True
            position = end
        return text, replaced

    def _define(self, text: str, where: Where) -> bool:
        """Obey the definition of a macro; False if the line is none."""
        if text[0] not in _UPPER:
            return False
        end = _end_of_name(text)
        name, rest = text[:end], text[end:].lstrip(SPACES)
        if not rest.startswith("="):
            return False
        again = rest.startswith("==")
        value = rest[2 if again else 1 :].lstrip(SPACES)
        self._check_definition(name, where, again=again)
        if name not in self._fixed:
            self.macros[name] = value
        return True

    def _check_definition(self, name: str, where: Where, *, again: bool) -> None:
        if len(name) > LONGEST_NAME:
            raise ConfigError(
                where, f"macro name too long (maximum is {LONGEST_NAME} characters)"
            )
        if name in self._fixed:
            return
        if name in self.macros:
            if not again:
                raise ConfigError(
                    where,
                    f'macro "{name}" is already defined (use "==" if you want to redefine it)',
                )
            return
        for other in self.macros:
            if other in name:
                raise ConfigError(
                    where,
                    f'"{name}" cannot be defined as a macro because previously defined '
                    f'macro "{other}" is a substring',
                    "define the longer name first, or choose another one",
                )
        if again:
            raise ConfigError(where, f'can\'t redefine an undefined macro "{name}"')

    # Conditionals and includes

    def _directive(self, line: str, replaced: bool) -> bool:
        """Obey a line that begins with a dot; False if it is no directive."""
        word = line[1:]
        for end, character in enumerate(word):
            if character in SPACES:
                word = word[:end]
                break
        argument = line[1 + len(word) :].strip(SPACES)
        if word in _CONDITIONALS:
            self._condition(word, replaced)
            return True
        if self._state != _USE or word not in ("include", "include_if_exists"):
            return False
        self._include(argument, optional=word == "include_if_exists")
        return True

    def _condition(self, word: str, replaced: bool) -> None:
        if word in ("ifdef", "ifndef"):
            if len(self._states) >= DEEPEST_CONDITION:
                raise ConfigError(self._where(), f".{word} nested too deeply")
            self._states.append((self._state, self._where()))
            if self._state != _USE:
                self._state = _DONE
            elif replaced != (word == "ifdef"):
                self._state = _SKIP
            return
        if not self._states:
            raise ConfigError(self._where(), f".{word} without matching .ifdef")
        if word == "endif":
            self._state = self._states.pop()[0]
        elif self._state != _SKIP:
            self._state = _DONE
        elif word == "else" or replaced == (word == "elifdef"):
            self._state = _USE

    def _include(self, name: str, *, optional: bool) -> None:
        where = self._where()
        if len(name) > 1 and name.startswith('"') and name.endswith('"'):
            name = name[1:-1]
        if not name:
            raise ConfigError(where, ".include needs the name of a file")
        if not name.startswith("/"):
            if optional:
                raise ConfigError(where, f'.include specifies a non-absolute path "{name}"')
            name = os.path.join(os.path.dirname(os.path.abspath(where.file)), name)
        if optional and not os.path.exists(name):
            return
        if len(self._sources) > DEEPEST_INCLUDE:
            raise ConfigError(where, f".include nested too deeply at {name}")
        self._sources.append(self._open(name, where))

    def _open(self, name: str, where: Where | None) -> _Source:
        self._files += 1
        if self._files > MOST_FILES:
            raise ConfigError(where, f"more than {MOST_FILES} files are included")
        what = "included configuration file" if where else "configuration file"
        octets, owner = _contents(name, where, what, check_writers=self._check_writers)
        if self._check_writers and owner != 0:
            doubt = f"the file belongs to user {owner}, whom root thereby obeys"
            self.doubts.append((Where(name, 1), doubt))
        if octets.startswith(b"\xef\xbb\xbf"):
            raise ConfigError(
                Where(name, 1), "found unexpected BOM (Byte Order Mark)", "save without it"
            )
        return _Source(name, to_text(octets).split("\n"))


def _end_of_name(text: str, start: int = 0) -> int:
    end = start
    while end < len(text) and text[end] in _NAME:
        end += 1
    return end


def _contents(
    name: str, where: Where | None, what: str, *, check_writers: bool
) -> tuple[bytes, int]:
    """The octets of a file and the uid of its owner."""
    # A symbolic link is fine here: administrators use them, and nobody else chooses the name.
    # O_NONBLOCK, so that a fifo does not hold us before we have seen that it is one.
    try:
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as why:
        reason = describe(why) if isinstance(why, OSError) else str(why)
        raise ConfigError(where, f"failed to open {what} {name}: {reason}") from why
    try:
        status = os.fstat(fd)
        if stat.S_ISDIR(status.st_mode) or stat.S_ISFIFO(status.st_mode):
            raise ConfigError(where, f"{what} {name} is not a regular file")
        if check_writers:
            _check_writers(name, status, where, what)
        parts, size = [], 0
        while chunk := os.read(fd, 1 << 20):
            parts.append(chunk)
            size += len(chunk)
            if size > LARGEST_FILE:
                raise ConfigError(where, f"{what} {name} is larger than {LARGEST_FILE} octets")
        return b"".join(parts), status.st_uid
    except OSError as why:
        raise ConfigError(where, f"failed to read {what} {name}: {describe(why)}") from why
    finally:
        os.close(fd)


def _check_writers(name: str, status: os.stat_result, where: Where | None, what: str) -> None:
    """Root obeys no file that somebody besides its owner can change."""
    if not stat.S_ISREG(status.st_mode):
        return
    others = status.st_mode & stat.S_IWOTH
    group = status.st_mode & stat.S_IWGRP and status.st_gid != 0
    if others or group:
        raise ConfigError(
            where,
            f"{what} {name} has the wrong owner, group, or mode: it is writable by "
            f"{'anybody' if others else 'its group'}",
            f"chmod {'o' if others else 'g'}-w {name}",
        )
