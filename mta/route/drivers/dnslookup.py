"""The dnslookup router: finds the hosts of a domain in the DNS.

MX records, or where there are none the domain's own addresses; see mta.net.exchangers.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from mta.base.errors import ExpansionFail
from mta.config import kinds
from mta.config.option import Option
from mta.config.template import Template
from mta.expand.context import Context
from mta.expand.run import expand
from mta.expand.split import split_list
from mta.mail.address import split
from mta.mail.dsn import TAKES_NO_MAIL
from mta.match import search as host_search
from mta.match.search import find_exchangers, ignored, in_domains
from mta.net.exchangers import NO_SERVICE, End, Exchanger, Found, Rules
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
INSECURE = "host lookup done insecurely"
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
    check_srv = Option(
        kinds.expanded, "", "A service such as smtp, whose SRV records are looked for first."
    )
    srv_fail_domains = Option(
        kinds.domain_list, "", "Domains for which no answer counts as having no SRV record."
    )
    widen_domains = Option(
        kinds.string_list, "", "Domains that are put behind a name for which there is nothing."
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
        found = self.search(ctx, domain)
        if found.end is End.AGAIN:
            if self.pass_on_timeout:
                return Passed()
            return Deferred(NOT_COMPLETE, log=f"{NOT_COMPLETE} ({found.text})")
        if found.end is End.INSECURE:
            return Deferred(INSECURE)
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

    def search(self, ctx: Context, domain: str) -> Found:
        """The hosts of the domain, or of one of the wider names that the administrator has."""
        wider = (
            [] if self.widen_domains is None else split_list(expand(ctx, self.widen_domains))
        )
        rules = self.rules(ctx, domain)
        found = find_exchangers(ctx, domain, rules)
        for above in wider:
            if found.end is not End.NOTHING or found.text:
                break
            wide = f"{domain}.{above}"
            found = find_exchangers(ctx, wide, replace(rules, qualify=False))
        return found

    def nothing(self, ctx: Context, domain: str, found: Found) -> Verdict:
        """There are no hosts: decline, or wait where the administrator wants that."""
        if in_domains(ctx, self.fail_defer_domains, domain):
            return Deferred(DEFER_WANTED)
        if found.text == NO_SERVICE:
            return Declined(found.text, TAKES_NO_MAIL)
        return Declined(found.text)

    def rules(self, ctx: Context, domain: str) -> Rules:
        """What the options say about this search."""
        service = "" if self.check_srv is None else _text(ctx, self.check_srv)
        return replace(
            host_search.rules(ctx),
            service=service,
            srv_may_fail=in_domains(ctx, self.srv_fail_domains, domain),
            mx_required=in_domains(ctx, self.mx_domains, domain),
            mx_may_fail=in_domains(ctx, self.mx_fail_domains, domain),
            ipv4_only=_is_set(ctx, self.ipv4_only),
            ipv4_first=_is_set(ctx, self.ipv4_prefer),
            qualify=self.qualify_single and "." not in domain,
            search=self.search_parents,
            ignored=ignored(ctx, self.ignore_target_hosts),
            dnssec=partial(in_domains, ctx, self.dnssec_request_domains),
            secure_only=partial(in_domains, ctx, self.dnssec_require_domains),
        )


def _text(ctx: Context, option: Template) -> str:
    """What an option expands to; nothing where that fails of its own will."""
    try:
        return expand(ctx, option)
    except ExpansionFail as error:
        if error.forced:
            return ""
        raise


def _is_set(ctx: Context, option: Template | None) -> bool:
    """True unless it is unset, fails of its own will, or says no."""
    return option is not None and is_true(_text(ctx, option))


def _is_other(name: str, domain: str) -> bool:
    """True if the resolver has put a domain behind the name: the address gets it, too."""
    return name.startswith(f"{domain}.") and name != f"{domain}."


def _host(each: Exchanger) -> Host:
    return Host(each.name, each.address, each.port, each.preference)
