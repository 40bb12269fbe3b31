"""Files of users: read with their rights and no others, whatever they put in their place."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mta.base.trust import Trusted
from mta.deliver.frames import (
    Carry,
    Look,
    OutcomeFrame,
    Piece,
    Reader,
    Refused,
    Sight,
    Start,
    Unseen,
)
from mta.transport import parcel as parcels
from mta.transport.api import Parcel, ParcelRecipient
from mta.unix import frames
from tests.harness import clients, daemon, mailbox
from tests.harness.daemon import Running
from tests.harness.source import TREE
from tests.harness.wait import until
from tests.privilege import separated
from tests.privilege.separated import ALICE, BOB, MTA, needs_root

pytestmark = needs_root

FORWARD = """\
aliases:
  driver = redirect
  domains = +local_domains
  local_parts = shared
  data = MAIL/shared/
  user = bob
  directory_transport = folder
forward:
  driver = redirect
  domains = +local_domains
  check_local_user
  file = $home/.forward
  require_files = ${if exists{MAIL/plain}{}{$local_part_data}}: \\
    ${if exists{MAIL/plain}{}{$home/.forward}}
  no_verify
  check_ancestor
  file_transport = folder
  directory_transport = folder
local:
  driver = accept
  domains = +local_domains
  check_local_user
  local_parts = ! root
  transport = maildir
  cannot_route_message = Unknown user
"""
CONFIG = daemon.BASIC.replace(
    daemon.BASIC[daemon.BASIC.index("local:\n") : daemon.BASIC.index("begin transports")],
    FORWARD,
).replace("begin retry", "folder:\n  driver = appendfile\n  maildir_format\nbegin retry")
FLIP = """\
import os
mine, link = sys.argv[1] + "/mine", sys.argv[1] + "/link"
print("ready", flush=True)
while True:
    for name in (mine, link):
        os.link(name, sys.argv[1] + "/new", follow_symlinks=False)
        os.replace(sys.argv[1] + "/new", sys.argv[1] + "/.forward")
"""


@contextmanager
def with_homes() -> Iterator[Running]:
    """The tree with homes for alice, bob and root, which nobody else can look into."""
    with separated.prepared(CONFIG) as mta:
        users = mta.place / "passwd"
        text = users.read_text().replace(
            "root:x:0:0:root:/root:", f"root:x:0:0:root:{mta.place}/root:"
        )
        for name in ("alice", "bob"):
            text = text.replace(f":{name}:/nonexistent:", f":{name}:{mta.place}/{name}:")
        users.write_text(text)
        for name, uid in (("alice", ALICE), ("bob", BOB), ("root", 0)):
            home = mta.place / name
            home.mkdir(0o700)
            os.chown(home, uid, uid)
        shared = mta.maildir("shared")
        shared.mkdir(0o700)
        os.chown(shared, BOB, BOB)
        mta.start()
        yield mta
        assert mta.stop() == 0
        assert mta.log("panic") == ""


@pytest.fixture(scope="module")
def tree() -> Iterator[Running]:
    with with_homes() as mta:
        yield mta


@pytest.fixture
def mta(tree: Running) -> Iterator[Running]:
    """The tree, with nothing in alice's home and nothing in the queue."""
    yield tree
    subprocess.run(["rm", "-rf", tree.place / "alice"], check=True)
    (tree.place / "alice").mkdir(0o700)
    os.chown(tree.place / "alice", ALICE, ALICE)
    subprocess.run(["rm", "-rf", tree.maildir("alice")], check=True)
    tree.maildir("alice").mkdir(0o700)
    os.chown(tree.maildir("alice"), ALICE, ALICE)


def write(path: Path, text: str, owner: int = ALICE, mode: int = 0o600) -> Path:
    path.write_text(text)
    os.chown(path, owner, owner)
    path.chmod(mode)
    return path


def forward(mta: Running) -> Path:
    return mta.place / "alice" / ".forward"


