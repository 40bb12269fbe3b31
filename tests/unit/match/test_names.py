"""Names in host lists and MX records in domain lists, as Exim 4.98 decides them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mta.base.errors import TempFail
from mta.expand.context import Context
from mta.match.check import check_lists
from mta.match.domain import match_domain
from mta.match.host import in_hosts, match_host
from mta.net.own import OwnAddresses
from tests.conform.language import as_template, configuration, context
from tests.harness import dns

ZONE = """
    host.client.example.      A    203.0.113.7
    7.113.0.203.in-addr.arpa.    PTR  host.client.example.
    mismatch.client.example.  A    203.0.113.250
    9.113.0.203.in-addr.arpa.    PTR  mismatch.client.example.
    20.113.0.203.in-addr.arpa.   PTR  host.again.
    22.113.0.203.in-addr.arpa.   PTR  two.client.example.
    22.113.0.203.in-addr.arpa.   PTR  second.client.example.
    two.client.example.       A    203.0.113.22
    second.client.example.    A    203.0.113.22
    host.again.               SERVFAIL
    local.example.            MX   10 us.example.
    backup.example.           MX   5 mx.far.example.
    backup.example.           MX   10 us.example.
    far.example.              MX   5 mx.far.example.
    again.example.            SERVFAIL
    us.example.               A    127.0.0.1
    mx.far.example.           A    203.0.113.77
    ours.example.             A    127.0.0.1
    oracle.example.           A    127.0.0.1
