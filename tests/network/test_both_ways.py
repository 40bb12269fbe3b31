"""Mail between hosts that find each other by DNS: Postfix, Exim, OpenSMTPD and we, on port 25.

Whatever the network does, every message arrives; twice only where its confirmation was lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.harness import mailbox, mailhosts
from tests.harness.wait import until

KINDS = sorted(mailhosts.KINDS)
SENDER = "ann@c.test"
MANY = 10
LIMIT = 60.0

pytestmark = pytest.mark.timeout(400)  # the first use makes a Debian system


def message(name: str) -> bytes:
    return (
        b"From: Ann <ann@c.test>\r\nTo: alice@a.test\r\nSubject: " + name.encode() + b"\r\n"
        b"Message-Id: <" + name.encode() + b"@c.test>\r\n"
        b"Date: Mon, 23 Nov 2026 12:00:00 +0000\r\n\r\nThe words of "
        + name.encode()
        + b".\r\n"
    )


def arrived(maildir: mailhosts.Path) -> Counter[str]:
    """How often each message is there, by its subject."""
    return Counter(mailbox.header(each, "Subject")[0] for each in mailbox.messages(maildir))


def await_all(
    maildir: mailhosts.Path, names: set[str], why: Callable[[], str]
) -> Counter[str]:
    try:
        until(lambda: names <= arrived(maildir).keys(), LIMIT, "every message")
    except AssertionError:
        pytest.fail(f"missing: {sorted(names - arrived(maildir).keys())}\n{why()}")
    return arrived(maildir)


WEATHER = {
    "fair": {},
    "far away": {"delay": 0.1},
    "lossy": {"delay": 0.01, "loss": 0.05, "copies": 0.05},
}


@pytest.mark.parametrize("kind", KINDS)
def test_mail_flows_both_ways(kind: str) -> None:
    with (
        mailhosts.internet() as net,
        mailhosts.peer(net, kind) as peer,
        mailhosts.ours(net) as mta,
    ):
        there, here = set(), set()
        for weather, link in WEATHER.items():
            for host in ("ours", "peer"):
                net.link(host, **link)
            out = [f"{weather} out {n}" for n in range(MANY)]
            back = [f"{weather} back {n}" for n in range(MANY)]
            mailhosts.send(net, mailhosts.OURS, SENDER, ["alice@b.test"], [*map(message, out)])
            mailhosts.send(
                net, mailhosts.PEER, SENDER, ["alice@a.test"], [*map(message, back)]
            )
            there.update(out)
            here.update(back)
            assert await_all(peer.maildir(), there, mta.everything_said) == Counter(there)
            assert await_all(mta.maildir("alice"), here, peer.said) == Counter(here)
        mta.await_empty()
        assert "H=mx.b.test [10.99.0.12]" in mta.log()


@dataclass(frozen=True, slots=True)
class Point:
    """Where a connection is reset: what one side sends, and before it or after."""

    by_server: bool
    seen: bytes
    when: str = "before"
    # Whether the server may have taken the message without the client's knowing.
    twice: bool = False


POINTS = (
    Point(True, b"220 "),
    Point(False, b"EHLO "),
    Point(True, b"8BITMIME"),
    Point(False, b"MAIL FROM"),
    Point(False, b"MAIL FROM", "after"),
    Point(True, b"354 "),
    Point(False, b"The words of"),
    Point(False, b"\r\n.\r\n"),
    Point(False, b"\r\n.\r\n", "after", twice=True),
    Point(False, b"QUIT", "before", twice=True),
    Point(False, b"QUIT", "after"),
)
# What each says at the end of a message it has taken.
# Under TLS the switch could not see what is said.
IN_CLEAR = "tls_advertise_hosts =\n" + mailhosts.CONFIG
# A connection that is kept for the next message would not be begun anew.
ONE_EACH = IN_CLEAR.replace(
    "driver = smtp\n", "driver = smtp\n  connection_max_messages = 1\n"
)
# Where a session has come to cannot be told from outside when it is encrypted.
IN_THE_CLEAR = f"tls_advertise_hosts =\n{mailhosts.CONFIG}"
TAKEN = {"exim": b"250 OK id=", "postfix": b"250 2.0.0 Ok: queued", "opensmtpd": b"250 2.0.0 "}


@pytest.mark.parametrize("kind", KINDS)
def test_resets_at_every_point_of_a_session_we_began(kind: str) -> None:
    points = (*POINTS, Point(True, TAKEN[kind], twice=True))
    with (
        mailhosts.internet() as net,
        mailhosts.peer(net, kind) as peer,
        mailhosts.ours(net, ONE_EACH) as mta,
    ):
        for number, point in enumerate(points):
            net.reset_when("peer" if point.by_server else "ours", point.seen, point.when)
            name = f"number {number}"
            mailhosts.send(net, mailhosts.OURS, SENDER, ["alice@b.test"], [message(name)])
            found = await_all(peer.maildir(), {name}, mta.everything_said)
            mta.await_empty(LIMIT)
            assert net.resets("peer" if point.by_server else "ours") == 1, point
            assert found[name] <= 1 + point.twice, point


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "opensmtpd"])
def test_resets_at_every_point_of_a_session_with_us(kind: str) -> None:
    points = (*POINTS, Point(True, b"OK id=", twice=True))
    with (
        mailhosts.internet() as net,
        mailhosts.peer(net, kind) as peer,
        mailhosts.ours(net, IN_THE_CLEAR) as mta,
    ):
        for number, point in enumerate(points):
            name = f"number {number}"
            net.reset_when("ours" if point.by_server else "peer", point.seen, point.when)
            mailhosts.send(net, mailhosts.PEER, SENDER, ["alice@a.test"], [message(name)])
            found = await_all(mta.maildir("alice"), {name}, peer.said)
            assert net.resets("ours" if point.by_server else "peer") == 1, point
            # They send QUIT together with the final dot.
            assert found[name] <= 1 + (point.twice or point.seen == b"QUIT"), point
        mta.await_empty(LIMIT)


def test_mail_waits_for_the_end_of_a_partition() -> None:
    with (
        mailhosts.internet() as net,
        mailhosts.peer(net, "postfix") as peer,
        mailhosts.ours(net, IN_CLEAR) as mta,
    ):
        names = {f"number {n}" for n in range(MANY)}
        net.part("ours", "peer")
        messages = [message(name) for name in sorted(names)]
        mailhosts.send(net, mailhosts.OURS, SENDER, ["alice@b.test"], messages)
        mta.await_log("== alice@b.test", LIMIT)
        assert not arrived(peer.maildir())
        net.heal("ours", "peer")
        found = await_all(peer.maildir(), names, mta.everything_said)
        assert found == Counter(names)
        mta.await_empty(LIMIT)
