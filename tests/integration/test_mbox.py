"""Mailboxes in one file, with real processes that are after the same one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fault import conversation
from tests.fault.strace import titled
from tests.harness import clients, daemon, mbox
from tests.harness.daemon import Running
from tests.harness.wait import until

MAILBOX = """\
mailbox:
  driver = appendfile
  file = MAIL/$local_part_data.mbox
  lock_interval = 1s
  lock_retries = RETRIES
"""


def config(retries: int = 20, more: str = "") -> str:
    text = daemon.BASIC.replace("begin transports\n", f"begin transports\n{MAILBOX}{more}")
    text = text.replace("transport = maildir\n", "transport = mailbox\n")
    return text.replace("RETRIES", str(retries))


def box(mta: Running) -> Path:
    return Path(mta.macros["MAIL"]) / "alice.mbox"


def send(mta: Running, text: str) -> None:
    body = f"Subject: {text}\r\n\r\nFrom {text}\r\n".encode()
    clients.send(mta.address, "a@sender.test", ["alice@local.test"], body)


HOLD = """
import fcntl, sys
file = open(sys.argv[1], "r+")
getattr(fcntl, sys.argv[2])(file, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
file.seek(0, 2)
file.write("From other Sun Nov 23 15:07:01 2025\\nSubject: other\\n\\nother\\n\\n")
"""


@contextmanager
def held(path: Path, how: str) -> Iterator[None]:
    """Another program has locked a mailbox, and writes to it before it lets go."""
    command = [sys.executable, "-I", "-c", HOLD, str(path), how]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == "locked\n"
        yield
        child.stdin.close()
        assert child.wait(10) == 0


def subjects(path: Path) -> list[str]:
    found = []
    for message in mbox.messages(path):
        lines = [each for each in message.split(b"\n") if each.startswith(b"Subject: ")]
        found += [each[9:].decode() for each in lines]
    return found


@pytest.mark.parametrize(
    ("how", "more"),
    [("lockf", ""), ("lockf", "  lock_fcntl_timeout = 5s\n"), ("flock", "  use_flock_lock\n")],
)
def test_a_program_with_the_lock_is_waited_for(how: str, more: str) -> None:
    with daemon.running(config(more=more)) as mta:
        send(mta, "one")
        mbox.await_messages(box(mta), 1)
        with held(box(mta), how):
            send(mta, "two")
            lock = box(mta).with_name("alice.mbox.lock")
            until(lock.exists, 10.0, "a worker that has the lock file and wants the mailbox")
            assert subjects(box(mta)) == ["one"]
        mbox.await_messages(box(mta), 3)
        mta.await_empty()
        assert subjects(box(mta)) == ["one", "other", "two"]
        assert " == " not in mta.log()


def test_a_program_that_keeps_the_lock_defers_the_mail() -> None:
    with daemon.running(config(retries=1)) as mta:
        send(mta, "one")
        mbox.await_messages(box(mta), 1)
        with held(box(mta), "lockf"):
            send(mta, "two")
            line = mta.await_log("== alice")
            assert f"defer (-9): failed to lock mailbox {box(mta)} (fcntl/flock)" in line
        conversation.empty_queue(mta)
        assert subjects(box(mta)) == ["one", "other", "two"]


def test_a_lock_file_is_waited_for() -> None:
    with daemon.running(config()) as mta:
        lock = box(mta).with_name("alice.mbox.lock")
        if shutil.which("dotlockfile"):
            subprocess.run(["dotlockfile", "-r", "0", lock], check=True)
        else:
            lock.touch()
        send(mta, "one")
        assert mta.process is not None
        session = mta.process.pid
        until(lambda: titled(session, "mta: user"), 10.0, "a worker that wants the mailbox")
        assert not box(mta).exists()
        lock.unlink()
        mbox.await_messages(box(mta), 1)
        mta.await_empty()
        assert not lock.exists()


def test_a_lock_file_that_stays_defers_the_mail() -> None:
    with daemon.running(config(retries=1)) as mta:
        lock = box(mta).with_name("alice.mbox.lock")
        lock.touch()
        send(mta, "one")
        line = mta.await_log("== alice")
        assert f"defer (-9): failed to lock mailbox {box(mta)} (lock file)" in line
        lock.unlink()
        conversation.empty_queue(mta)
        assert subjects(box(mta)) == ["one"]


def test_many_deliveries_into_one_mailbox_leave_every_message_whole() -> None:
    single = "worker_max_use = 1\ndeliver_max_use = 3\ndeliver_max_parallel = 4\n"
    text = config().replace("acl_smtp_rcpt", f"{single}acl_smtp_rcpt", 1)
    with daemon.running(text) as mta:
        sent = [f"message{number}" for number in range(40)]
        pids = []
        for first in range(4):
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    for text in sent[first::4]:
                        send(mta, text)
                    code = 0
                finally:
                    os._exit(code)
            pids.append(pid)
        assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * 4
        conversation.empty_queue(mta, 60.0)
        assert sorted(subjects(box(mta))) == sorted(sent)
        bodies = [each.partition(b"\n\n")[2] for each in mbox.messages(box(mta))]
        assert sorted(bodies) == sorted(f">From {text}\n".encode() for text in sent)
        assert [path.name for path in box(mta).parent.iterdir()] == ["alice.mbox"]


def test_a_full_mailbox_is_tried_again_by_the_rule_for_quotas() -> None:
    limit = "  quota = ${if eq{$local_part}{alice}{2K}{0}}\n"
    text = config().replace("  lock_interval", f"{limit}  lock_interval")
    # No times: what is over quota comes back at once.
    text = text.replace("* * F,1h,1s", "* quota\n* * F,1h,1s")
    with daemon.running(text) as mta:
        send(mta, "one")
        mbox.await_messages(box(mta), 1)
        body = b"Subject: large\r\n\r\n" + b"line of text\r\n" * 200
        clients.send(mta.address, "bob@local.test", ["alice@local.test"], body)
        line = mta.await_log("== alice")
        assert "defer (-22): mailbox is full (MTA-imposed quota exceeded" in line
        mta.await_log("** alice@local.test: retry timeout exceeded")
        (bounce,) = mbox.await_messages(box(mta).with_name("bob.mbox"), 1)
        assert b"mailbox is full" in bounce
        assert subjects(box(mta)) == ["one"]
