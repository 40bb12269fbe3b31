"""What strangers type and what administrators write: never an error that nobody expects."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, strategies

from mta.base.errors import ConfigError, ExpansionFail, Reject, TempFail
from mta.base.text import to_text
from mta.base.trust import Trusted
from mta.config import load
from mta.expand.context import Context
from mta.expand.run import expand_text
from mta.mail.address import AddressError, parse_list, parse_path, quote, split, unquote
from mta.smtp import parse
from tests.conform import language
from tests.fuzz.given import damaged, few, octets, seeds, text_of

ADDRESSES = text_of("a", "user", "x.example", "[192.0.2.1]", '"q s"', "(c)", "group:", "<>")
SMTP = text_of(
    "FROM:<a@x.example>", "TO:<b@x>", "SIZE=", "BODY=8BITMIME", "RET=FULL", "ENVID=", "+",
    "NOTIFY=NEVER,SUCCESS", "ORCPT=rfc822;", "1", "SMTPUTF8", "AUTH=<>", "+4",
)  # fmt: skip
EXPANSION = text_of(
    "$", "${", "}", "${if ", "${lc:", "$local_part", "$h_subject:", "eq", "{a}", "{b}",
    "${sg{",
    "${extract{1}{:}", "and{", "match", "${lookup{x}lsearch{/nowhere}}", "${length_3:", "yes",
    "${map{", "${reduce{", "${filter{", "$item", "$value", "${hash_5_9:", "${eval:", "1+",
    "9" * 30,
    "${substr_-1_2:", "${tr{", "${base62:", "${reverse_ip:", "::1", "match_domain", "isip",
    "\\N",
    "fail", "${expand:", "${quote:", "(a+)+$", "exists", "${length{",
    "${sort{", "${listextract{",
)  # fmt: skip
CONFIG = text_of(
    "begin ", "routers", "acl", "transports", "retry", "rewrite",
    "\nx:\n", "driver = accept\n",
    "driver = redirect\n", "domainlist ", "= a : b\n", ".include ", ".ifdef X\n", ".endif\n",
    ".else\n", "X = y\n", "X == z\n", "accept ", "deny message = ", "hide ",
    "spool_directory = /s\n",
    "smtp_accept_max = ", "1k", "no_", "macro", "* * F,1h,1m\n", "\\\n", '"',
    "acl_smtp_rcpt = x\n",
    "never_users = root\n", "domains = ", "hosts = ", "condition = ", "verify = recipient",
    "1h2m",
)  # fmt: skip


MAIL = b"FROM:<a.b@x.example> SIZE=100 BODY=8BITMIME RET=FULL ENVID=a+2Bb"
RCPT = b'TO:<"q s"@x.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+2Bb@x.example'


@few
@given(ADDRESSES | octets.map(to_text))
def test_an_address_is_one_or_an_address_error(text: str) -> None:
    for loose in (False, True):
        with contextlib.suppress(AddressError):
            address, _ = parse_path(
                text,
                null_ok=loose,
                allow_literal=loose,
                allow_unqualified=loose,
                allow_utf8=loose,
            )
            assert not set("\r\n\0") & set(address)
            local_part, _ = split(address)
            assert isinstance(unquote(quote(local_part)), str)


@few
@given(ADDRESSES | octets.map(to_text))
def test_a_list_of_addresses_is_one_or_an_address_error(text: str) -> None:
    with contextlib.suppress(AddressError):
        for address in parse_list(text, limit=50):
            assert not set("\r\n\0") & set(address)


@pytest.mark.parametrize(
    "piece", ["(", '"', "<", "a,", "\\", "a@", ":", "g:", "@a,", "a b ", ";"]
)
def test_a_long_list_of_addresses_takes_no_time(piece: str) -> None:
    with contextlib.suppress(AddressError):
        list(parse_list(piece * 20_000, limit=100_000))


@few
@given(
    SMTP
    | octets.map(to_text)
    | SMTP.map("FROM:<a@x.example> ".__add__)
    | seeds.map(lambda seed: to_text(damaged(MAIL, seed)))
    | seeds.map(lambda seed: to_text(damaged(RCPT, seed)))
)
def test_the_argument_of_a_command_is_taken_or_rejected(text: str) -> None:
    parse.helo_name(text)
    manner = parse.Manner()
    for esmtp in (False, True):
        with contextlib.suppress(Reject):
            assert not set("\r\n\0") & set(
                parse.mail_from(text, manner, esmtp=esmtp, dsn=esmtp).sender
            )
        with contextlib.suppress(Reject):
            assert not set("\r\n\0") & set(parse.rcpt_to(text, manner, dsn=esmtp).recipient)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    return language.context(language.configuration(tmp_path_factory.mktemp("fuzz")))


@few
@given(EXPANSION | octets.map(to_text))
def test_any_text_expands_or_fails_as_expansions_do(context: Context, text: str) -> None:
    with contextlib.suppress(ExpansionFail, TempFail):
        expand_text(context, Trusted(text), language.PLACE)


@few
@given(EXPANSION)
def test_what_a_stranger_wrote_is_never_expanded(context: Context, text: str) -> None:
    if "$" in text or "\\" in text:
        with pytest.raises(ExpansionFail):
            expand_text(context, text, language.PLACE)


@few
@given(strategies.integers(1, 6), seeds)
def test_deep_nesting_is_an_error_and_not_an_end(
    context: Context, kind: int, seed: int
) -> None:
    opening = ("${lc:", "${if !", "${if and{{", "${map{a}{", "${extract{", "${if eq{${")[
        kind - 1
    ]
    with contextlib.suppress(ExpansionFail, TempFail):
        expand_text(context, Trusted(opening * (100 + seed % 20_000)), language.PLACE)


@few
@given(CONFIG | octets.map(to_text))
def test_any_file_is_a_configuration_or_a_configuration_error(text: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "mta.conf")
        file.write_text(text, "utf-8", "surrogateescape", newline="")
        with contextlib.suppress(ConfigError):
            load.load(str(file))
