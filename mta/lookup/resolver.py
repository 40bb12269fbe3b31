"""The resolver of a process, made as the configuration says.

A module of its own, as dnspython takes 90 ms to import: only drivers that ask the DNS import
this, and a configuration without them never pays for it.
"""

from __future__ import annotations

import re

from mta.base.errors import ConfigError, TempFail
from mta.config.model import Configuration
from mta.lookup.api import Tables
from mta.net import interfaces
from mta.net.dns import TIMEOUT, TRIES, Resolver, Settings
from mta.net.own import OwnAddresses

PORT = 53
_RESOLVER = ("dns", "")
_OWN = ("own addresses", "")


def resolver(conf: Configuration, tables: Tables) -> Resolver:
    """The one that this process keeps.  Raises TempFail where it cannot be made."""
    known = tables.opened.get(_RESOLVER)
    if not isinstance(known, Resolver):
        known = tables.opened[_RESOLVER] = Resolver(settings(conf))
    return known


def own_addresses(tables: Tables) -> OwnAddresses:
    """The addresses of this machine, which this process asks for now and then."""
    known = tables.opened.get(_OWN)
    if not isinstance(known, OwnAddresses):
        known = tables.opened[_OWN] = OwnAddresses()
    return known


def settings(conf: Configuration) -> Settings:
    """What the options say.  Raises TempFail."""
    options = conf.dns
    listed = conf.own.dns_servers
    servers = interfaces.split(listed.text) if listed is not None else []
    try:
        re.compile(options.dns_check_names_pattern)
    except re.error as error:
        raise TempFail(f"dns_check_names_pattern: {error}") from None
    return Settings(
        servers=tuple(_server(item) for item in servers),
        timeout=float(options.dns_retrans or TIMEOUT),
        tries=max(1, options.dns_retry or TRIES),
        edns=options.dns_use_edns0 != 0,
        dnssec=options.dns_dnssec_ok > 0,
        names=options.dns_check_names_pattern,
    )


def _server(item: str) -> tuple[str, int]:
    try:
        ((_, address, port),) = interfaces.read_interface(item, [PORT], None)
    except ConfigError:
        raise TempFail(
            f'"{item}" in dns_servers is not an address with an optional port'
        ) from None
    return address, port
