"""Mail for domains whose hosts the DNS knows, through the real processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.harness import clients, daemon, dns, sink
from tests.harness.daemon import Running

ROUTER = """\
relay:
  driver = dnslookup
  domains = ! +local_domains
  transport = smtp
  no_more
"""
OLD = """\
relay:
  driver = manualroute
  domains = +relay_domains
  transport = smtp
  route_list = * 127.0.0.1::SINK
  self = send
  no_more
"""
ZONE = """
    remote.test.       MX     20 down.remote.test.
    remote.test.       MX     10 nowhere.remote.test.
    remote.test.       MX     30 up.remote.test.
    up.remote.test.    A      127.0.0.2
    down.remote.test.  A      127.0.0.9
    plain.test.        A      127.0.0.2
    own.test.          A      127.0.0.1
    null.test.         MX     0 .
    broken.test.       SERVFAIL
"""


@contextmanager
def tree(zone: str) -> Iterator[tuple[Running, sink.Sink, dns.Server]]:
    """A tree that asks this zone, and a host at 127.0.0.2."""
    assert OLD in daemon.BASIC
    with dns.serving(zone) as names, sink.listening(host="127.0.0.2") as peer:
        address, port = names.place
        config = daemon.BASIC.replace(OLD, ROUTER)
        config = config.replace("driver = smtp\n", f"driver = smtp\n  port = {peer.port}\n")
        config = config.replace(
            "domains = +local_domains : +relay_domains", "domains = *.test"
        )
        asking = f"dns_servers = <; [{address}]:{port}\ndns_retrans = 1s\ndns_retry = 1\n"
        with daemon.running(asking + config) as mta:
            yield mta, peer, names


def test_the_hosts_of_a_domain_are_tried_in_their_order() -> None:
    with tree(ZONE) as (mta, peer, _):
        clients.send(mta.address, "a@local.test", ["x@remote.test"])
        (message,) = peer.await_messages(1)
        assert message.recipients == ("x@remote.test",)
        mta.await_log("Completed")
        assert "H=down.remote.test [127.0.0.9]" in mta.log()
        assert "=> x@remote.test R=relay T=smtp H=up.remote.test [127.0.0.2]" in mta.log()


def test_a_domain_without_mx_records_has_an_address() -> None:
    with tree(ZONE) as (mta, peer, _):
        clients.send(mta.address, "a@local.test", ["x@plain.test"])
        peer.await_messages(1)
        mta.await_log("=> x@plain.test R=relay T=smtp H=plain.test [127.0.0.2]")


def test_what_has_no_host_is_returned() -> None:
    with tree(ZONE) as (mta, _, _):
        clients.send(mta.address, "alice@local.test", ["x@null.test", "x@nowhere.test"])
        mta.await_empty()
        log = mta.log()
    assert "** x@null.test: an MX or SRV record indicated no SMTP service" in log
    assert "** x@nowhere.test: Unrouteable address" in log
    assert "=> alice <alice@local.test> R=local T=maildir" in log


def test_mail_waits_while_the_name_servers_fail() -> None:
    with tree(ZONE) as (mta, _, _):
        clients.send(mta.address, "a@local.test", ["x@broken.test"])
        mta.await_log("== x@broken.test R=relay defer (-1): host lookup did not complete")
        assert len(mta.messages()) == 1


def test_mail_is_sent_when_the_name_server_is_back() -> None:
    with tree(ZONE) as (mta, peer, names):
        names.stop()
        clients.send(mta.address, "a@local.test", ["x@plain.test"])
        mta.await_log("== x@plain.test R=relay defer (-1): host lookup did not complete", 20.0)
        names.start()
        peer.await_messages(1, 90.0)
        mta.await_empty()


def test_a_domain_that_leads_back_to_us_is_frozen() -> None:
    with tree(ZONE) as (mta, _, _):
        clients.send(mta.address, "a@local.test", ["x@own.test"])
        mta.await_log("Frozen")
        log = mta.log()
    assert "remote host address is the local host: own.test\n" in log
    assert "== x@own.test R=relay defer (-1): remote host address is the local host" in log
