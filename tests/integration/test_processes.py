"""The tree of processes: who is there, what happens when one dies, how it stops."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from tests.fault.strace import is_alive, titled
from tests.harness import clients, daemon, mailbox
from tests.harness.daemon import Running
from tests.harness.wait import until

ROLES = ("mta: listener", "mta: runner", "mta: launcher")


def session(mta: Running) -> int:
    assert mta.process is not None
    return mta.process.pid


def the_process(mta: Running, title: str) -> int:
    return until(
        lambda: found[-1] if (found := titled(session(mta), title)) else 0, 10.0, title
    )


def holders(mta: Running, path: Path) -> list[int]:
    """The processes of the tree that have a file open."""
    found = []
    for pid in mta.processes():
        with suppress(OSError):
            if any(file.resolve() == path for file in Path(f"/proc/{pid}/fd").iterdir()):
                found.append(pid)
    return found


def test_each_role_shows_its_name() -> None:
    with daemon.running() as mta:
        for title in ("mta: master", *ROLES, "mta: receiver"):
            assert titled(session(mta), title), title


def test_a_message_arrives() -> None:
    with daemon.running() as mta:
        clients.send(mta.address, "a@sender.test", ["alice@local.test"])
        (message,) = mailbox.await_messages(mta.maildir("alice"), 1)
        assert mailbox.without_trace(message) == clients.MESSAGE.replace(b"\r\n", b"\n")
        mta.await_empty()


def test_a_role_that_is_killed_is_started_again_and_works() -> None:
    with daemon.running() as mta:
        for title in ROLES:
            pid = the_process(mta, title)
            os.kill(pid, signal.SIGKILL)
            until(lambda pid=pid: not is_alive(pid), 5.0, "its death")
            the_process(mta, title)
        until(lambda: mta.log().count("is started again") == 3, 5.0, "three lines of log")
        clients.send(mta.address, "a@sender.test", ["alice@local.test"])
        mailbox.await_messages(mta.maildir("alice"), 1)


def test_term_ends_everything() -> None:
    with daemon.running() as mta:
        pids = mta.processes()
        assert mta.stop() == 0
        assert [pid for pid in pids if is_alive(pid)] == []
        assert not (mta.spool / "run" / "submit").exists()


def test_a_session_that_waits_is_told_that_the_server_stops() -> None:
    with daemon.running() as mta, clients.Conversation(mta.address) as client:
        mta.signal(signal.SIGTERM)
        assert client.reply().code == 421


def test_a_message_on_its_way_may_still_arrive_while_the_tree_drains() -> None:
    with daemon.running() as mta, clients.Conversation(mta.address) as client:
        client.command("EHLO client.test")
        client.command("MAIL FROM:<a@sender.test>")
        client.command("RCPT TO:<alice@local.test>")
        client.command("DATA")
        client.send(b"Subject: late\r\n\r\n")
        mta.signal(signal.SIGTERM)
        until(lambda: not titled(session(mta), "mta: runner"), 5.0, "draining")
        client.send(b"body\r\n.\r\n")
        assert client.reply().code == 250
        assert len(mta.messages()) == 1


def test_nothing_that_waits_is_lost_when_everything_is_killed() -> None:
    config = daemon.BASIC.replace("split_spool", "queue_only\nsplit_spool")
    with daemon.prepared(config) as mta:
        mta.start()
        for _ in range(5):
            clients.send(mta.address, "a@sender.test", ["alice@local.test"])
        mta.kill()
        assert len(mta.messages()) == 5
        mta.start()
        assert len(mailbox.await_messages(mta.maildir("alice"), 5)) == 5
        mta.await_empty()


def test_a_second_tree_on_the_same_spool_is_refused() -> None:
    with daemon.running() as mta:
        result = mta.run("mta", "run", "--foreground", *mta.arguments())
        assert result.returncode == 1
        assert f"another mta (process {session(mta)}) runs on".encode() in result.stderr


def test_when_the_master_is_killed_the_others_leave() -> None:
    with daemon.prepared() as mta:
        mta.start()
        pids = mta.processes()
        assert mta.process is not None
        mta.process.kill()
        mta.process.wait()
        until(lambda: not any(is_alive(pid) for pid in pids), 10.0, "the end of all")


def test_logs_that_were_moved_are_opened_again() -> None:
    with daemon.running() as mta:
        log = mta.spool / "log" / "mainlog"
        clients.send(mta.address, "a@sender.test", ["alice@local.test"])
        mta.await_empty()
        log.rename(log.with_suffix(".1"))
        mta.signal(signal.SIGUSR1)
        until(lambda: not holders(mta, log.with_suffix(".1")), 5.0, "nobody with the old log")
        clients.send(mta.address, "b@sender.test", ["alice@local.test"])
        mta.await_log("Completed")
        assert "<= b@sender.test" in mta.log()
