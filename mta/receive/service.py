"""What a process that receives mail has at hand, whoever brings the mail."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from mta.acl.acls import Acls
from mta.acl.verifier import Verifier
from mta.auth.api import Authenticator
from mta.config.model import Configuration
from mta.log.sink import Log
from mta.lookup.api import Tables
from mta.net.secrecy import Secrecy
from mta.receive.ending import Ending
from mta.spool.ids import Ticks
from mta.spool.layout import Spool
from mta.unix import users

# The id, whether to deliver now, the sender, the domain of the first recipient.
Arrived = Callable[[str, bool, str, str], None]


@dataclass(frozen=True, slots=True)
class Caller:
    """A local user who hands in mail, as the kernel knows him."""

    uid: int
    gid: int
    login: str
    full_name: str
    is_trusted: bool


def _nobody_listens(message_id: str, now: bool, sender: str, domain: str) -> None:
    """The next scan of the queue finds the message."""


def _cannot_converse(
    service: Service, reader: int, writer: int, caller: Caller, queue_only: bool
) -> None:
    raise AssertionError("this process does not speak SMTP")


Converse = Callable[["Service", int, int, Caller, bool], None]


@dataclass(slots=True)
class Service:
    """Made once for a process; `tables` are made again after each fork.

    `converse` speaks SMTP with a local program (smtpd.session.converse).
    """

    conf: Configuration
    acls: Acls
    spool: Spool
    log: Log
    tables: Tables
    arrived: Arrived = _nobody_listens
    servers: tuple[Authenticator, ...] = ()  # by which clients can be asked who they are
    verifier: Verifier | None = None
    converse: Converse = _cannot_converse
    secrecy: Secrecy = field(default_factory=Secrecy)
    ticks: Ticks = field(default_factory=Ticks)
    ending: Ending = field(default_factory=Ending)
    _ourselves: Caller | None = None

    def ourselves(self) -> Caller:
        """The user as whom this process runs, who is the origin of what clients send."""
        uid = os.getuid()
        known = self._ourselves
        if known is None or known.uid != uid:
            # Looking up a name opens files: that is done once, not for each message.
            known = Caller(uid, os.getgid(), users.name_of(uid), "", is_trusted=True)
            self._ourselves = known
        return known
