"""The dnslookup router: hosts, and what it makes of their absence, in Exim 4.98's words."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mta.net import exchangers
from mta.net.dns import Resolver, Settings
from tests.harness import dns
from tests.unit.route.conftest import Route

ZONE = """
    remote.example.      MX     10 mx1.remote.example.
    remote.example.      MX     20 mx2.remote.example.
    mx1.remote.example.  A      127.0.0.2
    mx2.remote.example.  A      127.0.0.3
    aonly.example.       A      192.0.2.80
    nullmx.example.      MX     0 .
    mxbroken.example.    MX     10 nohost.example.
    mxself.example.      MX     10 oracle.example.
    mxbackup.example.    MX     5 mx1.remote.example.
    mxbackup.example.    MX     10 oracle.example.
    mxbackup.example.    MX     20 mx2.remote.example.
    mxagain.example.     MX     10 host.again.
    host.again.          SERVFAIL
    again.example.       SERVFAIL
    oracle.example.      A      127.0.0.1
    selfa.example.       A      127.0.0.1
    txt.example.         TXT    "x"
    mx6.example.         MX     5 v6.example.
    v6.example.          AAAA   2001:db8::25
    v6.example.          A      192.0.2.25
    _smtp._tcp.srv.example.    SRV  5 1 2525 mx1.remote.example.
    _smtp._tcp.srv.example.    SRV  1 1 2526 mx2.remote.example.
    _smtp._tcp.none.example.   SRV  0 0 0 .
    _smtp._tcp.empty.example.  SRV  5 1 2525 nohost.example.
    _smtp._tcp.quiet.example.  SERVFAIL
    quiet.example.       MX     10 mx1.remote.example.
    wide.sub.example.    A      192.0.2.99
