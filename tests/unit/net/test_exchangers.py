"""The hosts of a domain: which, in what order, and what the lack of them means."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mta.net import exchangers
from mta.net.dns import Resolver, Settings
from mta.net.exchangers import End, Found, Rules, find
from tests.harness import dns

ZONE = """
    usual.test.       MX     20 b.test.
    usual.test.       MX     10 a.test.
    a.test.           A      192.0.2.1
    b.test.           A      192.0.2.2
    b.test.           AAAA   2001:db8::2
    both.test.        MX     10 a.test.
    both.test.        MX     10 c.test.
    both.test.        MX     10 b.test.
    c.test.           A      192.0.2.3
    only.test.        A      192.0.2.9
    only.test.        AAAA   2001:db8::9
    text.test.        TXT    "x"
    alias.test.       CNAME  usual.test.
    null.test.        MX     0 .
    lost.test.        MX     10 nowhere.test.
    half.test.        MX     10 nowhere.test.
    half.test.        MX     20 a.test.
    address.test.     MX     10 192.0.2.7.
    broken.test.      SERVFAIL
    shaky.test.       MX     10 broken.test.
    shaky2.test.      MX     10 broken.test.
    shaky2.test.      MX     20 a.test.
    ours.test.        MX     10 me.test.
    ours.test.        MX     20 a.test.
    second.test.      MX     10 a.test.
    second.test.      MX     20 me.test.
    second.test.      MX     20 c.test.
    second.test.      MX     30 b.test.
    equal.test.       MX     10 a.test.
    equal.test.       MX     10 me.test.
    hidden.test.      MX     10 broken.test.
    hidden.test.      MX     20 me.test.
    me.test.          A      192.0.2.100
    twice.test.       MX     10 a.test.
    twice.test.       MX     30 A.test.
    twice.test.       MX     20 c.test.
    many.test.        A      192.0.2.1
    many.test.        A      192.0.2.2
    many.test.        A      192.0.2.3
