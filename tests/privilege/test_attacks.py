"""What somebody who took over a process, and what a local user, can do to the others."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mta.deliver.frames import Refused, Start
from mta.proc.control import Arrived
from mta.unix import frames
from tests.fault.strace import titled
from tests.harness import clients, mailbox
from tests.harness.daemon import Running
from tests.harness.source import TREE
from tests.harness.wait import until
from tests.privilege import separated
from tests.privilege.separated import ALICE, BOB, as_user, descriptor, needs_root, the_process

pytestmark = needs_root

# Where the channels of roles begin: control, the snapshot and three logs come first.
START_OF_RUNNER, ARRIVED_OF_LISTENER, CONTROL_OF_LISTENER = 9, 8, 3


@pytest.fixture(scope="module")
def mta() -> Iterator[Running]:
    with separated.running() as running:
        yield running


def works(mta: Running) -> None:
    """A message goes through, from the network and from a local program."""
    before = len(mailbox.messages(mta.maildir("bob")))
    clients.send(mta.address, "a@sender.test", ["bob@local.test"])
    sent = as_user(BOB, SUBMIT, mta.spool / "run" / "submit", "bob@local.test")
    assert sent.stdout.startswith("Accepted"), sent.stdout + sent.stderr
    mailbox.await_messages(mta.maildir("bob"), before + 2, 20.0)


def roles(mta: Running) -> list[int]:
    titles = ("mta: launcher", "mta: runner", "mta: listener")
    return [the_process(mta, title) for title in titles]


@pytest.fixture
def starts(mta: Running) -> Iterator[socket.socket]:
    """The channel to the launcher, as a delivery process that was taken over has it."""
    with socket.socket(
        fileno=descriptor(the_process(mta, "mta: runner"), START_OF_RUNNER)
    ) as end:
        end.settimeout(5.0)
        yield end


def refusal(starts: socket.socket, request: Start) -> str:
    ours, theirs = frames.pair()
    with ours:
        with theirs:
            frames.send(starts, request, [theirs.fileno()])
        ours.settimeout(5.0)
        received = frames.receive(ours, (Refused,))
    assert received is not None
    assert isinstance(received.message, Refused)
    return received.message.reason


@pytest.mark.parametrize(
    ("transport", "user", "group"),
    [
        ("maildir", "root", ""),
        ("maildir", "0", ""),
        ("maildir", "daemon", ""),
        ("maildir", "alice", "shadow"),
        ("maildir", "alice", "root"),
        ("maildir", "", "shadow"),
        ("/bin/sh", "alice", ""),
        ("../maildir", "alice", ""),
        ("maildir", "9" * 5000, ""),
        ("\x01" * 30_000, "\x7f" * 30_000, ""),
    ],
)
def test_the_launcher_starts_nothing_that_the_configuration_does_not_say(
    mta: Running, starts: socket.socket, transport: str, user: str, group: str
) -> None:
    before = titled(mta.process.pid if mta.process else 0, "mta: user")
    assert refusal(starts, Start(transport, user, group, 1))
    assert titled(mta.process.pid if mta.process else 0, "mta: user") == before


def test_no_frame_ends_the_launcher(mta: Running, starts: socket.socket) -> None:
    before, chance = roles(mta), random.Random(2)
    good = frames.encode(Start("maildir", "root", "", 0))
    null = os.open(os.devnull, os.O_RDWR)
    stream, _other = socket.socketpair()
    for number in range(3000):
        octets = bytearray(good * chance.randrange(3))
        for _ in range(chance.randrange(6)):
            octets[chance.randrange(len(octets) + 1) :] = chance.randbytes(
                chance.randrange(40)
            )
        fds = chance.choice([[], [null], [stream.fileno()], [null] * 16])
        socket.send_fds(starts, [bytes(octets)], fds)
        if number % 500 == 0:
            starts.send(b"")
    for each in (stream, _other):
        each.close()
    os.close(null)
    assert refusal(starts, Start("maildir", "root", "", 0))  # it has read all the rest
    assert roles(mta) == before
    assert mta.log().count("launcher bad request") <= 60
    works(mta)


def test_hints_of_the_network_user_lead_nowhere(mta: Running) -> None:
    before = roles(mta)
    with socket.socket(fileno=descriptor(before[2], ARRIVED_OF_LISTENER)) as hints:
        hints.settimeout(10.0)
        for octets in (b"", b"nonsense", b"attempt\0message_id=x\0", b"\0" * 65_536):
            hints.send(octets)
        for name in ("x", "", "../../../etc/passwd", "a" * 60_000, "1xVVri-000000006jT-11t8"):
            frames.send(hints, Arrived(name, 1, "s" * 1000, "d" * 1000))
        for number in range(5000):
            name = f"1xVVri-{number:011d}-11t8"
            frames.send(hints, Arrived(name, 1, "s", f"{number}.test"))
    works(mta)
    assert roles(mta) == before


def test_a_listener_that_was_taken_over_says_nothing_to_the_master_but_once(
    mta: Running,
) -> None:
    listener = the_process(mta, "mta: listener")
    with socket.socket(fileno=descriptor(listener, CONTROL_OF_LISTENER)) as control:
        null = os.open(os.devnull, os.O_RDONLY)
        for _ in range(5):
            try:
                socket.send_fds(control, [b"ready\0"], [null] * 10)
            except BrokenPipeError:
                break
        os.close(null)
    # It lost the master, so it leaves, and another takes its place.
    until(lambda: the_process(mta, "mta: listener") != listener, 10.0, "another listener")
    assert mta.process is not None
    master = Path(f"/proc/{mta.process.pid}/fd")
    until(lambda: str(master) and "/dev/null" not in _targets(master)[1:], 5.0, "no files")
    until(lambda: _answers(mta), 10.0, "an answer")
    works(mta)


def _targets(directory: Path) -> list[str]:
    entries = sorted(directory.iterdir(), key=lambda each: int(each.name))
    return [os.readlink(each) for each in entries]


def _answers(mta: Running) -> bool:
    try:
        with clients.Conversation(mta.address) as client:
            return client.greeting is not None and client.greeting.code == 220
    except OSError:
        return False


# ---- local users

SUBMIT = """
from mta.receive.frames import Accepted, Finished, More, Rejected, Session, Submit
from mta.unix import frames
def connect():
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel.connect(sys.argv[1])
    channel.settimeout(20)
    return channel
