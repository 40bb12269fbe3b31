"""The resolver: what the servers say, what is remembered, how silence and nonsense end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mta.base import clock
from mta.net import dns as subject
from mta.net.dns import Answer, Resolver, Said, Settings
from tests.harness import dns

ZONE = """
    example.test.         MX     20 mx2.example.test.
    example.test.         MX     10 mx1.example.test.
    mx1.example.test.     A      192.0.2.1
    mx1.example.test.     A      192.0.2.2
    mx1.example.test.     AAAA   2001:db8::1
    alias.test.           CNAME  other.test.
    other.test.           CNAME  mx1.example.test.
    null.test.            MX     0 .
    text.test.            TXT    "one" "two"
    text.test.            TXT    "caf\\233"
    _smtp._tcp.test.      SRV    1 2 25 mx1.example.test.
    1.2.0.192.in-addr.arpa.  PTR  Mx1.example.test.
    zone.test.            SOA    ns.zone.test. root.zone.test. 5 4 3 2 1
    _25._tcp.mx1.test.    TLSA   3 1 0 00ff
    broken.test.          SERVFAIL
    refused.test.         REFUSED
    silent.test.          SILENT
    garbage.test.         GARBAGE
    loop.test.            CNAME  loop.test.
"""


@pytest.fixture(scope="module")
def server() -> Iterator[dns.Server]:
    with dns.serving(ZONE) as running:
        yield running


def resolver(server: dns.Server, **more: object) -> Resolver:
    usual = {"servers": (server.place,), "timeout": 0.3, "tries": 1}
    return Resolver(Settings(**{**usual, **more}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "kind", "records"),
    [
        ("example.test", "MX", {(10, "mx1.example.test"), (20, "mx2.example.test")}),
        ("EXAMPLE.test", "MX", {(10, "mx1.example.test"), (20, "mx2.example.test")}),
        ("mx1.example.test", "A", {("192.0.2.1",), ("192.0.2.2",)}),
        ("mx1.example.test", "AAAA", {("2001:db8::1",)}),
        ("null.test", "MX", {(0, ".")}),
        ("text.test", "TXT", {("one", "two"), ("caf\udce9",)}),
        ("_smtp._tcp.test", "SRV", {(1, 2, 25, "mx1.example.test")}),
        ("zone.test", "SOA", {("ns.zone.test", "root.zone.test", 5, 4, 3, 2, 1)}),
        ("_25._tcp.mx1.test", "TLSA", {(3, 1, 0, "00ff")}),
    ],
)
def test_records_come_with_the_fields_of_their_type(
    server: dns.Server, name: str, kind: str, records: set[tuple[object, ...]]
) -> None:
    found = resolver(server).ask(name, kind)
    assert (found.said, set(found.records)) == (Said.FOUND, records)


def test_aliases_are_followed_and_the_last_name_is_told(server: dns.Server) -> None:
    found = resolver(server).ask("alias.test", "AAAA")
    assert (found.records, found.name) == ((("2001:db8::1",),), "mx1.example.test")


def test_the_names_of_an_address(server: dns.Server) -> None:
    assert resolver(server).reverse("192.0.2.1").records == (("mx1.example.test",),)
    assert resolver(server).reverse("2001:db8::9").said is Said.NO_NAME


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere.test", Said.NO_NAME),
        ("text.test", Said.NO_DATA),
        ("broken.test", Said.AGAIN),
        ("refused.test", Said.AGAIN),
        ("silent.test", Said.AGAIN),
        ("garbage.test", Said.AGAIN),
        ("loop.test", Said.AGAIN),
        ("a..test", Said.NO_NAME),
        ("", Said.NO_NAME),
        (".", Said.NO_NAME),
        ("a b.test", Said.NO_NAME),
        ("a\\046test", Said.NO_NAME),
        ("-a.test", Said.NO_NAME),
        ("a" * 64 + ".test", Said.NO_NAME),
        ("a." * 200 + "test", Said.NO_NAME),
        ("a" * 5000, Said.NO_NAME),
        ("\u00e9.test", Said.NO_NAME),
        ("a\0.test", Said.NO_NAME),
        ("a.test\n", Said.NO_NAME),
    ],
)
def test_what_is_said_of_a_name_without_an_address(
    server: dns.Server, name: str, said: Said
) -> None:
    assert resolver(server).ask(name, "A").said is said


def test_no_answer_has_a_reason(server: dns.Server) -> None:
    asking = resolver(server)
    assert asking.ask("silent.test", "A").text == "the name servers did not answer in time"
    assert asking.ask("broken.test", "A").text == "the name servers answered with an error"


def test_an_answer_that_is_too_long_for_a_datagram_comes_over_tcp() -> None:
    records = [f"many.test. A 192.0.{number // 250}.{number % 250}" for number in range(400)]
    with dns.serving("\n".join(records)) as server:
        found = resolver(server, timeout=5.0).ask("many.test", "A")
    assert len(found.records) == 400


def test_no_answer_has_more_records_than_anybody_needs() -> None:
    records = [f"many.test. A 10.0.{number // 250}.{number % 250}" for number in range(1500)]
    with dns.serving("\n".join(records)) as server:
        found = resolver(server, timeout=5.0).ask("many.test", "A")
    assert len(found.records) == subject.MOST_RECORDS


class Time:
    """A clock that is set by hand; deadlines of dnspython run on the real one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(clock, "monotonic", lambda: self.now)


