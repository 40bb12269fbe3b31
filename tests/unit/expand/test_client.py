"""The name of a client: confirmed, refused or not known now, as Exim 4.98 has it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mta.expand import client as subject
from mta.expand.client import Named, look_up_name, verify_helo
from mta.expand.context import Context
from mta.net import names
from mta.net.names import HostsFile
from tests.conform.language import configuration, context, expanded
from tests.harness import dns

ZONE = """
    7.113.0.203.in-addr.arpa.   PTR  Host.Client.example.
    host.client.example.        A    203.0.113.7
    helo.client.example.        A    203.0.113.9
    9.113.0.203.in-addr.arpa.   PTR  mismatch.client.example.
    mismatch.client.example.    A    203.0.113.250
    20.113.0.203.in-addr.arpa.  PTR  host.again.
    host.again.                 SERVFAIL
    21.113.0.203.in-addr.arpa.  PTR  bad.client.example.
    21.113.0.203.in-addr.arpa.  PTR  good.client.example.
    good.client.example.        A    203.0.113.21
    22.113.0.203.in-addr.arpa.  PTR  one.client.example.
    22.113.0.203.in-addr.arpa.  PTR  two.client.example.
    one.client.example.         CNAME two.client.example.
    two.client.example.         A    203.0.113.22
    23.113.0.203.in-addr.arpa.  SERVFAIL
    24.113.0.203.in-addr.arpa.  SILENT
    25.113.0.203.in-addr.arpa.  PTR  .
    26.113.0.203.in-addr.arpa.  CNAME 26.sub.113.0.203.in-addr.arpa.
    26.sub.113.0.203.in-addr.arpa.  PTR six.client.example.
    six.client.example.         A    203.0.113.26
    27.113.0.203.in-addr.arpa.  CNAME 27.113.0.203.in-addr.arpa.
    28.113.0.203.in-addr.arpa.  PTR  evil\\010name.client.example.
    v6.client.example.          AAAA 2001:db8::25
    5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR v6.client.example.
