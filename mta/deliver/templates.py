"""The texts of bounces and warnings that an administrator has written himself.

A file (bounce_message_file, warn_message_file) holds items with lines of four asterisks
between them; each is expanded by itself, and an empty one stands for the usual text.  What is
wrong with the file never keeps a bounce from being sent.
"""

from __future__ import annotations

import os

from mta.base.errors import ExpansionFail, TempFail, Where, describe
from mta.base.text import to_text
from mta.config.template import Template, template
from mta.expand.compile import compile_template
from mta.expand.context import Context
from mta.expand.run import expand
from mta.log.sink import Log
from mta.unix.files import read_all

LIMIT = 256 << 10
_BETWEEN = "****"


def texts(ctx: Context, option: Template | None, name: str, log: Log, most: int) -> list[str]:
    """The expanded items of the file that an option names; "" where the usual text is due."""
    if option is None:
        return [""] * most
    try:
        items = _read(ctx, option)
    except (ExpansionFail, TempFail, OSError, ValueError) as error:
        reason = describe(error) if isinstance(error, OSError) else str(error)
        log.panic(f"Failed to open {option.text} for {name}: {reason}")
        items = []
    found = [_expanded(ctx, item, name, log) for item in items[:most]]
    return found + [""] * (most - len(found))


def _read(ctx: Context, option: Template) -> list[str]:
    path = expand(ctx, option)
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        octets = read_all(fd, LIMIT)
    finally:
        os.close(fd)
    if octets is None:
        raise ValueError("the file is too large")
    items: list[list[str]] = [[]]
    for line in to_text(octets).split("\n"):
        if line == _BETWEEN:
            items.append([])
        else:
            items[-1].append(line)
    # What an item ends with is the line end before the asterisks.
    return ["\n".join(lines) + "\n" if any(lines) else "" for lines in items]


def _expanded(ctx: Context, item: str, name: str, log: Log) -> str:
    if not item:
        return ""
    unexpanded = template(item, Where(name, 1))
    compile_template(unexpanded)
    try:
        return expand(ctx, unexpanded)
    except (ExpansionFail, TempFail) as error:
        log.panic(f"Failed to expand an item of {name}: {error.text}")
        return ""
