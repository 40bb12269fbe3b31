"""verify = helo and verify = reverse_host_lookup, in Exim 4.98's words."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mta.acl.program import Action
from tests.harness import dns
from tests.unit.acl.conftest import Maker

ZONE = """
    7.2.0.192.in-addr.arpa.   PTR  host.client.example.
    host.client.example.      A    192.0.2.7
    9.2.0.192.in-addr.arpa.   PTR  mismatch.client.example.
    20.2.0.192.in-addr.arpa.  PTR  host.again.
    host.again.               SERVFAIL
"""
REVERSE = "  require verify = reverse_host_lookup\n  accept\n"
HELO = "  require verify = helo\n  accept\n"
FAILED = "host lookup failed for reverse lookup check"


@pytest.fixture(scope="module")
def server() -> Iterator[dns.Server]:
    with dns.serving(ZONE) as running:
        yield running


@pytest.mark.parametrize(
    ("last", "action", "log"),
    [
        (7, Action.ACCEPT, ""),
        (9, Action.DENY, f"{FAILED} (192.0.2.9 does not match any IP address for "
         "mismatch.client.example)"),
        (99, Action.DENY, f"{FAILED} (failed to find host name from IP address)"),
        (20, Action.DEFER, "host lookup deferred for reverse lookup check"),
    ],
)  # fmt: skip
def test_the_name_of_a_client_must_lead_back(
    acl: Maker, server: dns.Server, last: int, action: Action, log: str
) -> None:
    bench = acl(REVERSE, main=server.options)
    bench.situation.ctx.connection.host_address = f"192.0.2.{last}"
    verdict = bench.run()
    assert (verdict.action, verdict.log) == (action, log)


def test_what_has_failed_is_said_again(acl: Maker, server: dns.Server) -> None:
    bench = acl(REVERSE, main=server.options)
    bench.situation.ctx.connection.host_address = "192.0.2.99"
    bench.run()
    text = "host lookup failed (failed to find host name from IP address)"
    assert bench.run().log == text


def test_a_name_that_cannot_be_told_now_may_do(acl: Maker, server: dns.Server) -> None:
    bench = acl(REVERSE.replace("lookup", "lookup/defer_ok"), main=server.options)
    bench.situation.ctx.connection.host_address = "192.0.2.20"
    assert bench.run().action is Action.ACCEPT


def test_a_local_program_needs_no_name(acl: Maker) -> None:
    bench = acl(REVERSE)
    bench.situation.ctx.connection.host_address = ""
    assert bench.run().action is Action.ACCEPT


@pytest.mark.parametrize(
    ("helo", "action"),
    [
        ("host.client.example", Action.ACCEPT),
        ("[192.0.2.7]", Action.ACCEPT),
        ("other.example", Action.DENY),
        ("", Action.DENY),
    ],
)
def test_a_client_must_be_what_it_called_itself(
    acl: Maker, server: dns.Server, helo: str, action: Action
) -> None:
    bench = acl(HELO, main=server.options)
    bench.situation.ctx.connection.helo_name = helo
    assert bench.run().action is action


def test_hosts_may_be_named(acl: Maker, server: dns.Server) -> None:
    text = "  accept hosts = *.client.example\n  deny\n"
    assert acl(text, main=server.options).run().action is Action.ACCEPT
    later = acl("  accept hosts = host.again\n", main=server.options).run()
    text = 'DNS lookup of "host.again" deferred'
    assert (later.action, later.log) == (Action.DEFER, text)
