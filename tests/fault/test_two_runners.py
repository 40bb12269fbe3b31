"""Several at one spool: whoever has the lock delivers, and everything arrives once."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fault import conversation
from tests.fault.conversation import Client
from tests.harness import clients, daemon, mailbox, sink
from tests.harness.daemon import Running, identity
from tests.harness.source import TREE
from tests.harness.wait import until

pytestmark = pytest.mark.timeout(300)

QUEUED = daemon.BASIC.replace(
    "split_spool", "queue_only\nsmtp_accept_max_nonmail = 1000\nsplit_spool"
)
# A queue run by processes of its own, as `runq` makes them where no daemon answers.
ALONE = (
    "import sys; sys.path.insert(0, sys.argv[1])\n"
    "from mta.proc import alone\n"
    "macros = dict(each.split('=', 1) for each in sys.argv[3:])\n"
    "from mta.proc.control import Run\n"
    "sys.exit(alone.run_queue(sys.argv[2], macros, [Run(1)]))"
)


def run_alone(mta: Running) -> subprocess.Popen[bytes]:
    macros = [f"{name}={value}" for name, value in mta.macros.items()]
    command = [sys.executable, "-I", "-c", ALONE, str(TREE), str(mta.config), *macros]
    return subprocess.Popen(command, cwd="/", **identity(mta.who))


def body_file(mta: Running) -> Path:
    (found,) = (mta.spool / "input").rglob("*-D")
    return found


def test_a_daemon_and_other_runners_deliver_each_message_once() -> None:
    with daemon.prepared(QUEUED) as mta:
        mta.start()
        client = Client(mta)
        tokens = [conversation.new_token() for _ in range(80)]
        assert all(client.send(each, "alice@local.test", "bob@local.test") for each in tokens)
        client.quit()
        mta.stop()
        others = [run_alone(mta) for _ in range(3)]
        mta.start()
        assert [other.wait(60) for other in others] == [0, 0, 0]
        conversation.empty_queue(mta)
        for name in ("alice", "bob"):
            assert conversation.delivered(mta.maildir(name)) == dict.fromkeys(tokens, 1)
        assert set(conversation.logged_deliveries(mta).values()) == {1}
        assert mta.log().count(" Completed") == len(tokens)
        assert mta.log("panic") == ""
        mta.stop()


def test_a_message_that_exim_has_locked_is_left_alone_until_it_lets_go() -> None:
    with daemon.prepared(QUEUED) as mta:
        mta.start()
        clients.send(mta.address, "a@sender.test", ["alice@local.test"])
        (message,) = mta.messages()
        with body_file(mta).open("r+b") as file:
            # Exim takes a lock of the process on the first line.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, len(message) + 3)
            conversation.run_queue(mta)
            mta.await_log(f"{message} Spool file for {message} is locked")
            assert mailbox.messages(mta.maildir("alice")) == []
            fcntl.lockf(file, fcntl.LOCK_UN, len(message) + 3)
        conversation.empty_queue(mta)
        mailbox.await_messages(mta.maildir("alice"), 1)
        assert len(mailbox.messages(mta.maildir("alice"))) == 1
        mta.stop()


def test_a_message_that_we_deliver_is_locked_for_exim() -> None:
    with (
        sink.listening({"DOT": [sink.STALL]}) as peer,
        daemon.prepared(daemon.BASIC, sink=peer.port) as mta,
    ):
        mta.start()
        clients.send(mta.address, "a@sender.test", ["bob@relay.test"])
        until(lambda: list(peer.place.glob("tmp.*")), 10.0, "a delivery under way")
        (message,) = mta.messages()
        with body_file(mta).open("r+b") as file, pytest.raises(OSError, match="unavail"):
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, len(message) + 3)


def test_a_message_stays_locked_while_its_worker_lives_on_without_a_deliverer() -> None:
    """A second attempt beside the first would make two messages of one."""
    with (
        sink.listening({"DOT": [sink.STALL, "250 2.0.0 taken"]}) as peer,
        daemon.prepared(daemon.BASIC, sink=peer.port) as mta,
    ):
        mta.start()
        clients.send(mta.address, "a@sender.test", ["bob@relay.test"])
        until(lambda: list(peer.place.glob("tmp.*")), 10.0, "a delivery under way")
        (message,) = mta.messages()
        deliverer = next(pid for pid in mta.processes() if message in title(pid))
        os.kill(deliverer, 9)
        until(lambda: deliverer not in mta.processes(), 5.0, "its death")
        conversation.run_queue(mta)
        mta.await_log(f"{message} Spool file for {message} is locked")
        assert peer.count() == 0


def title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace")
    except OSError:
        return ""
