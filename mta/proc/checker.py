"""The checker: reads and compiles a configuration once, before any process relies on it.

    uid           the mail user, when root starts us; it must be able to read the file
    descriptors   3: a channel to the master
    out           checked + the sealed snapshot, or faulty(reason)

It does all that the roles will do with the configuration — addresses to listen on, routers,
transports, authenticators, ACLs, lists, retry rules — so that what is wrong with it is found
here, and never by a process that is already at work.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

from mta.acl.acls import check_lists as lists_of_acls
from mta.auth.engine import complaints, load_authenticators
from mta.base.errors import MtaError
from mta.config import load, snapshot
from mta.config.model import Configuration
from mta.config.show import topics
from mta.expand.compile import prepare
from mta.lookup import servers
from mta.match.check import check_lists
from mta.net import interfaces, secrecy
from mta.proc import reach, roles
from mta.proc.control import Checked, Faulty
from mta.proc.service import check_acls
from mta.route.engine import load_routers
from mta.route.retry_rules import load_retry_rules
from mta.smtpd import tls
from mta.transport.engine import load_transports
from mta.unix import frames

MOST, LONGEST = 20, 1000  # of warnings that the master is told; mta check tells all


def compile_all(conf: Configuration, files: dict[str, bytes] | None = None) -> list[str]:
    """Compile everything that any process compiles.  Raises ConfigError.

    `files` are those of TLS that were read for it, if there is somebody who may.

    Returned is what would fail when it is used: strings that are no expansions, lists that
    name lists which there are not.  Exim finds such only then, so a configuration that has
    them is used all the same.
    """
    interfaces.listen_addresses(conf)
    servers.check(conf)
    acls = check_acls(conf)
    made = (
        conf,
        load_routers(conf).options(),
        load_transports(conf),
        acls,
        load_retry_rules(conf).lines,
    )
    lists = [*check_lists(conf, *topics(conf)), *lists_of_acls(conf, acls)]
    authenticators = load_authenticators(conf)
    errors = [
        *prepare(*made),
        *complaints(authenticators),
        *lists,
        *tls.check(conf, files or {}),
    ]
    # An ACL is found twice: as it is called by name, and at the phase where it begins.
    return list(dict.fromkeys(str(error) for error in errors))


def main(arguments: Sequence[str]) -> int:
    """Check the file named first; further arguments are macros, NAME=VALUE."""
    channel = socket.socket(fileno=roles.FIRST)
    channel.set_inheritable(False)
    file, *definitions = arguments
    macros = dict(each.split("=", 1) for each in definitions)
    try:
        lines = load.read(file, macros)
        conf = load.parse(lines, file)
        who = roles.identities(conf)
        reach.require(who)
        files = secrecy.read_files(conf)
        roles.drop(who.mail)
        warnings = compile_all(conf, files)
        sealed = snapshot.write(lines)
    except (MtaError, OSError) as error:
        frames.send(channel, Faulty(str(error)[:30000]))
        return 1
    told = tuple(each[:LONGEST] for each in warnings[:MOST])
    frames.send(channel, Checked(told), [sealed])
    return 0
