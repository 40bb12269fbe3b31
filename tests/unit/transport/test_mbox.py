"""Tests of delivery into mailboxes: what is written, what is refused, and what is awaited."""

from __future__ import annotations

import errno
import fcntl
import mailbox
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from mta.base.trust import Trusted
from mta.transport import locking
from mta.transport.api import Outcome, Parcel, Result
from mta.transport.engine import Transport
from mta.unix import locks
from mta.unix.process import run_child

Load = Callable[[str], Transport]
MakeParcel = Callable[..., Parcel]
Deliver = Callable[[Transport, Parcel], list[Outcome]]
Together = Callable[[Transport, list[Parcel]], list[list[Outcome]]]

WHEN = 1763910421.5
FROM = b"From bob@example.com Sun Nov 23 15:07:01 2025\n"
HEADERS = b"Subject: hi\nBcc: c@example.net\n\n"
ONE = FROM + HEADERS + b"hello\n\n"


class Time:
    """A clock that sleeping moves on; others may act while somebody sleeps."""

    def __init__(self) -> None:
        self.now = WHEN
        self.slept = 0.0
        self.acts: list[tuple[float, Callable[[], object]]] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds
        while self.acts and self.acts[0][0] <= self.slept:
            self.acts.pop(0)[1]()


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setattr("mta.base.clock.now", lambda: made.now)
    monkeypatch.setattr("mta.base.clock.monotonic", lambda: made.slept)
    monkeypatch.setattr("mta.base.clock.sleep", made.sleep)
    return made


@pytest.fixture
def box(tmp_path: Path) -> Path:
    return tmp_path / "alice"


@pytest.fixture
def local(load: Load, box: Path) -> Transport:
    return transport(load, box)


def transport(load: Load, box: Path, *options: str) -> Transport:
    lines = "\n".join(["driver = appendfile", f"file = {box}", *options])
    return load(lines + "\n")


def only(outcomes: list[Outcome]) -> Outcome:
    (outcome,) = outcomes
    return outcome


def make(box: Path, text: bytes = b"old\n", mode: int = 0o600) -> None:
    box.write_bytes(text)
    box.chmod(mode)


def names(box: Path) -> list[str]:
    """What is in the directory of a mailbox besides the spool files of the test."""
    return sorted(name for name in os.listdir(box.parent) if not name.endswith("-D"))


def test_a_message_stands_between_a_from_line_and_an_empty_line(
    local: Transport, box: Path, parcel: MakeParcel, deliver: Deliver
) -> None:
    assert deliver(local, parcel()) == [Outcome("alice@example.org", Result.DONE)]
    assert deliver(local, parcel(b"From here\nno end", sender=""))[0].result is Result.DONE
    second = FROM.replace(b"bob@example.com", b"MAILER-DAEMON") + HEADERS
    assert box.read_bytes() == ONE + second + b">From here\nno end\n\n"
    assert stat.S_IMODE(box.stat().st_mode) == 0o600
    assert names(box) == ["alice"]


def test_other_programs_find_the_messages(
    local: Transport, box: Path, parcel: MakeParcel, deliver: Deliver
) -> None:
    for number in range(3):
        deliver(local, parcel(b"From nobody\nbody %d\n" % number))
    bodies = [each.get_payload() for each in mailbox.mbox(box, create=False)]
    assert bodies == [f">From nobody\nbody {number}\n" for number in range(3)]


def test_a_sender_cannot_begin_another_line(
    local: Transport, box: Path, parcel: MakeParcel, deliver: Deliver
) -> None:
    deliver(local, parcel(sender='"a\n\nFrom b"@example.com'))
    assert box.read_bytes().startswith(b'From "aFrom b"@example.com Sun')


