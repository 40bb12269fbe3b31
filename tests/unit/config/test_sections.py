"""Logical lines are sorted into settings, lists, drivers, ACLs and rules."""

from __future__ import annotations

import pytest

from mta.base.errors import ConfigError, Where
from mta.config.line import Line
from mta.config.model import ListKind
from mta.config.option import Setting
from mta.config.sections import Sections, read_setting, sort


def place(number: int) -> Where:
    return Where("mta.conf", number)


def lines(text: str) -> list[Line]:
    return [
        Line(line, place(number))
        for number, line in enumerate(text.split("\n"), start=1)
        if line
    ]


def anything(name: str, where: Where) -> None:
    return


def sorted_text(text: str) -> Sections:
    return sort(lines(text), anything)


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        sorted_text(text)
    return str(caught.value)


def setting(text: str) -> Setting:
    return read_setting(Line(text, place(1)))


# Settings


def test_a_setting_has_a_name_and_a_value() -> None:
    assert setting("a_1  =  b c") == Setting("a_1", "b c", place(1))


def test_a_bare_name_has_no_value_and_an_empty_one_is_empty() -> None:
    assert setting("no_queue_only").value is None
    assert setting("acl_smtp_data =").value == ""


def test_hide_marks_a_setting_and_is_an_ordinary_name_without_another() -> None:
    assert setting("hide servers = a") == Setting("servers", "a", place(1), hidden=True)
    assert setting("hide = a") == Setting("hide", "a", place(1))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('x = "a b"', "a b"),
        ('x = "a\\"b"', 'a"b'),
        (r'x = "\b\f\n\r\t\v\\\q"', "\b\f\n\r\t\v\\q"),
        (r'x = "\x41\101\7\x4g"', "AA\a\x04g"),
        (r'x = "\xc3\xa9"', "é"),
        (r"x = unquoted \x41\n", r"unquoted \x41\n"),
        ('x = a "b"', 'a "b"'),
    ],
)
def test_escapes_are_replaced_in_quotes_only(text: str, value: str) -> None:
    assert setting(text).value == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("+foo = bar", "option setting expected: +foo = bar"),
        (".nosuch x", "option setting expected: .nosuch x"),
        ("1foo = bar", "option setting expected: 1foo = bar"),
        ("name abc", 'missing "=" after name (write name = abc)'),
        ('name = "abc', "missing quote at end of string value for name"),
        ('name = "abc" x', "extra characters follow string value for name"),
        (
            'name = "abc" # x',
            "extra characters follow string value for name (# is comment only at line start)",
        ),
        (r'name = "\0"', "the value for name holds a NUL character"),
    ],
)
def test_a_malformed_setting_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        setting(text)
    assert str(caught.value) == f"mta.conf:1: {reason}"


# Named lists


def test_each_kind_of_list_has_names_of_its_own() -> None:
    sections = sorted_text('domainlist a = b\nhostlist_cache a = "c"\nhide addresslist a=d\n')
    domain, host, address = sections.lists.values()
    assert (domain.kind, domain.name, domain.template.text) == (ListKind.DOMAIN, "a", "b")
    assert (host.kind, host.template.text, host.cached) == (ListKind.HOST, "c", True)
    assert (address.kind, address.template.text, address.hidden) == (
        ListKind.ADDRESS,
        "d",
        True,
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "domainlist a = b\ndomainlist a = c",
            'mta.conf:2: duplicate name "a" for a named domain list '
            "(the other one is at mta.conf:1)",
        ),
        ("domainlist a", "mta.conf:1: missing '=' after \"a\""),
        ("localpartlist a b", "mta.conf:1: missing '=' after \"a\""),
        (
            "domainlists a = b",
            "mta.conf:1: unrecognized configuration line (did you mean 'domainlist'?)",
        ),
        ("domainlist = b", "mta.conf:1: a named domain list needs a name before the ="),
        (
            "\n".join(f"hostlist a{number} =" for number in range(17)),
            "mta.conf:17: too many named host lists (max is 16)",
        ),
    ],
)
def test_a_malformed_list_is_refused(text: str, reason: str) -> None:
    assert refusal(text) == reason


