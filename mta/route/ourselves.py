"""What a router does with an address whose best host is this one: its option `self`."""

from __future__ import annotations

from mta.base.errors import ConfigError
from mta.base.text import trim
from mta.expand.context import Context
from mta.mail.address import split
from mta.route.api import (
    Accepted,
    Address,
    Child,
    Deferred,
    Failed,
    Host,
    Passed,
    Replaced,
    Verdict,
)
from mta.route.router import Router

_WORDS = ("freeze", "defer", "send", "pass", "fail")
REROUTE = "reroute:"


def check(router: Router) -> None:
    """Raise ConfigError for a value of `self` that there is not."""
    value = router.self_
    if value not in _WORDS and not (value.startswith(REROUTE) and trim(_domain(value))):
        raise ConfigError(
            router.where.get("self"),
            f'{router.name} router: "{value}" is not a valid value for the "self" option',
            "freeze, defer, send, pass, fail or reroute: domain",
        )


def _domain(value: str) -> str:
    """The domain of reroute:, with or without rewrite: before it."""
    return trim(trim(value.removeprefix(REROUTE)).removeprefix("rewrite:"))


def answer(router: Router, ctx: Context, address: Address, hosts: tuple[Host, ...]) -> Verdict:
    """The verdict where the first of these hosts is ourselves."""
    by_mx = hosts[0].preference is not None
    text = (
        "lowest numbered MX record points to local host"
        if by_mx
        else "remote host address is the local host"
    )
    match router.self_:
        case "freeze":
            return Deferred(text, freeze=True, note=f"{text}: {address.domain}")
        case "defer":
            return Deferred(text)
        case "send":
            return Accepted(hosts=hosts)
        case "pass":
            ctx.place.self_hostname = hosts[0].name
            return Passed()
        case "fail":
            return Failed(text)
    return Replaced((Child(f"{split(address.text)[0]}@{_domain(router.self_)}"),))
