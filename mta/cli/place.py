"""Where a command finds the spool: by the configuration given, the system's, or the demo.

    1. -C FILE, with the macros of -D
    2. /etc/mta/mta.conf
    3. in a source tree: the tree's own spool, while `mta demo` runs there

No command has privileges that its caller lacks, so the caller may name any configuration: it
only says which daemon is asked, and the daemon judges by who asks.
"""

from __future__ import annotations

import os

SYSTEM_CONFIG = "/etc/mta/mta.conf"


class Unplaced(Exception):
    """There is no usable spool; the text says why and what to do."""


def tree() -> str:
    """The directory that holds our packages: the top of the source tree, when run from one."""
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def demo_spool() -> str:
    """The spool of the demo of this source tree."""
    return os.path.join(tree(), "spool")


def config_file(given: str) -> str:
    """The configuration to use; "" when only the demo of the source tree is there."""
    if given:
        return os.path.abspath(given)
    if os.path.exists(SYSTEM_CONFIG):
        return SYSTEM_CONFIG
    return ""


def spool_directory(given: str, macros: list[str]) -> str:
    """The spool of the configuration given, or of the usual one.  Raises Unplaced."""
    if file := config_file(given):
        return _spool_of(file, macros)
    if os.path.exists(os.path.join(demo_spool(), "run", "submit")):
        return demo_spool()
    raise Unplaced(
        f"there is no {SYSTEM_CONFIG}, and no demo runs in {tree()};"
        " give a configuration with -C FILE, or start one with: mta demo"
    )


def _spool_of(file: str, macros: list[str]) -> str:
    from mta.base.errors import ConfigError
    from mta.config.quick import quick_spool_directory

    try:
        return quick_spool_directory(file, parse_macros(macros))
    except ConfigError as error:
        raise Unplaced(str(error)) from error


def parse_macros(words: list[str]) -> dict[str, str]:
    """The macros of -D options: NAME=VALUE, or NAME for an empty one."""
    macros = {}
    for word in words:
        name, _, value = word.partition("=")
        macros[name.strip(" \t")] = value.strip(" \t")
    return macros
