"""Mail for listed domains goes to listed hosts."""

from __future__ import annotations

import pytest

from mta.base.errors import ConfigError, TempFail
from mta.route.api import Host
from mta.route.host_list import parse_hosts
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


@pytest.mark.parametrize("text", ["a b", "mx.example::99999", "mx.example/MX", "[", "a/b"])
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(TempFail):
        hosts(text)


def test_a_random_order_keeps_groups_apart() -> None:
    for _ in range(20):
        found = parse_hosts("a : b : + : c : d", shuffle=True)
        assert set(found[:2]) == {Host("a"), Host("b")}
        assert set(found[2:]) == {Host("c"), Host("d")}


LIST = """
m:
  driver = manualroute
  route_list = {items}
  transport = out
"""


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ("* relay.example", "u@far.example R=m T=out relay.example"),
        ("* 192.0.2.9::2525", "u@far.example R=m T=out 192.0.2.9:2525"),
        ('* "a.example : b.example"', "u@far.example R=m T=out a.example b.example"),
        ("near.example x ; far.example y", "u@far.example R=m T=out y"),
        ("*.example mx.$domain", "u@far.example R=m T=out mx.far.example"),
        ("* relay.example byname", "u@far.example R=m T=out relay.example"),
        ("* relay.example box", "u@far.example R=m T=box relay.example"),
        ("*", "u@far.example R=m T=out"),
        ("near.example x", "u@far.example failed: Unrouteable address"),
        (
            "* relay.example bx",
            'u@far.example R=m deferred: m router: "bx" is neither an option nor a transport',
        ),
    ],
)
def test_route_list(route: Route, items: str, expected: str) -> None:
    assert route(LIST.format(items=items), "u@far.example") == [expected]


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
    assert route(LIST.format(items='* "<+ a + b"'), "u@a.example") == [
        "u@a.example R=m T=out a b"
    ]


def test_there_is_a_list_or_data_but_not_both(route: Route) -> None:
    both = LIST.format(items="* a") + " route_data = b\n"
    for routers in (both, "m:\n driver = manualroute\n transport = out\n"):
        with pytest.raises(ConfigError, match="route_list or route_data"):
            route(routers, "u@a.example")
