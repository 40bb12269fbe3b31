"""The addresses of this machine, as a process knows them."""

from __future__ import annotations

from mta.base.errors import ConfigError, TempFail
from mta.lookup import servers
from mta.lookup.api import Tables
from mta.net.own import OwnAddresses

_OWN = ("own addresses", "")


def own_addresses(tables: Tables) -> OwnAddresses:
    """The addresses of this machine, which this process asks for now and then."""
    known = tables.opened.get(_OWN)
    if not isinstance(known, OwnAddresses):
        try:
            extra = [] if tables.conf is None else servers.extra_addresses(tables.conf)
        except ConfigError as error:
            raise TempFail(str(error)) from error
        known = tables.opened[_OWN] = OwnAddresses(extra)
    return known