"""


@pytest.fixture(scope="module")
def server() -> Iterator[dns.Server]:
    with dns.serving(ZONE) as running:
        yield running


@pytest.fixture
def ctx(server: dns.Server, tmp_path: Path) -> Context:
    (tmp_path / "names").write_text("host.client.example: yes\n203.0.113.7: ip\n")
    (tmp_path / "items").write_text("!host.client.example\n*.client.example\n")
    lists = "hostlist inner = *.client.example\n"
    return context(configuration(tmp_path, server.options + lists))


def matches(ctx: Context, listing: str, last: int) -> bool:
    directory = ctx.conf.file.removesuffix("/mta.conf")
    ctx.connection.host_address = f"203.0.113.{last}"
    return match_host(ctx, as_template(listing.replace("DIR", directory))) is not None


@pytest.mark.parametrize(
    ("listing", "last", "expected"),
    [
        ("host.client.example", 7, True),
        ("HOST.client.Example", 7, True),
        ("host.client.example", 8, False),
        ("*.client.example", 7, True),
        ("*.other.example : 203.0.113.7", 7, True),
        ("*.client.example", 9, False),
        ("*.client.example : *", 99, False),
        ("!*.client.example : *", 99, False),
        ("+include_unknown : *.client.example", 99, True),
        ("+include_unknown : !*.client.example : 10.0.0.1", 99, True),
        ("+ignore_unknown : *.client.example", 99, False),
        ("+ignore_unknown : *.client.example : *", 99, True),
        ("+ignore_unknown : +include_unknown : *.x", 99, True),
        ("*.client.example : *", 20, False),
        ("+ignore_defer : *.client.example : *", 20, False),
        ("nohost.example : *", 7, False),
        ("+ignore_unknown : nohost.example : *", 7, True),
        ("+include_unknown : nohost.example", 7, True),
        ("+ignore_defer : host.again : *", 7, True),
        ("+include_defer : host.again", 7, True),
        ("^host", 7, True),
        ("^second", 22, True),
        ("*second.client.example", 22, True),
        ("two.client.example", 22, True),
        ("lsearch;DIR/names", 7, True),
        ("lsearch;DIR/names", 22, False),
        ("net-lsearch;DIR/names", 7, True),
        ("dnsdb;a=us.example", 99, True),
        ("@", 7, False),
        ("DIR/items", 7, False),
        ("DIR/items", 22, True),
        ("DIR/items : *", 99, False),
        ("+include_unknown : DIR/items", 99, True),
        ("+inner", 7, True),
        ("+inner : *", 99, True),
    ],
)
def test_a_host_list(ctx: Context, listing: str, last: int, expected: bool) -> None:
    assert matches(ctx, listing, last) is expected


def test_a_host_that_cannot_be_found_now_defers_or_counts_for_nothing(ctx: Context) -> None:
    with pytest.raises(TempFail, match=r'^DNS lookup of "host\.again" deferred$'):
        matches(ctx, "host.again : *", 7)
    assert not in_hosts(ctx, as_template("host.again : *"))


def test_what_had_to_be_assumed_is_logged(ctx: Context) -> None:
    lines: list[str] = []
    ctx.connection.log_line = lines.append
    matches(ctx, "+include_unknown : *.client.example", 99)
    assert lines == [
        "no host name found for IP address 203.0.113.99",
        "failed to find host name for 203.0.113.99: accepted by +include_unknown",
    ]


def test_this_host_is_found_by_its_name(ctx: Context) -> None:
    ctx.connection.host_address = "127.0.0.1"
    assert match_host(ctx, as_template("@")) is not None
    assert match_host(ctx, as_template("@[]")) is not None


def test_a_name_is_not_asked_for_before_it_is_needed(server: dns.Server, ctx: Context) -> None:
    before = server.asked()
    assert matches(ctx, "10.0.0.0/8 : 203.0.113.0/24 : *.client.example", 61)
    assert server.asked() == before


def test_another_host_comes_with_its_name(server: dns.Server, ctx: Context) -> None:
    before = server.asked()
    listing = as_template("*.far.example")
    assert match_host(ctx, listing, "203.0.113.1", "mx.far.example") is not None
    assert match_host(ctx, listing, "203.0.113.1", "mx.near.example") is None
    assert match_host(ctx, listing, "203.0.113.1") is None
    assert server.asked() == before


def test_a_local_program_has_no_name(ctx: Context) -> None:
    assert match_host(ctx, as_template("*.client.example : host.client.example"), "") is None


@pytest.mark.parametrize("item", ["1.2.3", "1.2.3/24", "192.0.2.0/33", "2001:db8", "1::2::3"])
def test_half_an_address_is_no_name(tmp_path: Path, item: str) -> None:
    (error,) = check_lists(configuration(tmp_path, f"hostlist h = <; {item}\n"))
    assert f'malformed address or address mask in "{item}"' in str(error)


@pytest.mark.parametrize("item", ["2001:xyz", "mx example", "mx,example"])
def test_what_is_neither_name_nor_address_is_found_early(tmp_path: Path, item: str) -> None:
    (error,) = check_lists(configuration(tmp_path, f"hostlist h = <; {item}\n"))
    assert f'"{item}" is neither a host name nor an address' in str(error)


@pytest.mark.parametrize(
    ("item", "domains"),
    [
        ("@mx_any", ["local", "backup"]),
        ("@MX_primary", ["local"]),
        ("@mx_secondary", ["backup"]),
        ("@mx_any/ignore=127.0.0.1", []),
        ("@mx_any/ignore=203.0.113.0/24", ["local", "backup"]),
    ],
)
def test_domains_whose_mail_comes_here(ctx: Context, item: str, domains: list[str]) -> None:
    template = as_template(item)
    known = ("local", "backup", "far", "ours", "nowhere")
    found = [each for each in known if match_domain(ctx, template, f"{each}.example")]
    assert found == domains


def test_a_domain_without_an_answer_defers(ctx: Context) -> None:
    with pytest.raises(TempFail, match=r'^DNS lookup of "again\.example" deferred$'):
        match_domain(ctx, as_template("@mx_any"), "again.example")


@pytest.mark.parametrize(
    ("address", "ours"),
    [
        ("[127.0.0.1]", True),
        ("[127.0.0.2]", False),
        ("[0.0.0.0]", False),
        ("[203.0.113.1]", False),
        ("127.0.0.1", False),
        ("[x]", False),
    ],
)
def test_our_own_addresses_are_those_of_the_interfaces(
    ctx: Context, address: str, ours: bool
) -> None:
    assert (match_domain(ctx, as_template("@[]"), address) is not None) is ours
    if ours:
        assert address.strip("[]") in OwnAddresses()