def send(mta: Running, to: str = "alice@local.test") -> str:
    """Send a message; its id."""
    before = mta.log().count("<= a@sender.test")
    clients.send(mta.address, "a@sender.test", [to])
    until(lambda: mta.log().count("<= a@sender.test") > before, 10.0, "the message")
    return [line for line in mta.log().split("\n") if "<= a@sender.test" in line][-1].split()[
        2
    ]


def outcome(mta: Running, to: str = "alice@local.test") -> str:
    """What the log says first of a message to this address."""
    number = send(mta, to)
    marks = ("=>", "**", "==")
    line = f"{number} "

    def said() -> list[str]:
        lines = [each.partition(line)[2] for each in mta.log().split("\n") if line in each]
        return [each for each in lines if each[:2] in marks]

    return until(lambda: (said() or [""])[0], 20.0, f"an outcome of {number}")


def test_a_closed_file_in_a_closed_home_is_followed_as_its_owner(mta: Running) -> None:
    box = mta.place / "alice" / "box"
    write(forward(mta), f"{box}/\n")
    assert outcome(mta) == f"=> {box}/ <alice@local.test> R=forward T=folder"
    mailbox.await_messages(box, 1)
    (file,) = (box / "new").iterdir()
    assert (file.stat().st_uid, file.stat().st_mode & 0o777) == (ALICE, 0o600)


def test_the_own_address_in_the_file_is_the_mailbox(mta: Running) -> None:
    write(forward(mta), "\\alice\n")
    assert outcome(mta).startswith("=> alice <alice@local.test> R=local T=maildir")
    mailbox.await_messages(mta.maildir("alice"), 1)


def test_nothing_is_delivered_where_the_owner_may_not_write(mta: Running) -> None:
    elsewhere = mta.place / "bob" / "box"
    write(forward(mta), f"{elsewhere}/\n")
    assert "Permission denied" in outcome(mta)
    assert not elsewhere.exists()


def link_to_bob(file: Path) -> None:
    secret = write(file.parent.parent / "readable", "secret@bob.test\n", BOB, 0o644)
    file.symlink_to(secret)


def link_to_closed(file: Path) -> None:
    secret = write(file.parent.parent / "bob" / "secret", "secret@bob.test\n", BOB)
    file.symlink_to(secret)


def link_to_spool(file: Path) -> None:
    # Who routes could read it, and may look into the home.
    secret = write(file.parent.parent / "mail-users", "secret@bob.test\n", MTA)
    file.parent.chmod(0o755)
    file.symlink_to(secret)


def hard_link(file: Path) -> None:
    secret = write(file.parent.parent / "linked", "secret@bob.test\n", BOB, 0o644)
    os.link(secret, file)


def fifo(file: Path) -> None:
    file.parent.chmod(0o755)
    os.mkfifo(file, 0o600)
    os.chown(file, ALICE, ALICE)


def device(file: Path) -> None:
    file.symlink_to("/dev/zero")


def huge(file: Path) -> None:
    write(file, "")
    os.truncate(file, 1 << 40)


def included(file: Path) -> None:
    link_to_closed(file.parent / "link")
    write(file, f":include:{file.parent.parent}/bob/secret\n")


