"""The resolver of a process, made as the configuration says.

A module of its own, as dnspython takes 90 ms to import: only drivers that ask the DNS import
this, and a configuration without them never pays for it.
"""

from __future__ import annotations

from mta.base.errors import ConfigError, TempFail
from mta.config.model import Configuration
from mta.lookup import servers
from mta.lookup.api import Tables
from mta.net.dns import TIMEOUT, TRIES, Resolver, Settings
from mta.net.names import HostsFile

_RESOLVER = ("dns", "")
_HOSTS = ("hosts file", "")


def resolver(tables: Tables) -> Resolver:
    """The one that this process keeps.  Raises TempFail where it cannot be made."""
    known = tables.opened.get(_RESOLVER)
    if not isinstance(known, Resolver):
        asking = Settings() if tables.conf is None else settings(tables.conf)
        known = tables.opened[_RESOLVER] = Resolver(asking)
    known.hurry = tables.hurry
    return known


def hosts_file(tables: Tables) -> HostsFile:
    """The hosts file as this process has read it last."""
    known = tables.opened.get(_HOSTS)
    if not isinstance(known, HostsFile):
        known = tables.opened[_HOSTS] = HostsFile()
    return known


def settings(conf: Configuration) -> Settings:
    """What the options say.  Raises TempFail for those that cannot be used."""
    options = conf.dns
    try:
        servers.check(conf)
        asked = servers.servers(conf)
    except ConfigError as error:
        raise TempFail(str(error)) from error
    return Settings(
        servers=asked,
        timeout=float(options.dns_retrans or TIMEOUT),
        tries=max(1, options.dns_retry or TRIES),
        edns=options.dns_use_edns0 != 0,
        dnssec=options.dns_dnssec_ok > 0,
        names=options.dns_check_names_pattern,
    )
