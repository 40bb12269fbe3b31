"""Which name servers are asked, for which names, and which addresses are ours besides.

Apart from the resolver, so that the options can be checked where nothing asks the DNS.
"""

from __future__ import annotations

import re

from mta.base.errors import ConfigError
from mta.base.text import lower, trim
from mta.config.model import Configuration
from mta.net import interfaces
from mta.net.socket import family_of

PORT = 53
WAYS = ("bydns", "byaddr")


def servers(conf: Configuration) -> tuple[tuple[str, int], ...]:
    """Addresses and ports of dns_servers; none where resolv.conf says it.

    Raises ConfigError.
    """
    listed = conf.own.dns_servers
    items = interfaces.split(listed.text) if listed is not None else []
    return tuple(_server(conf, item) for item in items)


def _server(conf: Configuration, item: str) -> tuple[str, int]:
    where = conf.own.where.get("dns_servers")
    try:
        ((_, address, port),) = interfaces.read_interface(item, [PORT], where)
    except ConfigError:
        reason = f'"{item}" in dns_servers is not an address with an optional port'
        raise ConfigError(where, reason) from None
    return address, port


def extra_addresses(conf: Configuration) -> list[str]:
    """The addresses of extra_local_interfaces.  Raises ConfigError for what is none."""
    listed = conf.smtp_in.extra_local_interfaces
    items = interfaces.split(listed.text) if listed is not None else []
    for item in items:
        if not family_of(item):
            where = conf.smtp_in.where.get("extra_local_interfaces")
            raise ConfigError(where, f'"{item}" in extra_local_interfaces is no address')
    return items


def check(conf: Configuration) -> None:
    """Raise ConfigError for options about the DNS that cannot be used."""
    options = conf.dns
    servers(conf)
    extra_addresses(conf)
    try:
        re.compile(options.dns_check_names_pattern)
    except re.error as error:
        where = options.where.get("dns_check_names_pattern")
        raise ConfigError(where, f"dns_check_names_pattern: {error}") from None
    order = [lower(trim(each)) for each in options.host_lookup_order.split(":")]
    for word in order:
        if word and word not in WAYS:
            where = options.where.get("host_lookup_order")
            raise ConfigError(
                where, f'"{word}" in host_lookup_order is no way to look up', "bydns or byaddr"
            )
