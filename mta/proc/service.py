"""What a process that receives mail is made of, put together from the configuration."""

from __future__ import annotations

import contextlib
import importlib
import socket

from mta.acl.acls import Acls, load_acls
from mta.acl.routing import by_routing
from mta.auth.engine import load_authenticators, servers
from mta.base.errors import ProtocolError
from mta.config.model import Configuration
from mta.expand.compile import prepare
from mta.lookup.api import Tables
from mta.proc import roles
from mta.proc.control import Arrived
from mta.receive import service
from mta.route.engine import load_routers
from mta.smtpd import session
from mta.spool.layout import Spool
from mta.unix import frames


def make_service(
    inherited: roles.Inherited, spool: Spool, arrived: service.Arrived | None
) -> service.Service:
    """Compile what receiving needs.  Raises ConfigError."""
    conf = inherited.conf
    prepare(conf)
    made = service.Service(conf, load_acls(conf), spool, inherited.log, Tables())
    made.servers = servers(load_authenticators(conf))
    made.verifier = by_routing(load_routers(conf, inherited.log.panic))
    made.converse = session.converse
    if conf.smtp_in.host_lookup is not None:
        # It takes long to load, and would be loaded by each process that serves a client.
        importlib.import_module("mta.lookup.resolver")
    if arrived is not None:
        made.arrived = arrived
    return made


def check_acls(conf: Configuration) -> Acls:
    """Compile the ACLs only to see that they can be.  Raises ConfigError."""
    prepare(conf)
    return load_acls(conf)


def arrival_hints(channel: socket.socket) -> service.Arrived:
    """Tell the runner of new messages.  A hint that is lost costs a delay, nothing else."""
    channel.setblocking(False)

    def arrived(message_id: str, now: bool, sender: str, domain: str) -> None:
        # The runner may be away or behind; nobody waits for it.
        with contextlib.suppress(OSError, ProtocolError):
            frames.send(channel, Arrived(message_id, int(now), sender, domain))

    return arrived