"""
ROUTER = "d:\n driver = dnslookup\n transport = out\n"
NO_HOSTS = "failed: all relevant MX records point to non-existent hosts"
NO_SERVICE = "failed: an MX or SRV record indicated no SMTP service"
LOCAL_MX = "lowest numbered MX record points to local host"
LOCAL = "remote host address is the local host"
WANTED = "missing MX, or all MXs point to missing A records, and defer requested"


@pytest.fixture(scope="module")
def server() -> Iterator[dns.Server]:
    with dns.serving(ZONE) as running:
        yield running


@pytest.fixture
def ask(route: Route, server: dns.Server) -> Route:
    def run(
        domain: str, more: str = "", main: str = "", local_part: str = "x", **how: bool
    ) -> list[str]:
        address, port = server.place
        options = f"dns_servers = <; [{address}]:{port}\ndns_retry = 1\n{main}"
        return route(ROUTER + more, f"{local_part}@{domain}", main=options, **how)

    return run


@pytest.mark.parametrize(
    ("domain", "said"),
    [
        ("remote.example", "R=d T=out mx1.remote.example mx2.remote.example"),
        ("Remote.Example", "R=d T=out mx1.remote.example mx2.remote.example"),
        ("aonly.example", "R=d T=out aonly.example"),
        ("mxbackup.example", "R=d T=out mx1.remote.example"),
        ("mx6.example", "R=d T=out v6.example v6.example"),
        ("nullmx.example", NO_SERVICE),
        ("mxbroken.example", NO_HOSTS),
        ("mxself.example", f"R=d deferred: {LOCAL_MX}"),
        ("selfa.example", f"R=d deferred: {LOCAL}"),
        ("mxagain.example", "R=d deferred: host lookup did not complete"),
        ("again.example", "R=d deferred: host lookup did not complete"),
        ("txt.example", "failed: Unrouteable address"),
        ("nowhere.example", "failed: Unrouteable address"),
        ("[192.0.2.1]", "failed: Unrouteable address"),
    ],
)
def test_what_becomes_of_a_domain(ask: Route, domain: str, said: str) -> None:
    assert ask(domain) == [f"x@{domain.lower()} {said}"]


@pytest.mark.parametrize(
    ("option", "domain", "said"),
    [
        ("self = defer", "mxself.example", f"R=d deferred: {LOCAL_MX}"),
        ("self = fail", "mxself.example", f"R=d failed: {LOCAL_MX}"),
        ("self = fail", "selfa.example", f"R=d failed: {LOCAL}"),
        ("self = send", "mxself.example", "R=d T=out oracle.example"),
        ("ignore_target_hosts = 127.0.0.0/8", "remote.example", NO_HOSTS),
        ("ignore_target_hosts = 127.0.0.2", "remote.example", "R=d T=out mx2.remote.example"),
        ("ignore_target_hosts = *", "aonly.example", "failed: Unrouteable address"),
        ("mx_domains = aonly.example", "aonly.example", "failed: Unrouteable address"),
        (
            "mx_domains = *",
            "remote.example",
            "R=d T=out mx1.remote.example mx2.remote.example",
        ),
        ("fail_defer_domains = *", "nullmx.example", f"R=d deferred: {WANTED}"),
        ("fail_defer_domains = *", "nowhere.example", f"R=d deferred: {WANTED}"),
        ("check_secondary_mx", "mxbackup.example", "R=d T=out mx1.remote.example"),
        ("check_secondary_mx", "remote.example", "failed: Unrouteable address"),
        ("check_secondary_mx", "mxself.example", f"R=d deferred: {LOCAL_MX}"),
        ("cannot_route_message = sorry", "nowhere.example", "failed: sorry"),
        ("cannot_route_message = sorry", "nullmx.example", NO_SERVICE),
        ("mx_fail_domains = *", "again.example", "R=d deferred: host lookup did not complete"),
    ],
)
def test_options(ask: Route, option: str, domain: str, said: str) -> None:
    assert ask(domain, f" {option}\n") == [f"x@{domain} {said}"]


def test_the_kinds_of_addresses(ask: Route) -> None:
    assert ask("v6.example", " ipv4_only = true\n") == ["x@v6.example R=d T=out v6.example"]
    assert ask("v6.example", " ipv4_only = ${if eq{a}{b}{yes}fail}\n") == [
        "x@v6.example R=d T=out v6.example v6.example"
    ]
    assert ask("v6.example", main="dns_ipv4_lookup = *") == [
        "x@v6.example R=d T=out v6.example"
    ]


def test_names_of_other_hosts_may_count_as_ours(ask: Route) -> None:
    main = "hosts_treat_as_local = mx1.remote.example"
    assert ask("remote.example", main=main) == [f"x@remote.example R=d deferred: {LOCAL_MX}"]


def test_no_answer_may_mean_that_there_is_nothing(ask: Route) -> None:
    main = "dns_again_means_nonexist = again.example : host.again"
    assert ask("again.example", main=main) == ["x@again.example failed: Unrouteable address"]
    assert ask("mxagain.example", main=main) == [f"x@mxagain.example {NO_HOSTS}"]


NEXT = """
    n:
     driver = redirect
     data = :fail: passed $self_hostname
     allow_fail