def submit(fds, recipients=(), sender=None, full_name="", **more):
    values = dict(from_headers=0, dot_ends=0, delivery="", fixups=1, dsn_ret="", dsn_notify="")
    values.update(more)
    given = (int(sender is not None), sender or "", full_name, tuple(recipients))
    request = Submit(*given, **values)
    with connect() as channel:
        frames.send(channel, request, fds)
        try:
            received = frames.receive(channel, (Accepted, Rejected))
        except OSError:
            return "closed"
        return type(received.message).__name__ if received else "closed"
def text(octets=b"Subject: x\\n\\nbody\\n"):
    reader, writer = os.pipe()
    os.write(writer, octets)
    os.close(writer)
    return reader
if len(sys.argv) > 2:
    print(submit([text()], [sys.argv[2]]))
"""


def local(mta: Running, code: str, uid: int = ALICE) -> list[str]:
    """Run code with the helpers of SUBMIT as a user; the lines that it prints."""
    ended = as_user(uid, SUBMIT + code, mta.spool / "run" / "submit")
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.split("\n")[:-1]


def newest(mta: Running, name: str, before: int) -> str:
    (*_, message) = mailbox.await_messages(mta.maildir(name), before + 1)
    return message.decode()


def test_nobody_speaks_for_somebody_else(mta: Running) -> None:
    before = len(mailbox.messages(mta.maildir("alice")))
    said = local(mta, "print(submit([text()], ['alice@local.test'], 'root@local.test'))")
    assert said == ["Accepted"]
    message = newest(mta, "alice", before)
    assert "Return-path: <alice@mx.test>" in message
    assert "From: alice <alice@mx.test>" in message


def test_no_field_of_a_submission_makes_a_second_line(mta: Running) -> None:
    before = len(mailbox.messages(mta.maildir("alice")))
    code = r"""
