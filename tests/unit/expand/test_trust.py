"""A result is trusted if and only if no stranger had a say in it."""

from __future__ import annotations

from pathlib import Path

import pytest

import mta.match.check  # declares match_domain and its relatives
from mta.base.errors import ExpansionFail, TempFail
from mta.base.trust import Trusted, is_trusted
from mta.expand.context import Context
from mta.expand.run import expand, expand_text
from mta.expand.trust import keep, require
from mta.mail.header import parse_block
from tests.conform.language import PLACE, as_template, configuration, context

assert mta.match.check.GRAMMARS


@pytest.fixture(scope="module")
def ctx(tmp_path_factory: pytest.TempPathFactory) -> Context:
    directory = Path(tmp_path_factory.mktemp("conf"))
    (directory / "users").write_text("joe: Joe\n*: anybody\n")
    ctx = context(configuration(directory))
    ctx.place.local_part = "joe"
    ctx.place.domain = "d.example"
    ctx.place.local_part_data = Trusted("joe")
    ctx.message.sender = "$primary_hostname@evil.example"
    ctx.connection.helo_name = "${run{/bin/false}}"
    ctx.message.headers = parse_block(b"Subject: ${lc:X}\nX-File: /etc/passwd\n\n")[0]
    return ctx


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "$primary_hostname",
        "/var/mail/$local_part_data",
        "${lc:ABC}${substr_1:abc}",
        "${if eq{$local_part}{joe}{yes}{no}}",
        "${lookup{$local_part}lsearch{/etc/passwd}{found}{none}}",
        "${lookup{$local_part}lsearch*{DIR/users}}",
        "${lookup{$local_part}lsearch,ret=key{DIR/users}}",
        "${if match{$local_part}{o}{matched}}",
        "${map{a:b}{<$item>}}",
        "$message_size $tod_epoch",
        "a$sender_host_name",
    ],
)
def test_what_the_administrator_said_stays_trusted(ctx: Context, text: str) -> None:
    directory = ctx.conf.file.removesuffix("/mta.conf")
    assert is_trusted(expand(ctx, as_template(text.replace("DIR", directory))))


@pytest.mark.parametrize(
    "text",
    [
        "$local_part",
        "/var/mail/$local_part",
        "${lc:$local_part}",
        "${substr_0_1:$local_part}",
        "${sg{$local_part}{[^a-z]}{}}",
        "${if match{$local_part}{(.*)}{$1}}",
        "${if match{$local_part}{(.*)}{$0}}",
        "${extract{1}{@}{$sender_address}}",
        "${map{a:b}{$item$local_part}}",
        "${map{$local_part}{x}}",
        "${filter{$local_part}{eq{$item}{joe}}}",
        "${reduce{a:$local_part}{}{x}}",
        "${sort{$local_part:a}{lt}{$item}}",
        "${listextract{1}{$local_part}}",
        "${quote_local_part:$local_part}",
        "${base64d:${base64:$local_part}}",
        "$h_Subject:",
        "$sender_address_domain",
        "${tr{abc}{abc}{$local_part}}",
    ],
)
def test_what_a_stranger_said_never_becomes_trusted(ctx: Context, text: str) -> None:
    assert not is_trusted(expand(ctx, as_template(text)))


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("$sender_helo_name", "${run{/bin/false}}"),
        ("$sender_address", "$primary_hostname@evil.example"),
        ("${lc:$h_Subject:}", "${lc:x}"),
        ("${map{$sender_helo_name}{<$item>}}", "<${run{/bin/false}}>"),
        ("${sg{$sender_helo_name}{run}{sg}}", "${sg{/bin/false}}"),
        ("${sort{b:$h_Subject:}{lt}{$item}}", "${lc:X}:b"),
    ],
)
def test_data_is_never_expanded(ctx: Context, text: str, result: str) -> None:
    assert expand(ctx, as_template(text)) == result


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "${lookup{x}lsearch{/etc/$local_part}}",
            "Tainted '/etc/joe' (file or directory name for lookup) not permitted; use a fixed"
            " name with $domain_data or the result of a lookup (mta.conf:12)",
        ),
        (
            "${readfile{$h_X-File:}}",
            "Tainted '/etc/passwd' (file name for readfile) not permitted;"
            " use $local_part_data (mta.conf:12)",
        ),
        (
            "${expand:$h_Subject:}",
            'internal expansion of "${lc:X}" failed:'
            " attempt to expand tainted string '${lc:X}'",
        ),
        (
            "${if match_domain{a}{lsearch;/x}{}}${lookup{x}dsearch{/etc/$domain}}",
            "Tainted '/etc/d.example' (file or directory name for lookup) not permitted; use a"
            " fixed name with $domain_data or the result of a lookup (mta.conf:12)",
        ),
    ],
)
def test_a_refusal_names_the_value_the_place_and_the_way_out(
    ctx: Context, text: str, words: str
) -> None:
    if "match_domain" in text:
        text = text[text.index("${lookup") :]
    with pytest.raises(ExpansionFail) as caught:
        expand(ctx, as_template(text))
    assert caught.value.text == words


def test_text_of_strangers_is_not_expanded_at_run_time(ctx: Context) -> None:
    with pytest.raises(ExpansionFail):
        expand_text(ctx, "$primary_hostname", PLACE)
    assert expand_text(ctx, "nothing to expand", PLACE) == "nothing to expand"


def test_a_sink_defers_and_says_what_to_use() -> None:
    with pytest.raises(TempFail) as caught:
        require("/home/x", "file or directory name for local transport", PLACE)
    assert caught.value.code == -1
    assert caught.value.text == (
        "Tainted '/home/x' (file or directory name for local transport) not permitted;"
        " use $local_part_data, $domain_data or the result of a lookup (mta.conf:12)"
    )
    assert is_trusted(require(Trusted("/home/x"), "file", PLACE))


def test_a_refusal_shows_no_control_characters() -> None:
    with pytest.raises(TempFail) as caught:
        require("a\nb\x00" + "c" * 500, "file", PLACE)
    assert caught.value.text.startswith("Tainted 'a\\nb\\000ccc")
    assert len(caught.value.text) < 300


def test_nothing_at_all_is_neutral() -> None:
    assert is_trusted(keep("", "x"))
    assert not is_trusted(keep("x", "x"))
