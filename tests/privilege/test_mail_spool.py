"""Mail in /var/mail as Debian has it: the directory root:mail 02775, files 0660 user:mail."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fault import conversation
from tests.harness import clients, mbox
from tests.harness.daemon import Running
from tests.privilege import separated
from tests.privilege.separated import ALICE, BOB, as_user, needs_root

pytestmark = needs_root

MAIL = 8  # the group of the mail spool on every Debian
CONFIG = separated.CONFIG.replace(
    "begin transports\n",
    "begin transports\nmail_spool:\n  driver = appendfile\n"
    "  file = MAIL/$local_part_data.box\n  group = mail\n  mode = 0660\n"
    "  mode_fail_narrower = false\n  lock_interval = 1s\n  lock_retries = 1\n"
    "  return_path_add\n",
).replace("transport = maildir\n", "transport = mail_spool\n")


@pytest.fixture
def mta() -> Iterator[Running]:
    with separated.prepared(CONFIG) as running:
        place = Path(running.macros["MAIL"])
        os.chown(place, 0, MAIL)
        place.chmod(0o2775)
        running.start()
        yield running
        assert running.stop() == 0
        assert running.log("panic") == ""


def box(mta: Running, user: str = "alice") -> Path:
    return Path(mta.macros["MAIL"]) / f"{user}.box"


def send(mta: Running, *users: str) -> None:
    to = [f"{user}@local.test" for user in users or ("alice",)]
    clients.send(mta.address, "a@sender.test", to)


def owned(path: Path) -> tuple[int, int, int]:
    known = path.lstat()
    return known.st_uid, known.st_gid, stat.S_IMODE(known.st_mode)


def refusal(mta: Running) -> str:
    """Why mail for alice waits."""
    send(mta)
    return mta.await_log("== alice")


def test_mailboxes_belong_to_their_users_and_the_group_mail(mta: Running) -> None:
    send(mta, "alice", "bob")
    for user, uid in (("alice", ALICE), ("bob", BOB)):
        mbox.await_messages(box(mta, user), 1)
        assert owned(box(mta, user)) == (uid, MAIL, 0o660)
    send(mta)
    mbox.await_messages(box(mta), 2)
    mta.await_empty()
    assert not list(box(mta).parent.glob("*.lock*"))
    assert b"Return-path: <a@sender.test>" in box(mta).read_bytes()


def test_the_mailbox_that_the_system_made_for_a_user_is_used(mta: Running) -> None:
    box(mta).touch()
    os.chown(box(mta), ALICE, MAIL)
    box(mta).chmod(0o600)
    send(mta)
    mbox.await_messages(box(mta), 1)
    assert owned(box(mta)) == (ALICE, MAIL, 0o600)


def plant_link(mta: Running) -> None:
    box(mta).symlink_to(box(mta, "bob"))
    os.chown(box(mta), ALICE, MAIL, follow_symlinks=False)


def plant_hard_link(mta: Running) -> None:
    os.chown(box(mta, "bob"), ALICE, MAIL)
    box(mta).hardlink_to(box(mta, "bob"))


def plant_file(mta: Running) -> None:
    os.rename(box(mta, "bob"), box(mta))


@pytest.mark.parametrize(
    ("plant", "words"),
    [
        (plant_link, "is not a regular file"),
        (plant_hard_link, "has too many links (2)"),
        (plant_file, f"has wrong uid ({BOB} != {ALICE})"),
    ],
)
def test_nobody_gets_mail_into_the_file_of_another(
    mta: Running, plant: object, words: str
) -> None:
    assert callable(plant)
    box(mta, "bob").write_bytes(b"bob's own\n")
    os.chown(box(mta, "bob"), BOB, MAIL)
    box(mta, "bob").chmod(0o660)
    plant(mta)
    assert words in refusal(mta)
    left = box(mta, "bob") if box(mta, "bob").exists() else box(mta)
    assert left.read_bytes() == b"bob's own\n"


def test_a_user_cannot_stop_mail_for_another_with_a_lock_file(mta: Running) -> None:
    tried = as_user(BOB, "open(sys.argv[1], 'x')", f"{box(mta)}.lock")
    assert "PermissionError" in tried.stderr
    tried = as_user(BOB, "open(sys.argv[1], 'x')", box(mta))
    assert "PermissionError" in tried.stderr
    send(mta)
    mbox.await_messages(box(mta), 1)


def test_the_lock_of_one_user_does_not_hold_up_another(mta: Running) -> None:
    send(mta)
    mbox.await_messages(box(mta), 1)
    mta.await_empty()
    with box(mta).open("r+b") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)
        send(mta, "alice", "bob")
        mbox.await_messages(box(mta, "bob"), 1)
        mta.await_log("== alice")
    conversation.empty_queue(mta)
    assert len(mbox.messages(box(mta))) == 2


def test_a_mail_spool_that_only_root_may_write_defers(mta: Running) -> None:
    box(mta).parent.chmod(0o755)
    line = refusal(mta)
    assert "defer (13): Permission denied: creating lock file hitching post" in line
    assert f"(euid={ALICE} egid={MAIL})" in line
    box(mta).parent.chmod(0o2775)
    conversation.empty_queue(mta)
    assert len(mbox.messages(box(mta))) == 1
