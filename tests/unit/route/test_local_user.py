"""Local users in routing: homes, owners, affixes, variables."""

from __future__ import annotations

import os
import pwd

import pytest

from mta.expand.context import Context
from mta.lookup.api import Tables
from mta.route.api import Address, Delivery, Owner, address_of
from mta.route.engine import load_routers
from tests.unit.route.conftest import HEAD, TAIL, Route, configuration

USER = pwd.getpwnam("nobody")
NAME = USER.pw_name


def accepted(options: str, text: str = f"{NAME}@x.example") -> Address:
    """The address as the router with these options leaves it."""
    router = f"begin routers\nr:\ndriver = accept\ntransport = box\n{options}\n"
    conf = configuration(f"{HEAD}{router}{TAIL}")
    (found,) = load_routers(conf).route(Context(conf, Tables()), address_of(text))
    assert isinstance(found, Delivery)
    return found.address


def test_a_local_user_makes_the_address_whole() -> None:
    address = accepted("check_local_user")
    assert (address.uid, address.gid, address.home) == (
        USER.pw_uid,
        USER.pw_gid,
        USER.pw_dir,
    )
    assert address.owner == Owner(NAME)
    assert address.local_part_data == NAME


def test_who_is_no_user_is_not_routed(route: Route) -> None:
    routers = "r:\n driver = accept\n check_local_user\n transport = box\n"
    assert route(routers, "no-such-user@x.example") == [
        "no-such-user@x.example failed: Unrouteable address"
    ]


@pytest.mark.parametrize(
    ("options", "home"),
    [
        ("check_local_user", USER.pw_dir),
        ("check_local_user\nrouter_home_directory = /r", USER.pw_dir),
        ("check_local_user\ntransport_home_directory = /t", "/t"),
        (
            "check_local_user\nrouter_home_directory=/r\ntransport_home_directory=$home/t",
            "/r/t",
        ),
        ("router_home_directory = /r", "/r"),
        ("transport_home_directory = /t", "/t"),
    ],
)
def test_the_home_of_a_delivery(options: str, home: str) -> None:
    assert accepted(options).home == home


def test_the_current_directory_of_a_delivery() -> None:
    assert accepted("transport_current_directory = /c").current_directory == "/c"


def test_no_stranger_names_a_directory(route: Route) -> None:
    for option in ("transport_home_directory", "transport_current_directory"):
        routers = f"r:\n driver = accept\n transport = box\n {option} = /x/$local_part\n"
        (line,) = route(routers, "a@x.example")
        assert f"deferred: Tainted '/x/a' ({option}) not permitted" in line


@pytest.mark.parametrize(
    ("options", "owner"),
    [
        ("check_local_user\nuser = bin", Owner("bin")),
        ("check_local_user\ngroup = mail", Owner(NAME, "mail")),
        ("user = bin\ngroup = mail\ninitgroups", Owner("bin", "mail", True)),
        ("check_local_user\ninitgroups", Owner(NAME, "", True)),
    ],
)
def test_user_and_group_of_the_router_count_before_the_local_user(
    options: str, owner: Owner
) -> None:
    assert accepted(options).owner == owner


@pytest.mark.parametrize(
    ("affix", "text", "found"),
    [
        ("local_part_prefix = real-", "real-joe", ("joe", "real-", "", "", "")),
        ("local_part_prefix = *-", "a-b-joe", ("joe", "a-b-", "a-b", "", "")),
        ("local_part_suffix = +*", "joe+a+b", ("joe", "", "", "+a+b", "a+b")),
        ("local_part_suffix = -x : +*", "joe-x", ("joe", "", "", "-x", "")),
        (
            "local_part_prefix = *_\nlocal_part_suffix = +*",
            "Ab_Joe+Cd",
            ("joe", "ab_", "ab", "+cd", "cd"),
        ),
        (
            "local_part_prefix = *_\nlocal_part_prefix_optional\ncaseful_local_part",
            "Joe",
            ("Joe", "", "", "", ""),
        ),
    ],
)
def test_affixes_and_what_their_asterisk_stood_for(
    affix: str, text: str, found: tuple[str, ...]
) -> None:
    names = ("local_part", "prefix", "prefix_v", "suffix", "suffix_v")
    address = accepted(affix, f"{text}@x.example")
    assert tuple(getattr(address, name) for name in names) == found


def test_an_affix_is_there_for_expansions() -> None:
    address = accepted(
        "local_part_suffix = +*\naddress_data = $local_part_suffix_v/$local_part_suffix",
        "joe+box@x.example",
    )
    assert address.address_data == "box/+box"


def test_variables_are_set_in_turn_and_stay_with_what_comes_of_the_address() -> None:
    routers = """
begin routers
first:
driver = redirect
set = r_a = one;; two ; r_b = $r_a/$local_part
set = r_c = ${if eq{1}{2}{x}fail}
data = next@y.example
domains = x.example
second:
driver = accept
transport = box
set = r_a = ${uc:$r_a}
"""
    conf = configuration(f"{HEAD}{routers}{TAIL}")
    (found,) = load_routers(conf).route(Context(conf, Tables()), address_of("a@x.example"))
    assert found.address.variables == {"r_a": "ONE; TWO", "r_b": "one; two/a"}


@pytest.mark.parametrize("text", ["a = b", "r_a", "= b"])
def test_a_definition_that_is_none_is_refused(route: Route, text: str) -> None:
    with pytest.raises(Exception, match="is no definition of a variable"):
        route(f"r:\n driver = accept\n transport = box\n set = {text}\n", "a@x.example")


def test_failures_of_local_addresses_are_remembered_for_each() -> None:
    assert accepted("check_local_user").retry_key == f"{NAME}@x.example"
    assert accepted("check_local_user\nno_retry_use_local_part").retry_key == "x.example"
    assert accepted("domains = x.example").retry_key == "x.example"


@pytest.mark.skipif(os.geteuid() != 0, reason="others cannot look for the files of root")
def test_root_is_a_user_for_the_routers() -> None:
    assert accepted("check_local_user", "root@x.example").owner == Owner("root")
