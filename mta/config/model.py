"""What a configuration file says, as plain values: the result of reading it.

Nothing here is compiled and no driver is looked up: that is done by the packages which know
what the text means.  One object per generation, shared by everything, changed by nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from mta.base.errors import Where
from mta.config.line import Line
from mta.config.main.delivery import Delivery
from mta.config.main.dns import Dns
from mta.config.main.local import Local
from mta.config.main.logging import Logging
from mta.config.main.message import Fields
from mta.config.main.naming import Naming
from mta.config.main.own import Own
from mta.config.main.policy import Policy
from mta.config.main.queue import Queue
from mta.config.main.smtp_in import SmtpIn
from mta.config.main.tls import Tls
from mta.config.option import Setting
from mta.config.template import Template

# Line has a module of its own only because the reader must not need all of this.
__all__ = ["Block", "Configuration", "Line", "ListKind", "NamedList", "Remark"]


@dataclass(frozen=True, slots=True)
class Block:
    """A router, transport or authenticator as written: its name, its driver, its settings."""

    name: str
    driver: str
    settings: tuple[Setting, ...]  # without `driver`
    where: Where


class ListKind(Enum):
    """What a named list is a list of."""

    __hash__ = object.__hash__  # members are single; Enum's own hash is slow

    DOMAIN = "domainlist"
    HOST = "hostlist"
    ADDRESS = "addresslist"
    LOCAL_PART = "localpartlist"


@dataclass(frozen=True, slots=True)
class NamedList:
    """domainlist NAME = …; `cached` for domainlist_cache and its relatives."""

    kind: ListKind
    name: str
    template: Template
    cached: bool = False
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Remark:
    """Something in the configuration that is allowed and yet perhaps not what was meant."""

    where: Where
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}" if self.where.line else self.text


@dataclass(frozen=True, slots=True)
class Configuration:
    """All of one configuration."""

    file: str
    naming: Naming
    smtp_in: SmtpIn
    tls: Tls
    policy: Policy
    dns: Dns
    fields: Fields
    local: Local
    queue: Queue
    delivery: Delivery
    logging: Logging
    own: Own
    lists: dict[tuple[ListKind, str], NamedList]
    acls: dict[str, tuple[Line, ...]]
    routers: tuple[Block, ...]
    transports: tuple[Block, ...]
    authenticators: tuple[Block, ...]
    retry: tuple[Line, ...]
    rewrite: tuple[Line, ...]
    macros: dict[str, str]
    remarks: tuple[Remark, ...] = ()
