"""How hosts are searched for: what the options and lists of the configuration say about it.

A module of its own, as it loads what asks the DNS: only who needs that imports it.  Lists ask
it, and it asks lists, by their GRAMMARS.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from mta.base.text import lower
from mta.config.model import ListKind
from mta.config.template import Template
from mta.expand.context import Context
from mta.lookup.own import own_addresses
from mta.lookup.resolver import hosts_file, resolver
from mta.match.lists import GRAMMARS, match_template
from mta.net.exchangers import End, Found, Rules, Way, find, find_host

KNOWN = (End.HOSTS, End.OURSELVES)


def rules(ctx: Context) -> Rules:
    """What is true of each search."""
    options = ctx.conf.dns
    return Rules(
        mx_may_be_address=options.allow_mx_to_ip,
        ours=own_addresses(ctx.tables).__contains__,
        ours_by_name=partial(in_domains, ctx, options.hosts_treat_as_local),
        again_is_never=partial(in_domains, ctx, options.dns_again_means_nonexist),
        ipv4_only_for=partial(in_domains, ctx, options.dns_ipv4_lookup),
    )


def in_domains(ctx: Context, domains: Template | None, domain: str) -> bool:
    """True if an option that is a domain list has this one."""
    if domains is None:
        return False
    grammar = GRAMMARS[ListKind.DOMAIN]
    return match_template(ctx, grammar, domains, domain, lower(domain)) is not None


def ignored(ctx: Context, hosts: Template | None) -> Callable[[str, str], bool]:
    """Whether a host, by name and address, is one that ignore_target_hosts has."""

    def is_ignored(name: str, address: str) -> bool:
        if hosts is None:
            return False
        grammar = GRAMMARS[ListKind.HOST]
        return match_template(ctx, grammar, hosts, address, name or address) is not None

    return is_ignored


def find_exchangers(ctx: Context, domain: str, wanted: Rules) -> Found:
    """The hosts that take mail for a domain."""
    return find(resolver(ctx.tables), domain, wanted)


def find_one(ctx: Context, name: str, wanted: Rules, way: Way = Way.NAME) -> Found:
    """The addresses of a host."""
    return find_host(resolver(ctx.tables), hosts_file(ctx.tables), name, wanted, way)


def find_by_name(ctx: Context, name: str) -> list[str] | None:
    """The addresses of a host, as they are found by name; None where nobody knows now."""
    found = find_one(ctx, name, replace(rules(ctx), qualify=True))
    if found.end is End.AGAIN:
        return None
    return [each.address for each in found.hosts] if found.end in KNOWN else []


def addresses_for(
    ctx: Context, name: str, wanted: Rules, way: Way
) -> tuple[list[str], str, bool]:
    """The addresses of a host, why there are none if there is more to say, and whether there
    are none but our own."""
    found = find_one(ctx, name, wanted, way)
    addresses = [each.address for each in found.hosts if not found.is_ours(each)]
    why = "done insecurely" if found.end is End.INSECURE else found.text
    return addresses, why, found.end is End.OURSELVES and not addresses
