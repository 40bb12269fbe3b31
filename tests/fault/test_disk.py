"""Disks that are full, read-only or broken: refused for now, nothing left, delivered later."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.fault import conversation, strace
from tests.fault.conversation import Client
from tests.fault.test_kill import CONFIG, the_process
from tests.harness import clients, daemon, mailbox
from tests.harness.clients import Conversation
from tests.harness.daemon import Running
from tests.harness.wait import until

pytestmark = pytest.mark.timeout(300)

# Calls by which something gets to the disk; replies to the client are sent by others.
WRITING = r"^(\d+ +)?(write|pwrite64|fdatasync|fsync|rename|fchmod|ftruncate|unlink)|O_CREAT"
SMALL = 4 << 20
ENVELOPE = ("EHLO client.test", "MAIL FROM:<a@sender.test>", "RCPT TO:<alice@local.test>")
# All there is may be used.
TIGHT = daemon.BASIC.replace("split_spool", "check_spool_space = 0\nsplit_spool")


def spooled(mta: Running) -> list[str]:
    return [file.name for file in (mta.spool / "input").rglob("*") if file.is_file()]


def send(mta: Running, token: str, *recipients: str) -> None:
    """Have a message taken."""
    client = Client(mta)
    assert client.send(token, *recipients)
    client.quit()


def news(mta: Running) -> int:
    """How many lines the logs have that do not tell of arrivals."""
    lines = (mta.log() + mta.log("panic")).split("\n")
    return sum(1 for line in lines if " <= " not in line)


def answer(client: Client, token: str) -> bytes:
    """Send a message; the reply that ended it."""
    for line in (*ENVELOPE, "DATA"):
        client.socket.sendall(line.encode() + b"\r\n")
        said = client.reply()
        if said[:1] not in (b"2", b"3"):
            return said
    client.socket.sendall(conversation.message(token) + b".\r\n")
    return client.reply()


@pytest.mark.parametrize(("error", "code"), [("ENOSPC", b"452"), ("EIO", b"451")])
def test_reception_survives_an_error_of_any_call_that_writes(error: str, code: bytes) -> None:
    strace.needs_strace()
    # In one directory every message takes the same calls, once the first has been taken.
    config = CONFIG.replace(
        "split_spool_directory = true", "queue_only\nsmtp_accept_max_nonmail = 1000"
    )
    with daemon.prepared(config) as mta:
        mta.start()
        client = Client(mta)
        assert client.send(conversation.new_token())
        pid = the_process(mta, "mta: receiver [127.0.0.1]")
        lines = strace.trace(pid, lambda: client.send(conversation.new_token()))
        strikes = strace.strikes(lines, WRITING)
        assert {"openat", "write", "fdatasync", "fsync"} <= {each.call for each in strikes}
        accepted, replies = spooled(mta), []
        for strike in strikes:
            before = set(spooled(mta))
            with strace.failing(pid, strike, error):
                said = answer(client, conversation.new_token())
            replies.append(said[:3])
            made = set(spooled(mta)) - before
            if said.startswith(b"250"):
                # A log that cannot be written does not count; nor does a file that was only
                # read, which one message may need and the next one not.
                assert len(made) == 2, strike
                assert strike.call in ("write", "openat")
            else:
                assert said.startswith(code), (strike, said)
                assert made == set(), strike
        assert replies.count(code) >= 7
        # The conversation has survived all of that.
        assert client.send(conversation.new_token())
        client.quit()
        assert len(spooled(mta)) > len(accepted)
        mta.stop()


def test_delivery_survives_an_error_of_any_call_that_writes() -> None:
    """A message waits, or is done; it is never lost, and never delivered and logged twice."""
    strace.needs_strace()
    with daemon.prepared(CONFIG) as mta:
        mta.start()
        for title in ("mta: deliver", "mta: user"):
            for _ in range(2):
                send(mta, conversation.new_token(), "alice@local.test")
                conversation.empty_queue(mta)
            pid = the_process(mta, title)
            accepted = set()

            def one_message(accepted: set[str] = accepted) -> None:
                token = conversation.new_token()
                send(mta, token, "alice@local.test", "bob@local.test")
                accepted.add(token)

            lines = strace.trace(pid, lambda: (one_message(), mta.await_empty()))
            strikes = strace.strikes(lines, WRITING)
            assert len(strikes) > 5
            for strike in strikes:
                known = news(mta)
                with strace.failing(pid, strike, "ENOSPC"):
                    one_message()
                    until(
                        lambda known=known: not mta.messages() or news(mta) > known,
                        10.0,
                        f"the end of an attempt after {strike}",
                    )
                conversation.empty_queue(mta)
                assert strace.is_alive(pid), strike
            for name in ("alice", "bob"):
                arrived = conversation.delivered(mta.maildir(name))
                assert accepted - set(arrived) == set()
                assert {token for token, count in arrived.items() if count > 2} == set()
        twice = {k for k, n in conversation.logged_deliveries(mta).items() if n > 1}
        assert twice == set()
        assert "Traceback" not in mta.log("panic")
        mta.stop()


@contextmanager
def small(mta: Running, place: Path, mode: str = "755") -> Iterator[Path]:
    """A file system of its own for this directory, with little room."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a small file system")
    assert mta.who is not None
    owner = f"uid={mta.who.pw_uid},gid={mta.who.pw_gid},mode={mode}"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SMALL},{owner}", "none", place],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("needs a system on which file systems can be mounted")
    try:
        yield place
    finally:
        mta.kill()
        subprocess.run(["umount", "-l", place], check=True)


