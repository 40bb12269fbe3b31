"""Mail for listed domains goes to listed hosts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mta.base.errors import ConfigError, TempFail
from mta.net import names
from mta.route.api import Host
from mta.route.host_list import parse_hosts
from tests.harness import dns
from tests.unit.route.conftest import Route


def hosts(text: str) -> list[tuple[str, str, int]]:
    found = parse_hosts(text, shuffle=False)
    return [(host.name, host.address, host.port) for host in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("mx.example", [("mx.example", "", 0)]),
        ("a : b", [("a", "", 0), ("b", "", 0)]),
        ("192.0.2.1", [("192.0.2.1", "192.0.2.1", 0)]),
        ("mx.example::2525", [("mx.example", "", 2525)]),
        ("127.0.0.1::2525", [("127.0.0.1", "127.0.0.1", 2525)]),
        ("<; 2001:db8::25", [("2001:db8::25", "2001:db8::25", 0)]),
        ("<; [2001:db8::25]:26; b", [("2001:db8::25", "2001:db8::25", 26), ("b", "", 0)]),
        ("a : + : b", [("a", "", 0), ("b", "", 0)]),
    ],
)
def test_a_host_list_is_read(text: str, expected: list[tuple[str, str, int]]) -> None:
    assert hosts(text) == expected


@pytest.mark.parametrize("text", ["a b", "mx.example::99999", "/MX", "[", "a/b"])
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(TempFail):
        hosts(text)


def test_a_random_order_keeps_groups_apart() -> None:
    for _ in range(20):
        found = parse_hosts("a : b : + : c : d", shuffle=True)
        assert set(found[:2]) == {Host("a"), Host("b")}
        assert set(found[2:]) == {Host("c"), Host("d")}


ZONE = """
    relay.example.       A      203.0.113.9
    a.example.           A      203.0.113.1
    b.example.           A      203.0.113.2
    y.example.           A      203.0.113.3
    mx.far.example.      A      203.0.113.4
    two.example.         A      203.0.113.32
    two.example.         A      203.0.113.33
    v6.example.          AAAA   2001:db8::25
    v6.example.          A      203.0.113.25
    farm.example.        MX     10 a.example.
    farm.example.        MX     20 b.example.
    backup.example.      MX     5 a.example.
    backup.example.      MX     10 us.example.
    home.example.        MX     10 us.example.
    broken.example.      MX     10 nohost.example.
    later.example.       MX     10 host.again.
    null.example.        MX     0 .
    us.example.          A      127.0.0.1
    host.again.          SERVFAIL
    alias.example.       CNAME  a.example.
"""
LIST = """
m:
  driver = manualroute
  route_list = {items}
  transport = out
