"""The dnslookup router: finds the hosts of a domain in the DNS.

MX records, or where there are none the domain's own addresses; see mta.net.exchangers.
"""

from __future__ import annotations

from functools import partial

from mta.base.errors import ExpansionFail
from mta.config import kinds
from mta.config.option import Option
from mta.config.template import Template
from mta.expand.context import Context
from mta.expand.run import expand
from mta.lookup.resolver import own_addresses, resolver
from mta.mail.address import split
from mta.match.domain import match_domain
from mta.match.host import match_host
from mta.net.exchangers import End, Exchanger, Found, Rules, find
from mta.route import ourselves
from mta.route.api import (
    DECLINED,
    Accepted,
    Address,
    Child,
    Declined,
    Deferred,
    Host,
    Passed,
    Replaced,
    Verdict,
)
from mta.route.conditions import is_true
from mta.route.router import Router, router

NOT_COMPLETE = "host lookup did not complete"
DEFER_WANTED = "missing MX, or all MXs point to missing A records, and defer requested"


@router("dnslookup")
class DnsLookup(Router):
    """Finds the hosts of a domain in the DNS: MX records, else addresses (RFC 5321 5.1).

    Declines where there are none: the domain does not exist, says that it takes no mail (null
    MX, RFC 7505), names hosts without addresses or only such as ignore_target_hosts has.
    Without an answer of the name servers the address waits.
    """

    mx_domains = Option(
        kinds.domain_list, "", "Domains that must have an MX record to be mailed to."
    )
    mx_fail_domains = Option(
        kinds.domain_list, "", "Domains for which no answer counts as having no MX record."
    )
    fail_defer_domains = Option(
        kinds.domain_list, "", "Domains that wait, rather than fail, while there are no hosts."
    )
    check_secondary_mx = Option(
        kinds.boolean, "false", "Run only for domains of which this host is an MX itself."
    )
    ipv4_only = Option(kinds.expanded, "", "If true, use only IPv4 addresses.")
    ipv4_prefer = Option(
        kinds.expanded, "", "If true, try the IPv4 addresses of a host first."
    )
    qualify_single = Option(
        kinds.boolean, "true", "Put the domain of resolv.conf behind a name of one part."
    )
    search_parents = Option(
        kinds.boolean, "false", "Try the domains in the search list of resolv.conf, too."
    )
    same_domain_copy_routing = Option(
        kinds.boolean, "false", "Changes nothing: what was looked up is remembered anyway."
    )

    def check(self) -> None:
        self.needs_transport()
        ourselves.check(self)

    def route(self, ctx: Context, address: Address) -> Verdict:
        domain = address.domain
        if domain.startswith("["):
            return DECLINED
        found = find(resolver(ctx.conf, ctx.tables), domain, self.rules(ctx, domain))
        if found.end is End.AGAIN:
            return Passed() if self.pass_on_timeout else Deferred(NOT_COMPLETE)
        if self.check_secondary_mx and found.end is End.HOSTS and not found.was_secondary:
            return DECLINED
        if found.end is End.NOTHING:
            return self.nothing(ctx, domain, found)
        if _is_other(found.name, domain):
            return Replaced((Child(f"{split(address.text)[0]}@{found.name}"),))
        hosts = tuple(_host(each) for each in found.hosts)
        if found.end is End.OURSELVES:
            return ourselves.answer(self, ctx, address, hosts)
        return Accepted(hosts=hosts)

    def nothing(self, ctx: Context, domain: str, found: Found) -> Verdict:
        """There are no hosts: decline, or wait where the administrator wants that."""
        if _matches(ctx, self.fail_defer_domains, domain):
            return Deferred(DEFER_WANTED)
        return Declined(found.text)

    def rules(self, ctx: Context, domain: str) -> Rules:
        """What the options say about this search."""
        options = ctx.conf.dns
        single = "." not in domain
        return Rules(
            mx_required=_matches(ctx, self.mx_domains, domain),
            mx_may_fail=_matches(ctx, self.mx_fail_domains, domain),
            ipv4_only=_is_set(ctx, self.ipv4_only),
            ipv4_first=_is_set(ctx, self.ipv4_prefer),
            qualify=self.qualify_single and single,
            search=self.search_parents,
            mx_may_be_address=options.allow_mx_to_ip,
            ignored=partial(_is_ignored, ctx, self.ignore_target_hosts),
            ours=own_addresses(ctx.tables).__contains__,
            ours_by_name=partial(_matches, ctx, options.hosts_treat_as_local),
            again_is_never=partial(_matches, ctx, options.dns_again_means_nonexist),
            ipv4_only_for=partial(_matches, ctx, options.dns_ipv4_lookup),
        )


def _matches(ctx: Context, domains: Template | None, domain: str) -> bool:
    return domains is not None and match_domain(ctx, domains, domain) is not None


def _is_ignored(ctx: Context, hosts: Template | None, address: str) -> bool:
    return hosts is not None and match_host(ctx, hosts, address) is not None


def _is_set(ctx: Context, option: Template | None) -> bool:
    """True unless it is unset, fails of its own will, or says no."""
    if option is None:
        return False
    try:
        text = expand(ctx, option)
    except ExpansionFail as error:
        if error.forced:
            return False
        raise
    return is_true(text)


def _is_other(name: str, domain: str) -> bool:
    """True if the resolver has put a domain behind the name: the address gets it, too."""
    return name.startswith(f"{domain}.") and name != f"{domain}."


def _host(each: Exchanger) -> Host:
    return Host(each.name, each.address, preference=each.preference)
