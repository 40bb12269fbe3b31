"""Debian's Knot signs zones and Unbound verifies them: what our resolver hears of that."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import pytest

from mta.net.dns import Manner, Resolver, Said, Settings
from mta.net.exchangers import End, Rules, find
from tests.harness import peers, ports, roots
from tests.harness.wait import until

ROOT = "peer-dns"
PACKAGES = ("knot", "unbound")
SIGNED, PLAIN = "signed.test", "plain.test"
ZONE = """\
$ORIGIN {zone}.
$TTL 60
@ SOA ns.{zone}. hostmaster.{zone}. 1 3600 600 86400 60
@ NS ns.{zone}.
ns A 127.0.0.1
@ MX 10 mx
@ MX 20 alias
mx A 192.0.2.1
mx AAAA 2001:db8::1
alias CNAME mx
null MX 0 .
text TXT "one" "two"
loop1 CNAME loop2
loop2 CNAME loop1
dangling CNAME nowhere
_25._tcp.mx TLSA 3 1 1 {digest}
{many}
"""
MANY = "\n".join(f"many A 198.51.{n // 250}.{n % 250 + 1}" for n in range(600))
CHAIN = "\n".join(f"c{n} CNAME c{n + 1}" for n in range(40)) + "\nc40 A 192.0.2.40"

pytestmark = [
    pytest.mark.timeout(300),  # the first use makes a Debian system
    pytest.mark.skipif(bool(roots.why_not()), reason=roots.why_not()),
]


@contextmanager
def running(*command: str) -> Iterator[None]:
    """A program in the root, for as long as this lasts."""
    process = subprocess.Popen(
        roots.entering(ROOT, "root", *command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        # unshare passes its end on to everything inside.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def keys(port: int) -> list[str]:
    """The keys of the signed zone, once the server has them."""
    query = dns.message.make_query(SIGNED, "DNSKEY")
    try:
        answer = dns.query.udp(query, "127.0.0.1", 1.0, port)
    except (dns.exception.DNSException, OSError):
        return []
    return [f"{SIGNED}. 60 IN DNSKEY {each}" for rrset in answer.answer for each in rrset]


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def knot(root: Path, port: int) -> str:
    """Its configuration and zones; the name of the file."""
    place = root / "var/lib/knot-test"
    shutil.rmtree(place, ignore_errors=True)
    for each in ("zones", "db"):
        (place / each).mkdir(parents=True)
    many = f"{MANY}\n{CHAIN}"
    for zone in (SIGNED, PLAIN):
        text = ZONE.format(zone=zone, digest="ab" * 32, many=many)
        (place / f"zones/{zone}.zone").write_text(text)
    (place / "knot.conf").write_text(f"""\
server:
    rundir: /var/lib/knot-test
    listen: 127.0.0.1@{port}
database:
    storage: /var/lib/knot-test/db
policy:
  - id: p
    algorithm: ecdsap256sha256
    single-type-signing: on
template:
  - id: default
    storage: /var/lib/knot-test/zones
    file: "%s.zone"
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: none
zone:
  - domain: {SIGNED}
    dnssec-signing: on
    dnssec-policy: p
  - domain: {PLAIN}
""")
    return "/var/lib/knot-test/knot.conf"


def unbound(root: Path, port: int, above: int, anchors: list[str]) -> str:
    place = root / "var/lib/unbound-test"
    place.mkdir(parents=True, exist_ok=True)
    (place / "anchors").write_text("\n".join(anchors) + "\n")
    stubs = "".join(
        f'stub-zone:\n  name: "{zone}."\n  stub-addr: 127.0.0.1@{above}\n'
        for zone in (SIGNED, PLAIN)
    )
    (place / "unbound.conf").write_text(f"""\
server:
  interface: 127.0.0.1@{port}
  do-daemonize: no
  use-syslog: no
  chroot: ""
  username: ""
  pidfile: ""
  do-not-query-localhost: no
  local-zone: "test." transparent
  domain-insecure: "{PLAIN}."
  trust-anchor-file: /var/lib/unbound-test/anchors
  qname-minimisation: no
{stubs}""")
    return "/var/lib/unbound-test/unbound.conf"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """That of the resolver."""
    root = roots.make(ROOT, *PACKAGES)
    above, here = ports.free(2)
    with ExitStack() as stack:
        stack.enter_context(peers.alone(root))
        stack.enter_context(running("knotd", "-c", knot(root, above)))
        anchors = until(lambda: keys(above), 30.0, "the keys of the signed zone")
        stack.enter_context(running("unbound", "-c", unbound(root, here, above, anchors)))
        until(lambda: listens(here), 30.0, "the resolver")
        yield here


@pytest.fixture
def resolver(port: int) -> Resolver:
    return Resolver(Settings(servers=(("127.0.0.1", port),)))


@pytest.mark.parametrize(("zone", "secure"), [(SIGNED, True), (PLAIN, False)])
def test_what_was_verified_is_known(resolver: Resolver, zone: str, secure: bool) -> None:
    asked = Manner(dnssec=True)
    found = resolver.ask(zone, "MX", manner=asked)
    assert sorted(found.records) == [(10, f"mx.{zone}"), (20, f"alias.{zone}")]
    assert found.secure is secure
    absent = resolver.ask(f"nowhere.{zone}", "A", manner=asked)
    assert absent.said is Said.NO_NAME
    assert not resolver.ask(zone, "MX").secure


def test_only_verified_hosts_may_count(resolver: Resolver) -> None:
    rules = Rules(secure_only=lambda name: True)
    found = find(resolver, SIGNED, rules)
    assert {each.address for each in found.hosts} == {"192.0.2.1", "2001:db8::1"}
    assert all(each.secure for each in found.hosts)
    assert find(resolver, PLAIN, rules).end is End.INSECURE


def test_a_huge_answer_comes_over_tcp_and_is_cut(resolver: Resolver) -> None:
    found = resolver.ask(f"many.{SIGNED}", "A", manner=Manner(dnssec=True))
    assert (found.said, len(found.records), found.secure) == (Said.FOUND, 500, True)


@pytest.mark.parametrize("name", ["loop1", "c0"])
def test_aliases_without_end_are_no_answer(resolver: Resolver, name: str) -> None:
    assert resolver.ask(f"{name}.{PLAIN}", "A").said is Said.AGAIN


def test_aliases_to_nowhere_are_nothing(resolver: Resolver) -> None:
    assert resolver.ask(f"dangling.{PLAIN}", "A").said is Said.NO_NAME
    assert resolver.ask(f"alias.{PLAIN}", "MX").said is Said.NO_DATA


def test_other_records_are_read(resolver: Resolver) -> None:
    assert resolver.ask(f"text.{SIGNED}", "TXT").records == (("one", "two"),)
    assert resolver.ask(f"_25._tcp.mx.{SIGNED}", "TLSA").records == ((3, 1, 1, "ab" * 32),)
    assert find(resolver, f"null.{SIGNED}", Rules()).end is End.NOTHING