"""


@pytest.fixture(scope="module")
def server() -> Iterator[dns.Server]:
    with dns.serving(ZONE) as running:
        yield running


def found(server: dns.Server, domain: str, **more: object) -> Found:
    resolver = Resolver(Settings(servers=(server.place,), timeout=2.0, tries=1))
    usual = {"ours": lambda address: address == "192.0.2.100"}
    return find(resolver, domain, Rules(**{**usual, **more}))  # type: ignore[arg-type]


def shown(answer: Found) -> list[str]:
    return [
        each.address if each.preference is None else f"{each.preference} {each.address}"
        for each in answer.hosts
    ]


@pytest.mark.parametrize(
    ("domain", "hosts"),
    [
        ("usual.test", ["10 192.0.2.1", "20 2001:db8::2", "20 192.0.2.2"]),
        ("alias.test", ["10 192.0.2.1", "20 2001:db8::2", "20 192.0.2.2"]),
        ("only.test", ["2001:db8::9", "192.0.2.9"]),
        ("half.test", ["20 192.0.2.1"]),
        ("shaky2.test", ["20 192.0.2.1"]),
        ("second.test", ["10 192.0.2.1"]),
        ("twice.test", ["10 192.0.2.1", "20 192.0.2.3"]),
    ],
)
def test_hosts_in_the_order_in_which_they_are_tried(
    server: dns.Server, domain: str, hosts: list[str]
) -> None:
    answer = found(server, domain)
    assert (answer.end, shown(answer)) == (End.HOSTS, hosts)


@pytest.mark.parametrize(
    ("domain", "end", "text"),
    [
        ("nowhere.test", End.NOTHING, ""),
        ("text.test", End.NOTHING, ""),
        ("lost.test", End.NOTHING, exchangers.NO_HOSTS),
        ("address.test", End.NOTHING, exchangers.NO_HOSTS),
        ("null.test", End.NOTHING, exchangers.NO_SERVICE),
        ("a..test", End.NOTHING, ""),
        (
            "broken.test",
            End.AGAIN,
            "lookup of MX for broken.test: the name servers answered with an error",
        ),
        (
            "shaky.test",
            End.AGAIN,
            "lookup of A for broken.test: the name servers answered with an error",
        ),
    ],
)
def test_a_domain_without_hosts(server: dns.Server, domain: str, end: End, text: str) -> None:
    answer = found(server, domain)
    assert (answer.end, answer.text, answer.hosts) == (end, text, ())


def test_equal_hosts_come_in_random_order(server: dns.Server) -> None:
    seen = {tuple(shown(found(server, "both.test"))) for _ in range(60)}
    assert len(seen) == 6


def test_the_addresses_of_a_host_come_in_random_order(server: dns.Server) -> None:
    seen = {tuple(shown(found(server, "many.test"))) for _ in range(60)}
    assert len(seen) == 6


def test_the_better_of_two_records_for_a_host_counts(server: dns.Server) -> None:
    assert shown(found(server, "twice.test"))[0] == "10 192.0.2.1"


@pytest.mark.parametrize("domain", ["ours.test", "equal.test", "me.test"])
def test_the_best_host_is_ourselves(server: dns.Server, domain: str) -> None:
    answer = found(server, domain)
    assert answer.end is End.OURSELVES
    assert answer.hosts[0].name == "me.test"


def test_whoever_is_not_better_than_we_are_is_left_out(server: dns.Server) -> None:
    answer = found(server, "second.test")
    assert (shown(answer), answer.was_secondary) == (["10 192.0.2.1"], True)
    assert not found(server, "usual.test").was_secondary


def test_a_better_host_that_is_not_found_now_may_still_be(server: dns.Server) -> None:
    assert found(server, "hidden.test").end is End.AGAIN


def test_a_host_may_be_ours_by_its_name(server: dns.Server) -> None:
    answer = found(server, "usual.test", ours_by_name=lambda name: name == "a.test")
    assert answer.end is End.OURSELVES


def test_addresses_may_be_ignored(server: dns.Server) -> None:
    answer = found(server, "usual.test", ignored=lambda name, address: address == "192.0.2.1")
    assert shown(answer) == ["20 2001:db8::2", "20 192.0.2.2"]
    answer = found(server, "usual.test", ignored=lambda name, address: True)
    assert (answer.end, answer.text) == (End.NOTHING, exchangers.NO_HOSTS)


def test_the_kinds_of_addresses(server: dns.Server) -> None:
    assert shown(found(server, "only.test", ipv4_only=True)) == ["192.0.2.9"]
    assert shown(found(server, "only.test", ipv4_first=True)) == ["192.0.2.9", "2001:db8::9"]


def test_a_domain_may_have_to_have_an_mx(server: dns.Server) -> None:
    answer = found(server, "only.test", mx_required=True)
    assert (answer.end, answer.text) == (End.NOTHING, "")
    assert found(server, "usual.test", mx_required=True).end is End.HOSTS


def test_no_answer_may_count_as_nothing(server: dns.Server) -> None:
    assert found(server, "shaky.test", again_is_never=lambda name: True).end is End.NOTHING
    with dns.serving("odd.test. SERVFAIL") as other:
        assert found(other, "odd.test").end is End.AGAIN
        # MX counts as nothing; the addresses still have no answer.
        answer = found(other, "odd.test", mx_may_fail=True)
        assert answer.text.startswith("lookup of A for odd.test")


def test_an_mx_may_be_an_address_where_that_is_wanted(server: dns.Server) -> None:
    assert shown(found(server, "address.test", mx_may_be_address=True)) == ["10 192.0.2.7"]


def test_an_answer_with_any_number_of_hosts_costs_a_bounded_number_of_questions() -> None:
    lines = [f"big.test. MX {number} h{number}.test." for number in range(300)]
    lines += [f"h{number}.test. A 192.0.2.{number % 250}" for number in range(300)]
    with dns.serving("\n".join(lines)) as server:
        answer = found(server, "big.test")
        assert len(server.asked()) < 2 * exchangers.MOST_HOSTS + 5
    assert len(answer.hosts) == exchangers.MOST_HOSTS


def test_hosts_are_secure_where_all_that_led_to_them_is() -> None:
    zone = "usual.test. MX 10 a.test.\na.test. A 192.0.2.1"
    for secure in (True, False):
        with dns.serving(zone, secure=secure) as server:
            resolver = Resolver(Settings(servers=(server.place,), dnssec=True))
            answer = find(resolver, "usual.test", Rules())
            assert [each.secure for each in answer.hosts] == [secure]


def test_a_name_that_an_alias_leads_to_is_not_the_domains() -> None:
    zone = """
        host.test.             CNAME  host.test.cdn.test.
        host.test.cdn.test.    A      192.0.2.1
        mail.test.             CNAME  mail.test.cdn.test.
        mail.test.cdn.test.    MX     10 host.test.cdn.test.
    """
    with dns.serving(zone) as server:
        for name in ("host.test", "mail.test"):
            answer = found(server, name, qualify=True, search=True)
            assert (answer.end, answer.name) == (End.HOSTS, name)


def test_hosts_for_which_nobody_answers_are_not_asked_for_all() -> None:
    lines = [f"big.test. MX {number} h{number}.silent.test." for number in range(40)]
    lines += [f"h{number}.silent.test. SERVFAIL" for number in range(40)]
    with dns.serving("\n".join(lines)) as server:
        assert found(server, "big.test").end is End.AGAIN
        assert len(server.asked()) < 30


def test_a_search_ends_in_time(server: dns.Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchangers, "LONGEST", -1.0)
    answer = found(server, "usual.test")
    text = "looking up the hosts of usual.test takes too long"
    assert (answer.end, answer.text) == (End.AGAIN, text)


def test_a_silent_host_no_better_than_we_are_changes_nothing(server: dns.Server) -> None:
    zone = """
        ours.test.    MX  10 me.test.
        ours.test.    MX  10 broken.test.
        me.test.      A   192.0.2.100
        broken.test.  SERVFAIL
    """
    with dns.serving(zone) as other:
        assert found(other, "ours.test").end is End.OURSELVES
