"""Finding the addresses of hosts that an administrator has named: manualroute's second half.

What becomes of an address whose hosts cannot be found, do not exist or are this one is said by
the options host_find_failed, host_all_ignored, pass_on_timeout and self.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from mta.base.errors import ConfigError, Where
from mta.expand.context import Context
from mta.match import search
from mta.match.search import ignored, in_domains
from mta.net.exchangers import End, Found, Rules, Way
from mta.route import ourselves
from mta.route.api import (
    DECLINED,
    Accepted,
    Address,
    Deferred,
    Failed,
    Host,
    Passed,
    Verdict,
)
from mta.route.host_list import names_exchangers
from mta.route.router import Router

UNKNOWN_HOST = -32  # Exim's numbers, in retry records and in the log
DNS_DEFER = -36
FAILURES = ("decline", "defer", "fail", "freeze", "pass")


@dataclass(frozen=True, slots=True)
class Manner:
    """How hosts are found, and what to do where that fails."""

    way: Way = Way.EITHER
    ipv4_only: bool = False
    ipv4_first: bool = False
    not_found: str = "freeze"  # or "ignore"
    all_ignored: str = "defer"


def check(name: str, option: str, value: str, where: Where, *, may_ignore: bool) -> None:
    """Raise ConfigError for a word that host_find_failed or host_all_ignored does not have."""
    words = (*FAILURES, "ignore") if may_ignore else FAILURES
    if value not in words:
        raise ConfigError(
            where,
            f"unrecognized setting for {option} option of {name} router",
            ", ".join(words),
        )


def look_up(
    router: Router, ctx: Context, address: Address, hosts: tuple[Host, ...], manner: Manner
) -> Verdict:
    """The hosts with their addresses, or what becomes of the address without."""
    found: list[Host] = []
    keeps_ourselves = router.self_ == "send"
    for host in hosts:
        one = _find(router, ctx, host, manner)
        if one.end is End.AGAIN:
            return _later(router, one, host)
        if one.end is End.INSECURE:
            return Deferred(f"host lookup for {host.name} done insecurely")
        if one.end is End.NOTHING:
            if manner.not_found == "ignore":
                continue
            text = f'lookup of host "{one.name or host.name}" failed in {router.name} router'
            return _failure(manner.not_found, text, UNKNOWN_HOST)
        places = _places(host, one)
        if one.end is End.OURSELVES and not keeps_ourselves:
            if not found:
                return ourselves.answer(router, ctx, address, places)
            break  # whoever comes after us would give it back
        found += places
    if not found and hosts:
        text = (
            f"lookup failed for all hosts in {router.name} router: host_find_failed=ignore "
            f"host_all_ignored={manner.all_ignored}"
        )
        return _failure(manner.all_ignored, text, 0)
    return Accepted(hosts=tuple(found))


def _find(router: Router, ctx: Context, host: Host, manner: Manner) -> Found:
    rules: Rules = replace(
        search.rules(ctx),
        mx_required=True,
        qualify=True,
        ipv4_only=manner.ipv4_only,
        ipv4_first=manner.ipv4_first,
        ignored=ignored(ctx, router.ignore_target_hosts),
        dnssec=lambda name: in_domains(ctx, router.dnssec_request_domains, name),
        secure_only=lambda name: in_domains(ctx, router.dnssec_require_domains, name),
    )
    if names_exchangers(host.name):
        return search.find_exchangers(ctx, host.name[:-3], replace(rules, qualify=False))
    return search.find_one(ctx, host.name.removesuffix("."), rules, manner.way)


def _places(host: Host, found: Found) -> tuple[Host, ...]:
    return tuple(
        Host(each.name, each.address, host.port, each.preference) for each in found.hosts
    )


def _later(router: Router, found: Found, host: Host) -> Verdict:
    if router.pass_on_timeout:
        return Passed()
    text = f"host lookup for {found.name or host.name} did not complete"
    return Deferred(f"{text} (DNS timeout?)", code=DNS_DEFER, log=f"{text} ({found.text})")


def _failure(what: str, text: str, code: int) -> Verdict:
    match what:
        case "pass":
            return Passed()
        case "decline":
            return DECLINED
        case "fail":
            return Failed(text, status="5.4.4")
    return Deferred(text, freeze=what == "freeze", code=code)