"""


def test_an_address_that_leads_to_us_may_be_passed_on(ask: Route) -> None:
    more = f" self = pass\n no_more\n{NEXT}"
    assert ask("mxself.example", more) == [
        "x@mxself.example R=n failed: passed oracle.example"
    ]


def test_an_address_may_be_passed_on_when_nobody_answers(ask: Route) -> None:
    more = f" pass_on_timeout\n no_more\n{NEXT}"
    assert ask("again.example", more) == ["x@again.example R=n failed: passed"]


@pytest.mark.parametrize("how", ["reroute:", "reroute: rewrite:"])
def test_an_address_that_leads_to_us_may_be_rerouted(ask: Route, how: str) -> None:
    assert ask("mxself.example", f" self = {how} aonly.example\n") == [
        "x@aonly.example <- x@mxself.example R=d T=out aonly.example"
    ]


def test_the_reason_of_an_earlier_router_is_told(ask: Route) -> None:
    more = "n:\n driver = redirect\n data =\n cannot_route_message = sorry\n"
    assert ask("mxbroken.example", more) == [f"x@mxbroken.example {NO_HOSTS}"]
    assert ask("nowhere.example", more) == ["x@nowhere.example failed: sorry"]


@pytest.mark.parametrize("value", ["drop", "reroute:", "reroute: rewrite:", "Freeze"])
def test_what_self_cannot_be(ask: Route, value: str) -> None:
    with pytest.raises(Exception, match="not a valid value"):
        ask("remote.example", f" self = {value}\n")


def test_a_rerouted_address_keeps_its_local_part(ask: Route) -> None:
    more = " self = reroute: aonly.example\n local_part_prefix = real-\n"
    said = ask("mxself.example", f"{more} local_part_prefix_optional\n", local_part="Real-Bob")
    assert said[0].startswith("Real-Bob@aonly.example <- Real-Bob@mxself.example")


@pytest.mark.parametrize(
    ("domain", "more", "said"),
    [
        ("srv.example", "", "R=d T=out mx2.remote.example:2526 mx1.remote.example:2525"),
        ("remote.example", "", "R=d T=out mx1.remote.example mx2.remote.example"),
        ("aonly.example", "", "R=d T=out aonly.example"),
        ("none.example", "", NO_SERVICE),
        ("empty.example", "", NO_HOSTS),
        ("quiet.example", "", "R=d deferred: host lookup did not complete"),
        (
            "quiet.example",
            " srv_fail_domains = quiet.example\n",
            "R=d T=out mx1.remote.example",
        ),
    ],
)
def test_services_come_first(ask: Route, domain: str, more: str, said: str) -> None:
    assert ask(domain, f" check_srv = smtp\n{more}") == [f"x@{domain} {said}"]


def test_equal_services_are_chosen_by_weight() -> None:
    zone = "_smtp._tcp.w.test. SRV 1 0 25 a.test.\n_smtp._tcp.w.test. SRV 1 60000 25 b.test."
    with dns.serving(zone) as server:
        resolver = Resolver(Settings(servers=(server.place,)))
        said = resolver.ask("_smtp._tcp.w.test", "SRV")
        assert {exchangers._services(said)[0].name for _ in range(50)} == {"b.test"}


@pytest.mark.parametrize(
    ("domain", "said"),
    [
        ("wide", "x@wide.sub.example <- x@wide R=d T=out wide.sub.example"),
        ("aonly", "x@aonly.example <- x@aonly R=d T=out aonly.example"),
        ("nullmx", f"x@nullmx {NO_SERVICE}"),
        ("aonly.example", "x@aonly.example R=d T=out aonly.example"),
        ("nowhere", "x@nowhere failed: Unrouteable address"),
    ],
)
def test_a_name_may_be_widened(ask: Route, domain: str, said: str) -> None:
    assert ask(domain, " widen_domains = sub.example : example\n") == [said]


def test_what_nobody_has_verified_may_not_do(ask: Route) -> None:
    text = "x@remote.example R=d deferred: host lookup done insecurely"
    assert ask("remote.example", " dnssec_require_domains = *\n") == [text]
    text = "x@remote.example R=d T=out mx1.remote.example mx2.remote.example"
    assert ask("remote.example", " dnssec_require_domains = other.example\n") == [text]


def test_what_was_verified_may_do(route: Route) -> None:
    with dns.serving(ZONE, secure=True) as server:
        routers = ROUTER + " dnssec_require_domains = *\n"
        for domain in ("remote.example", "aonly.example"):
            (said,) = route(routers, f"x@{domain}", main=server.options)
            assert said.startswith(f"x@{domain} R=d T=out")


def test_signatures_are_asked_for_unless_they_are_not_wanted(route: Route) -> None:
    with dns.serving(ZONE) as server:
        route(ROUTER, "x@aonly.example", main=server.options)
        route(ROUTER + " dnssec_request_domains =\n", "x@aonly.example", main=server.options)
        assert server.flags() == ["DO", "DO", "DO", "", "", ""]