"""  # noqa: E501 - a name of an address is that long


@pytest.fixture(scope="module")
def server() -> Iterator[dns.Server]:
    with dns.serving(ZONE) as running:
        yield running


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def ctx(server: dns.Server, tmp_path: Path, lines: list[str]) -> Context:
    made = context(configuration(tmp_path, server.options))
    made.connection.host_address = "203.0.113.7"
    made.connection.log_line = lines.append
    return made


@pytest.mark.parametrize(
    ("address", "named", "name"),
    [
        ("203.0.113.7", Named.KNOWN, "host.client.example"),
        ("203.0.113.21", Named.KNOWN, "good.client.example"),
        ("203.0.113.26", Named.KNOWN, "six.client.example"),
        ("2001:db8::25", Named.KNOWN, "v6.client.example"),
        ("::ffff:203.0.113.7", Named.KNOWN, "host.client.example"),
        ("203.0.113.9", Named.UNKNOWN, ""),
        ("203.0.113.99", Named.UNKNOWN, ""),
        ("203.0.113.25", Named.UNKNOWN, ""),
        ("203.0.113.28", Named.UNKNOWN, ""),
        ("203.0.113.20", Named.AGAIN, ""),
        ("203.0.113.23", Named.AGAIN, ""),
        ("203.0.113.24", Named.AGAIN, ""),
        ("203.0.113.27", Named.AGAIN, ""),
        ("", Named.UNKNOWN, ""),
    ],
)
def test_a_name_counts_if_it_leads_back(
    ctx: Context, address: str, named: Named, name: str
) -> None:
    ctx.connection.host_address = address
    assert look_up_name(ctx) is named
    seen = ctx.connection
    assert seen.host_name == name
    assert seen.host_lookup_deferred is (named is Named.AGAIN)
    assert seen.host_lookup_failed is (named is Named.UNKNOWN and bool(address))


def test_further_names_are_aliases(ctx: Context) -> None:
    ctx.connection.host_address = "203.0.113.22"
    look_up_name(ctx)
    seen = ctx.connection
    assert {seen.host_name, *seen.host_aliases} == {"one.client.example", "two.client.example"}


def test_the_log_says_where_there_is_no_name(ctx: Context, lines: list[str]) -> None:
    ctx.connection.host_address = "203.0.113.99"
    look_up_name(ctx)
    look_up_name(ctx)
    assert lines == ["no host name found for IP address 203.0.113.99"]


def test_the_variable_looks_the_name_up(server: dns.Server, ctx: Context) -> None:
    before = len(server.asked())
    shown = "<$sender_fullhost> $host_lookup_failed$host_lookup_deferred"
    assert expanded(ctx, shown) == "<[203.0.113.7]> 00"
    assert len(server.asked()) == before
    assert expanded(ctx, "$sender_host_name") == "host.client.example"
    assert expanded(ctx, shown) == "<host.client.example [203.0.113.7]> 00"
    ctx.connection.helo_name = "helo.example"
    full = "host.client.example (helo.example) [203.0.113.7]"
    assert expanded(ctx, "$sender_fullhost") == full
    rcv = "host.client.example ([203.0.113.7] helo=helo.example)"
    assert expanded(ctx, "$sender_rcvhost") == rcv


@pytest.mark.parametrize(
    ("address", "flags"),
    [("203.0.113.9", "10"), ("203.0.113.20", "01"), ("203.0.113.7", "00")],
)
def test_what_became_of_it_is_a_variable(ctx: Context, address: str, flags: str) -> None:
    ctx.connection.host_address = address
    text = "${if def:sender_host_name{}}$host_lookup_failed$host_lookup_deferred"
    assert expanded(ctx, text) == flags


def test_a_silent_zone_is_not_asked_again_and_again(server: dns.Server, ctx: Context) -> None:
    ctx.connection.host_address = "203.0.113.24"
    assert look_up_name(ctx) is Named.AGAIN
    before = len(server.asked())
    assert look_up_name(ctx) is Named.AGAIN
    assert len(server.asked()) == before


def test_all_names_together_take_no_longer_than_one_question(tmp_path: Path) -> None:
    silent = [f"n{n}.example." for n in range(9)]
    records = [f"7.113.0.203.in-addr.arpa. PTR {name}\n{name} SILENT" for name in silent]
    with dns.serving("\n".join(records)) as server:
        ctx = context(configuration(tmp_path, server.options))
        ctx.connection.host_address = "203.0.113.7"
        assert look_up_name(ctx) is Named.AGAIN
        # The first name had all the time that there was.
        assert [each.split(" ")[1] for each in server.asked()] == ["PTR", "A"]


def test_only_some_of_endless_names_are_looked_up(tmp_path: Path) -> None:
    many = "".join(f"7.113.0.203.in-addr.arpa. PTR n{n}.example.\n" for n in range(400))
    with dns.serving(many) as server:
        ctx = context(configuration(tmp_path, server.options))
        ctx.connection.host_address = "203.0.113.7"
        assert look_up_name(ctx) is Named.UNKNOWN
        # One over UDP that is cut short, one over TCP, and the names.
        assert len(server.asked()) == 2 + subject.MOST_NAMES


@pytest.mark.parametrize(
    ("order", "name"),
    [
        ("bydns:byaddr", "host.client.example"),
        ("byaddr:bydns", "filed.example"),
        ("byaddr", "filed.example"),
        ("bydns", "host.client.example"),
    ],
)
def test_the_order_of_looking(
    server: dns.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str, name: str
) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("203.0.113.7 filed.example other.example\n")
    monkeypatch.setattr(names, "HOSTS", str(hosts))
    conf = configuration(tmp_path, f"{server.options}host_lookup_order = {order}\n")
    ctx = context(conf)
    ctx.tables.opened[("hosts file", "")] = HostsFile(str(hosts))
    ctx.connection.host_address = "203.0.113.7"
    look_up_name(ctx)
    assert ctx.connection.host_name == name


@pytest.mark.parametrize(
    ("address", "helo", "found"),
    [
        ("203.0.113.7", "HOST.client.example", Named.KNOWN),
        ("203.0.113.7", "helo.client.example", Named.UNKNOWN),
        ("203.0.113.9", "helo.client.example", Named.KNOWN),
        ("203.0.113.7", "[203.0.113.7]", Named.KNOWN),
        ("203.0.113.7", "[203.0.113.70]", Named.UNKNOWN),
        ("203.0.113.7", "[203.0.113]", Named.UNKNOWN),
        ("2001:db8::25", "[IPv6:2001:DB8:0::25]", Named.KNOWN),
        ("2001:db8::25", "v6.client.example", Named.KNOWN),
        ("203.0.113.20", "helo.client.example", Named.AGAIN),
        ("203.0.113.7", "", Named.UNKNOWN),
        ("", "anything", Named.KNOWN),
    ],
)
def test_a_client_may_prove_what_it_called_itself(
    ctx: Context, address: str, helo: str, found: Named
) -> None:
    ctx.connection.host_address, ctx.connection.helo_name = address, helo
    assert verify_helo(ctx) is found
    assert ctx.connection.helo_verified is (found is Named.KNOWN)