for evil in ("x\nBcc: evil@else.test", "x\r\n\r\nbody", "\r", "\n", "x\x0b\x85y"):
    print(submit([text()], ["alice@local.test"], full_name=evil))
    print(submit([text()], ["alice@local.test"], f"a{evil}@else.test"))
    print(submit([text()], [f"alice@local.test{evil}", "alice@local.test"]))
    print(submit([text()], ["alice@local.test"], dsn_notify=evil, dsn_ret=evil, delivery=evil))
"""
    said = local(mta, code)
    assert set(said) <= {"Accepted", "Rejected"}
    taken = said.count("Accepted")
    for message in mailbox.await_messages(mta.maildir("alice"), before + taken)[before:]:
        head = message.decode("utf-8", "surrogateescape").partition("\n\n")[0]
        assert "\nBcc" not in head
        assert "evil@else.test" not in head.replace("<evil@else.test>", "").split("From:")[0]
        assert message.count(b"\nFrom: ") == 1


def test_any_kind_of_descriptor_is_read_or_refused(mta: Running) -> None:
    code = """
to = ["alice@local.test"]
print(submit([os.open("/", os.O_RDONLY)], to))
print(submit([os.open("/dev/zero", os.O_RDONLY)], to))
print(submit([os.open("/dev/null", os.O_WRONLY)], to))
print(submit([os.open("/etc/hostname", os.O_PATH)], to))
lonely = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
print(submit([lonely.fileno()], to))
print(submit([], to))
print(submit([text(), text()], to))
ours, theirs = socket.socketpair()
ours.send(b"Subject: x\\n\\nbody\\n")
ours.shutdown(socket.SHUT_WR)
print(submit([theirs.fileno()], to))
import pty
leader, follower = pty.openpty()
os.write(leader, b"Subject: x\\n\\nbody\\n\\x04")
print(submit([follower], to))
"""
    said = local(mta, code)
    assert said == ["Rejected"] * 7 + ["Accepted"] * 2
    works(mta)


def test_garbage_on_the_sockets_of_local_programs_ends_nothing(mta: Running) -> None:
    before = roles(mta)
    code = """
for name in ("submit", "control"):
    path = os.path.join(os.path.dirname(sys.argv[1]), name)
    for octets in (
        b"", b"x", b"\\0", b"submit\\0", b"list\\0x=y\\0", b"drain\\0grace_ms=0\\0",
        b"retry\\0message_id=" + b"a" * 65000 + b"\\0",
        b"\\xff" * 65536, b"more\\0" + b"recipients=a\\0" * 5000,
    ):
        for count in (0, 1, 16):
            channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            channel.connect(path)
            null = os.open("/dev/null", os.O_RDONLY)
            try:
                socket.send_fds(channel, [octets], [null] * count)
            except OSError:
                pass
            os.close(null)
            channel.close()
print("done")
"""
    assert local(mta, code) == ["done"]
    assert roles(mta) == before
    works(mta)


HOLD = """
import resource, time
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
held = []
for number in range(1000):
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel.settimeout(5)
    try:
        channel.connect(os.path.join(os.path.dirname(sys.argv[1]), "NAME"))
        channel.send(b"FIRST")
    except OSError:
        pass
    held.append(channel)
