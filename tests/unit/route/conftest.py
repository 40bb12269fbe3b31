"""What the tests of routing share: a configuration in a few lines, and addresses to route."""

from __future__ import annotations

from collections.abc import Callable
from textwrap import dedent

import pytest

from mta.base.errors import Where
from mta.config.line import Line
from mta.config.load import parse
from mta.config.model import Configuration
from mta.expand.context import Context
from mta.lookup.api import Tables
from mta.route.api import Delivery, Discarded, Failed, Routed, address_of
from mta.route.engine import load_routers

HEAD = "primary_hostname = mx.example\nqualify_domain = example.org\n"
TAIL = "\nbegin transports\nbox:\n driver = appendfile\nout:\n driver = smtp\n"


def configuration(text: str) -> Configuration:
    lines = [line.strip(" ") for line in text.split("\n")]
    return parse(
        [Line(line, Where("mta.conf", n)) for n, line in enumerate(lines, 1) if line],
        "mta.conf",
    )


def show(result: Routed) -> str:
    """A result in one line: address, router, and where to or why not."""
    address = result.address
    came = f" <- {address.parent.text}" if address.parent is not None else ""
    match result:
        case Delivery():
            hosts = [f"{h.name}:{h.port}" if h.port else h.name for h in result.hosts]
            where = " ".join([result.transport, *hosts])
            return f"{address.text}{came} R={result.router} T={where}"
        case Discarded():
            return f"{address.text}{came} R={result.router} discarded"
        case _:
            verdict = result.verdict
            kind = "failed" if isinstance(verdict, Failed) else "deferred"
            router = f" R={result.router}" if result.router else ""
            return f"{address.text}{came}{router} {kind}: {verdict.text}"


Route = Callable[..., list[str]]


@pytest.fixture
def complaints() -> list[str]:
    """What the routers had to say to the panic log."""
    return []


@pytest.fixture
def route(complaints: list[str]) -> Route:
    """Route an address by these routers."""

    def run(
        routers: str,
        text: str,
        *,
        main: str = "",
        sent_by: str = "s@sender.example",
        **how: bool,
    ) -> list[str]:
        conf = configuration(HEAD + main + "\nbegin routers\n" + dedent(routers) + TAIL)
        chain = load_routers(conf, complaints.append)
        ctx = Context(conf, Tables())
        ctx.message.sender = sent_by
        return [show(result) for result in chain.route(ctx, address_of(text), **how)]

    return run
