"""Where a command finds the spool: by the configuration given, the system's, or the demo.

    1. -C FILE, with the macros of -D
    2. /etc/mta/mta.conf
    3. in a source tree: the tree's own demo, once it has been started there

No command has privileges that its caller lacks, so the caller may name any configuration: it
only says which daemon is asked, and the daemon judges by who asks.
"""

from __future__ import annotations

import os

SYSTEM_CONFIG = "/etc/mta/mta.conf"


class Unplaced(Exception):
    """There is no usable spool; the text says why and what to do."""


class Place:
    """A configuration file, the macros for it, and the spool that it names."""

    __slots__ = ("file", "macros", "spool")

    def __init__(self, file: str, macros: dict[str, str], spool: str) -> None:
        self.file = file
        self.macros = macros
        self.spool = spool


def tree() -> str:
    """The directory that holds our packages: the top of the source tree, when run from one."""
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def shipped(name: str) -> str:
    """A file of etc/: in the source tree, or where pip put it."""
    path = os.path.join(tree(), "etc", name)
    if os.path.exists(path):
        return path
    import sysconfig  # not for sendmail, which has to start fast

    return os.path.join(sysconfig.get_path("data"), "share", "mta", name)


def configuration(given: str, macros: list[str]) -> tuple[str, dict[str, str]]:
    """The configuration given, or the usual one, or the demo's; and the macros for it.

    Raises Unplaced.
    """
    if given or os.path.exists(SYSTEM_CONFIG):
        return os.path.abspath(given or SYSTEM_CONFIG), parse_macros(macros)
    top = tree()
    demo = os.path.join(top, "etc", "mta.demo.conf")
    if not os.path.exists(demo):
        raise Unplaced(
            f"there is no {SYSTEM_CONFIG}: make one with mta install --users,"
            " or give a configuration with -C FILE"
        )
    values = {
        "SPOOL": os.path.join(top, "spool"),
        "INTERFACES": "<; [127.0.0.1]:2525 ; [::1]:2525",
        **parse_macros(macros),
    }
    return demo, values


def find(given: str, macros: list[str]) -> Place:
    """The configuration given, or the usual one, with its spool.  Raises Unplaced."""
    file, values = configuration(given, macros)
    if given or file == SYSTEM_CONFIG:
        return Place(file, values, _spool_of(file, values))
    # The demo: its spool is known without reading the configuration.
    if os.path.isdir(os.path.join(values["SPOOL"], "drop")):
        return Place(file, values, values["SPOOL"])
    raise Unplaced(
        f"there is no {SYSTEM_CONFIG}, and there was no demo yet in {tree()};"
        " give a configuration with -C FILE, or start one with: mta demo"
    )


def _spool_of(file: str, macros: dict[str, str]) -> str:
    from mta.base.errors import ConfigError
    from mta.config.quick import quick_spool_directory

    try:
        return quick_spool_directory(file, macros)
    except ConfigError as error:
        raise Unplaced(str(error)) from error


def parse_macros(words: list[str]) -> dict[str, str]:
    """The macros of -D options: NAME=VALUE, or NAME for an empty one."""
    macros = {}
    for word in words:
        name, _, value = word.partition("=")
        macros[name.strip(" \t")] = value.strip(" \t")
    return macros


def may_start(spool: str) -> bool:
    """True if the caller is root or owns the spool, and so may run our processes on it.

    A spool that is not there yet is made by whoever may make a directory in its place.
    """
    me = os.geteuid()
    if me == 0:
        return True
    try:
        return os.stat(spool).st_uid == me
    except FileNotFoundError:
        return os.access(os.path.dirname(spool), os.W_OK)
    except OSError:
        return False