def fill(place: Path) -> Path:
    """Use up all room; the file to remove when there shall be some again."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"\0" * 4096):
            pass
    return filler


def remount(place: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", place], check=True)


def try_all(mta: Running) -> tuple[int, int]:
    """Send by SMTP and by sendmail: what the one answered and how the other ended."""
    with Conversation(mta.address) as client:
        for line in (*ENVELOPE, "DATA"):
            code = client.command(line).code
            if code >= 400:
                break
        else:
            client.send(clients.MESSAGE + b".\r\n")
            code = client.reply().code
    text = b"Subject: local\n\n" + b"line of a body\n" * 1000
    result = mta.run("sendmail", *mta.arguments(), "alice@local.test", message=text)
    return code, result.returncode


def test_a_full_spool_refuses_for_now_and_leaves_nothing() -> None:
    with daemon.prepared(TIGHT) as mta, small(mta, mta.spool):
        mta.start()
        filler = fill(mta.spool)
        assert try_all(mta) == (452, 75)
        assert spooled(mta) == []
        filler.unlink()
        assert try_all(mta) == (250, 0)
        mailbox.await_messages(mta.maildir("alice"), 2)
        mta.await_empty()
        assert "started again" not in mta.log()
        mta.stop()


def test_a_message_too_large_for_the_spool_is_refused_at_its_end_and_leaves_nothing() -> None:
    with daemon.prepared(TIGHT) as mta, small(mta, mta.spool):
        mta.start()
        with Conversation(mta.address, seconds=30) as client:
            for _ in range(2):
                assert client.codes(*ENVELOPE, "DATA") == [250, 250, 250, 354]
                client.send(b"Subject: big\r\n\r\n" + b"x" * 998 + b"\r\n")
                for _ in range(8):
                    client.send((b"y" * 998 + b"\r\n") * 1000)
                client.send(b".\r\n")
                assert client.reply().code == 452
                assert spooled(mta) == []
        assert try_all(mta) == (250, 0)
        mailbox.await_messages(mta.maildir("alice"), 2)
        mta.stop()


def test_a_read_only_spool_refuses_for_now_and_delivers_when_it_can_be_written() -> None:
    config = TIGHT.replace("split_spool", "queue_only\nsplit_spool")
    with daemon.prepared(config) as mta:
        place = mta.spool / "input"
        place.mkdir()
        with small(mta, place, mode="3770"):
            mta.start()
            clients.send(mta.address, "a@sender.test", ["alice@local.test"])
            remount(place, "ro")
            assert try_all(mta) == (451, 75)
            conversation.run_queue(mta)
            assert "Read-only file system" in mta.await_log("cannot read")
            assert mailbox.messages(mta.maildir("alice")) == []
            assert len(spooled(mta)) == 2
            remount(place, "rw")
            conversation.empty_queue(mta)
            assert len(mailbox.await_messages(mta.maildir("alice"), 1)) == 1
            assert mta.log("panic") == ""
            mta.stop()


def test_without_a_daemon_a_drop_box_that_takes_nothing_means_exit_75() -> None:
    with daemon.prepared(TIGHT) as mta, small(mta, mta.spool):
        mta.start()
        mta.stop()
        where = f"-DSPOOL={mta.spool}"
        if Path("/etc/mta/mta.conf").exists():
            pytest.skip("needs a machine without a configuration in /etc/mta")
        text = b"Subject: drop\n\n" + b"line\n" * 5000
        filler = fill(mta.spool)
        result = mta.run("sendmail", where, "alice@local.test", message=text)
        assert result.returncode == 75
        assert b"No space left" in result.stderr
        assert list((mta.spool / "drop").iterdir()) == []
        filler.unlink()
        remount(mta.spool, "ro")
        result = mta.run("sendmail", where, "alice@local.test", message=text)
        assert result.returncode == 75
        assert b"Read-only" in result.stderr
        remount(mta.spool, "rw")
        assert mta.run("sendmail", where, "alice@local.test", message=text).returncode == 0
        mta.start()
        mailbox.await_messages(mta.maildir("alice"), 1)
        mta.stop()


def test_mail_for_a_full_mailbox_waits_and_arrives_once() -> None:
    with daemon.prepared() as mta, small(mta, Path(mta.macros["MAIL"])) as place:
        mta.start()
        clients.send(mta.address, "a@sender.test", ["alice@local.test"])
        mailbox.await_messages(mta.maildir("alice"), 1)
        mta.await_empty()
        filler = fill(place)
        body = clients.MESSAGE + b"long line of text\r\n" * 5000
        clients.send(
            mta.address, "a@sender.test", ["alice@local.test", "bob@local.test"], body
        )
        line = mta.await_log("== alice")
        assert "No space left on device" in line
        assert list((mta.maildir("alice") / "tmp").iterdir()) == []
        filler.unlink()
        for name, number in (("alice", 2), ("bob", 1)):
            assert len(mailbox.await_messages(mta.maildir(name), number)) == number
        mta.await_empty()
        mta.stop()


def test_mail_for_a_read_only_mailbox_waits_and_arrives_once() -> None:
    with daemon.prepared() as mta, small(mta, Path(mta.macros["MAIL"])) as place:
        mta.start()
        clients.send(mta.address, "a@sender.test", ["alice@local.test"])
        mailbox.await_messages(mta.maildir("alice"), 1)
        remount(place, "ro")
        clients.send(mta.address, "a@sender.test", ["alice@local.test"])
        assert "Read-only file system" in mta.await_log("== alice")
        remount(place, "rw")
        assert len(mailbox.await_messages(mta.maildir("alice"), 2)) == 2
        mta.await_empty()
        mta.stop()


HOMES = daemon.BASIC.replace(
    "  directory = MAIL/$local_part_data\n",
    "  home_directory = MAIL/$local_part_data\n  directory = MAIL/$local_part_data/Maildir\n",
)


def test_mail_for_a_home_that_is_missing_waits_until_it_is_there() -> None:
    with daemon.prepared(HOMES) as mta:
        mta.start()
        clients.send(mta.address, "a@sender.test", ["alice@local.test"])
        line = mta.await_log("== alice")
        assert f"failed to chdir to {mta.maildir('alice')}" in line
        assert not mta.maildir("alice").exists()
        mta.maildir("alice").mkdir()
        if mta.who is not None:
            os.chown(mta.maildir("alice"), mta.who.pw_uid, mta.who.pw_gid)
        mailbox.await_messages(mta.maildir("alice") / "Maildir", 1)
        mta.await_empty()
        mta.stop()