@pytest.mark.parametrize(
    ("put", "said"),
    [
        (link_to_bob, "bad owner for {file}"),
        (hard_link, "bad owner for {file}"),
        (fifo, "{file} is not a regular file"),
        (Path.mkdir, "{file} is not a regular file"),
        (huge, "{file} is too big (max 1048576)"),
        (
            included,
            "error in redirect file: failed to open included file {bob}/secret: Permission"
            " denied (euid=61002 egid=61002)",
        ),
        (link_to_closed, "require_files: error for {file}: Permission denied"),
        (link_to_spool, "require_files: error for {file}: Permission denied"),
        (device, "{file} is not a regular file"),
        (
            lambda file: write(file, "x@y.test\n", BOB),
            "require_files: error for {file}: Permission denied",
        ),
        (lambda file: write(file, "x@y.test\n", BOB, 0o644), "bad owner for {file}"),
        (lambda file: write(file, "x@y.test\n", 0, 0o644), "bad owner for {file}"),
        (
            lambda file: write(file, "x@y.test\n", mode=0o660),
            "bad mode (0100660) for {file}: 020 bit(s) unexpected",
        ),
        (lambda file: write(file, "# Exim filter\nfinish\n"), "filtering not enabled"),
    ],
)
def test_what_is_no_good_file_of_the_user_defers(
    mta: Running, put: Callable[[Path], object], said: str
) -> None:
    file = forward(mta)
    put(file)
    line = outcome(mta)
    expected = said.format(file=file, bob=mta.place / "bob")
    assert line.startswith("== alice@local.test R=forward defer (")
    assert expected in line
    assert "secret@bob.test" not in mta.log()


@pytest.mark.parametrize("put", [link_to_closed, link_to_spool])
def test_what_he_may_not_read_is_not_read_without_such_a_condition_either(
    mta: Running, put: Callable[[Path], None]
) -> None:
    plain = mta.maildir("plain")
    plain.touch()
    file = forward(mta)
    put(file)
    try:
        line = outcome(mta)
    finally:
        plain.unlink()
    why = f"failed to open {file}: Permission denied (euid=61002 egid=61002)"
    assert line == f"== alice@local.test R=forward defer (-1): {why}"


def test_a_home_that_is_away_has_no_file_that_is_required(mta: Running) -> None:
    (mta.place / "alice").rmdir()
    # Nothing was forwarded; the delivery then goes to his home, and it is away.
    line = outcome(mta)
    assert line.startswith("== alice@local.test R=local T=maildir defer (2)")
    assert "failed to chdir to" in line


def test_a_file_that_changes_all_the_time_is_never_anothers(mta: Running) -> None:
    home = mta.place / "alice"
    write(home / "mine", f"{home}/box/\n")
    link_to_bob(home / "link")
    with separated.held(ALICE, FLIP, home) as line:
        assert line == "ready\n"
        lines = {outcome(mta) for _ in range(40)}
    assert "secret@bob.test" not in mta.log()
    for line in lines:
        assert line.startswith((f"=> {home}/box/ ", "== alice@local.test R=forward defer"))


def test_an_alias_is_delivered_as_the_user_of_its_router(mta: Running) -> None:
    box = mta.maildir("shared")
    assert outcome(mta, "shared@local.test") == (
        f"=> {box}/ <shared@local.test> R=aliases T=folder"
    )
    mailbox.await_messages(box, 1)
    assert {file.stat().st_uid for file in (box / "new").iterdir()} == {BOB}


def test_the_file_of_root_is_not_read_by_anybody(mta: Running) -> None:
    write(mta.place / "root" / ".forward", "secret@bob.test\n", 0, 0o644)
    assert outcome(mta, "root@local.test").startswith("** root@local.test: Unknown user")
    assert "secret@bob.test" not in mta.log()


def address_test(mta: Running, address: str) -> str:
    """What -bt says, started by root."""
    code = (
        "sys.path.insert(0, sys.argv.pop(1))\n"
        "from mta.cli import sendmail; sys.exit(sendmail.run('sendmail', sys.argv[1:]))"
    )
    command = [sys.executable, "-I", "-c", separated._PRELUDE + code, str(TREE)]
    ended = subprocess.run(
        [*command, *mta.arguments(), "-bt", address],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd="/",
    )
    assert ended.stderr == ""
    return ended.stdout


def test_an_address_test_of_root_reads_as_the_user(mta: Running) -> None:
    file = forward(mta)
    write(file, f"{file.parent}/box/\n")
    assert address_test(mta, "alice@local.test") == (
        f"alice@local.test -> {file.parent}/box/\n  transport = folder\n"
    )
    file.unlink()
    link_to_bob(file)
    assert address_test(mta, "alice@local.test") == (
        f"alice@local.test cannot be resolved at this time: bad owner for {file}\n"
    )
    file.unlink()
    included(file)
    said = address_test(mta, "alice@local.test")
    assert "Permission denied (euid=61002 egid=61002)" in said
    assert "secret" not in said.replace("bob/secret", "")


