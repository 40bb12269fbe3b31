"""Writes the manual pages from the declarations: `python -m mta.cli.gendoc [--check]`.

Options, expansions, drivers, log lines, processes and commands are declared once, with their
documentation; the manual is made of that, so the two cannot disagree.  With --check nothing is
written, and a page that is not what it would be is an error: a test asks that.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import mta
from mta.cli import manual_commands, manual_language, place
from mta.cli.roff import Page


def load_everything() -> None:
    """Import every module that declares something."""
    for module in walk_packages(mta.__path__, "mta."):
        if not module.name.startswith("mta.cli"):
            import_module(module.name)


def pages() -> list[Page]:
    """All pages that are made from declarations."""
    load_everything()
    return [*manual_language.pages(), *manual_commands.pages()]


def main(arguments: list[str]) -> int:
    """Write the pages, or with --check say which are not up to date; the exit code."""
    directory = Path(place.tree()) / "man"
    stale = []
    for page in pages():
        file = directory / page.file
        if file.exists() and file.read_text(encoding="ascii") == page.text:
            continue
        stale.append(page.file)
        if "--check" not in arguments:
            directory.mkdir(exist_ok=True)
            file.write_text(page.text, encoding="ascii")
    if "--check" in arguments and stale:
        names = ", ".join(stale)
        sys.stderr.write(f"not up to date: {names}; run: python -m mta.cli.gendoc\n")
        return 1
    for name in stale:
        print(f"wrote man/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
