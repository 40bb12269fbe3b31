"""Tests of delivery into Maildirs: what is stored, in which order, and what is refused."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from mta.base.trust import Trusted
from mta.transport import maildir
from mta.transport.api import Outcome, Parcel, Result
from mta.transport.engine import Transport

Load = Callable[[str], Transport]
MakeParcel = Callable[..., Parcel]
Deliver = Callable[[Transport, Parcel], list[Outcome]]
Together = Callable[[Transport, list[Parcel]], list[list[Outcome]]]


@pytest.fixture
def box(tmp_path: Path) -> Path:
    return tmp_path / "mail" / "alice"


@pytest.fixture
def local(load: Load, box: Path) -> Transport:
    return load(
        f"driver = appendfile\ndirectory = {box.parent}/$local_part_data\nmaildir_format\n"
    )


def files(box: Path) -> dict[str, list[str]]:
    return {part: sorted(os.listdir(box / part)) for part in ("tmp", "new", "cur")}


def only(outcomes: list[Outcome]) -> Outcome:
    (outcome,) = outcomes
    return outcome


def test_a_message_is_one_file_in_new(
    local: Transport, box: Path, parcel: MakeParcel, deliver: Deliver
) -> None:
    assert deliver(local, parcel()) == [Outcome("alice@example.org", Result.DONE)]
    (name,) = files(box)["new"]
    assert files(box) == {"tmp": [], "new": [name], "cur": []}
    stored = box / "new" / name
    assert stored.read_bytes() == b"Subject: hi\nBcc: c@example.net\n\nhello\n"
    assert stat.S_IMODE(stored.stat().st_mode) == 0o600
    assert stat.S_IMODE(box.stat().st_mode) == 0o700


def test_the_name_tells_time_process_and_host(
    local: Transport, box: Path, parcel: MakeParcel, deliver: Deliver
) -> None:
    deliver(local, parcel())
    (name,) = files(box)["new"]
    seconds, rest, host = name.split(".", 2)
    assert seconds.isdecimal()
    assert rest.startswith("H")
    assert rest.endswith(f"P{os.getpid()}")
    assert host == "mx.example.org"


def test_messages_of_the_same_microsecond_get_different_names(
    local: Transport,
    box: Path,
    parcel: MakeParcel,
    deliver: Deliver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mta.base.clock.now", lambda: 1763910421.5)
    for _ in range(3):
        deliver(local, parcel())
    assert [name.split("P")[0] for name in files(box)["new"]] == [
        "1763910421.H500000",
        "1763910421.H500001",
        "1763910421.H500002",
    ]


def test_a_name_that_is_taken_is_not_used(
    local: Transport,
    box: Path,
    parcel: MakeParcel,
    deliver: Deliver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mta.base.clock.now", lambda: 1763910421.5)
    (box / "tmp").mkdir(parents=True)
    (box / "new").mkdir()
    (box / "tmp" / f"1763910421.H500000P{os.getpid()}.mx.example.org").write_text("mine")
    assert only(deliver(local, parcel())).result is Result.DONE
    assert (box / "tmp" / f"1763910421.H500000P{os.getpid()}.mx.example.org").exists()
    assert len(files_of(box / "new")) == 1


def files_of(directory: Path) -> list[str]:
    return sorted(os.listdir(directory))


def test_headers_are_added_and_removed(
    load: Load,
    box: Path,
    parcel: MakeParcel,
    deliver: Deliver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "mta.mail.date.rfc5322", lambda when: "Mon, 23 Nov 2026 15:07:01 +0000"
    )
    transport = load(
        f"driver = appendfile\ndirectory = {box}\nmaildir_format\nreturn_path_add\n"
        "delivery_date_add\nenvelope_to_add\nheaders_remove = Bcc\n"
        "headers_add = X-To: $local_part\n"
    )
    deliver(transport, parcel(headers_add=("X-R: 1\n",), headers_remove=("x-old",)))
    (name,) = files(box)["new"]
    assert (box / "new" / name).read_bytes() == (
        b"Return-path: <bob@example.com>\n"
        b"Envelope-to: postmaster@example.org\n"
        b"Delivery-date: Mon, 23 Nov 2026 15:07:01 +0000\n"
        b"Subject: hi\n"
        b"X-R: 1\n"
        b"X-To: alice\n"
        b"\n"
        b"hello\n"
    )


def test_a_path_that_the_sender_could_have_chosen_is_refused_in_exims_words(
    load: Load, box: Path, parcel: MakeParcel, deliver: Deliver
) -> None:
    transport = load(
        f"driver = appendfile\ndirectory = {box.parent}/$local_part\nmaildir_format\n"
    )
    outcome = only(deliver(transport, parcel()))
    assert outcome.result is Result.DEFER
    assert outcome.code == -1
    assert outcome.text.startswith(
        f"Tainted '{box.parent}/alice' (file or directory name for t1 transport) not permitted"
    )
    assert not box.exists()


def test_a_relative_path_is_refused(load: Load, parcel: MakeParcel, deliver: Deliver) -> None:
    transport = load("driver = appendfile\ndirectory = mail\nmaildir_format\n")
    outcome = only(deliver(transport, parcel()))
    assert outcome.result is Result.DEFER
    assert outcome.text == 'appendfile: file or directory name "mail" is not absolute'


def test_a_message_larger_than_the_limit_fails(
    load: Load, box: Path, parcel: MakeParcel, deliver: Deliver
) -> None:
    transport = load(
        f"driver = appendfile\ndirectory = {box}\nmaildir_format\nmessage_size_limit = 1K\n"
    )
    outcome = only(deliver(transport, parcel(b"x" * 2000)))
    assert outcome.result is Result.FAIL
    assert outcome.text == "message is too big (transport limit = 1024)"
    assert not box.exists()


def test_a_home_directory_that_is_away_is_not_made(
    local: Transport, box: Path, parcel: MakeParcel, deliver: Deliver
) -> None:
    given = parcel()
    at_home = replace(given.recipients[0], home=Trusted(str(box)))
    outcome = only(deliver(local, replace(given, recipients=(at_home,))))
    assert outcome.result is Result.DEFER
    assert (outcome.text, outcome.code) == (f"failed to chdir to {box}", errno.ENOENT)
    assert not box.parent.exists()


def test_directories_are_made_only_where_that_is_allowed(
    load: Load, box: Path, parcel: MakeParcel, deliver: Deliver
) -> None:
    transport = load(
        f"driver = appendfile\ndirectory = {box}\nmaildir_format\nno_create_directory\n"
    )
    outcome = only(deliver(transport, parcel()))
    assert outcome.result is Result.DEFER
    assert outcome.text == f"stat() error for {box}: No such file or directory"


@pytest.mark.parametrize("part", ["tmp", "new"])
def test_a_symbolic_link_inside_the_maildir_is_refused(
    local: Transport, box: Path, parcel: MakeParcel, deliver: Deliver, part: str
) -> None:
    deliver(local, parcel())
    for name in files_of(box / part):
        (box / part / name).unlink()
    (box / part).rmdir()
    (box.parent / "elsewhere").mkdir()
    (box / part).symlink_to(box.parent / "elsewhere")
    outcome = only(deliver(local, parcel()))
    assert outcome.result is Result.DEFER
    assert "tmp or new is a symbolic link" in outcome.text
    assert files_of(box.parent / "elsewhere") == []


class Striking:
    """Stands in for the os module, and strikes at the n-th call that changes something."""

    STEPS = ("open", "mkdir", "chmod", "fchmod", "write", "fsync", "close", "rename")

    def __init__(self, at: int, number: int) -> None:
        self.left, self.number = at, number

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in self.STEPS:
            return real
        if name == "close":
            return self.close
        self.left -= 1
        if self.left == 0:
            return lambda *arguments, **named: self.fail()
        return real

    def close(self, fd: int) -> None:
        regular = stat.S_ISREG(os.fstat(fd).st_mode)
        os.close(fd)
        if regular:  # that of a directory never fails
            self.left -= 1
            if self.left == 0:
                self.fail()

    def fail(self) -> None:
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("there", [True, False])
def test_an_error_at_any_step_defers_and_leaves_no_message(
    load: Load,
    tmp_path: Path,
    parcel: MakeParcel,
    deliver: Deliver,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    there: bool,
) -> None:
    for step in count(1):
        box = tmp_path / str(step) / "box"
        transport = load(f"driver = appendfile\ndirectory = {box}\nmaildir_format\n")
        if there:
            for part in ("tmp", "new", "cur"):
                (box / part).mkdir(parents=True)
        striking = Striking(step, number)
        with monkeypatch.context() as patch:
            for module in ("maildir.os", "writing.os", "places.os"):
                patch.setattr(f"mta.transport.{module}", striking)
            patch.setattr("mta.unix.files.os", striking)
            outcome = only(deliver(transport, parcel()))
        stored = [*box.glob("tmp/*"), *box.glob("new/*")]
        if outcome.result is Result.DONE:
            assert len(stored) == 1
            assert striking.left > 0, f"step {step} failed and nobody noticed"
            assert step > 5
            return
        assert outcome.result is Result.DEFER
        assert outcome.code == number
        assert stored == []


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, box: Path) -> list[str]:
    """What is asked of the system, syncs with the directory that they are about."""
    noted: list[str] = []

    class Noting:
        def __getattr__(self, name: str) -> Any:
            real = getattr(os, name)
            if name not in ("open", "write", "fsync", "fdatasync", "rename"):
                return real

            def note(*arguments: Any, **named: Any) -> Any:
                what = ""
                if name.endswith("sync"):
                    path = os.readlink(f"/proc/self/fd/{arguments[0]}")
                    what = " " + os.path.relpath(path, box).split("/")[0]
                noted.append(name + what)
                return real(*arguments, **named)

            return note

    for module in (
        "mta.transport.maildir.os",
        "mta.transport.places.os",
        "mta.transport.writing.os",
        "mta.unix.files.os",
    ):
        monkeypatch.setattr(module, Noting())
    return noted


def test_the_message_is_synced_before_it_is_renamed_and_its_name_after(
    local: Transport, parcel: MakeParcel, deliver: Deliver, calls: list[str], box: Path
) -> None:
    deliver(local, parcel())
    calls.clear()
    deliver(local, parcel())
    assert calls == [
        "open",  # the maildir
        "open",  # tmp
        "open",  # new
        "open",  # the file
        "write",
        "fdatasync tmp",
        "rename",
        "fsync new",
    ]


def test_several_messages_share_the_last_sync(
    local: Transport, parcel: MakeParcel, together: Together, calls: list[str], box: Path
) -> None:
    together(local, [parcel()])
    calls.clear()
    assert results(together(local, [parcel(b"1\n"), parcel(b"2\n")])) == ["done", "done"]
    assert calls == [
        *("open", "open", "open"),  # the maildir, once
        *("open", "write") * 2,
        *("fdatasync tmp", "rename") * 2,
        "fsync new",
    ]
    bodies = sorted(file.read_bytes()[-2:] for file in (box / "new").iterdir())
    assert bodies == [b"1\n", b"2\n", b"o\n"]
    assert local.open == {}  # type: ignore[attr-defined]  # an Appendfile


def test_the_last_sync_fails_for_all_of_them(
    local: Transport,
    parcel: MakeParcel,
    together: Together,
    box: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failures = [OSError(errno.EIO, os.strerror(errno.EIO))]

    def fail_once(fd: int) -> None:
        # The kernel tells of a failed write once.
        if Path(os.readlink(f"/proc/self/fd/{fd}")).name == "new" and failures:
            raise failures.pop()

    monkeypatch.setattr(maildir.os, "fsync", fail_once)
    assert results(together(local, [parcel(), parcel()])) == ["defer", "defer"]
    assert list((box / "new").iterdir()) == []


def test_one_that_fails_does_not_hold_up_the_others(
    local: Transport, parcel: MakeParcel, together: Together, box: Path
) -> None:
    bad = parcel(b"x\n", body_size=100)  # shorter than it was
    assert results(together(local, [parcel(), bad, parcel()])) == ["done", "defer", "done"]
    assert len(list((box / "new").iterdir())) == 2
    assert list((box / "tmp").iterdir()) == []


def results(outcomes: list[list[Outcome]]) -> list[str]:
    return [outcome.result.value for (outcome,) in outcomes]


def test_a_directory_that_was_made_is_synced_into_its_parent(
    local: Transport, parcel: MakeParcel, deliver: Deliver, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    real = os.fsync

    def note(fd: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{fd}")).name)
        real(fd)

    monkeypatch.setattr(maildir.os, "fsync", note)
    deliver(local, parcel())
    assert synced[1:3] == ["mail", "alice"]
    assert synced[-1] == "new"