"""
NEXT = "n:\n driver = accept\n transport = box\n"
DEFERRED = "u@far.example R=m deferred:"


@pytest.fixture(scope="module")
def server() -> Iterator[dns.Server]:
    with dns.serving(ZONE) as running:
        yield running


@pytest.fixture
def ask(route: Route, server: dns.Server, monkeypatch: pytest.MonkeyPatch) -> Route:
    """Route u@far.example by a list, more options and what comes after."""
    monkeypatch.setattr(
        names.HostsFile, "_current", lambda self: "203.0.113.50 filed.example\n"
    )

    def run(items: str, more: str = "", after: str = "") -> list[str]:
        options = "".join(f"  {each}\n" for each in more.split("|") if each)
        return route(
            LIST.format(items=items) + options + after, "u@far.example", main=server.options
        )

    return run


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ("* relay.example", "u@far.example R=m T=out relay.example"),
        ("* relay.example.", "u@far.example R=m T=out relay.example"),
        ("* 192.0.2.9::2525", "u@far.example R=m T=out 192.0.2.9:2525"),
        ('* "a.example : b.example"', "u@far.example R=m T=out a.example b.example"),
        ('* "<+ a.example + b.example"', "u@far.example R=m T=out a.example b.example"),
        ("near.example x ; far.example y.example", "u@far.example R=m T=out y.example"),
        ("*.example mx.$domain", "u@far.example R=m T=out mx.far.example"),
        ("* relay.example byname", "u@far.example R=m T=out relay.example"),
        ("* filed.example byname", "u@far.example R=m T=out filed.example"),
        ("* filed.example", "u@far.example R=m T=out filed.example"),
        ("* two.example", "u@far.example R=m T=out two.example two.example"),
        ("* v6.example ipv4_only", "u@far.example R=m T=out v6.example"),
        ("* alias.example", "u@far.example R=m T=out alias.example"),
        ("* farm.example/MX", "u@far.example R=m T=out a.example b.example"),
        ("* farm.example/mx::26", "u@far.example R=m T=out a.example:26 b.example:26"),
        (
            '* "192.0.2.5:farm.example/MX"',
            "u@far.example R=m T=out 192.0.2.5 a.example b.example",
        ),
        ("* backup.example/MX", "u@far.example R=m T=out a.example"),
        ("* a.example:us.example:b.example", "u@far.example R=m T=out a.example"),
        ("* nohost.example box", "u@far.example R=m T=box nohost.example"),
        ("*", "u@far.example R=m T=out"),
        ("near.example x", "u@far.example failed: Unrouteable address"),
        ("* us.example", f"{DEFERRED} remote host address is the local host"),
        ("* 127.0.0.1", f"{DEFERRED} remote host address is the local host"),
        ("* 0.0.0.0", f"{DEFERRED} remote host address is the local host"),
        ("* home.example/MX", f"{DEFERRED} lowest numbered MX record points to local host"),
        ("* nohost.example", f'{DEFERRED} lookup of host "nohost.example" failed in m router'),
        (
            "* filed.example bydns",
            f'{DEFERRED} lookup of host "filed.example" failed in m router',
        ),
        (
            "* broken.example/MX",
            f'{DEFERRED} lookup of host "nohost.example" failed in m router',
        ),
        ("* null.example/MX", f'{DEFERRED} lookup of host "null.example" failed in m router'),
        ("* a.example/MX", f'{DEFERRED} lookup of host "a.example" failed in m router'),
        (
            "* host.again",
            f"{DEFERRED} host lookup for host.again did not complete (DNS timeout?)",
        ),
        (
            "* later.example/MX",
            f"{DEFERRED} host lookup for host.again did not complete (DNS timeout?)",
        ),
        (
            "* relay.example bx",
            f'{DEFERRED} error in router: unknown routing option or transport name "bx"',
        ),
    ],
)
def test_route_list(ask: Route, items: str, expected: str) -> None:
    assert ask(items) == [expected]


@pytest.mark.parametrize(
    ("items", "more", "expected"),
    [
        ("* nohost.example", "host_find_failed = pass", "u@far.example R=n T=box"),
        ("* nohost.example", "host_find_failed = decline", "u@far.example R=n T=box"),
        ("* nohost.example", "host_find_failed = decline|no_more", "u@far.example failed: "
         "Unrouteable address"),
        ("* nohost.example", "host_find_failed = fail", "u@far.example R=m failed: "
         'lookup of host "nohost.example" failed in m router'),
        ("* nohost.example:a.example", "host_find_failed = ignore", "u@far.example R=m T=out "
         "a.example"),
        ("* nohost.example", "host_find_failed = ignore", f"{DEFERRED} lookup failed for all "
         "hosts in m router: host_find_failed=ignore host_all_ignored=defer"),
        ("* nohost.example", "host_find_failed = ignore|host_all_ignored = pass",
         "u@far.example R=n T=box"),
        ("* nohost.example", "host_find_failed = ignore|host_all_ignored = fail",
         "u@far.example R=m failed: lookup failed for all hosts in m router: "
         "host_find_failed=ignore host_all_ignored=fail"),
        ("* two.example", "ignore_target_hosts = 203.0.113.32", "u@far.example R=m T=out "
         "two.example"),
        ("* two.example", "ignore_target_hosts = 203.0.113.0/24", f"{DEFERRED} lookup of host "
         '"two.example" failed in m router'),
        ("* two.example", "ignore_target_hosts = *.example", f"{DEFERRED} lookup of host "
         '"two.example" failed in m router'),
        ("* host.again", "pass_on_timeout", "u@far.example R=n T=box"),
        ("* us.example", "self = send", "u@far.example R=m T=out us.example"),
        ("* us.example", "self = pass", "u@far.example R=n T=box"),
        ("* us.example", "self = fail", "u@far.example R=m failed: remote host address is the "
         "local host"),
        ("far.example us.example", "self = reroute: b.example", "u@b.example <- u@far.example "
         "R=n T=box"),
        ("* a.example", "dnssec_require_domains = *", f"{DEFERRED} host lookup for a.example "
         "done insecurely"),
    ],
)  # fmt: skip
def test_what_becomes_of_hosts_that_cannot_be_used(
    ask: Route, items: str, more: str, expected: str
) -> None:
    assert ask(items, more, NEXT) == [expected]


@pytest.mark.parametrize("option", ["host_find_failed = drop", "host_all_ignored = ignore"])
def test_there_are_only_so_many_words(ask: Route, option: str) -> None:
    name = option.partition(" ")[0]
    with pytest.raises(ConfigError, match=f"unrecognized setting for {name}"):
        ask("* a.example", option)


def test_route_data_may_be_empty(route: Route) -> None:
    routers = """
    m:
      driver = manualroute
      route_data = ${if eq{$domain}{a.example}{relay.example box}}
      transport = out
    """
    assert route(routers, "u@a.example") == ["u@a.example R=m T=box relay.example"]
    assert route(routers, "u@b.example") == ["u@b.example failed: Unrouteable address"]


def test_semicolons_within_quotes_are_explained(route: Route) -> None:
    with pytest.raises(ConfigError, match='write "<\\+ one \\+ two" there'):
        route(LIST.format(items='* "<; a; b"'), "u@a.example")


def test_there_is_a_list_or_data_but_not_both(route: Route) -> None:
    both = LIST.format(items="* a") + " route_data = b\n"
    for routers in (both, "m:\n driver = manualroute\n transport = out\n"):
        with pytest.raises(ConfigError, match="route_list or route_data"):
            route(routers, "u@a.example")


def test_an_address_may_be_ours_without_an_interface(route: Route) -> None:
    main = "extra_local_interfaces = 203.0.113.1\n"
    said = "u@[203.0.113.1] R=i failed: remote host address is the local host"
    assert route(LITERAL + " self = fail\n", "u@[203.0.113.1]", main=main) == [said]


LITERAL = "i:\n driver = ipliteral\n transport = out\n"


@pytest.mark.parametrize(
    ("domain", "more", "said"),
    [
        ("[203.0.113.1]", "", "R=i T=out [203.0.113.1]"),
        ("[ipv6:2001:db8::1]", "", "R=i T=out [ipv6:2001:db8::1]"),
        ("[2001:db8::1]", "", "R=i T=out [2001:db8::1]"),
        ("[127.0.0.2]", "", "R=i T=out [127.0.0.2]"),
        ("[foo]", "", "failed: Unrouteable address"),
        ("d.example", "", "failed: Unrouteable address"),
        ("[127.0.0.1]", "", "R=i deferred: remote host address is the local host"),
        ("[127.0.0.1]", "self = fail", "R=i failed: remote host address is the local host"),
        ("[127.0.0.1]", "self = send", "R=i T=out [127.0.0.1]"),
        ("[203.0.113.1]", "ignore_target_hosts = 203.0.113.0/24",
         "failed: IP literal host explicitly ignored"),
    ],
)  # fmt: skip
def test_an_address_instead_of_a_domain(
    route: Route, domain: str, more: str, said: str
) -> None:
    assert route(LITERAL + f" {more}\n", f"u@{domain}") == [f"u@{domain} {said}"]
