"""A domain that is down for five days: attempts at Exim's times, warnings, the bounce.

Real processes with a clock under control: nobody sleeps.  A run of the queue every quarter of
an hour, as Exim's daemon makes with -q15m, has all that is due tried.  When that is, is also
computed here from Exim's rules (its specification, chapter "Retry configuration"), and written
down in a table.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from mta.cli.control import Control
from mta.proc.control import Run, Status
from tests.harness import clients, daemon, mailbox, sink
from tests.harness.daemon import Running
from tests.harness.timewarp import Warp
from tests.harness.wait import until

pytestmark = pytest.mark.timeout(300)

MINUTE, HOUR, DAY = 60, 3600, 86400
EVERY = 15 * MINUTE
START = 1_767_225_600.0  # 2026-01-01 00:00:00 UTC
RULE = "F,2h,15m; G,16h,1h,1.5; F,4d,6h"
CONFIG = daemon.BASIC.replace("* * F,1h,1s", f"* * {RULE}").replace(
    "split_spool", "delay_warning = 4h:1d:3d\nsplit_spool"
)

# Hours and minutes after the arrival.
TABLE = """
     0:00   0:15   0:30   0:45   1:00   1:15   1:30   1:45   2:00   F,2h,15m
     2:15   3:15   4:45   7:00  10:30  15:45                        G,16h,1h,1.5
    23:30  29:30  35:30  41:30  47:30  53:30  59:30  65:30  71:30   F,4d,6h
    77:30  83:30  89:30  95:30
   101:30                                                           the last
"""


@dataclass
class Rule:
    letter: str
    until: int
    interval: int
    factor: float = 1.0


EXIMS = (
    Rule("F", 2 * HOUR, 15 * MINUTE),
    Rule("G", 16 * HOUR, HOUR, 1.5),
    Rule("F", 4 * DAY, 6 * HOUR),
)


def exims_times() -> Iterator[int]:
    """When the rules have a host tried that is away, in seconds since the first time.

    For G the last interval is what was planned or what has passed, whichever is less.
    """
    now = last = following = 0
    while True:
        if now >= following:
            yield now
            rule = next((each for each in EXIMS if now <= each.until), None)
            if rule is None:
                return
            interval = rule.interval
            gap = min(following - last, now - last)
            if rule.letter == "G" and gap >= rule.interval:
                interval = int(gap * rule.factor)
            last, following = now, now + interval
        now += EVERY


def shown(seconds: int) -> str:
    return f"{seconds // HOUR}:{seconds % HOUR // MINUTE:02d}"


@pytest.fixture
def world() -> Iterator[tuple[Running, Warp, sink.Sink]]:
    """A tree with its own time, and the port of a server that is not there yet."""
    with sink.listening() as server:
        server.stop()
        with daemon.prepared(CONFIG, sink=server.port) as mta:
            warp = Warp(mta.place / "time", START)
            mta.boot = warp.boot
            mta.start()
            yield mta, warp, server
            mta.stop()
            assert mta.log("panic") == ""


def run_queue(mta: Running) -> None:
    """One run of the queue, to its end."""
    ends = mta.log().count("End queue run")
    with Control(str(mta.spool)) as asked:
        asked.count(Run(0))
    until(lambda: mta.log().count("End queue run") > ends, 20.0, "the end of the run")
    await_idle(mta)  # bounces and warnings, too


def await_idle(mta: Running) -> None:
    """Return when nothing is under way."""
    with Control(str(mta.spool)) as asked:
        until(lambda: asked.status(Status()).running == 0, 20.0, "an idle queue")


def since_start(line: str) -> int:
    stamp = time.strptime(line[:19], "%Y-%m-%d %H:%M:%S")
    return int(time.mktime(stamp) - START)


def test_five_days(world: tuple[Running, Warp, sink.Sink]) -> None:
    mta, warp, server = world
    clients.send(mta.address, "bob@local.test", ["x@relay.test"])
    mta.await_log("defer (111): Connection refused")
    (message,) = mta.messages()
    await_idle(mta)
    while mta.messages() and warp.now < START + 5 * DAY:
        warp.advance(EVERY)
        run_queue(mta)
    lines = [line for line in mta.log().split("\n") if line[20:43] == message]

    attempts = [since_start(line) for line in lines if line[44:46] == "H="]
    assert [shown(each) for each in attempts] == re.findall(r"\d+:\d\d", TABLE)
    assert attempts == list(exims_times())

    mailbox.await_messages(mta.maildir("bob"), 4)
    notices = [
        (shown(since_start(line)), mailbox_subject(mta, line.split(" ")[2]))
        for line in mta.log().split("\n")
        if f" <= <> R={message} " in line
    ]
    assert notices == [
        ("4:45", f"Warning: message {message} delayed 4 hours"),
        ("29:30", f"Warning: message {message} delayed 24 hours"),
        ("77:30", f"Warning: message {message} delayed 72 hours"),
        ("101:30", "Mail delivery failed: returning message to sender"),
    ]
    assert [line[44:] for line in lines[-2:]] == [
        "** x@relay.test: retry timeout exceeded",
        "Completed",
    ]

    # What comes now fails at once, and the log says why and what to do.
    clients.send(mta.address, "bob@local.test", ["y@relay.test"])
    mta.await_log("after a long failure period")
    line = mta.await_log(" not tried: 127.0.0.1:127.0.0.1:")
    assert f'the retry rule "* * {RULE}" ({mta.config}:' in line
    assert "fails since 2026-01-01 00:00:00 (Connection refused)" in line

    # When the server is there again and its time has come, mail gets through.
    server.start()
    warp.advance(6 * HOUR + EVERY)
    clients.send(mta.address, "bob@local.test", ["z@relay.test"])
    server.await_count(1)
    mta.await_log("=> z@relay.test")
    clients.send(mta.address, "bob@local.test", ["z@relay.test"])
    server.await_count(2)


def mailbox_subject(mta: Running, notice: str) -> str:
    """The subject of a notice that bob has got."""
    found = [
        mailbox.header(each, "Subject")[0]
        for each in mailbox.messages(mta.maildir("bob"))
        if f"<E{notice}@".encode() in each
    ]
    return found[0] if found else ""
