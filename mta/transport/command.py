"""Command lines in options: split into words first, and each word expanded by itself after.

So no text that comes in by an expansion can add an argument, end a quotation or name another
command: the number of arguments is the administrator's.  Words are separated by white space;
"…" may hold escapes, '…' holds anything as it is.  A word that is exactly $pipe_addresses
stands for all recipients, an argument each: those strangers have chosen, and they are the only
ones that may come from strangers.

Raises:   TempFail for words that cannot be expanded, PermFail for what may not be run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from mta.base.errors import ExpansionFail, PermFail, TempFail
from mta.base.text import BLANKS, SPACES
from mta.base.trust import is_trusted
from mta.base.values import value
from mta.config.template import Template, Unexpanded, template
from mta.expand.context import Context
from mta.expand.run import expand

_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "v": "\v"}
_ADDRESSES = ("$pipe_addresses", "${pipe_addresses}")
_ADDRESS_PIPE = ("$address_pipe", "${address_pipe}")


@value
class CommandLine:
    """A command of the configuration, its words ready to be expanded."""

    text: str
    words: tuple[Template | str, ...]  # $pipe_addresses and $address_pipe are no templates


def command_line(option: Unexpanded) -> CommandLine:
    """The command line that an option holds."""
    words: list[Template | str] = []
    for word in split(option.text):
        is_special = word in (*_ADDRESSES, *_ADDRESS_PIPE)
        words.append(word if is_special else template(word, option.where))
    return CommandLine(option.text, tuple(words))


def split(text: str) -> list[str]:
    """The words of a command line."""
    words: list[str] = []
    at = _skip(text, 0)
    while at < len(text):
        match text[at]:
            case '"':
                word, at = _quoted(text, at + 1)
            case "'":
                end = text.find("'", at + 1)
                end = len(text) if end < 0 else end
                word, at = text[at + 1 : end], end + 1
            case _:
                start = at
                while at < len(text) and text[at] not in SPACES:
                    at += 1
                word = text[start:at]
        words.append(word)
        at = _skip(text, at)
    return words


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in SPACES:
        at += 1
    return at


def _quoted(text: str, at: int) -> tuple[str, int]:
    """What stands in double quotes, and where it goes on behind them."""
    parts: list[str] = []
    while at < len(text) and text[at] != '"':
        if text[at] == "\\" and at + 1 < len(text):
            part, at = _escape(text, at + 1)
            parts.append(part)
        else:
            parts.append(text[at])
            at += 1
    return "".join(parts), at + 1


def _escape(text: str, at: int) -> tuple[str, int]:
    """The character that a backslash before this place stands for, and what follows it."""
    letter = text[at]
    for digits, base, most in (("01234567", 8, 3), ("0123456789abcdefABCDEF", 16, 2)):
        start = at if base == 8 else at + 1
        if base == 16 and letter != "x":
            break
        end = start
        while end < len(text) and end - start < most and text[end] in digits:
            end += 1
        if end > start:
            octet = bytes([int(text[start:end], base) & 255])
            return octet.decode("utf-8", "surrogateescape"), end
    return _ESCAPES.get(letter, letter), at + 1


def arguments(
    ctx: Context,
    line: CommandLine,
    addresses: Sequence[str],
    what: str,
    *,
    address_pipe: Sequence[str] = (),
) -> list[str]:
    """The arguments that a command line gives here; `what` names its owner in errors.

    `address_pipe` are the words of a command that a redirection named, for a command line
    that wraps it; without such a command $address_pipe is nothing.
    """
    made: list[str] = []
    for word in line.words:
        if isinstance(word, Template):
            made.append(_argument(ctx, word, line, len(made), what))
        else:
            made += addresses if word in _ADDRESSES else address_pipe
    if any("\0" in each for each in made):
        raise PermFail(f"NUL in an argument for {what} command")
    return made


def _argument(ctx: Context, word: Template, line: CommandLine, number: int, what: str) -> str:
    try:
        text = expand(ctx, word)
    except ExpansionFail as failure:
        raise TempFail(
            f'Expansion of "{word.text}" from command "{line.text}" in {what} failed: '
            f"{failure.text}"
        ) from failure
    refuse_strangers(text, number, what)
    return text


def refuse_strangers(text: str, number: int, what: str) -> None:
    """Raise PermFail for an argument in which a stranger had a say."""
    if text and not is_trusted(text):
        raise PermFail(f"Tainted arg {number} for {what} command: '{text}'", told="")


def find(name: str, path: str, what: str) -> str:
    """The path of a command that is no absolute path itself.  Raises PermFail."""
    if name.startswith("/"):
        return name
    for directory in _directories(path):
        candidate = f"{directory}/{name}"
        if os.path.exists(candidate):
            return candidate
    raise PermFail(f'"{name}" command not found for {what}', told="")


def _directories(path: str) -> Iterator[str]:
    for directory in path.split(":"):
        bare = directory.strip(BLANKS)
        if bare.startswith("/"):
            yield bare.rstrip("/")


def require_permitted(
    name: str, allowed: Sequence[str] | None, *, only_path: bool, what: str
) -> None:
    """Raise PermFail unless a command of this name may be run.

    `allowed` are the names that always may, None for no such list; `only_path` says that
    others may if they are found on the path, so that they must not say where they are.
    """
    if (allowed is None and not only_path) or name in (allowed or ()):
        return
    if not only_path:
        raise PermFail(f'"{name}" command not permitted by {what}', told="")
    if "/" in name:
        raise PermFail(
            f'"/" found in "{name}" (command for {what}) - failed for security reasons',
            told="",
        )
