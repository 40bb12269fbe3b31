"""Items that read files."""

from __future__ import annotations

import os
from collections.abc import Sequence

from mta.base.errors import ExpansionFail, describe
from mta.base.text import to_text
from mta.expand.context import Context
from mta.expand.nodes import Check, Item, Program
from mta.expand.parser import Reader
from mta.expand.registry import syntax_item
from mta.expand.trust import RESULT_LIMIT, keep, require_inside


@syntax_item("readfile")
def readfile(reader: Reader) -> Item:
    """The contents of a file, with the second text instead of line ends if there is one.

    The name must not come from a stranger; the contents are trusted no more than the name.

    ${readfile{/dev/null}} →
    """
    nodes = reader.arguments("readfile", 1, 2, last=True)
    where = reader.where

    def make(programs: Sequence[Program], checks: Sequence[Check]) -> Program:
        def run(ctx: Context) -> str:
            named = programs[0](ctx)
            path = require_inside(named, "file name for readfile", where, "$local_part_data")
            text = _contents(path)
            if len(programs) == 1:
                return keep(path, text)
            between = programs[1](ctx)
            return keep(between, text.replace("\n", between))

        return run

    return Item("readfile", tuple(nodes), make)


def _contents(path: str) -> str:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(fd, "rb") as file:
            octets = file.read(RESULT_LIMIT + 1)
    except (OSError, ValueError) as error:
        why = describe(error) if isinstance(error, OSError) else "not a file name"
        raise ExpansionFail(f"failed to open {path}: {why}") from error
    if len(octets) > RESULT_LIMIT:
        raise ExpansionFail(f"{path} is longer than {RESULT_LIMIT} octets")
    return to_text(octets)
