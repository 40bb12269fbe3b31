"""dnsdb: what is asked and how the answer is written, as Exim 4.98 does it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mta.base.errors import TempFail
from mta.base.trust import Trusted, is_trusted
from mta.expand.context import Context
from mta.lookup.drivers.dnsdb import read_query
from mta.lookup.search import parse_search
from tests.conform.language import configuration, context, expanded
from tests.harness import dns

ZONE = """
    aonly.example.       A      192.0.2.80
    aonly.example.       A      192.0.2.81
    v6.example.          AAAA   2001:db8::25
    v6.example.          A      192.0.2.25
    remote.example.      MX     10 mx1.remote.example.
    remote.example.      NS     ns1.remote.example.
    remote.example.      TXT    "v=spf1 " "-all"
    remote.example.      SPF    "v=spf1 " "-all"
    remote.example.      SOA    ns1.remote.example. root.remote.example. 42 3600 600 86400 300
    nullmx.example.      MX     0 .
    _smtp._tcp.srv.example.  SRV  5 1 25 mx1.remote.example.
    7.2.0.192.in-addr.arpa.  PTR  host.client.example.
    9.2.0.192.in-addr.arpa.  PTR  mismatch.client.example.
    alias.example.       CNAME  aonly.example.
    _25._tcp.mx1.remote.example.  TLSA  3 1 0 aabbccdd
    _client._smtp.csa.example.     SRV  1 2 0 csa.example.
    _client._smtp.parent.example.  SRV  1 1 1 parent.example.
    _client._smtp.old.example.     SRV  2 2 0 old.example.
    host.again.          SERVFAIL
    txt.example.         TXT    "one" "two"
    txt.example.         TXT    "three"
    huge.example.        TXT    "x"
