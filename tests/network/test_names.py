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
six     MX 10 onlysix
onlysix AAAA fd99::12
slow    MX 10 one
null    MX 0 .
dangles MX 10 nowhere
ours    MX 5 mx.a.test.
ours    MX 10 mx.b.test.
backup  MX 5 mx.b.test.
backup  MX 10 mx.a.test.
""",
}
ARRIVE = ("sets", "equal.sets", "plain.sets", "alias.sets", "six.sets", "backup.sets")
# Nobody serves this zone where Unbound is told to ask for it.
LAME = """\
  local-zone: "lame.test." transparent
stub-zone:
  name: "lame.test."
  stub-addr: 10.99.0.99
server:
"""
CONFIG = mailhosts.CONFIG.replace("dns_retrans = 2s", "dns_retrans = 4s\ndns_retry = 1")

pytestmark = pytest.mark.timeout(400)


def test_domains_as_the_dns_has_them() -> None:
    with (
        mailhosts.internet(ZONES, LAME) as net,
        mailhosts.peer(net, "postfix") as peer,
        mailhosts.ours(net, CONFIG) as mta,
    ):
        known = ", ".join(f"{domain}.test" for domain in (*ARRIVE, "slow.sets"))
        file = peer.root / "etc/postfix/main.cf"
        file.write_text(
            file.read_text().replace("mydestination = ", f"mydestination = {known}, ")
        )
        peer.run("postfix", "reload")

        def mail(*domains: str) -> None:
            for domain in domains:
                to = [f"alice@{domain}.test"]
                mailhosts.send(net, mailhosts.OURS, SENDER, to, [message(domain)])

        mail(*ARRIVE)
        await_all(peer.maildir(), set(ARRIVE), mta.everything_said)
        log = mta.log()
        assert "== alice@sets.test" not in log  # the second host was tried at once
        assert "H=dead.sets.test [10.99.0.250]" in log
        assert "H=onlysix.sets.test [fd99::12]" in log
        mail("null.sets", "dangles.sets", "ours.sets", "lame")
        assert "no SMTP service" in mta.await_log("** alice@null.sets.test", 30.0)
        mta.await_log("** alice@dangles.sets.test", 30.0)
        mta.await_log("== alice@lame.test", 30.0)
        assert "points to local host" in mta.await_log("== alice@ours.sets.test", 30.0)
        # Each answer takes a second.
        net.link("ours", delay=1.0)
        mail("slow.sets")
        await_all(peer.maildir(), {*ARRIVE, "slow.sets"}, mta.everything_said)
        mta.kill()
