"""Addresses go through the routers as Exim sends them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mta.base.errors import ConfigError
from mta.expand.context import Context
from mta.lookup.api import Tables
from mta.route.api import address_of
from mta.route.engine import load_routers
from tests.unit.route.conftest import HEAD, TAIL, Route, configuration, show

LAST = """
last:
  driver = accept
  transport = box
"""


def test_the_first_router_that_takes_an_address_has_it(route: Route) -> None:
    routers = "a:\n driver = accept\n domains = a.example\n transport = out\n" + LAST
    assert route(routers, "x@a.example") == ["x@a.example R=a T=out"]
    assert route(routers, "x@b.example") == ["x@b.example R=last T=box"]


def test_an_address_that_no_router_takes_fails(route: Route) -> None:
    routers = "a:\n driver = accept\n domains = a.example\n transport = box\n"
    assert route(routers, "x@b.example") == ["x@b.example failed: Unrouteable address"]


def test_the_last_router_considered_words_the_failure_even_if_it_was_skipped(
    route: Route,
) -> None:
    routers = """
    a:
      driver = accept
      local_parts = joe
      transport = box
      cannot_route_message = never $local_part
    """
    assert route(routers, "jim@a.example") == ["jim@a.example failed: never jim"]


def test_no_more_acts_when_a_router_was_run_and_declined(route: Route) -> None:
    routers = "a:\n driver = redirect\n data =\n no_more\n" + LAST
    assert route(routers, "a@x.example") == ["a@x.example failed: Unrouteable address"]
    routers = "a:\n driver = redirect\n data = ${if eq{1}{2}{x}}\n no_more\n" + LAST
    assert route(routers, "a@x.example") == ["a@x.example failed: Unrouteable address"]


def test_no_more_does_not_act_when_a_router_was_skipped(route: Route) -> None:
    routers = "a:\n driver = redirect\n data = x@y\n no_more\n condition = no\n" + LAST
    assert route(routers, "a@x.example") == ["a@x.example R=last T=box"]


def test_all_conditions_must_hold(route: Route) -> None:
    routers = """
    a:
      driver = accept
      condition = yes
      condition = ${if eq{$domain}{x.example}{no}{yes}}
      transport = box
    """
    assert route(routers, "a@x.example") == ["a@x.example failed: Unrouteable address"]
    assert route(routers, "a@y.example") == ["a@y.example R=a T=box"]


def test_a_condition_that_cannot_be_expanded_does_not_hold_and_somebody_is_told(
    route: Route, complaints: list[str]
) -> None:
    routers = "a:\n driver = accept\n condition = ${nosuch}\n transport = box\n"
    assert route(routers, "a@x.example") == ["a@x.example failed: Unrouteable address"]
    assert len(complaints) == 1
    assert complaints[0].startswith('failed to expand condition "${nosuch}" for a router: ')


def test_a_condition_that_fails_by_force_does_not_hold(
    route: Route, complaints: list[str]
) -> None:
    routers = "a:\n driver = accept\n condition = ${if eq{1}{1}{0}fail}\n transport = box\n"
    assert route(routers + LAST, "a@x.example") == ["a@x.example R=last T=box"]
    assert complaints == []


def test_senders_are_looked_at(route: Route) -> None:
    routers = "a:\n driver = accept\n senders = s@x.example\n transport = out\n" + LAST
    assert route(routers, "a@y.example", sent_by="s@x.example") == ["a@y.example R=a T=out"]
    assert route(routers, "a@y.example", sent_by="t@x.example") == ["a@y.example R=last T=box"]


def test_prefix_and_suffix_both_have_to_be_there(route: Route) -> None:
    routers = """
    a:
      driver = accept
      local_part_prefix = owner-
      local_part_suffix = -bounce
      transport = out
    """
    routers += LAST
    assert route(routers, "owner-x-bounce@a.example") == ["owner-x-bounce@a.example R=a T=out"]
    assert route(routers, "owner-x@a.example") == ["owner-x@a.example R=last T=box"]


@pytest.mark.parametrize(
    ("option", "address", "seen"),
    [
        ("local_part_suffix = -* : +*", "joe-a-b@x.example", "[][joe][-a-b]"),
        ("local_part_suffix = +*", "joe+x@x.example", "[][joe][+x]"),
        ("local_part_prefix = *-", "a-b-joe@x.example", "[a-b-][joe][]"),
        ("local_part_prefix = real-", "REAL-Joe@x.example", "[real-][joe][]"),
    ],
)
def test_affixes_are_taken_off(route: Route, option: str, address: str, seen: str) -> None:
    routers = f"""
    a:
      driver = redirect
      {option}
      allow_fail
      data = :fail: [$local_part_prefix][$local_part][$local_part_suffix]
    """
    assert route(routers, address) == [f"{address} R=a failed: {seen}"]


def test_the_case_of_a_local_part_counts_only_where_it_is_asked_for(route: Route) -> None:
    routers = (
        "a:\n driver = accept\n transport = out\n caseful_local_part\n local_parts = Joe\n"
    )
    assert route(routers + LAST, "Joe@x.example") == ["Joe@x.example R=a T=out"]
    assert route(routers + LAST, "joe@x.example") == ["joe@x.example R=last T=box"]


def test_unseen_goes_on_with_a_copy(route: Route) -> None:
    routers = "u:\n driver = accept\n unseen\n transport = out\n" + LAST
    assert route(routers, "a@x.example") == [
        "a@x.example <- a@x.example R=u T=out",
        "a@x.example <- a@x.example R=last T=box",
    ]


def test_an_unseen_that_is_neither_yes_nor_no_defers(route: Route) -> None:
    routers = "u:\n driver = accept\n unseen = ${if eq{a}{b}}\n transport = box\n" + LAST
    assert route(routers, "b@x.example") == [
        'b@x.example R=u deferred: "" is not a valid value for the "unseen" option in the '
        "u router"
    ]


def test_a_self_alias_ends(route: Route) -> None:
    routers = "al:\n driver = redirect\n data = joe, $local_part@y.example\n" + LAST
    assert route(routers, "joe@example.org") == [
        "joe@example.org <- joe@example.org R=last T=box",
        "joe@example.org <- joe@y.example R=last T=box",
        "joe@y.example <- joe@y.example R=last T=box",
    ]


def test_a_ring_of_aliases_ends(route: Route) -> None:
    routers = """
    al:
      driver = redirect
      data = ${if eq{$local_part}{a}{b}{a}}@x.example
    """
    assert route(routers, "a@x.example") == [
        "a@x.example <- b@x.example failed: Unrouteable address"
    ]


def test_an_alias_that_grows_for_ever_is_stopped(route: Route) -> None:
    routers = "al:\n driver = redirect\n data = x$local_part@x.example\n"
    (line,) = route(routers, "a@x.example")
    assert line.endswith("@x.example deferred: routing loop for " + "x" * 101 + "a@x.example")


def test_an_alias_that_multiplies_is_stopped_and_nobody_gets_it(route: Route) -> None:
    routers = """
    al:
      driver = redirect
      data = a$local_part@x.example, b$local_part@x.example
    """
    assert route(routers, "z@x.example") == [
        "z@x.example deferred: more than 20000 addresses came of z@x.example"
    ]


def test_children_begin_at_redirect_router(route: Route) -> None:
    routers = (
        "al:\n driver = redirect\n data = b@x.example\n redirect_router = last\n"
        "no:\n driver = accept\n transport = out\n" + LAST
    )
    assert route(routers, "a@x.example") == ["b@x.example <- a@x.example R=last T=box"]


def test_verify_only_routers_do_not_deliver(route: Route) -> None:
    routers = "v:\n driver = accept\n verify_only\n" + LAST
    assert route(routers, "a@x.example") == ["a@x.example R=last T=box"]
    assert route(routers, "a@x.example", verify=True) == ["a@x.example R=v T="]


def test_no_verify_skips_a_router_when_verifying(route: Route) -> None:
    routers = "n:\n driver = accept\n no_verify\n transport = out\n" + LAST
    assert route(routers, "a@x.example", verify=True) == ["a@x.example R=last T=box"]
    assert route(routers, "a@x.example") == ["a@x.example R=n T=out"]


def test_verify_sender_is_another_matter_than_verify_recipient(route: Route) -> None:
    routers = "n:\n driver = accept\n verify_sender = false\n transport = out\n" + LAST
    assert route(routers, "a@x.example", verify=True) == ["a@x.example R=n T=out"]
    assert route(routers, "a@x.example", verify=True, sender=True) == [
        "a@x.example R=last T=box"
    ]


def test_fail_verify_turns_success_into_failure(route: Route) -> None:
    routers = "f:\n driver = accept\n fail_verify\n transport = box\n"
    assert route(routers, "a@x.example", verify=True) == [
        "a@x.example R=f failed: f router forced verify failure"
    ]
    assert route(routers, "a@x.example") == ["a@x.example R=f T=box"]


def test_verifying_a_list_stops_at_the_list(route: Route) -> None:
    routers = "al:\n driver = redirect\n domains = l.example\n data = x@no, y@no\n"
    assert route(routers, "a@l.example", verify=True) == ["a@l.example R=al T="]


def test_verifying_an_alias_goes_on_to_its_one_address(route: Route) -> None:
    routers = "al:\n driver = redirect\n domains = l.example\n data = x@no.example\n"
    assert route(routers, "a@l.example", verify=True) == [
        "x@no.example <- a@l.example failed: Unrouteable address"
    ]


def test_a_transport_that_a_stranger_could_name_is_refused(route: Route) -> None:
    routers = "a:\n driver = accept\n transport = ${local_part}\n"
    (line,) = route(routers, "box@x.example")
    assert line.startswith(
        "box@x.example R=a deferred: Tainted 'box' (name of a transport) not permitted"
    )


def test_a_transport_name_may_be_expanded_from_what_matched(route: Route) -> None:
    routers = "a:\n driver = accept\n local_parts = box\n transport = $local_part_data\n"
    assert route(routers, "box@x.example") == ["box@x.example R=a T=box"]


@pytest.mark.parametrize(
    ("routers", "message"),
    [
        ("a:\n driver = acept\n", "did you mean 'accept'?"),
        ("a:\n driver = iplookup\n", "router driver 'iplookup' is not supported yet"),
        ("a:\n driver = accept\n", 'router "a" has neither "transport" nor "verify_only"'),
        ("a:\n driver = accept\n transport = boxx\n", "did you mean 'box'?"),
        ("a:\n driver = accept\n transprt = box\n", 'option "transprt" unknown'),
        (
            "a:\n driver = accept\n transport = box\n translate_ip_address = x\n",
            "is not supported yet",
        ),
        (
            "a:\n driver = accept\n transport = box\n redirect_router = b\n",
            'redirect_router "b" does not exist',
        ),
        (
            "a:\n driver = accept\n transport = box\n domains = +nosuch\n",
            "nosuch",
        ),
    ],
)
def test_what_is_wrong_is_found_at_load(route: Route, routers: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        route(routers, "a@x.example")
    assert message in str(caught.value)
    assert str(caught.value).startswith("mta.conf:")


def test_a_table_that_changes_is_read_again_for_the_next_address(tmp_path: Path) -> None:
    table = tmp_path / "aliases"
    table.write_text("joe: first@a.example\n")
    data = f"${{if exists{{{table}}}{{${{lookup{{$local_part}}lsearch{{{table}}}}}}}}}"
    routers = f"a:\n driver = redirect\n domains = mx.example\n data = {data}\n" + LAST
    conf = configuration(HEAD + "\nbegin routers\n" + routers + TAIL)
    chain, ctx = load_routers(conf), Context(conf, Tables())

    def routed() -> list[str]:
        return [show(each) for each in chain.route(ctx, address_of("joe@mx.example"))]

    assert routed() == ["first@a.example <- joe@mx.example R=last T=box"]
    (tmp_path / "new").write_text("joe: second@a.example\n")
    (tmp_path / "new").rename(table)
    assert routed() == ["second@a.example <- joe@mx.example R=last T=box"]
    table.unlink()
    assert routed() == ["joe@mx.example R=last T=box"]


def test_a_file_is_looked_at_once_for_an_address(
    route: Route, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "aliases"
    table.write_text("jim: joe\n")
    looks: list[str] = []
    look = os.stat

    def count(path: str, **how: bool) -> os.stat_result:
        looks.append(str(path))
        return look(path, **how)

    monkeypatch.setattr(os, "stat", count)
    data = f"${{if exists{{{table}}}{{${{lookup{{$local_part}}lsearch{{{table}}}}}}}}}"
    routers = f"a:\n driver = redirect\n data = {data}\n" + LAST
    assert route(routers, "jim@a.example") == ["joe@example.org <- jim@a.example R=last T=box"]
    assert looks.count(str(table)) == 1


@pytest.mark.parametrize(
    ("driver", "option"),
    [
        ("manualroute", "fallback_hosts = a.example"),
        ("dnslookup", "no_rewrite_headers"),
    ],
)
def test_what_a_router_does_not_act_upon_is_refused_by_name(
    route: Route, driver: str, option: str
) -> None:
    routes = " route_list = * 192.0.2.1\n" if driver == "manualroute" else ""
    with pytest.raises(ConfigError, match="is not supported yet"):
        route(f"a:\n driver = {driver}\n transport = out\n{routes} {option}\n", "x@y.example")