print("held")
sys.stdout.flush()
sys.stdin.read()
"""


def leaves_mail_in_the_box(mta: Running) -> None:
    """Who has too many connections open is turned away, and his mail is taken nevertheless."""
    before = len(mailbox.messages(mta.maildir("alice")))
    sent = subprocess.run(
        [TREE / "bin" / "sendmail", *mta.arguments(), "alice@local.test"],
        input=b"Subject: by another way\n\nbody\n",
        user=ALICE,
        group=ALICE,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert (sent.returncode, sent.stderr) == (0, b"")
    assert "Subject: by another way" in newest(mta, "alice", before)


@pytest.mark.parametrize(("name", "first"), [("submit", "more\\0"), ("control", "list\\0")])
def test_a_thousand_connections_of_one_user_keep_nobody_else_out(
    mta: Running, name: str, first: str
) -> None:
    before = roles(mta)
    code = SUBMIT + HOLD.replace("NAME", name).replace("FIRST", first)
    with separated.held(ALICE, code, mta.spool / "run" / "submit") as said:
        assert said == "held\n"
        works(mta)
        assert len(mta.processes()) < 100
        if name == "submit":
            leaves_mail_in_the_box(mta)
        listed = mta.run("mailq", "-C", str(mta.config), *mta.arguments()[2:])
        assert listed.returncode == 0, listed.stderr
    assert roles(mta) == before


DROPS = """
from mta.spool.dropbox import Drop
spool = sys.argv[1]
box = os.path.join(spool, "drop")
def leave(text):
    drop = Drop(spool, [("recipients", "alice@local.test"), ("has_sender", "0")])
    drop.write(text)
    drop.commit()
os.symlink("/etc/shadow", f"{box}/m.1")
os.mkfifo(f"{box}/m.2", 0o640)
with open(f"{box}/m.3", "w") as file:
    file.write("mta-drop 1 00000000\\n\\nwrong mode")
os.mkdir(f"{box}/m.4")
with open(f"{box}/m.5", "w") as file:
    file.write("mta-drop 1 00000000\\n\\ntwo names")
os.chmod(f"{box}/m.5", 0o640)
os.link(f"{box}/m.5", f"{box}/m.6")
for number, text in enumerate((
    "", "mta-drop", "mta-drop 1 99999999\\n", "mta-drop 1 00000003\\nabc",
    "mta-drop 1 00000002\\n=\\0", "mta-drop 1 00000006\\nuid=0\\0",
)):
    with open(f"{box}/m.7{number}", "w") as file:
        file.write(text)
    os.chmod(f"{box}/m.7{number}", 0o640)
leave(b"Subject: from the box\\n\\nbody\\n")
for attack in (
    lambda: os.listdir(box),
    lambda: os.rmdir(box),
    lambda: os.open(f"{spool}/run/x", os.O_CREAT),
):
    try:
        attack()
    except PermissionError:
        continue
    print("DONE")
"""


def test_the_drop_box_gives_away_nothing_and_stops_at_nothing(mta: Running) -> None:
    before = len(mailbox.messages(mta.maildir("alice")))
    ended = as_user(ALICE, DROPS, mta.spool)
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
    message = newest(mta, "alice", before)
    assert "Subject: from the box" in message
    assert "Return-path: <alice@mx.test>" in message
    drop = mta.spool / "drop"
    until(lambda: [each.name for each in drop.iterdir()] == ["m.4"], 10.0, "an empty box")
    assert len(mailbox.messages(mta.maildir("alice"))) == before + 1


def test_a_file_that_is_swapped_while_it_is_taken_gives_away_nothing(mta: Running) -> None:
    code = """
import time
box = os.path.join(sys.argv[1], "drop")
end = time.monotonic() + 1.2
number = 0
while time.monotonic() < end:
    number += 1
    name = f"{box}/m.a{number:x}"
    with open(name + "~", "w") as file:
        file.write("mta-drop 1 00000000\\n\\nbody")
    os.chmod(name + "~", 0o640)
    os.rename(name + "~", name)
    os.symlink("/etc/shadow", name + "~")
    try:
        os.rename(name + "~", name)
    except OSError:
        pass
    time.sleep(0.01)
"""
    before = roles(mta)
    ended = as_user(ALICE, code, mta.spool)
    assert ended.returncode == 0, ended.stderr
    drop = mta.spool / "drop"
    until(lambda: not list(drop.glob("m.a*")), 20.0, "an empty box")
    assert roles(mta) == before
    assert "root:" not in "".join(
        each.read_text("utf-8", "replace") for each in (mta.spool / "input").rglob("*-D")
    )


def test_everything_still_works(mta: Running) -> None:
    started = time.monotonic()
    works(mta)
    assert time.monotonic() - started < 10.0
