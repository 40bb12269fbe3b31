"""Lists decide as Exim's do, and leave the administrator's own text behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mta.base.errors import TempFail
from mta.base.trust import Trusted, is_trusted
from mta.expand.context import Context
from mta.match.address import match_address
from mta.match.check import check_lists
from mta.match.domain import match_domain
from mta.match.host import match_host
from mta.match.lists import Match
from mta.match.localpart import match_local_part
from tests.conform.language import as_template, configuration, context

LISTS = """
domainlist local_domains = @ : local.example : *.b.example
domainlist all_but_local = !+local_domains : *
domainlist with_file = DIR/domains : last.example
domainlist round = +about
domainlist about = +round
hostlist relay_from = 127.0.0.1 : 192.0.2.0/24
hostlist six = <; ::1 ; 2001:db8::/32
addresslist friends = ann@a.example : *@friends.example
localpartlist staff = joe : ^j.n\\$
"""


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    (tmp_path / "domains").write_text(
        "# ours\none.example\n*.two.example # all\n! not.three.example\n\n^r.*\\.example$\n"
    )
    (tmp_path / "table").write_text(
        "alpha: one\n*.wild.example: W\nwild.example: w\n*: default\n"
    )
    (tmp_path / "nets").write_text("192.0.2.0/24: net\n10.1.2.3: one\n")
    (tmp_path / "addresses").write_text("a@local.example: 1\nlocal.example: ann : j*: >more\n")
    (tmp_path / "people").write_text("a.example: ann : !bob : b* : >rest\nrest: zoe\n")
    return context(configuration(tmp_path, LISTS.replace("DIR", str(tmp_path))))


def directory(ctx: Context) -> str:
    return ctx.conf.file.removesuffix("/mta.conf")


def domain(ctx: Context, listing: str, subject: str) -> Match | None:
    return match_domain(ctx, as_template(listing.replace("DIR", directory(ctx))), subject)


@pytest.mark.parametrize(
    ("listing", "subject", "data"),
    [
        ("a.example : b.example", "B.Example", "b.example"),
        ("A.EXAMPLE", "a.example", "A.EXAMPLE"),
        ("*.b.example", "x.b.example", "*.b.example"),
        ("*", "any", "*"),
        ("^.*\\\\.b\\\\.example\\$", "x.b.example", "^.*\\.b\\.example$"),
        ("@", "oracle.example", "@"),
        ("+local_domains", "local.example", "local.example"),
        ("+local_domains", "y.b.example", "*.b.example"),
        ("x : +all_but_local", "z.example", "*"),
        ("lsearch;DIR/table", "alpha", "one"),
        ("lsearch*;DIR/table", "other", "default"),
        ("partial-lsearch;DIR/table", "q.wild.example", "W"),
        ("partial-lsearch;DIR/table", "wild.example", "w"),
        ("lsearch,ret=key;DIR/table", "alpha", "alpha"),
        ("dsearch;DIR", "table", "table"),
        ("DIR/domains", "one.example", "one.example"),
        ("+with_file", "x.two.example", "*.two.example"),
        ("+with_file", "rx.example", "^r.*\\.example$"),
        ("+with_file", "last.example", "last.example"),
        ("$primary_hostname : x", "oracle.example", "oracle.example"),
    ],
)
def test_a_match_leaves_the_item_or_the_tables_answer(
    ctx: Context, listing: str, subject: str, data: str
) -> None:
    found = domain(ctx, listing, subject)
    assert found is not None
    assert found.data == data
    assert is_trusted(found.data or "")


@pytest.mark.parametrize(
    ("listing", "subject"),
    [
        ("a.example", "b.example"),
        ("*.b.example", "b.example"),
        ("!a.example : *", "a.example"),
        ("+all_but_local", "local.example"),
        ("DIR/domains : *", "not.three.example"),
        ("lsearch;DIR/table", "beta"),
        ("partial-lsearch;DIR/table", "test"),
        ("!y : z", "x"),
        ("", "x"),
        ("${if eq{a}{b}{x}fail}", "x"),
    ],
)
def test_no_match(ctx: Context, listing: str, subject: str) -> None:
    assert domain(ctx, listing, subject) is None


def test_a_list_that_ends_in_a_negation_says_yes_to_the_rest(ctx: Context) -> None:
    assert domain(ctx, "!a.example", "b.example") == Match(None)
    assert domain(ctx, "!DIR/domains", "not.three.example") == Match(None)


@pytest.mark.parametrize(
    ("listing", "words"),
    [
        ("+nosuch", 'unknown named domain list "+nosuch"'),
        ("+round", 'the named list "+about" contains itself'),
        ("nosuch;/x", 'unknown lookup type "nosuch"'),
        ("/no/such/file", "failed to open /no/such/file: No such file or directory"),
        ("${lc", 'failed to expand "${lc" (mta.conf:12): "${lc" is not a known operator'
         " (or a } is missing in a variable reference)"),
    ],
)  # fmt: skip
def test_what_cannot_be_known_now_defers(ctx: Context, listing: str, words: str) -> None:
    with pytest.raises(TempFail) as caught:
        domain(ctx, listing, "x.example")
    assert caught.value.text == words


def test_an_error_behind_the_match_does_no_harm(ctx: Context) -> None:
    assert domain(ctx, "x : +nosuch", "x") == Match(Trusted("x"))


def test_an_item_that_a_stranger_wrote_leaves_nothing(ctx: Context) -> None:
    ctx.place.local_part = "x.example"
    assert domain(ctx, "$local_part", "x.example") == Match(None)


@pytest.mark.parametrize("item", ["+local_domains", "/etc/passwd", "lsearch;/etc/passwd"])
def test_a_stranger_names_no_list_and_no_file(ctx: Context, item: str) -> None:
    ctx.place.local_part = item
    with pytest.raises(TempFail, match=r"^Tainted '"):
        domain(ctx, "$local_part", "local.example")


def test_a_file_that_changed_is_read_again(ctx: Context, tmp_path: Path) -> None:
    assert domain(ctx, "DIR/domains", "new.test") is None
    (tmp_path / "domains").write_text("new.test\n")
    os.utime(tmp_path / "domains", (1, 1))
    assert domain(ctx, "DIR/domains", "new.test") == Match(Trusted("new.test"))


@pytest.mark.parametrize(
    ("listing", "address", "matches"),
    [
        ("192.0.2.0/24", "192.0.2.8", True),
        ("192.0.2.0/29", "192.0.2.8", False),
        ("192.0.2.7", "192.0.2.7", True),
        ("!192.0.2.7 : 192.0.2.0/24", "192.0.2.7", False),
        ("192.0.2.0/24", "::ffff:192.0.2.8", True),
        ("+relay_from", "127.0.0.1", True),
        ("+six", "2001:db8::5", True),
        ("+six", "::1", True),
        ("+six", "2001:db9::5", False),
        ("*", "192.0.2.8", True),
        ("*", "", True),
        (":", "", True),
        (":", "192.0.2.8", False),
        ("", "", False),
        ("192.0.2.8", "", False),
        ("0.0.0.0/0", "192.0.2.8", True),
        ("0.0.0.0/0", "::1", False),
        ("+include_unknown : 192.0.2.8", "192.0.2.8", True),
        ("net24-lsearch;DIR/nets", "192.0.2.99", True),
        ("net-lsearch;DIR/nets", "10.1.2.3", True),
        ("net-iplsearch;DIR/nets", "192.0.2.99", True),
        ("net-iplsearch;DIR/nets", "198.51.100.1", False),
    ],
)
def test_hosts(ctx: Context, listing: str, address: str, matches: bool) -> None:
    template = as_template(listing.replace("DIR", directory(ctx)))
    assert (match_host(ctx, template, address) is not None) is matches


def test_the_host_is_that_of_the_connection(ctx: Context) -> None:
    ctx.connection.host_address = "192.0.2.1"
    assert match_host(ctx, as_template("+relay_from")) is not None


@pytest.mark.parametrize(
    ("listing", "address", "matches"),
    [
        ("user@b.example", "User@B.example", True),
        ("+caseful : user@b.example", "User@b.example", False),
        ("*@b.example", "any@b.example", True),
        ("b.example", "any@b.example", True),
        ("*.b.example", "any@x.b.example", True),
        ("*x@b.example", "aax@b.example", True),
        ("+friends", "zoe@friends.example", True),
        ("*@+local_domains", "a@local.example", True),
        ("^a.*@", "abc@b.example", True),
        (":", "", True),
        ("b.example : :", "a@c.example", False),
        ("*", "", False),
        ("!a@b.example : *", "a@b.example", False),
        ("lsearch;DIR/addresses", "a@local.example", True),
        ("*@lsearch;DIR/addresses", "q@local.example", True),
        ("@@lsearch;DIR/people", "ann@a.example", True),
        ("@@lsearch;DIR/people", "bob@a.example", False),
        ("@@lsearch;DIR/people", "bill@a.example", False),
        ("@@lsearch;DIR/people", "zoe@a.example", True),
        ("@@lsearch;DIR/people", "ann@other.example", False),
    ],
)
def test_addresses(ctx: Context, listing: str, address: str, matches: bool) -> None:
    template = as_template(listing.replace("DIR", directory(ctx)))
    assert (match_address(ctx, template, address) is not None) is matches


@pytest.mark.parametrize(
    ("listing", "local_part", "data"),
    [
        ("joe", "Joe", "joe"),
        ("+caseful : Joe", "Joe", "Joe"),
        ("+caseful : Joe", "joe", None),
        ("+staff", "jon", "^j.n$"),
        ("!joe : *", "jon", "*"),
        ("!joe : *", "JOE", None),
        ("^[.] : ^.*[@%!/|]", "a/b", "^.*[@%!/|]"),
        ("^[.] : ^.*[@%!/|]", "ab", None),
    ],
)
def test_local_parts(ctx: Context, listing: str, local_part: str, data: str | None) -> None:
    found = match_local_part(ctx, as_template(listing), local_part)
    assert (None if found is None else found.data) == data


def test_case_counts_where_the_router_says_so(ctx: Context) -> None:
    template = as_template("Joe")
    assert match_local_part(ctx, template, "Joe", caseful=True) is not None
    assert match_local_part(ctx, template, "joe", caseful=True) is None
    assert match_local_part(ctx, template, "joe") is not None


def test_a_pattern_leaves_what_its_groups_found(ctx: Context) -> None:
    assert match_local_part(ctx, as_template("^(j)(.*)"), "jon") is not None
    assert ctx.captures == ("jon", "j", "on")
    assert not any(is_trusted(each) for each in ctx.captures)


def test_the_lists_of_a_configuration_are_checked_when_it_is_loaded(tmp_path: Path) -> None:
    conf = configuration(
        tmp_path,
        "domainlist local_domains = @\ndomainlist a = +local_domain\nhostlist h = 192.0.2\n"
        "domainlist b = +c\ndomainlist c = +b\nlocalpartlist p = ^(\n"
        "addresslist s = lserch;/x\n",
    )
    assert [str(error).replace(str(tmp_path), "DIR") for error in check_lists(conf)] == [
        'DIR/mta.conf:4: unknown named domain list "+local_domain"'
        " (did you mean 'local_domains'?)",
        'DIR/mta.conf:5: malformed address or address mask in "192.0.2"',
        'DIR/mta.conf:6: the named list "+c" contains itself',
        'DIR/mta.conf:7: the named list "+b" contains itself',
        'DIR/mta.conf:8: regular expression error in "^(": missing closing parenthesis'
        " at offset 2",
        "DIR/mta.conf:9: unknown lookup type \"lserch\" (did you mean 'lsearch'?)",
    ]