def test_batched_smtp_has_the_envelope_and_the_dots(
    load: Load, box: Path, parcel: MakeParcel, deliver: Deliver
) -> None:
    given = parcel(b".dot\nFrom x\n")
    other = replace(given.recipients[0], address="carol@example.org")
    both = replace(given, recipients=(given.recipients[0], other))
    local = transport(load, box, "use_bsmtp", 'message_prefix = "HELO $primary_hostname\\n"')
    assert [each.result for each in deliver(local, both)] == [Result.DONE] * 2
    assert box.read_bytes() == (
        b"HELO mx.example.org\nMAIL FROM:<bob@example.com>\nRCPT TO:<alice@example.org>\n"
        b"RCPT TO:<carol@example.org>\nDATA\n" + HEADERS + b"..dot\nFrom x\n.\n"
    )


def test_dev_null_takes_everything(
    load: Load, parcel: MakeParcel, deliver: Deliver, tmp_path: Path
) -> None:
    given = parcel()
    assert only(deliver(transport(load, Path("/dev/null")), given)).result is Result.DONE
    assert names(tmp_path / "x") == []


@pytest.mark.parametrize(
    ("options", "text", "code"),
    [
        (["file_must_exist"], "mailbox {} does not exist, but file_must_exist is set", 2),
        (
            ["create_file = inhome", "home_directory = /usr"],
            "mailbox {} does not exist, but creation outside the home directory is not "
            "permitted",
            -34,
        ),
        (
            ["quota = 10"],
            "mailbox is full (MTA-imposed quota exceeded while writing to {})",
            -22,
        ),
        (["quota = 1T"], 'Malformed value "1T" (expansion of "1T") in t1 transport', -1),
        (
            ["message_prefix = ${if eq{a}{b}{x}fail}"],
            'Expansion of "${{if eq{{a}}{{b}}{{x}}fail}}" (prefix for t1 transport) failed',
            -27,
        ),
    ],
)
def test_what_cannot_be_done_is_said_in_exims_words(
    load: Load,
    box: Path,
    parcel: MakeParcel,
    deliver: Deliver,
    options: list[str],
    text: str,
    code: int,
) -> None:
    outcome = only(deliver(transport(load, box, *options), parcel()))
    assert (outcome.result, outcome.text) == (Result.DEFER, text.format(box))
    assert outcome.code == code
    assert not box.exists() or box.read_bytes() == b""


def test_a_mailbox_with_too_many_permissions_loses_them(
    local: Transport, box: Path, parcel: MakeParcel, deliver: Deliver
) -> None:
    make(box, mode=0o666)
    assert only(deliver(local, parcel())).result is Result.DONE
    assert stat.S_IMODE(box.stat().st_mode) == 0o600


def test_a_mailbox_with_too_few_permissions_is_left_alone_unless_that_is_allowed(
    load: Load, box: Path, parcel: MakeParcel, deliver: Deliver
) -> None:
    make(box)
    outcome = only(deliver(transport(load, box, "mode = 0660"), parcel()))
    assert outcome.text == f"mailbox {box} has the wrong mode 600 (660 expected)"
    assert outcome.code == -7
    allowed = transport(load, box, "mode = 0660", "no_mode_fail_narrower")
    assert only(deliver(allowed, parcel())).result is Result.DONE
    assert stat.S_IMODE(box.stat().st_mode) == 0o600
    assert box.read_bytes() == b"old\n" + ONE


def link(box: Path) -> None:
    (box.parent / "other").write_bytes(b"")
    (box.parent / "other").chmod(0o600)
    box.symlink_to("other")


def hard_link(box: Path) -> None:
    make(box.parent / "other")
    box.hardlink_to(box.parent / "other")


@pytest.mark.parametrize(
    ("there", "text"),
    [
        (link, "is not a regular file"),
        (hard_link, "has too many links (2)"),
        (lambda box: box.mkdir(), "has too many links (2)"),
        (lambda box: os.mkfifo(box, 0o600), "is not a regular file"),
    ],
)
def test_what_is_no_plain_file_is_not_touched(
    local: Transport,
    box: Path,
    parcel: MakeParcel,
    deliver: Deliver,
    there: Callable[[Path], object],
    text: str,
) -> None:
    there(box)
    before = box.lstat()
    outcome = only(deliver(local, parcel()))
    assert (outcome.result, outcome.code) == (Result.DEFER, -4)
    assert outcome.text == f"mailbox {box} {text}"
    assert box.lstat() == before
    assert "alice.lock" not in names(box)


