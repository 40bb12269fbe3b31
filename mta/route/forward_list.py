"""Lists of addresses as aliases hold them: addresses, files, pipes, special items, includes.

    alice, bob@example.org      commas or line ends between; # begins a comment
    "|/usr/bin/prog args"       a pipe; /path/to/file a file
    :include:/path              the list in that file
    :fail: text  :defer: text   the address fails, is deferred; the rest of the line is why
    :blackhole:                 the message is discarded
    :unknown:                   nothing

Everything is bounded: the items, the depth of includes, the size of included files.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from mta.base.errors import MtaError
from mta.base.text import SPACES, to_text, trim
from mta.base.trust import is_trusted
from mta.expand.trust import keep
from mta.mail.address import AddressError, parse_list, split
from mta.route.api import Child
from mta.route.files import Seen, look, unreadable

MOST_ITEMS = 10_000
MOST_DEPTH = 10
MOST_INCLUDES = 100  # files that one list may lead to
FILES_LIMIT = 4 << 20  # octets of all of them
INCLUDE = ":include:"

# One step through an item: a quoted string or a comment on one line, or a run of anything.
_STEP = re.compile(r'"(?>(?:[^"\\\n]|\\[^\n])*)"?|\\[^\n]?|[^",\n\\()]++|[()]|[,\n]')
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_SPECIAL = re.compile(r":(defer|fail|blackhole):[ \t]*+")


# It is no file of the kind that can be read, and waiting does not make it one.
_BAD_FILE = (errno.EINVAL, errno.EFBIG)


class ListError(MtaError):
    """The list cannot be used; `by_include` if only a file in it could not be read now."""

    def __init__(self, text: str, *, by_include: bool = False) -> None:
        self.text = text
        self.by_include = by_include
        super().__init__(text)


@dataclass(frozen=True, slots=True)
class Special:
    """An item that decides for the whole list: fail, defer or blackhole, and its text."""

    kind: str
    text: str


@dataclass(slots=True)
class Rules:
    """What is allowed in a list, and how addresses in it are completed."""

    qualify: Callable[[str, bool], str]  # local part; True for the domain of the parent
    allow_fail: bool = False
    allow_defer: bool = False
    allow_blackhole: bool = True
    allow_include: bool = True
    include_directory: str = ""
    errors: list[str] | None = None  # syntax errors are put here instead of raised
    # The files that somebody has read for us; unset, they are read as who we are.
    included: Callable[[str], Seen | None] | None = None
    left: int = field(default=MOST_ITEMS)


def read_list(text: str, rules: Rules, depth: int = 0) -> list[Child] | Special:
    """What a list says.  Raises ListError."""
    children: list[Child] = []
    for item, line in _items(text):
        rules.left -= 1
        if rules.left < 0:
            raise ListError(f"more than {MOST_ITEMS} items in a list")
        if special := _SPECIAL.match(line):
            return _special(special[1], line, special.end(), rules)
        if item == ":unknown:":
            continue
        if item.startswith(INCLUDE):
            found = _include(item, text, rules, depth)
            if isinstance(found, Special):
                return found
            children += found
        elif (child := _child(item, text, rules)) is not None:
            children.append(child)
    return children


def _items(text: str) -> Iterator[tuple[str, str]]:
    """Each item, and the rest of its line from there on."""
    at = 0
    while True:
        while at < len(text) and (text[at] in SPACES or text[at] == ","):
            at += 1
        if at >= len(text):
            return
        line_end = text.find("\n", at)
        line_end = len(text) if line_end < 0 else line_end
        if text[at] == "#":
            at = line_end
            continue
        end = _item_end(text, at)
        yield trim(text[at:end]), trim(text[at:line_end])
        at = end


def _item_end(text: str, at: int) -> int:
    depth = 0
    while step := _STEP.match(text, at):
        match step[0]:
            case "(":
                depth += 1
            case ")":
                depth = max(0, depth - 1)
            case "\n":
                return at
            case ",":
                if not depth:
                    return at
        at = step.end()
    return len(text)


def _special(kind: str, line: str, end: int, rules: Rules) -> Special:
    allowed = {
        "fail": rules.allow_fail,
        "defer": rules.allow_defer,
        "blackhole": rules.allow_blackhole,
    }
    if not allowed[kind]:
        raise ListError(f'"{line}" is not permitted')
    return Special(kind, line[end:])


def _unquoted(item: str) -> tuple[str, bool]:
    if len(item) > 1 and item[0] == item[-1] == '"':
        return trim(item[1:-1]), True
    return item, False


def _child(item: str, source: str, rules: Rules) -> Child | None:
    """The address, file or pipe that an item is; None for a comment."""
    inner, quoted = _unquoted(item)
    if inner.startswith("\\"):
        address, _ = _parse(inner[1:])
        if address and not split(address)[1]:
            return Child(rules.qualify(address, True))
    address, reason = _parse(inner)
    if inner[:1] in ("|", "/") and (not address or not split(address)[1]):
        name = _ESCAPED.sub(r"\1", inner) if quoted else inner
        # What of trusted text is taken as it stands is as trusted.
        return Child(keep(source, name), "pipe" if inner[0] == "|" else "file")
    if address:
        return Child(address if split(address)[1] else rules.qualify(address, False))
    if not reason:
        return None
    if rules.errors is None:
        raise ListError(f'{reason} in "{inner}"')
    rules.errors.append(f'{reason} in "{inner}"')
    return None


def _parse(text: str) -> tuple[str, str]:
    """The one address in a text, or the reason why there is none ("" for a comment)."""
    errors: list[tuple[str, str]] = []
    try:
        found = parse_list(text, errors=errors)
    except AddressError as error:
        return "", error.reason
    if errors:
        return "", errors[0][1]
    if len(found) > 1:
        return "", "malformed address"
    return (found[0], "") if found else ("", "")


def _include(item: str, source: str, rules: Rules, depth: int) -> list[Child] | Special:
    path = trim(item[len(INCLUDE) :])
    if not path:
        raise ListError("file name missing after :include:")
    if not path.startswith("/"):
        raise ListError(f'included file "{path}" is not an absolute path')
    if not rules.allow_include:
        raise ListError("included files not permitted")
    if not is_trusted(source) and rules.included is None:
        raise ListError(f"Tainted '{path}' (included file) not permitted")
    if depth >= MOST_DEPTH:
        raise ListError(f"included file {path}: more than {MOST_DEPTH} files deep")
    directory = rules.include_directory
    if directory and not path.startswith(directory.rstrip("/") + "/"):
        raise ListError(f"included file {path} is not in directory {directory}")
    read = rules.included
    seen = read(path) if read is not None else read_included(path, directory)
    if seen is None:
        raise ListError(f"included file {path} was not read: too many files, or tainted")
    if seen.trouble:
        raise ListError(seen.trouble, by_include=seen.error not in _BAD_FILE)
    # The list named it: it is as good as that list.
    return read_list(keep(source, to_text(seen.octets)), rules, depth + 1)


def read_included(path: str, beneath: str) -> Seen:
    """A file that a list includes, as who we are.

    With `beneath` no part of the path below that directory may be a symbolic link; without it
    they are followed, as whoever wrote the list may link his files.
    """
    what = "included file "
    if not beneath:
        return look(path, what=what)
    try:
        fd = _open_beneath(beneath, path)
    except OSError as error:
        return unreadable(path, error, what)
    return look(path, fd, what)


def all_included(text: str, beneath: str) -> dict[str, Seen]:
    """The files that a list includes, and those that these include, as who we are.

    What is too much is left out; whoever uses the list finds that it was not read.
    """
    found: dict[str, Seen] = {}
    left = FILES_LIMIT
    waiting = [(text, 0)]
    while waiting:
        here, depth = waiting.pop()
        for path in _included_by(here):
            if path in found or len(found) >= MOST_INCLUDES or left < 0:
                continue
            seen = found[path] = read_included(path, beneath)
            left -= len(seen.octets)
            if depth < MOST_DEPTH:
                waiting.append((to_text(seen.octets), depth + 1))
    return found


def _included_by(text: str) -> list[str]:
    """The paths behind :include: in a list."""
    if INCLUDE not in text:
        return []
    items = [item for item, _ in _items(text) if item.startswith(INCLUDE)]
    return [trim(item[len(INCLUDE) :]) for item in items]


def _open_beneath(directory: str, path: str) -> int:
    parts = [part for part in path[len(directory) :].split("/") if part]
    if ".." in parts:
        raise ListError(f"included file {path} is not in directory {directory}")
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            inner = os.open(part, flags | (0 if last else os.O_DIRECTORY), dir_fd=fd)
        finally:
            os.close(fd)
        fd = inner
    return fd
