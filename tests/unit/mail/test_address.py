"""Addresses: what is read, what is refused and in which words, and that nothing takes long."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest

from mta.mail.address import AddressError, is_ip, parse_list, parse_path, quote, split, unquote


def path(text: str, **options: bool) -> tuple[str, str]:
    settings = {
        "null_ok": False,
        "allow_literal": False,
        "allow_unqualified": False,
        "allow_utf8": False,
    }
    return parse_path(text, **{**settings, **options})


def reason(text: str, **options: bool) -> str:
    with pytest.raises(AddressError) as refused:
        path(text, **options)
    return refused.value.reason


@pytest.mark.parametrize(
    ("text", "address", "rest"),
    [
        ("<user@example.com>", "user@example.com", ""),
        ("<user@example.com> SIZE=100", "user@example.com", " SIZE=100"),
        (" <user@example.com>", "user@example.com", ""),
        ("user@example.com", "user@example.com", ""),
        ("user@example.com SIZE=1", "user@example.com", " SIZE=1"),
        ("Some One <user@example.com>", "user@example.com", ""),
        ('"Some, One" <user@example.com>', "user@example.com", ""),
        ('<"a b"@d>', '"a b"@d', ""),
        (r'<"a\"b"@d>', r'"a\"b"@d', ""),
        (r"<a\@b@d>", r"a\@b@d", ""),
        ('<""@d>', '""@d', ""),
        ("<a..b@d>", "a..b@d", ""),
        ("<.a@d>", ".a@d", ""),
        ("<a.@d>", "a.@d", ""),
        ("<@x:a@d>", "a@d", ""),
        ("<@x,@y:a@d>", "a@d", ""),
        ("<a(comment)@d>", "a@d", ""),
        ("< a @ d >", "a@d", ""),
        ("<|cmd@c>", "|cmd@c", ""),
        ("<a/b@123>", "a/b@123", ""),
        ("<a@d-.e>", "a@d-.e", ""),
        ("<é@d>", "é@d", ""),
    ],
)
def test_a_path_is_read(text: str, address: str, rest: str) -> None:
    assert path(text) == (address, rest)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty address"),
        ("<>", "missing or malformed local part"),
        (":x", 'missing or malformed local part (expected word or "<")'),
        ("<<a@d>>", "missing or malformed local part"),
        ("<@d>", "no local part"),
        ("<@x,@y,a@d>", "colon expected after route list"),
        ("<a@>", "domain missing or malformed"),
        ("<a@d.>", "domain missing or malformed"),
        ("<a@.d>", "domain missing or malformed"),
        ("<a@d..e>", "domain missing or malformed"),
        ("<a@-d>", "domain missing or malformed"),
        ("<a@é.d>", "domain missing or malformed"),
        ("<a@d_e>", "malformed address: _e> may not follow <a@d"),
        ("<a@[192.0.2.1]>", "domain literals not allowed"),
        ("<a@d", "'>' missing at end of address"),
        ("a@d>", "malformed address: > may not follow a@d"),
        ("<a@d>>", "malformed address: > may not follow <a@d>"),
        ("<a@d>SIZE=1", "malformed address: SIZE=1 may not follow <a@d>"),
        ("<a@b@c>", "malformed address: @c> may not follow <a@b"),
        ('<"a"b@d>', '"@" or "." expected after ""a""'),
        ("<a,b@d>", '"@" or "." expected after "a"'),
        ('<"a@d>', "unmatched doublequote in local part"),
        ("<a>", "address must contain a domain"),
        ("<a\nb@d>", "malformed address: b@d> may not follow <a\\n"),
        ('<"a\nb"@d>', "unmatched doublequote in local part"),
        ("<a\0b@d>", '"@" or "." expected after "a"'),
    ],
)
def test_a_malformed_path_is_refused_in_the_known_words(text: str, why: str) -> None:
    assert reason(text) == why


def test_the_null_path_is_the_address_of_nobody_where_it_is_allowed() -> None:
    assert path("<> BODY=7BIT", null_ok=True) == ("", " BODY=7BIT")


def test_an_unqualified_address_passes_where_it_is_allowed() -> None:
    assert path("<postmaster>", allow_unqualified=True) == ("postmaster", "")


@pytest.mark.parametrize(
    "literal", ["[192.0.2.1]", "[IPv6:2001:db8::1]", "[IPv6:::ffff:192.0.2.1]"]
)
def test_a_domain_literal_passes_where_it_is_allowed(literal: str) -> None:
    assert path(f"<a@{literal}>", allow_literal=True) == (f"a@{literal}", "")


@pytest.mark.parametrize("literal", ["[]", "[300.1.1.1]", "[IPv6:1:2]", "[192.0.2.1", "[a b]"])
def test_a_literal_that_is_no_ip_address_is_malformed(literal: str) -> None:
    assert reason(f"<a@{literal}>", allow_literal=True) == "malformed domain literal"


def test_a_domain_of_other_letters_passes_where_it_is_allowed() -> None:
    assert path("<a@bücher.example>", allow_utf8=True) == ("a@bücher.example", "")


def test_an_address_too_long_for_the_wire_is_refused() -> None:
    assert reason(f"<{'a' * 600}@d>") == "address is too long"
    assert reason(f"<a@{'d.' * 130}d>") == "address is too long"
    assert path(f"<{'a' * 64}@{'d.' * 127}d>")[0] == f"{'a' * 64}@{'d.' * 127}d"


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("a@d", ["a@d"]),
        ("Foo <a@b>, c@d", ["a@b", "c@d"]),
        ("list: a@b, c@d; e@f", ["a@b", "c@d", "e@f"]),
        ("undisclosed-recipients:;", []),
        ("a, b", ["a", "b"]),
        (",a@b,,", ["a@b"]),
        ('"x, y" <a@b>', ["a@b"]),
        ("J. R. Hacker <a@b>", ["a@b"]),
        ("a@b (c, d) (e)", ["a@b"]),
        ("a (x, y) <b@c>, d@e", ["b@c", "d@e"]),
        ('a <"x>,y"@b>, d@e', ['"x>,y"@b', "d@e"]),
        ("@x:a@b", ["a@b"]),
        ("Foo <@x,@y:a@b>, c", ["a@b", "c"]),
        ("a . c @ b . d", ["a.c@b.d"]),
        ("a@b,\n\tc@d", ["a@b", "c@d"]),
        ("a@b, (nobody", ["a@b"]),
        ("", []),
    ],
)
def test_a_list_is_cut_into_addresses(text: str, addresses: list[str]) -> None:
    assert parse_list(text) == addresses


def test_errors_of_a_list_are_collected_with_their_items() -> None:
    errors: list[tuple[str, str]] = []
    assert parse_list("a@b, x y@z, <c@d", errors=errors) == ["a@b"]
    assert errors == [
        ("x y@z", "malformed address: y@z may not follow x "),
        ("<c@d", "'>' missing at end of address"),
    ]


def test_without_a_place_for_errors_the_first_one_is_raised() -> None:
    with pytest.raises(AddressError, match="unqualified address not permitted"):
        parse_list("a@b, c", allow_unqualified=False)


def test_a_list_has_a_limit() -> None:
    with pytest.raises(AddressError, match="too many addresses"):
        parse_list("a@b," * 11, limit=10)


@pytest.mark.parametrize(
    "piece",
    [
        "(",
        '"',
        "<",
        "a,",
        "a:",
        "\\",
        "@a,",
        ".",
        "a ",
        "a.",
        "()",
        '<"',
        ":;",
        "[",
        "a(",
        "((a",
    ],
)
def test_no_input_takes_longer_than_its_length(piece: str) -> None:
    def seconds(size: int) -> float:
        text = piece * (size // len(piece))
        started = time.process_time()
        parse_list(text, errors=[], limit=size)
        for options in (False, True):
            with suppress(AddressError):
                path(text, allow_literal=options, allow_utf8=options)
        return time.process_time() - started

    seconds(4_000)
    # Eight times the text; sixty-four times the time would be quadratic.
    assert seconds(64_000) < 40 * max(seconds(8_000), 0.002)


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("a@d", ("a", "d")),
        ("a", ("a", "")),
        ("", ("", "")),
        ('"a@b"@c', ('"a@b"', "c")),
        ('"a@b"', ('"a@b"', "")),
        (r"a\@b@c", (r"a\@b", "c")),
        (r"a\@b", (r"a\@b", "")),
        ("User@Example.COM", ("User", "Example.COM")),
    ],
)
def test_an_address_splits_at_its_last_true_at_sign(
    address: str, parts: tuple[str, str]
) -> None:
    assert split(address) == parts


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("abc", "abc"),
        ('"a b"', "a b"),
        (r'"a\"b"', 'a"b'),
        (r"a\@b", "a@b"),
        ('"a"."b"', "a.b"),
    ],
)
def test_a_local_part_is_unquoted(written: str, meant: str) -> None:
    assert unquote(written) == meant


@pytest.mark.parametrize(
    ("meant", "written"),
    [
        ("abc", "abc"),
        ("a.b", "a.b"),
        ("a..b", '"a..b"'),
        ("a b", '"a b"'),
        ('a"b\\', r'"a\"b\\"'),
        ("", '""'),
    ],
)
def test_a_local_part_is_quoted_where_it_must_be(meant: str, written: str) -> None:
    assert quote(meant) == written


@pytest.mark.parametrize(
    "text",
    ["192.0.2.1", "0.0.0.0", "::", "::1", "2001:db8::1", "1:2:3:4:5:6:7:8", "::192.0.2.1"],
)
def test_an_ip_address_is_known(text: str) -> None:
    assert is_ip(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.256",
        "1.2.3.4.",
        "01.2.3.4",
        ":::",
        "1::2::3",
        "1:2",
        "::g",
    ],
)
def test_what_is_no_ip_address_is_known(text: str) -> None:
    assert not is_ip(text)
