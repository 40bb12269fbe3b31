"""The checker: reads and compiles a configuration once, before any process relies on it.

    uid           the mail user, when root starts us; it must be able to read the file
    descriptors   3: an empty memory file for the snapshot; 4: where the error goes
    neighbours    the master waits for it and then seals the snapshot

It does all that the roles will do with the configuration — routers, transports, ACLs, lists —
so that what is wrong with it is found here, and never by a process that is already at work.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from mta.base.errors import MtaError
from mta.base.text import to_bytes
from mta.config import load, snapshot
from mta.config.model import Configuration
from mta.proc import roles
from mta.proc.service import check_acls
from mta.route.engine import load_routers
from mta.transport.engine import load_transports

SNAPSHOT, COMPLAINTS = 3, 4


def compile_all(conf: Configuration) -> None:
    """Compile everything that any process compiles.  Raises ConfigError."""
    load_routers(conf)
    load_transports(conf)
    check_acls(conf)


def main(arguments: Sequence[str]) -> int:
    """Check the file named first; further arguments are macros, NAME=VALUE."""
    file, *definitions = arguments
    macros = dict(each.split("=", 1) for each in definitions)
    try:
        lines = load.read(file, macros)
        conf = load.parse(lines, file)
        roles.drop(roles.identities(conf).mail)
        compile_all(conf)
        snapshot.fill(SNAPSHOT, lines)
    except (MtaError, OSError) as error:
        os.write(COMPLAINTS, to_bytes(str(error)))
        return 1
    return 0
