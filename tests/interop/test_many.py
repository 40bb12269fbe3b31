"""Ten thousand messages while the host they go to is away for a part of the time."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable

import pytest

from tests.harness import clients, daemon, sink
from tests.harness.wait import until

# Otherwise only the first messages of a session are delivered without waiting for a queue run.
CONFIG = daemon.BASIC.replace("acl_smtp", "smtp_accept_queue_per_connection = 0\nacl_smtp", 1)
CONFIG = CONFIG.replace("F,1h,1s", "F,1h,3s")
MANY = 10_000
SENDERS = 4
BATCH = 50  # messages in one session


def body(number: int) -> bytes:
    return b"Subject: number %d\r\n\r\n.%d\r\n%s\r\n" % (number, number, b"x" * 900)


def send_all(address: tuple[str, int], numbers: Iterable[int]) -> None:
    """Send a message for each number, the commands of one in one packet."""
    pending = list(numbers)
    while pending:
        now, pending = pending[:BATCH], pending[BATCH:]
        with clients.Conversation(address, seconds=60.0) as client:
            assert client.command("EHLO client.test").code == 250
            for number in now:
                client.send(
                    b"MAIL FROM:<ann@sender.test>\r\nRCPT TO:<to%d@relay.test>\r\nDATA\r\n"
                    % number
                )
                assert [client.reply().code for _ in range(3)] == [250, 250, 354]
                client.send(body(number).replace(b"\r\n.", b"\r\n..") + b".\r\n")
                assert client.reply().code == 250
            client.send(b"QUIT\r\n")


def start_senders(address: tuple[str, int]) -> list[int]:
    """Processes that send everything between them."""
    pids = []
    for first in range(SENDERS):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                send_all(address, range(first, MANY, SENDERS))
                code = 0
            finally:
                os._exit(code)
        pids.append(pid)
    return pids


@pytest.mark.timeout(300)
def test_ten_thousand_messages_arrive_once_though_their_host_was_away() -> None:
    with sink.listening() as host, daemon.running(CONFIG, sink=host.port) as mta:
        senders = start_senders(mta.address)
        until(lambda: host.count() >= MANY // 10, 60.0, "the first messages", most_often=0.1)
        host.stop()
        doubtful = {each.recipients for each in host.in_doubt()}
        # All of it is taken in while the host is away, and kept.
        for pid in senders:
            _, status = os.waitpid(pid, 0)
            assert status == 0
        waiting = len(mta.messages())
        assert waiting > MANY // 10
        host.start()
        what = f"an empty queue after {waiting} waited"
        until(lambda: not mta.messages(), 200.0, what, most_often=0.5)
        assert mta.log("panic") == ""
        taken = host.messages()
    copies = Counter(each.recipients for each in taken)
    expected = {(f"to{number}@relay.test",) for number in range(MANY)}
    # A message whose answer was under way when the host went down may be there or not:
    # nobody can tell whether that answer was read.
    assert set(copies) | doubtful == expected
    assert [to for to, count in copies.items() if count > 1 and to not in doubtful] == []
    for each in taken:
        number = int(each.recipients[0].partition("@")[0][2:])
        assert each.data.endswith(body(number))