"""


@pytest.fixture(scope="module")
def server() -> Iterator[dns.Server]:
    with dns.serving(ZONE) as running:
        yield running


@pytest.fixture
def ctx(server: dns.Server, tmp_path: Path) -> Context:
    return context(configuration(tmp_path, server.options))


@pytest.mark.parametrize(
    ("query", "answers"),
    [
        ("a=aonly.example", ["192.0.2.80", "192.0.2.81"]),
        ("A = aonly.example", ["192.0.2.80", "192.0.2.81"]),
        ("a=alias.example", ["192.0.2.80", "192.0.2.81"]),
        ("a=nowhere.example:aonly.example", ["192.0.2.80", "192.0.2.81"]),
        ("aaaa=v6.example", ["2001:db8::25"]),
        ("a+=v6.example", ["2001:db8::25", "192.0.2.25"]),
        ("mx=remote.example", ["10 mx1.remote.example"]),
        ("mxh=remote.example", ["mx1.remote.example"]),
        ("mx=nullmx.example", ["0 "]),
        ("ns=remote.example", ["ns1.remote.example"]),
        ("zns=a.b.remote.example", ["ns1.remote.example"]),
        ("soa=remote.example", ["ns1.remote.example"]),
        ("srv=_smtp._tcp.srv.example", ["5 1 25 mx1.remote.example"]),
        ("spf=remote.example", ["v=spf1 -all"]),
        ("txt=remote.example", ["v=spf1 "]),
        ("txt.example", ["one", "three"]),
        ("ptr=192.0.2.7", ["host.client.example"]),
        ("ptr=7.2.0.192.in-addr.arpa", ["host.client.example"]),
        ("ptr=<; 192.0.2.7 ; 192.0.2.9", ["host.client.example", "mismatch.client.example"]),
        ("cname=alias.example", ["aonly.example"]),
        ("tlsa=_25._tcp.mx1.remote.example", ["3 1 0 aabbccdd"]),
        ("csa=csa.example", ["Y csa.example"]),
        ("csa=sub.parent.example", ["X parent.example"]),
        ("defer_never,a=host.again:aonly.example", ["192.0.2.80", "192.0.2.81"]),
        ("defer_lax,a=host.again:aonly.example", ["192.0.2.80", "192.0.2.81"]),
        ("defer_strict , dnssec_lax , a = aonly.example", ["192.0.2.80", "192.0.2.81"]),
        ("retrans_1s,retry_1,a=v6.example", ["192.0.2.25"]),
    ],
)
def test_answers_stand_in_lines(ctx: Context, query: str, answers: list[str]) -> None:
    found = expanded(ctx, f"${{lookup dnsdb{{{query}}}{{$value}}{{none}}}}")
    assert sorted(found.split("\n")) == sorted(answers)


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        (">: a+=v6.example", "2001:db8::25:192.0.2.25"),
        (">; a+=v6.example", "2001:db8::25;192.0.2.25"),
        (">,; mx=remote.example", "10mx1.remote.example"),
        (">|,# mx=remote.example", "10#mx1.remote.example"),
        (
            ">x,; soa=remote.example",
            "ns1.remote.example;root.remote.example;42;3600;600;86400;300",
        ),
        (">;, txt=remote.example", "v=spf1  -all"),
        (">,; txt=remote.example", "v=spf1 -all"),
    ],
)
def test_separators(ctx: Context, query: str, answer: str) -> None:
    assert expanded(ctx, f"${{lookup dnsdb{{{query}}}}}") == answer


@pytest.mark.parametrize(
    "query",
    [
        "a=nowhere.example", "a=txt.example", "mxh=nullmx.example", "cname=remote.example",
        "a=", "a=bad name", "mx=_x_.example", "csa=nowhere.example", "csa=old.example",
        "defer_never,a=host.again", "spf=txt.example", "ptr=192.0.2.99",
    ],
)  # fmt: skip
def test_nothing_is_found(ctx: Context, query: str) -> None:
    assert expanded(ctx, f"${{lookup dnsdb{{{query}}}{{found}}{{none}}}}") == "none"


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("a=host.again", ""),
        ("defer_strict,a=aonly.example:host.again", ""),
        ("dnssec_strict,a=aonly.example", ""),
        ("defer_foo,a=aonly.example", "unsupported dnsdb defer behaviour"),
        ("dnssec_x,a=aonly.example", "unsupported dnsdb dnssec behaviour"),
        ("retrans_0s,a=aonly.example", "unsupported dnsdb timeout value"),
        ("retrans_x,a=aonly.example", "unsupported dnsdb timeout value"),
        ("retry_-1,a=aonly.example", "unsupported dnsdb retry count"),
        ("retry_1;a=aonly.example", "dnsdb modifier syntax error"),
        ("foo=aonly.example", "unsupported DNS record type"),
        ("=aonly.example", "unsupported DNS record type"),
    ],
)
def test_what_cannot_be_told_defers(ctx: Context, query: str, why: str) -> None:
    found = expanded(ctx, f"${{lookup dnsdb{{{query}}}{{found}}{{none}}}}")
    assert found == f'Failed: lookup of "{query}" gave DEFER: {why}'


def test_what_strangers_say_is_never_trusted(ctx: Context) -> None:
    search = parse_search("dnsdb")
    assert not isinstance(search, str)
    found = search.find(ctx.tables, "txt=txt.example", Trusted(""))
    assert found is not None
    assert not is_trusted(found.data)
    said = expanded(ctx, "${readfile{${lookup dnsdb{ns=remote.example}}}}")
    assert said.startswith("Failed: Tainted 'ns1.remote.example'")


def test_an_answer_that_was_verified_says_so(tmp_path: Path) -> None:
    with dns.serving(ZONE, secure=True) as server:
        ctx = context(configuration(tmp_path, server.options))
        text = "${lookup dnsdb{%s}{$lookup_dnssec_authenticated}}"
        assert expanded(ctx, text % "dnssec_strict,a=v6.example") == "yes"
        assert expanded(ctx, text % "a=v6.example") == ""


def test_a_query_asks_for_only_so_many_names(server: dns.Server, ctx: Context) -> None:
    names = ":".join(f"n{number}.example" for number in range(100))
    before = len(server.asked())
    assert expanded(ctx, f"${{lookup dnsdb{{a={names}}}{{found}}{{none}}}}") == "none"
    assert len(server.asked()) - before == 50


def test_an_answer_is_only_so_long(tmp_path: Path) -> None:
    text = '"' + "x" * 250 + '"'
    lines = [
        f"huge.example. TXT {' '.join([text[:-5] + str(n) + chr(34)] * 4)}"
        for n in range(1000, 1060)
    ]
    with dns.serving("\n".join(lines)) as server:
        ctx = context(configuration(tmp_path, server.options))
        assert len(expanded(ctx, "${lookup dnsdb{>,; txt=huge.example}}")) > 50_000
        many = ":".join(["huge.example"] * 10)
        assert "gave DEFER: the answer is longer" in expanded(
            ctx, f"${{lookup dnsdb{{>,; txt={many}}}}}"
        )


def test_a_name_server_that_lies_still_is_not_asked_for_ever() -> None:
    request = read_query("retrans_1h,retry_1000000,a=x")
    assert (request.manner.timeout, request.manner.tries) == (30.0, 10)
    with pytest.raises(TempFail):
        read_query("retry_" + "9" * 5000 + ",a=x")


def test_a_list_of_domains_may_ask(ctx: Context) -> None:
    assert expanded(ctx, "${if match_domain{x}{dnsdb;a=aonly.example}{y}{n}}") == "y"
    assert expanded(ctx, "${if match_domain{x}{dnsdb;a=nowhere.example}{y}{n}}") == "n"
