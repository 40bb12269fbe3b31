"""Who each process is, what it holds open, and what it leaves on the disk."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fault import strace
from tests.harness import clients, mailbox
from tests.harness.daemon import Running
from tests.harness.source import TREE
from tests.harness.wait import until
from tests.privilege import separated
from tests.privilege.separated import (
    ALICE,
    BOB,
    MTA,
    MTANET,
    as_user,
    needs_root,
    the_process,
)

pytestmark = needs_root

WHO = {
    "mta: master": (0, 0),
    "mta: launcher": (0, 0),
    "mta: runner": (MTA, MTA),
    "mta: deliver": (MTA, MTA),
    "mta: listener": (MTANET, MTANET),
    "mta: receiver": (MTANET, MTANET),
    "mta: user alice": (ALICE, ALICE),
    "mta: user bob": (BOB, BOB),
}
UNPRIVILEGED = [title for title, (uid, _) in WHO.items() if uid]


@pytest.fixture(scope="module")
def mta() -> Iterator[Running]:
    """A tree that has delivered to two people, and could not to a host."""
    with separated.running() as running:
        everybody = ["alice@local.test", "bob@local.test"]
        clients.send(running.address, "a@sender.test", everybody)
        for name in ("alice", "bob"):
            mailbox.await_messages(running.maildir(name), 1)
        clients.send(running.address, "a@sender.test", ["x@relay.test"])
        running.await_log("== x@relay.test")
        yield running


@pytest.mark.parametrize("title", WHO)
def test_each_process_is_who_it_should_be(mta: Running, title: str) -> None:
    uid, gid = WHO[title]
    if title.startswith("mta: user"):
        clients.send(mta.address, "a@sender.test", [f"{title[10:]}@local.test"])
    known = separated.status(the_process(mta, title))
    assert known["Uid"] == "\t".join([str(uid)] * 4)
    assert known["Gid"] == "\t".join([str(gid)] * 4)


@pytest.mark.parametrize("title", UNPRIVILEGED)
def test_no_process_but_roots_can_gain_anything(mta: Running, title: str) -> None:
    if title.startswith("mta: user"):
        clients.send(mta.address, "a@sender.test", [f"{title[10:]}@local.test"])
    pid = the_process(mta, title)
    known = separated.status(pid)
    assert known["NoNewPrivs"] == "1"
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(known[name], 16) == 0, name
    groups = {int(each) for each in known["Groups"].split()}
    uid = WHO[title][0]
    assert groups == ({MTA, MTANET} if uid == MTA else {uid})


@pytest.mark.parametrize("title", ["mta: runner", "mta: listener", "mta: user alice"])
def test_nobody_of_the_same_user_looks_into_a_process(mta: Running, title: str) -> None:
    if title.startswith("mta: user"):
        clients.send(mta.address, "a@sender.test", ["alice@local.test"])
    pid, uid = the_process(mta, title), WHO[title][0]
    for name in ("mem", "environ", "fd/3", "maps"):
        tried = as_user(uid, "open(sys.argv[1], 'rb').read(1)", f"/proc/{pid}/{name}")
        assert "PermissionError" in tried.stderr, name


def short(mta: Running, pid: int) -> list[str]:
    """What a process has open, seen from the place of the tree, without directories."""
    names = [each.replace(f"{mta.place}/", "") for each in separated.files(pid)]
    return sorted(each for each in names if not each.startswith("spool/input"))


def test_a_worker_has_its_channel_open_and_the_panic_log(mta: Running) -> None:
    clients.send(mta.address, "a@sender.test", ["alice@local.test"])
    pid = the_process(mta, "mta: user alice")
    expected = ["/dev/null", "output", "output", "socket", "spool/log/paniclog"]
    until(lambda: short(mta, pid) == expected, 5.0, f"{short(mta, pid)} == {expected}")


def test_a_receiver_has_no_listening_socket_and_nothing_of_the_master(mta: Running) -> None:
    logs = [f"spool/log/{name}log" for name in ("main", "panic", "reject")]
    expected = ["/dev/null", "output", "output", "socket", "socket", "spool", *logs]
    pid = the_process(mta, "mta: receiver")
    assert sorted(short(mta, pid)) == sorted(expected)


def test_nothing_is_set_uid() -> None:
    found = []
    for directory in ("bin", "mta", "etc", "man"):
        for path in (TREE / directory).rglob("*"):
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
                found.append(path)
    assert found == []


def owned(path: Path) -> tuple[int, int, int]:
    known = path.lstat()
    return known.st_uid, known.st_gid, stat.S_IMODE(known.st_mode)


def test_the_directories_of_the_spool_have_their_owners_and_modes(mta: Running) -> None:
    spool = mta.spool
    assert owned(spool)[0] == 0
    assert owned(spool / "run")[::2] == (0, 0o755)
    assert owned(spool / "input") == (MTA, MTANET, 0o3770)
    assert owned(spool / "input" / "a") == (MTA, MTANET, 0o3770)
    assert owned(spool / "msglog") == (MTA, MTA, 0o750)
    assert owned(spool / "drop") == (MTA, MTA, 0o3733)
    assert owned(spool / "corrupt") == (MTA, MTA, 0o700)
    assert owned(spool / "db") == (MTA, MTA, 0o750)
    assert owned(spool / "run" / "submit")[::2] == (0, 0o666)


def test_messages_have_their_owners_and_modes(mta: Running) -> None:
    (message,) = mta.messages()
    (header,) = mta.spool.rglob(f"{message}-H")
    (data,) = mta.spool.rglob(f"{message}-D")
    # The receiver wrote both; the runner replaced the envelope after the first attempt.
    assert owned(header) == (MTA, MTANET, 0o600)
    assert owned(data) == (MTANET, MTANET, 0o660)


def test_what_is_delivered_belongs_to_the_recipient(mta: Running) -> None:
    for name, uid in (("alice", ALICE), ("bob", BOB)):
        for path in mta.maildir(name).rglob("*"):
            assert owned(path)[:2] == (uid, uid)
            assert not owned(path)[2] & 0o077


def test_what_root_writes_is_for_root_to_write(mta: Running) -> None:
    for name in ("mainlog", "paniclog", "rejectlog"):
        uid, _, mode = owned(mta.spool / "log" / name)
        assert (uid, mode) == (0, 0o640)


def test_root_opens_no_mail(mta: Running) -> None:
    strace.needs_strace()
    assert mta.process is not None
    seen: list[str] = []

    def work() -> None:
        before = len(mailbox.messages(mta.maildir("alice")))
        body = b"Subject: x\r\n\r\nthe-secret-of-alice\r\n"
        clients.send(mta.address, "a@sender.test", ["alice@local.test"], body)
        mailbox.await_messages(mta.maildir("alice"), before + 1)

    def launcher() -> None:
        seen.extend(strace.trace(the_process(mta, "mta: launcher"), work))

    # strace follows nobody: what a worker does after the fork is not root's.
    seen += strace.trace(mta.process.pid, launcher)
    for line in seen:
        assert "the-secret" not in line
        assert "-H" not in line
        assert "-D" not in line
        assert "/input" not in line
        assert str(mta.maildir("alice")) not in line


PLANT = """
place = sys.argv[1]
for name in os.listdir(place):
    if not name.endswith("-H"):
        continue
    path = os.path.join(place, name)
    for attack in (
        lambda: os.unlink(path),
        lambda: os.rename(path, path + ".away"),
        lambda: open(path, "rb").read(),
        lambda: open(path, "ab"),
        lambda: os.chmod(path, 0o666),
        lambda: os.link(path, path + ".link"),
        lambda: os.rename(place, place + ".away"),
        lambda: os.listdir(os.path.join(place, "../../msglog")),
        lambda: os.listdir(os.path.join(place, "../../drop")),
        lambda: os.listdir(os.path.join(place, "../../db")),
    ):
        try:
            attack()
        except PermissionError:
            print("refused")
        else:
            print("DONE")
"""


def test_the_network_user_can_do_nothing_to_messages_of_others(mta: Running) -> None:
    (message,) = mta.messages()
    (header,) = mta.spool.rglob(f"{message}-H")
    tried = as_user(MTANET, PLANT, header.parent)
    assert tried.stdout.split() == ["refused"] * 10, tried.stdout + tried.stderr


COMMAND = """
from mta.proc import control
from mta.unix import frames
channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
channel.connect(sys.argv[1])
remove, retry = control.Steer("remove", sys.argv[2]), control.Retry(sys.argv[2])
for wanted in (remove, retry, control.Run(1)):
    frames.send(channel, wanted)
    print(type(frames.receive(channel, control.ANSWERS).message).__name__)
frames.send(channel, control.List())
print(type(frames.receive(channel, control.ANSWERS).message).__name__)
"""


@pytest.mark.parametrize("uid", [MTANET, ALICE])
def test_who_is_no_admin_steers_and_sees_nothing(mta: Running, uid: int) -> None:
    (message,) = mta.messages()
    tried = as_user(uid, COMMAND, mta.spool / "run" / "control", message)
    assert tried.stdout.split() == ["Denied", "Denied", "Denied", "Done"], tried.stderr
    assert mta.messages() == [message]