def test_an_answer_is_kept_as_long_as_its_ttl_says(monkeypatch: pytest.MonkeyPatch) -> None:
    time = Time(monkeypatch)
    with dns.serving("host.test. A 192.0.2.1", ttl=100) as server:
        asking = resolver(server)
        for passed, asked in ((0, 1), (99, 1), (2, 2)):
            time.now += passed
            assert asking.ask("Host.test", "A").said is Said.FOUND
            assert len(server.asked()) == asked


def test_that_there_is_nothing_is_kept_as_long_as_the_zone_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    time = Time(monkeypatch)
    with dns.serving("host.test. A 192.0.2.1", ttl=100) as server:
        asking = resolver(server)
        for passed, asked in ((0, 2), (99, 2), (2, 4)):
            time.now += passed
            assert asking.ask("host.test", "MX").said is Said.NO_DATA
            assert asking.ask("none.test", "MX").said is Said.NO_NAME
            assert len(server.asked()) == asked


def test_silence_is_remembered_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    time = Time(monkeypatch)
    with dns.serving("host.test. A 192.0.2.1") as server:
        asking = resolver(server)
        server.stop()
        assert asking.ask("host.test", "A").said is Said.AGAIN
        server.start()
        assert asking.ask("host.test", "A").said is Said.AGAIN
        time.now += subject.SILENCE_TTL + 1
        assert asking.ask("host.test", "A").said is Said.FOUND


def test_what_is_remembered_is_bounded(
    server: dns.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "MOST_KNOWN", 3)
    asking = resolver(server)
    for number in range(10):
        asking.ask(f"{number}.nowhere.test", "A")
    assert len(asking._known) == 3


def test_a_verified_answer_is_secure() -> None:
    with dns.serving("host.test. A 192.0.2.1", secure=True) as server:
        assert resolver(server, dnssec=True).ask("host.test", "A").secure
        assert not resolver(server).ask("host.test", "A").secure
    with dns.serving("host.test. A 192.0.2.1") as server:
        assert not resolver(server, dnssec=True).ask("host.test", "A").secure


def test_the_domains_of_resolv_conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with dns.serving("a.first.test. A 192.0.2.1\na.b.second.test. A 192.0.2.2") as server:
        asking = resolver(server)
        made = asking._made()
        assert made is not None
        made.domain = subject.dns.name.from_text("first.test")
        made.search = []
        assert asking.ask("a", "A").said is Said.NO_NAME
        assert asking.ask("a", "A", qualify=True).records == (("192.0.2.1",),)
        assert asking.ask("a", "A", qualify=True).asked == "a.first.test"
        assert asking.ask("a.b", "A", qualify=True).said is Said.NO_NAME
        made.search = [subject.dns.name.from_text("second.test")]
        assert asking.ask("a.b", "A", search=True).records == (("192.0.2.2",),)
        assert asking.ask("a.b.", "A", search=True).said is Said.NO_NAME


def test_a_new_resolv_conf_is_heeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "resolv.conf"
    monkeypatch.setattr(subject, "RESOLV_CONF", str(file))
    asking = Resolver()
    assert asking.ask("a.test", "A") == Answer(
        Said.AGAIN, name="a.test", asked="a.test", text="no name server is known"
    )
    file.write_text("nameserver 192.0.2.53\n")
    made = asking._made()
    assert made is not None
    assert made.nameservers == ["192.0.2.53"]
    assert asking._made() is made


@pytest.mark.parametrize(
    "text", [b"nameserver 10.0\n", b"nameserver 192.0.2.53\nsearch a..b\n", b"nameserver \xff"]
)
def test_a_resolv_conf_that_is_being_written_leaves_the_old_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: bytes
) -> None:
    file = tmp_path / "resolv.conf"
    monkeypatch.setattr(subject, "RESOLV_CONF", str(file))
    asking = Resolver()
    file.write_bytes(text)
    assert asking.ask("a.test", "A").said is Said.AGAIN
    file.write_text("nameserver 192.0.2.1\n")
    before = asking._made()
    assert before is not None
    file.write_bytes(text)
    assert asking._made() is before
    file.write_text("nameserver 192.0.2.99\n")
    made = asking._made()
    assert made is not None
    assert made.nameservers == ["192.0.2.99"]
