"""What a router asks of an address is found out when it is loaded."""

from __future__ import annotations

import pytest

from mta.config.model import Configuration
from mta.route.conditions import Gate, Purpose, gate_of
from mta.route.engine import load_routers
from tests.unit.route.conftest import HEAD, TAIL, Route, configuration

EVERYTHING = {
    "domains = a.example": "_domain",
    "local_parts = joe": "_local_part",
    "check_local_user": "_local_user",
    "router_home_directory = /home": "_home",
    "debug_print = here": "_show",
    "senders = s@x.example": "_sender",
    "require_files = /etc": "hold",
    "condition = yes": "_conditions",
}


def gate(*options: str) -> Gate:
    text = "\n".join(["r:", "driver = accept", "transport = box", *options])
    conf: Configuration = configuration(f"{HEAD}\nbegin routers\n{text}\n{TAIL}")
    return gate_of(load_routers(conf).options()[0])


def names(made: Gate) -> list[str]:
    return [each.__name__ for each in made.preconditions]


def test_nothing_is_asked_that_is_not_set() -> None:
    assert names(gate()) == []
    assert not gate().has_affixes


@pytest.mark.parametrize(("option", "name"), EVERYTHING.items())
def test_what_is_set_is_asked(option: str, name: str) -> None:
    assert names(gate(option)) == [name]


def test_the_order_is_exims_whatever_the_order_in_the_file() -> None:
    assert names(gate(*reversed(EVERYTHING))) == [*EVERYTHING.values()]


@pytest.mark.parametrize(
    ("option", "purposes"),
    [
        ("more", set(Purpose)),
        ("verify_only", {*Purpose} - {Purpose.DELIVER, Purpose.TEST}),
        ("no_verify", {*Purpose} - {Purpose.VERIFY_RECIPIENT, Purpose.VERIFY_SENDER}),
        ("no_expn", {*Purpose} - {Purpose.EXPN}),
        ("no_address_test", {*Purpose} - {Purpose.TEST}),
    ],
)
def test_a_router_serves_the_purposes_that_it_allows(
    option: str, purposes: set[Purpose]
) -> None:
    assert gate(option).purposes == purposes


@pytest.mark.parametrize("affix", ["local_part_prefix = x-", "local_part_suffix = -x"])
def test_affixes_are_looked_for_where_one_is_set(affix: str) -> None:
    assert gate(affix).has_affixes


def test_what_one_router_found_is_forgotten_at_the_next(route: Route) -> None:
    routers = """
    first:
      driver = redirect
      domains = a.example
      local_parts = joe
      local_part_prefix = x-
      local_part_prefix_optional
      router_home_directory = /first
      data = ${if eq{a}{b}{c}}
    second:
      driver = redirect
      allow_fail
      data = :fail: $local_part|$local_part_prefix|$domain_data|$local_part_data|$home
    """
    (found,) = route(routers, "x-joe@a.example")
    assert found == "x-joe@a.example R=second failed: x-joe||||"
