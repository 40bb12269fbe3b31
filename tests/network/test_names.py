"""Domains as the DNS has them: real servers, MX sets, IPv6, null MX, lame and slow ones."""

from __future__ import annotations

import pytest

from tests.harness import mailhosts
from tests.network.test_both_ways import SENDER, await_all, message

ZONES = {
    "sets.test": """\
@       MX 10 dead
@       MX 20 mx.b.test.
dead    A  10.99.0.250
equal   MX 10 one
equal   MX 10 two
one     A  10.99.0.12
two     A  10.99.0.12
plain   A  10.99.0.12
alias   CNAME plain
null    MX 0 .
dangles MX 10 nowhere
ours    MX 5 mx.a.test.
ours    MX 10 mx.b.test.
""",
    "six.test": "@ MX 10 mx\nmx AAAA fd99::12\n",
}
# Nobody serves this zone where Unbound is told to ask for it.
LAME = """\
  local-zone: "lame.test." transparent
stub-zone:
  name: "lame.test."
  stub-addr: 10.99.0.99
server:
"""

pytestmark = pytest.mark.timeout(400)


def test_domains_as_the_dns_has_them() -> None:
    config = mailhosts.CONFIG.replace("dns_retrans = 2s", "dns_retrans = 1s\ndns_retry = 1")
    postfix = "mydestination = b.test, sets.test, equal.sets.test, plain.sets.test, alias.sets.test"
    with (
        mailhosts.internet(ZONES, LAME) as net,
        mailhosts.peer(net, "postfix") as peer,
        mailhosts.ours(net, config) as mta,
    ):
        file = peer.root / "etc/postfix/main.cf"
        text = file.read_text().replace("mydestination = b.test", postfix)
        file.write_text(text)
        peer.run("postfix", "reload")
        domains = ("sets", "equal.sets", "plain.sets", "alias.sets")
        for domain in domains:
            mailhosts.send(
                net, mailhosts.OURS, SENDER, [f"alice@{domain}.test"], [message(domain)]
            )
        await_all(peer.maildir(), set(domains), mta.everything_said)
        lost = ("null.sets", "dangles.sets", "ours.sets", "lame")
        for domain in lost:
            mailhosts.send(
                net, mailhosts.OURS, SENDER, [f"alice@{domain}.test"], [message(domain)]
            )
        mta.await_log("** alice@null.sets.test", 30.0)
        mta.await_log("** alice@dangles.sets.test", 30.0)
        mta.await_log("== alice@lame.test", 30.0)
        log = mta.log()
        mta.kill()
    assert "H=dead.sets.test [10.99.0.250]" in log
    assert "=> alice@plain.sets.test" in log
