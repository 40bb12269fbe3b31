"""Death and errors at every system call of a delivery into a mailbox: it stays whole.

What was accepted arrives; it may arrive twice only where the delivery was done and not yet
reported; and no mailbox ever has half a message with another behind it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fault import conversation, strace
from tests.fault.conversation import Client
from tests.fault.test_disk import WRITING, fill, news, small
from tests.fault.test_kill import the_process
from tests.harness import clients, daemon, mbox
from tests.harness.daemon import Running
from tests.harness.wait import until

pytestmark = pytest.mark.timeout(600)

MAILBOX = """\
mailbox:
  driver = appendfile
  file = MAIL/$local_part_data.mbox
  lock_interval = 1s
"""
CONFIG = (
    daemon.BASIC.replace("begin transports\n", f"begin transports\n{MAILBOX}")
    .replace("transport = maildir\n", "transport = mailbox\n")
    .replace(
        "acl_smtp_rcpt = check_rcpt\n",
        "acl_smtp_rcpt = check_rcpt\ndeliver_max_parallel = 1\nworker_max_use = 10000\n"
        "deliver_max_use = 10000\nreceiver_max_use = 10000\n",
    )
)
LINES = 8000  # of a body that takes several writes
_TOKEN = re.compile(rb"^X-Token: (\w+)$", re.MULTILINE)


@pytest.fixture
def mta() -> Iterator[Running]:
    strace.needs_strace()
    with daemon.prepared(CONFIG) as tree:
        tree.start()
        yield tree


def box(mta: Running, user: str = "alice") -> Path:
    return Path(mta.macros["MAIL"]) / f"{user}.mbox"


def send_small(mta: Running) -> str:
    client, token = Client(mta), conversation.new_token()
    assert client.send(token)
    client.quit()
    return token


def send_large(mta: Running) -> str:
    token = conversation.new_token()
    body = f"X-Token: {token}\r\n\r\n" + f"{token:>60}\r\n" * LINES + "end\r\n"
    clients.send(mta.address, "a@sender.test", ["alice@local.test"], body.encode())
    return token


def arrived(path: Path) -> Counter[str]:
    """How often each message is there; every one of them is whole."""
    found: Counter[str] = Counter()
    for message in mbox.messages(path):
        (token,) = _TOKEN.findall(message)
        name = token.decode()
        body = message.partition(b"\n\n")[2]
        small = f"body of {name}\n".encode()
        large = f"{name:>60}\n".encode() * LINES + b"end\n"
        assert body in (small, large), f"half a message: {body[:100]!r}"
        found[name] += 1
    return found


@pytest.mark.parametrize("send", [send_small, send_large])
def test_a_worker_dies_at_any_call(mta: Running, send: object) -> None:
    assert callable(send)
    title = "mta: user"
    accepted = {send(mta)}
    conversation.empty_queue(mta)
    lines = strace.trace(
        the_process(mta, title), lambda: (accepted.add(send(mta)), mta.await_empty())
    )
    strikes = strace.strikes(lines)
    assert {"link", "linkat"} & {each.call for each in strikes}
    assert mta.process is not None
    died = 0
    for strike in strikes:
        if not strace.titled(mta.process.pid, title):
            accepted.add(send(mta))
            conversation.empty_queue(mta)
        pid = the_process(mta, title)
        with strace.struck(pid, strike):
            accepted.add(send(mta))
            until(
                lambda pid=pid: not strace.is_alive(pid) or not mta.messages(),
                10.0,
                f"{strike}: a death or a delivery",
            )
        died += not strace.is_alive(pid)
        conversation.empty_queue(mta)
        assert not box(mta).with_name("alice.mbox.lock").exists(), strike
    assert died > 10, "hardly any strike hit"
    there = arrived(box(mta))
    assert accepted - set(there) == set(), "answered with 250, then lost"
    # What was done but not reported is known only until the lock file is gone.
    assert max(there.values()) <= 2
    assert sum(there.values()) - len(there) <= 4
    twice = {key for key, count in conversation.logged_deliveries(mta).items() if count > 1}
    assert twice == set()
    assert "Traceback" not in mta.log("panic")
    mta.stop()


def test_an_error_of_any_call_that_writes_leaves_the_mailbox_whole(mta: Running) -> None:
    accepted = {send_small(mta), send_large(mta)}
    conversation.empty_queue(mta)
    pid = the_process(mta, "mta: user")
    lines = strace.trace(pid, lambda: (accepted.add(send_large(mta)), mta.await_empty()))
    strikes = strace.strikes(lines, WRITING)
    assert len(strikes) > 5
    for strike in strikes:
        known = news(mta)
        with strace.failing(pid, strike, "ENOSPC"):
            accepted.add(send_large(mta))
            until(
                lambda known=known: not mta.messages() or news(mta) > known,
                10.0,
                f"the end of an attempt after {strike}",
            )
        conversation.empty_queue(mta)
        assert strace.is_alive(pid), strike
        there = arrived(box(mta))
        assert accepted - set(there) == set(), strike
    assert set(there.values()) == {1}
    assert "Traceback" not in mta.log("panic")
    mta.stop()


def test_mail_for_a_mailbox_without_room_waits_and_leaves_nothing_of_itself() -> None:
    with daemon.prepared(CONFIG) as mta, small(mta, Path(mta.macros["MAIL"])) as place:
        mta.start()
        first = send_small(mta)
        mbox.await_messages(box(mta), 1)
        mta.await_empty()
        before = box(mta).read_bytes()
        filler = fill(place)
        second = send_large(mta)
        line = mta.await_log("== alice")
        assert f"No space left on device: error while writing to {box(mta)}" in line
        assert box(mta).read_bytes() == before
        filler.unlink()
        mbox.await_messages(box(mta), 2)
        assert arrived(box(mta)) == {first: 1, second: 1}
        mta.await_empty()
        mta.stop()
