"""Deliveries that redirections name: /dev/null, one_time, letters, what is kept from whom."""

from __future__ import annotations

from tests.unit.deliver.conftest import CONFIGURATION, House, configuration

ROUTERS = """begin routers
null:
driver = redirect
local_parts = null
data = /dev/null, one@local.example
file_transport = box
once:
driver = redirect
local_parts = once
one_time
data = one@local.example, wait@special.example, bad@special.example
errors_to = keeper@local.example
odd:
driver = redirect
local_parts = odd
data = no address at@all, one@local.example
skip_syntax_errors
syntax_errors_to = keeper@local.example
syntax_errors_text = Dear $local_part
allodd:
driver = redirect
local_parts = allodd
data = no address at@all
skip_syntax_errors
syntax_errors_to = ${if eq{1}{1}{not one, but two}}
hidden:
driver = redirect
local_parts = hidden
hide_child_in_errmsg
data = bad@special.example
silent:
driver = redirect
local_parts = silent
disable_logging
allow_defer
data = :defer: quiet
quiet:
driver = accept
local_parts = quiet
disable_logging
transport = box
vars:
driver = accept
local_parts = vars
local_part_suffix = +*
set = r_a = ${lc:A} ; r_b = $local_part
transport_current_directory = /tmp
transport = box
"""


def make(house: House) -> House:
    house.conf = configuration(CONFIGURATION.replace("begin routers\n", ROUTERS))
    return house


def test_what_goes_to_dev_null_is_done_without_a_delivery(house: House) -> None:
    message = make(house).put("null@local.example")
    house.attempt(message)
    assert [parcel.recipients[0].address for parcel in house.workers.parcels] == [
        "one@local.example"
    ]
    assert house.lines()[:2] == [
        f"{message} => /dev/null <null@local.example> R=null T=**bypassed**",
        f"{message} => one <null@local.example> R=local T=box",
    ]


def test_who_waits_of_a_list_takes_the_place_of_its_address(house: House) -> None:
    message = make(house).put("once@local.example", "two@local.example")
    house.attempt(message)
    envelope = house.envelope(message)
    assert [(each.address, each.parent, each.errors_to) for each in envelope.recipients] == [
        ("once@local.example", -1, ""),
        ("two@local.example", -1, ""),
        ("wait@special.example", 0, "keeper@local.example"),
    ]
    assert [each.address for each in envelope.remaining] == ["wait@special.example"]
    house.workers.parcels.clear()
    house.attempt(message)
    assert house.workers.parcels == []
    assert house.envelope(message) == envelope


def test_the_keeper_of_a_list_is_told_what_was_left_out(house: House) -> None:
    message = make(house).put("odd@local.example")
    report = house.attempt(message)
    (letter,) = report.bounces
    assert house.envelope(letter).sender == ""
    assert [each.address for each in house.envelope(letter).recipients] == [
        "keeper@local.example"
    ]
    assert house.body(letter) == (
        "Dear odd\n"
        "\n"
        "The odd router encountered the following error(s):\n"
        "\n"
        "  malformed address: address at@all may not follow no  in the address\n"
        '  "no address at@all"\n'
        "\n"
        "Other addresses were processed normally.\n"
    )
    assert house.lines()[0].startswith(f"{message} odd router: skipped error: malformed")


def test_nobody_is_told_where_it_is_not_said_whom(house: House) -> None:
    message = make(house).put("allodd@local.example")
    report = house.attempt(message)
    assert report.bounces == ()
    assert house.lines()[-2:] == [
        f"{message} => allodd <allodd@local.example> R=local T=box",
        f"{message} Completed",
    ]


def test_a_hidden_address_stays_hidden_in_bounces(house: House) -> None:
    message = make(house).put("hidden@local.example")
    (bounce,) = house.attempt(message).bounces
    assert "bad@special.example" not in house.body(bounce).partition("\n--")[0]
    assert "hidden@local.example" in house.body(bounce)


def test_a_router_may_want_nothing_logged(house: House) -> None:
    make(house)
    for name in ("silent", "quiet"):
        house.attempt(house.put(f"{name}@local.example"))
    assert not any("silent@" in line or "quiet" in line for line in house.lines())


def test_what_a_router_left_travels_with_the_parcel(house: House) -> None:
    make(house).attempt(house.put("vars+more@local.example"))
    (parcel,) = house.workers.parcels
    assert {
        name: text
        for name, text in parcel.values.items()
        if name.startswith(("r_", "local_part_", "current"))
    } == {
        "r_a": "a",
        "r_b": "vars",
        "local_part_suffix_v": "more",
        "current_directory": "/tmp",
    }
    assert house.lines()[0].endswith("=> vars <vars+more@local.example> R=vars T=box")