START_OF_RUNNER = 9  # its channel to the launcher; see test_attacks


@contextmanager
def begun(mta: Running, request: object) -> Iterator[socket.socket]:
    """A channel to what the launcher starts, as one has it who took over the mail user."""
    number = separated.descriptor(separated.the_process(mta, "mta: runner"), START_OF_RUNNER)
    ours, theirs = frames.pair()
    with ours, socket.socket(fileno=number) as launcher:
        with theirs:
            frames.send(launcher, request, [theirs.fileno()])
        ours.settimeout(10.0)
        yield ours


def said(channel: socket.socket) -> object:
    received = frames.receive(channel, (Sight, Piece, Unseen, Refused, OutcomeFrame))
    assert received is not None
    received.close()
    return received.message


def test_no_looker_is_root(mta: Running) -> None:
    for user in ("root", "0", "00"):
        with begun(mta, Reader(user, "", 1)) as channel:
            answer = said(channel)
        assert isinstance(answer, Refused)


def test_a_looker_reads_the_list_of_its_user_and_nothing_else(mta: Running) -> None:
    write(forward(mta), "alice@own.test\n")
    write(mta.place / "bob" / ".forward", "secret@bob.test\n", BOB)
    with begun(mta, Reader("bob", "", 0)) as channel:
        for order in (
            Look("forward", "alice@local.test"),
            Look("forward", "../bob@local.test"),
            Look("local", "bob@local.test"),
            Look("aliases", "bob@local.test"),
            Look("forward", "bob@other.test"),
        ):
            frames.send(channel, order)
            assert isinstance(said(channel), Unseen), order
    with begun(mta, Reader("alice", "", 0)) as channel:
        frames.send(channel, Look("forward", "bob@local.test"))
        assert isinstance(said(channel), Unseen)
        frames.send(channel, Look("forward", "alice@local.test"))
        assert isinstance(said(channel), Sight)
        assert said(channel) == Piece(b"alice@own.test\n")


def carried(mta: Running, user: str, name: str, file: Path) -> OutcomeFrame:
    """What becomes of a file that somebody claims the list of `name` has."""
    address = f"{name}@local.test"
    home = Trusted(str(mta.place))
    to = ParcelRecipient(
        f"{file}/:{address}",
        address,
        name,
        "local.test",
        local_part_data=Trusted(name),
        home=home,
    )
    body = os.open(os.devnull, os.O_RDONLY)
    number = "1xVWXv-0000000006iH-0QlH"
    made = Parcel(
        number, "folder", "forward", "", (to,), b"A: b\n", body, 0, 0, file=Trusted(f"{file}/")
    )
    with begun(mta, Start("folder", user, "", 0)) as channel:
        frames.send(channel, Carry("folder", number, parcels.encode(made)), [body])
        os.close(body)
        answer = said(channel)
    assert isinstance(answer, OutcomeFrame)
    return answer


def test_nobody_can_claim_what_a_list_says(mta: Running) -> None:
    good, bad = mta.place / "alice" / "good", mta.place / "alice" / "bad"
    write(forward(mta), f"{good}/\n")
    assert carried(mta, "alice", "alice", good).result == "done"
    answer = carried(mta, "alice", "alice", bad)
    assert answer.result == "defer"
    assert "is not what the forward router says" in answer.text
    assert (good.exists(), bad.exists()) == (True, False)


def test_what_a_list_says_is_not_done_as_somebody_else(mta: Running) -> None:
    victim = mta.place / "bob" / "victim"
    write(forward(mta), f"{victim}/\n")
    answer = carried(mta, "bob", "alice", victim)
    assert answer.result == "defer"
    assert answer.text == "the files of forward router are those of alice"
    assert not victim.exists()