def test_a_capital_letter_begins_a_macro_and_nothing_else() -> None:
    assert refusal("Foo bar") == ("mta.conf:1: malformed macro definition (write NAME = text)")


# Sections


def test_sections_come_in_any_order_and_spelling() -> None:
    sections = sorted_text(
        "begin RETRYS\n* * F,1h,1m\nbegin acl\nx:\naccept\nbegin rewrites\n"
    )
    assert [line.text for line in sections.retry] == ["* * F,1h,1m"]
    assert [line.text for line in sections.acls["x"]] == ["accept"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "begin nosuch",
            'mta.conf:1: "nosuch" is not a known configuration section name (there are: acl, '
            "authenticators, local_scan, retry, rewrite, routers, transports)",
        ),
        (
            "begin transport_s",
            'mta.conf:1: "transport_s" is not a known configuration section name '
            "(did you mean 'transports'?)",
        ),
        (
            "begin acl\nbegin acl",
            'mta.conf:2: "acl" section is repeated in the configuration file '
            "(it was begun at mta.conf:1)",
        ),
        (
            "begin local_scan\nfoo = 1",
            "mta.conf:2: local_scan() options not supported (remove the section)",
        ),
    ],
)
def test_an_impossible_section_is_refused(text: str, reason: str) -> None:
    assert refusal(text) == reason


# ACLs


def test_the_lines_of_an_acl_are_kept_as_they_are() -> None:
    acl = sorted_text("begin acl\na:\ndeny hosts = x\n! verify = y\nb:\n").acls
    assert {name: [(each.text, each.where.line) for each in acl[name]] for name in acl} == {
        "a": [("deny hosts = x", 3), ("! verify = y", 4)],
        "b": [],
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("accept", "mta.conf:2: missing or malformed ACL name (write NAME: before the verbs)"),
        (
            "a:\na:",
            'mta.conf:3: there are two ACLs called "a" (the other one is at mta.conf:2)',
        ),
        ("a: accept", "mta.conf:2: extra characters follow ACL name a (begin a new line)"),
    ],
)
def test_a_malformed_acl_is_refused(text: str, reason: str) -> None:
    assert refusal(f"begin acl\n{text}") == reason


# Drivers


def test_a_driver_has_its_settings_in_the_order_they_are_written() -> None:
    first, second = sorted_text(
        'begin routers\na:\nmore = no\ndriver = accept\nno_verify\nB:\ndriver = "redirect"'
    ).routers
    assert (first.name, first.driver, first.where) == ("a", "accept", place(2))
    assert first.settings == (
        Setting("more", "no", place(3)),
        Setting("no_verify", None, place(5)),
    )
    assert (second.name, second.driver, second.settings) == ("B", "redirect", ())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("driver = x", "mta.conf:2: router name missing (write NAME: first)"),
        ("r:", 'mta.conf:2: no driver defined for router "r" (add driver = …)'),
        ("r:\nmore\ns:", 'mta.conf:2: no driver defined for router "r" (add driver = …)'),
        (
            "r:\ndriver = x\ndriver = y",
            'mta.conf:4: "driver" option set for the second time',
        ),
        ("r: x", "mta.conf:2: extra characters follow driver name r"),
        (
            "r: # x",
            "mta.conf:2: extra characters follow driver name r "
            "(# is comment only at line start)",
        ),
        (
            "r:\ndriver = x\nr:",
            'mta.conf:4: there are two routers called "r" (the other one is at mta.conf:2)',
        ),
    ],
)
def test_a_malformed_driver_is_refused(text: str, reason: str) -> None:
    assert refusal(f"begin routers\n{text}") == reason
