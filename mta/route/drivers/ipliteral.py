"""The ipliteral router: sends mail for user@[192.0.2.1] to that address."""

from __future__ import annotations

from mta.expand.context import Context
from mta.lookup.own import own_addresses
from mta.match.host import match_host
from mta.net.socket import family_of, plain_address
from mta.route import ourselves
from mta.route.api import DECLINED, Accepted, Address, Declined, Host, Verdict
from mta.route.router import Router, router

IGNORED = "IP literal host explicitly ignored"


@router("ipliteral")
class IpLiteral(Router):
    """Sends mail for a domain that is an address in brackets to that address (RFC 5321 4.1.3).

    Declines any other domain.  `self` says what to do where the address is this host's.
    """

    def check(self) -> None:
        self.needs_transport()
        ourselves.check(self)

    def route(self, ctx: Context, address: Address) -> Verdict:
        domain = address.domain
        if not (domain.startswith("[") and domain.endswith("]")):
            return DECLINED
        literal = domain[1:-1].removeprefix("ipv6:").removeprefix("ipv4:")
        if not family_of(literal):
            return DECLINED
        ignored = self.ignore_target_hosts
        if ignored is not None and match_host(ctx, ignored, literal, domain) is not None:
            return Declined(IGNORED)
        hosts = (Host(domain, plain_address(literal)),)
        if literal in own_addresses(ctx.tables):
            return ourselves.answer(self, ctx, address, hosts)
        return Accepted(hosts=hosts)
