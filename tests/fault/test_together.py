"""Processes that are killed while several messages are under way in them."""

from __future__ import annotations

import os
import signal
from collections import Counter
from contextlib import suppress

import pytest

from tests.fault import conversation, strace
from tests.fault.conversation import Client
from tests.harness import daemon
from tests.harness.daemon import Running
from tests.harness.wait import until

CONFIG = daemon.BASIC.replace("acl_smtp", "smtp_accept_queue_per_connection = 0\nacl_smtp", 1)
USERS = ("alice", "bob", "carol")
SENDERS = 4
EACH = 100  # messages of one sender
KILLS = 12
AT_MOST = 20  # under way in one process: deliver_max_parallel

pytestmark = pytest.mark.timeout(120)


def send_all(mta: Running, sender: int) -> int:
    """Send one sender's messages, to each user in turn; 0 if all were taken."""
    for number in range(EACH):
        client = Client(mta)
        user = USERS[number % len(USERS)]
        if not client.send(f"many{sender}x{number}", f"{user}@local.test"):
            return 1
        client.quit()
    return 0


def start_senders(mta: Running) -> list[int]:
    pids = []
    for sender in range(SENDERS):
        pid = os.fork()
        if pid == 0:
            code = 1
            with suppress(OSError):
                code = send_all(mta, sender)
            os._exit(code)
        pids.append(pid)
    return pids


def delivered_lines(mta: Running) -> int:
    return mta.log().count(" => ")


@pytest.mark.parametrize("title", ["mta: deliver 1", "mta: user "])
def test_killed_amid_many_messages_nothing_is_lost_and_little_repeated(title: str) -> None:
    with daemon.running(CONFIG) as mta:
        assert mta.process is not None
        senders = start_senders(mta)
        killed = 0
        for turn in range(1, KILLS + 1):
            # Some deliveries between two kills, so that there is something under way.
            until(
                lambda turn=turn: delivered_lines(mta) >= 20 * turn,  # type: ignore[misc]
                30.0,
                f"{20 * turn} deliveries",
            )
            for pid in strace.titled(mta.process.pid, title)[:1]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
        assert [os.waitpid(pid, 0)[1] for pid in senders] == [0] * SENDERS
        conversation.empty_queue(mta, 60.0)
        arrived: Counter[str] = Counter()
        for user in USERS:
            arrived.update(conversation.delivered(mta.maildir(user)))
        expected = {f"many{sender}x{n}" for sender in range(SENDERS) for n in range(EACH)}
        assert set(arrived) == expected
        assert killed > 0
        # What was under way in the process that died may have been delivered already.
        assert arrived.total() - len(expected) <= AT_MOST * killed
        assert [key for key, n in conversation.logged_deliveries(mta).items() if n > 1] == []