@pytest.mark.parametrize("is_there", [True, False])
def test_a_symbolic_link_is_followed_where_that_is_allowed(
    load: Load, box: Path, parcel: MakeParcel, deliver: Deliver, is_there: bool
) -> None:
    link(box)
    if not is_there:
        (box.parent / "other").unlink()
    outcome = only(deliver(transport(load, box, "allow_symlink"), parcel()))
    assert outcome.result is Result.DONE
    assert (box.parent / "other").read_bytes() == ONE
    assert box.is_symlink()


def test_a_named_pipe_is_fed_where_that_is_allowed_and_somebody_reads(
    load: Load, box: Path, parcel: MakeParcel, deliver: Deliver
) -> None:
    os.mkfifo(box, 0o600)
    local = transport(load, box, "allow_fifo")
    outcome = only(deliver(local, parcel()))
    assert (outcome.result, outcome.code) == (Result.DEFER, errno.ENXIO)
    assert "could mean no process is reading it" in outcome.text
    reader = os.open(box, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert only(deliver(local, parcel())).result is Result.DONE
        assert os.read(reader, 4096) == ONE
    finally:
        os.close(reader)


class Meddling:
    """Stands in for the os module, and does something just before a call of this name."""

    def __init__(self, name: str, act: Callable[[], object]) -> None:
        self.name, self.act = name, act

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name != self.name:
            return real

        def meddle(path: Any, *arguments: Any, **named: Any) -> Any:
            if path == "alice":
                self.act()
            return real(path, *arguments, **named)

        return meddle


def test_a_mailbox_that_is_exchanged_while_it_is_looked_at_is_not_written(
    local: Transport,
    box: Path,
    parcel: MakeParcel,
    deliver: Deliver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make(box)
    make(box.parent / "precious", b"precious\n")
    acts: list[Callable[[], object]] = [lambda: (box.parent / "precious").rename(box)]
    meddling = Meddling("open", lambda: acts and acts.pop()())
    monkeypatch.setattr("mta.transport.mbox.os", meddling)
    outcome = only(deliver(local, parcel()))
    assert (outcome.result, outcome.code) == (Result.DEFER, -8)
    assert "inode number changed" in outcome.text
    assert box.read_bytes() == b"precious\n"


def test_a_link_put_in_place_of_the_mailbox_leads_nowhere(
    local: Transport,
    box: Path,
    parcel: MakeParcel,
    deliver: Deliver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make(box.parent / "precious", b"precious\n")
    # When it was looked for, nothing was there.
    acts: list[Callable[[], object]] = [lambda: box.symlink_to("precious")]
    meddling = Meddling("open", lambda: acts and acts.pop()())
    monkeypatch.setattr("mta.transport.mbox.os", meddling)
    outcome = only(deliver(local, parcel()))
    assert (outcome.result, outcome.code) == (Result.DEFER, -4)
    assert (box.parent / "precious").read_bytes() == b"precious\n"


def test_a_mailbox_that_comes_and_goes_is_given_up(
    local: Transport,
    box: Path,
    parcel: MakeParcel,
    deliver: Deliver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def change() -> None:
        if box.exists():
            box.unlink()
        else:
            make(box)

    monkeypatch.setattr("mta.transport.mbox.os", Meddling("open", change))
    outcome = only(deliver(local, parcel()))
    assert (outcome.result, outcome.code) == (Result.DEFER, -3)
    assert not box.exists() or box.read_bytes() == b"old\n"


# ---- locks


def test_a_lock_file_that_stays_defers_after_the_tries(
    load: Load, box: Path, parcel: MakeParcel, deliver: Deliver, clock: Time
) -> None:
    lock = box.parent / "alice.lock"
    lock.touch()
    os.utime(lock, (0, 0))  # the time of the last change of its inode counts
    local = transport(load, box, "lock_retries = 3", "lockfile_timeout = 0s")
    outcome = only(deliver(local, parcel()))
    assert outcome.text == f"failed to lock mailbox {box} (lock file)"
    assert (outcome.result, outcome.code) == (Result.DEFER, -9)
    assert clock.slept == pytest.approx(6.0)  # three tries, three seconds between them
    assert names(box) == ["alice.lock"]


def test_a_lock_file_that_goes_away_is_waited_for(
    load: Load, box: Path, parcel: MakeParcel, deliver: Deliver, clock: Time
) -> None:
    lock = box.parent / "alice.lock"
    lock.touch()
    clock.acts.append((4.0, lock.unlink))
    local = transport(load, box, "lockfile_timeout = 0s")
    assert only(deliver(local, parcel())).result is Result.DONE
    assert clock.slept == pytest.approx(6.0)
    assert names(box) == ["alice"]


def test_a_lock_file_that_is_too_old_is_removed(
    load: Load, box: Path, parcel: MakeParcel, deliver: Deliver, clock: Time
) -> None:
    lock = box.parent / "alice.lock"
    lock.touch()
    clock.now = lock.stat().st_ctime + 1801
    local = transport(load, box)
    assert only(deliver(local, parcel())).result is Result.DONE
    assert clock.slept == 0.0
    assert names(box) == ["alice"]


def test_a_lock_file_that_is_no_longer_ours_is_left_alone(
    load: Load, box: Path, parcel: MakeParcel, deliver: Deliver, clock: Time
) -> None:
    make(box)
    lock = box.parent / "alice.lock"
    other = os.open(box, os.O_RDWR)
    lock_record(other)

    def take_over() -> None:
        lock.unlink()
        lock.write_text("mine now")
        os.close(other)

    clock.acts.append((1.0, take_over))
    assert only(deliver(transport(load, box), parcel())).result is Result.DONE
    assert lock.read_text() == "mine now"


def test_a_directory_without_room_for_the_lock_file_is_named(
    load: Load, box: Path, parcel: MakeParcel, deliver: Deliver
) -> None:
    local = transport(load, box / "deep" / "box", "no_create_directory")
    outcome = only(deliver(local, parcel()))
    assert outcome.code == errno.ENOENT
    assert outcome.text.startswith(f"creating lock file hitching post {box}/deep/box.lock.mx")
    assert outcome.text.endswith(f"(euid={os.geteuid()} egid={os.getegid()})")


def lock_record(fd: int) -> None:
    assert locks.lock(fd, 0)


def lock_file(fd: int) -> None:
    fcntl.flock(fd, fcntl.LOCK_EX)


LOCKS = [
    (lock_record, []),
    (lock_file, ["use_flock_lock"]),
    (lock_record, ["use_flock_lock", "use_fcntl_lock"]),
    (lock_file, ["use_flock_lock", "use_fcntl_lock"]),
]


@pytest.mark.parametrize(("hold", "options"), LOCKS)
def test_a_program_that_keeps_a_lock_defers_after_the_tries(
    load: Load,
    box: Path,
    parcel: MakeParcel,
    deliver: Deliver,
    clock: Time,
    hold: Callable[[int], None],
    options: list[str],
) -> None:
    make(box)
    other = os.open(box, os.O_RDWR)
    hold(other)
    local = transport(load, box, "lock_retries = 2", *options)
    outcome = only(deliver(local, parcel()))
    os.close(other)
    assert outcome.text == f"failed to lock mailbox {box} (fcntl/flock)"
    assert (outcome.result, outcome.code) == (Result.DEFER, -9)
    assert clock.slept == pytest.approx(3.0)
    assert box.read_bytes() == b"old\n"
    assert names(box) == ["alice"]


@pytest.mark.parametrize(("hold", "options"), LOCKS)
@pytest.mark.parametrize("wait", ["", "lock_fcntl_timeout = 5s\nlock_flock_timeout = 5s"])
def test_a_program_that_gives_its_lock_back_is_waited_for(
    load: Load,
    box: Path,
    parcel: MakeParcel,
    deliver: Deliver,
    clock: Time,
    hold: Callable[[int], None],
    options: list[str],
    wait: str,
) -> None:
    make(box)
    other = os.open(box, os.O_RDWR)
    hold(other)
    clock.acts.append((1.0, lambda: os.close(other)))
    local = transport(load, box, *options, wait)
    assert only(deliver(local, parcel())).result is Result.DONE
    # With a time-out it is open and sees the lock go; without it looks again later.
    assert clock.slept == pytest.approx(1.0 if wait else 3.0, abs=0.1)
    assert box.read_bytes() == b"old\n" + ONE


def test_the_lock_of_a_custom_that_is_not_kept_does_not_count(
    local: Transport, box: Path, parcel: MakeParcel, deliver: Deliver, clock: Time
) -> None:
    make(box)
    other = os.open(box, os.O_RDWR)
    lock_file(other)
    assert only(deliver(local, parcel())).result is Result.DONE
    os.close(other)
    assert clock.slept == 0.0


@pytest.mark.parametrize("act", [Path.unlink, lambda box: box.rename(box.parent / "taken")])
def test_a_mailbox_that_is_taken_away_while_it_is_waited_for_gets_nothing(
    load: Load,
    box: Path,
    parcel: MakeParcel,
    deliver: Deliver,
    clock: Time,
    act: Callable[[Path], object],
) -> None:
    make(box)
    other = os.open(box, os.O_RDWR)
    lock_record(other)
    clock.acts.append((1.0, lambda: act(box)))
    clock.acts.append((1.0, lambda: os.close(other)))
    local = transport(load, box, "lock_fcntl_timeout = 5s")
    assert only(deliver(local, parcel())).result is Result.DONE
    assert box.read_bytes() == ONE
    taken = box.parent / "taken"
    assert not taken.exists() or taken.read_bytes() == b"old\n"


def test_several_messages_for_a_mailbox_do_not_wait_for_each_other(
    local: Transport, box: Path, parcel: MakeParcel, together: Together, clock: Time
) -> None:
    given = [parcel(b"number %d\n" % number) for number in range(5)]
    outcomes = together(local, given)
    assert [only(each).result for each in outcomes] == [Result.DONE] * 5
    assert clock.slept == 0.0
    assert len(mailbox.mbox(box, create=False)) == 5
    assert local.busy == set()  # type: ignore[attr-defined]


def test_a_mailbox_that_is_locked_does_not_hold_up_others_of_the_round(
    load: Load, box: Path, parcel: MakeParcel, together: Together, clock: Time
) -> None:
    (box.parent / "alice.lock").touch()
    local = transport(load, box.parent / "$local_part_data", "lockfile_timeout = 0s")
    given = parcel()
    bob = replace(given.recipients[0], local_part_data=Trusted("bob"))
    clock.acts.append((1.0, lambda: arrived.append((box.parent / "bob").exists())))
    arrived: list[bool] = []
    outcomes = together(local, [given, replace(given, recipients=(bob,))])
    assert [only(each).result for each in outcomes] == [Result.DEFER, Result.DONE]
    assert arrived == [True]


# ---- errors and deaths while it is written


class Striking:
    """Stands in for the os module, and strikes at the n-th call that changes something."""

    STEPS = ("open", "mkdir", "fchmod", "link", "write", "pwrite", "fsync", "fstat")

    def __init__(self, at: int, number: int) -> None:
        self.left, self.number = at, number

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in self.STEPS:
            return real
        self.left -= 1
        if self.left == 0:
            return lambda *arguments, **named: self.fail()
        return real

    def fail(self) -> None:
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("there", [True, False])
def test_an_error_at_any_step_defers_and_leaves_the_mailbox_as_it_was(
    load: Load,
    tmp_path: Path,
    parcel: MakeParcel,
    deliver: Deliver,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    there: bool,
) -> None:
    given = parcel()
    for step in count(1):
        box = tmp_path / str(step) / "box"
        local = transport(load, box, "lock_retries = 1")
        if there:
            box.parent.mkdir()
            make(box)
        striking = Striking(step, number)
        with monkeypatch.context() as patch:
            for module in ("mbox", "locking", "places", "shape", "writing"):
                patch.setattr(f"mta.transport.{module}.os", striking, raising=False)
            patch.setattr("mta.unix.files.os", striking)
            outcome = only(deliver(local, given))
        if outcome.result is Result.DONE:
            assert box.read_bytes() == (b"old\n" if there else b"") + ONE
            if striking.left > 0:
                assert step > 8
                return
            continue  # what failed did not matter
        assert outcome.result is Result.DEFER
        assert outcome.code in (number, -9)
        assert not box.exists() or box.read_bytes() == (b"old\n" if there else b"")
        if box.parent.exists():
            assert "box.lock" not in os.listdir(box.parent)


def test_a_write_that_breaks_off_leaves_no_half_message(
    local: Transport,
    box: Path,
    parcel: MakeParcel,
    deliver: Deliver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make(box)
    os.utime(box, ns=(10**18, 10**18))

    def write_half(fd: int, octets: bytes) -> None:
        os.write(fd, octets[: len(octets) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("mta.transport.shape.write_all", write_half)
    outcome = only(deliver(local, parcel()))
    assert (outcome.result, outcome.code) == (Result.DEFER, errno.ENOSPC)
    assert outcome.text == f"error while writing to {box}"
    assert box.read_bytes() == b"old\n"
    assert box.stat().st_mtime_ns == 10**18


def test_it_is_durable_before_it_is_unlocked_and_done(
    local: Transport,
    box: Path,
    parcel: MakeParcel,
    deliver: Deliver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noted: list[str] = []

    class Noting:
        def __getattr__(self, name: str) -> Any:
            real = getattr(os, name)
            if name not in ("write", "pwrite", "fsync", "unlink", "link"):
                return real

            def note(*arguments: Any, **named: Any) -> Any:
                what = arguments[0]
                if isinstance(what, int):
                    what = os.path.basename(os.readlink(f"/proc/self/fd/{what}"))
                noted.append(f"{name} {what}")
                return real(*arguments, **named)

            return note

    for module in ("transport.mbox", "transport.locking", "transport.places", "unix.files"):
        monkeypatch.setattr(f"mta.{module}.os", Noting())
    deliver(local, parcel())
    post = f"alice.lock.mx.example.org.{int(WHEN):08x}.{os.getpid():08x}"
    assert noted == [
        f"pwrite {post}",
        f"link {post}",
        f"unlink {post}",
        f"pwrite {post} (deleted)",  # which is the lock file now
        "write alice",
        "fsync alice",
        f"fsync {box.parent.name}",
        "unlink alice.lock",
    ]


def left_by_the_dead(box: Path, written: bytes, start: bytes) -> None:
    """What is there when a process died that had a lock file and had written so much."""
    pid = run_child(lambda: 0)
    os.waitpid(pid, 0)
    who = locking.myself().split(b" ")
    who[3] = b"%d" % pid
    first = (FROM + HEADERS)[:512]
    note = b"%d %d %d\n" % (len(start), len(first), len(b"From "))
    (box.parent / "alice.lock").write_bytes(b" ".join(who) + note + first + b"From ")
    make(box, start + written)


@pytest.mark.parametrize("written", [b"", FROM[:7], ONE[:-3], ONE])
def test_what_a_process_left_half_done_is_taken_away_at_once(
    local: Transport,
    box: Path,
    parcel: MakeParcel,
    deliver: Deliver,
    clock: Time,
    written: bytes,
) -> None:
    left_by_the_dead(box, written, b"old\n\n")
    assert only(deliver(local, parcel())).result is Result.DONE
    assert clock.slept == 0.0
    assert box.read_bytes() == b"old\n\n" + ONE


def test_one_that_dies_before_it_has_put_things_right_passes_them_on(
    local: Transport,
    box: Path,
    parcel: MakeParcel,
    deliver: Deliver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left_by_the_dead(box, ONE[:-3], b"old\n\n")
    note = (box.parent / "alice.lock").read_bytes().partition(b"\n")[2]

    def die(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("mta.transport.mbox.Mailbox._open_locked", die)
        patch.setattr("mta.transport.locking.LockFile.release", lambda self: None)
        with pytest.raises(KeyboardInterrupt):
            deliver(local, parcel())
    assert (box.parent / "alice.lock").read_bytes() == locking.myself() + note


@pytest.mark.parametrize(
    "written",
    [
        ONE + b"From somebody else\n\nnew\n\n",
        ONE[:-30] + b"\nFrom somebody else\n\nnew\n\n",
        b"From somebody else\n\nnew\n\n",
        b"expunged in between\n",
    ],
)
def test_nothing_is_taken_away_that_may_be_of_another(
    local: Transport, box: Path, parcel: MakeParcel, deliver: Deliver, written: bytes
) -> None:
    left_by_the_dead(box, written, b"old\n\n")
    assert only(deliver(local, parcel())).result is Result.DONE
    assert box.read_bytes() == b"old\n\n" + written + ONE


class Ending:
    """Stands in for the os module: a process that is asked for has just come to its end."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.act = act

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def kill(self, pid: int, number: int) -> None:
        self.act()
        raise ProcessLookupError


def test_a_process_that_ended_well_while_its_lock_file_was_read_left_nothing_behind(
    local: Transport,
    box: Path,
    parcel: MakeParcel,
    deliver: Deliver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left_by_the_dead(box, ONE, b"old\n\n")
    lock = box.parent / "alice.lock"
    monkeypatch.setattr(locking, "os", Ending(lock.unlink))
    assert only(deliver(local, parcel())).result is Result.DONE
    assert box.read_bytes() == b"old\n\n" + ONE + ONE


def test_a_lock_file_that_took_the_place_of_one_left_behind_is_respected(
    load: Load,
    box: Path,
    parcel: MakeParcel,
    deliver: Deliver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left_by_the_dead(box, ONE, b"old\n\n")
    lock = box.parent / "alice.lock"

    def another() -> None:
        lock.rename(box.parent / "away")
        lock.write_text("mine now")

    monkeypatch.setattr(locking, "os", Ending(another))
    local = transport(load, box, "lock_retries = 1", "lockfile_timeout = 0s")
    assert only(deliver(local, parcel())).code == -9
    assert lock.read_text() == "mine now"
    assert box.read_bytes() == b"old\n\n" + ONE


def test_a_lock_file_that_cannot_be_removed_holds_nobody_up(
    local: Transport,
    box: Path,
    parcel: MakeParcel,
    deliver: Deliver,
    clock: Time,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(name: str, **named: int) -> None:
        if name == "alice.lock":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        unlink(name, **named)

    unlink = os.unlink
    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", fail)
        assert only(deliver(local, parcel())).result is Result.DONE
    assert names(box) == ["alice", "alice.lock"]
    assert only(deliver(local, parcel())).result is Result.DONE
    assert clock.slept == 0.0
    assert box.read_bytes() == ONE + ONE
    assert names(box) == ["alice"]


def test_the_lock_file_of_a_process_that_lives_is_waited_for(
    load: Load, box: Path, parcel: MakeParcel, deliver: Deliver, clock: Time
) -> None:
    (box.parent / "alice.lock").write_bytes(locking.myself() + b"0 0 0\n")
    local = transport(load, box, "lockfile_timeout = 0s")
    clock.acts.append((0.5, (box.parent / "alice.lock").unlink))
    assert only(deliver(local, parcel())).result is Result.DONE
    # It is one of ours, which is quick: so it is looked at often.
    assert clock.slept == pytest.approx(0.5, abs=0.11)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make a file of another user")
def test_the_lock_file_of_another_user_says_nothing(
    load: Load, box: Path, parcel: MakeParcel, deliver: Deliver
) -> None:
    left_by_the_dead(box, ONE, b"old\n\n")
    os.chown(box.parent / "alice.lock", 65534, 65534)
    local = transport(load, box, "lock_retries = 1", "lockfile_timeout = 0s")
    outcome = only(deliver(local, parcel()))
    assert (outcome.result, outcome.code) == (Result.DEFER, -9)
    assert box.read_bytes() == b"old\n\n" + ONE


@pytest.mark.parametrize(
    "said",
    [
        b"12345\n",
        b"mta \n",
        b"mta x y 1 1\n",
        b"SYSTEM 0 5\n0 1 1\nFF",
        b"SYSTEM 9999999999 5\n",
        b"SYSTEM -1 5\n",
        b"SYSTEM 1 5",
        b"\0" * 5000,
    ],
)
def test_a_lock_file_that_says_nonsense_is_a_lock_file(
    load: Load, box: Path, parcel: MakeParcel, deliver: Deliver, said: bytes
) -> None:
    make(box)
    system = b" ".join(locking.myself().split(b" ")[:3])
    (box.parent / "alice.lock").write_bytes(said.replace(b"SYSTEM", system))
    local = transport(load, box, "lock_retries = 1", "lockfile_timeout = 0s")
    assert only(deliver(local, parcel())).code == -9
    assert box.read_bytes() == b"old\n"


# ---- file_format, file addresses


def test_a_mailbox_of_another_format_is_left_to_the_transport_for_it(
    load: Load, box: Path, parcel: MakeParcel, deliver: Deliver
) -> None:
    pairs = "From : t1 : MMDF : t2 : else : t3"
    other = f"t2:\ndriver = appendfile\nfile = {box}\nmessage_prefix = MMDF\n"
    local = transport(load, box, f'file_format = "{pairs}"', other)
    make(box, b"MMDF\n")
    assert only(deliver(local, parcel())).result is Result.DONE
    assert box.read_bytes() == b"MMDF\nMMDF" + HEADERS + b"hello\n\n"
    make(box, b"else\n")
    outcome = only(deliver(local, parcel()))
    assert outcome.text == "t3 transport (for else format) not found"
    assert outcome.code == -30
    make(box, b"what\n")
    outcome = only(deliver(local, parcel()))
    assert (outcome.text, outcome.code) == ("mailbox file format unrecognized", -33)
    make(box, FROM)
    assert only(deliver(local, parcel())).result is Result.DONE
    assert box.read_bytes() == FROM + ONE


def test_a_redirection_may_name_the_mailbox(
    load: Load, box: Path, parcel: MakeParcel, deliver: Deliver
) -> None:
    local = load("driver = appendfile\n")
    outcome = only(deliver(local, parcel(file=Trusted(str(box)))))
    assert (outcome.result, outcome.file) == (Result.DONE, str(box))
    assert box.read_bytes() == ONE
    outcome = only(deliver(local, parcel()))
    assert outcome.text == "Mandatory file or directory option missing from t1 transport"
    outcome = only(deliver(local, parcel(file=str(box))))
    assert outcome.text.startswith(f"Tainted '{box}'")


def test_an_option_may_make_the_mailbox_of_what_a_redirection_named(
    load: Load, box: Path, parcel: MakeParcel, deliver: Deliver
) -> None:
    local = transport(load, Path("$address_file.x"))
    outcome = only(deliver(local, parcel(file=Trusted(str(box)))))
    assert (outcome.result, outcome.file) == (Result.DONE, f"{box}.x")
    assert Path(f"{box}.x").read_bytes() == ONE
