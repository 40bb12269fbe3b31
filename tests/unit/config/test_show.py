"""A configuration is printed as -bP prints it."""

from __future__ import annotations

from mta.base.errors import Where
from mta.config import load, show
from mta.config.line import Line
from mta.config.model import Configuration


def conf(*texts: str) -> Configuration:
    named = ("primary_hostname = z.example", *texts)
    return load.parse(
        [Line(text, Where("mta.conf", number)) for number, text in enumerate(named, 1)],
        "mta.conf",
    )


def one(name: str, *texts: str, admin: bool = True) -> str | None:
    return show.one_option(conf(*texts), name, admin=admin)


def test_a_string_is_shown_with_its_value() -> None:
    assert one("primary_hostname") == "primary_hostname = z.example"


def test_a_boolean_is_shown_by_its_name() -> None:
    assert one("queue_run_in_order") == "no_queue_run_in_order"
    assert one("queue_run_in_order", "queue_run_in_order = yes") == "queue_run_in_order"


def test_defaults_are_shown_as_exim_shows_them() -> None:
    assert one("recipients_max") == "recipients_max = 50000"
    assert one("retry_interval_max") == "retry_interval_max = 1d"
    assert one("timeout_frozen_after") == "timeout_frozen_after = 0s"
    assert one("ignore_bounce_errors_after") == "ignore_bounce_errors_after = 10w"
    assert one("received_headers_max") == "received_headers_max = 30"
    assert one("message_size_limit") == "message_size_limit = 50M"


def test_a_plain_number_is_shown_in_full_and_a_size_with_its_letter() -> None:
    assert one("header_maxsize", "header_maxsize = 2M") == "header_maxsize = 2097152"
    assert one("check_spool_space", "check_spool_space = 10M") == "check_spool_space = 10M"


def test_control_characters_are_shown_as_escapes() -> None:
    assert one("smtp_banner", r'smtp_banner = "a\nb"') == r"smtp_banner = a\nb"


def test_an_unknown_option_is_not_shown() -> None:
    assert one("nosuchoption") is None
    assert one("+nosuchlist") is None


def test_what_is_hidden_is_shown_to_administrators_only() -> None:
    hidden = "hide smtp_banner = secret"
    assert one("smtp_banner", hidden) == "smtp_banner = secret"
    assert one("smtp_banner", hidden, admin=False) == "smtp_banner = <value not displayable>"


def test_named_lists_are_shown_by_name() -> None:
    lists = ("domainlist a = @ : x", "hide hostlist_cache a = 192.0.2.1")
    assert one("+a", *lists) == "domainlist a = @ : x\nhostlist_cache a = 192.0.2.1"
    assert one("+a", *lists, admin=False) == (
        "domainlist a = @ : x\nhostlist_cache a = <value not displayable>"
    )


def test_all_options_come_sorted_and_then_the_lists() -> None:
    lines = list(show.all_options(conf("domainlist a = b"), admin=True))
    names = [line.split(" ")[0].removeprefix("no_") for line in lines]
    assert names[:-1] == sorted(load.OPTIONS)
    assert lines[-1] == "domainlist a = b"


def test_a_driver_is_shown_with_what_is_set() -> None:
    [router] = conf(
        "begin routers",
        "r:",
        "no_more",
        "condition = 1",
        "hide data = x",
        "condition = 2",
        "driver = redirect",
    ).routers
    assert list(show.block(router, admin=False)) == [
        "condition = 1\ncondition = 2",
        "data = <value not displayable>",
        "driver = redirect",
        "no_more",
    ]
