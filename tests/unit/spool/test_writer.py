"""Writing messages: the order of the steps, and what is left when one of them fails."""

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

from mta.base.errors import TempFail
from mta.spool import writer
from mta.spool.envelope import Recipient
from mta.spool.header_file import decode
from mta.spool.ids import Ticks
from mta.spool.layout import Spool
from mta.spool.reader import Message
from mta.spool.writer import IdTaken, Incoming, begin, rewrite
from mta.unix import files as unix_files
from mta.unix import locks
from mta.unix.process import run_child
from tests.unit.spool.messages import ID, envelope, files, store

STEPS = {"open", "write", "fchmod", "fsync", "fdatasync", "rename"}


class Stand:
    """Stands in for the os module: notes the calls that matter and strikes at the n-th."""

    def __init__(self, at: int = 0, strike: Callable[[], None] | None = None) -> None:
        self.left, self.strike = at, strike
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name not in STEPS:
            return getattr(os, name)

        def step(*args: Any, **options: Any) -> Any:
            self.calls.append(f"{name} {self.what(args[0])}")
            self.left -= 1
            if self.left == 0 and self.strike:
                self.strike()
            return getattr(os, name)(*args, **options)

        return step

    @staticmethod
    def what(target: int | str) -> str:
        """The kind of file: D, hdr or directory."""
        path = os.readlink(f"/proc/self/fd/{target}") if isinstance(target, int) else target
        if os.path.isdir(path):
            return "directory"
        return "hdr" if "hdr." in path else path[-1]


def no_space() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def install(monkeypatch: pytest.MonkeyPatch, stand: Stand) -> Stand:
    os.umask(0o777)  # under the daemon's own umask no mode has to be set
    monkeypatch.setattr(writer, "os", stand)
    monkeypatch.setattr(unix_files, "os", stand)
    return stand


def test_a_message_is_written_as_exim_would(spool: Spool) -> None:
    assert store(spool) == len(b"Subject: hello\n") + 1 + len(b"body\n")
    directory = Path(spool.path, "input", "i" if spool.split else "")
    assert (directory / f"{ID}-D").read_bytes() == f"{ID}-D\nbody\n".encode()
    assert decode((directory / f"{ID}-H").read_bytes(), ID) == envelope()
    assert files(spool) == [f"{ID}-D", f"{ID}-H"]


def test_every_sync_is_made_in_its_place_and_no_other(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.place(ID)  # opens the subdirectory, once and for all
    stand = install(monkeypatch, Stand())
    store(spool)
    assert stand.calls == [
        "open D",
        "fchmod D",
        "write D",
        "open hdr",
        "fchmod hdr",
        "write hdr",
        "fdatasync D",
        "fdatasync hdr",
        "rename hdr",
        "fsync directory",
    ]


def test_an_error_at_any_step_is_temporary_and_leaves_no_trace(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.place(ID)
    for step in count(1):
        with monkeypatch.context() as patch:
            stand = install(patch, Stand(step, no_space))
            try:
                store(spool)
            except TempFail:
                assert files(spool) == []
            else:
                assert stand.left > 0, f"step {step} failed, and nobody noticed"
                assert step == 11
                return


def test_a_crash_at_any_step_never_leaves_half_a_message(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in count(1):
        message_id = f"1xVVri-000000006jT-{step:04d}"
        install(monkeypatch, Stand(step, lambda: os._exit(99)))
        os.umask(0o022)  # or an ordinary user could not open what is left
        pid = run_child(lambda name=message_id: store(spool, name) and 0)  # type: ignore[misc]
        accepted = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        monkeypatch.undo()
        message = Message.open(spool, message_id)
        assert message or not accepted, "accepted, then lost"
        if message:
            with message:
                assert message.envelope == envelope(message_id)
                assert message.body_size == len(b"body\n")
        if accepted:
            return


def test_a_message_under_way_is_locked_and_no_message_yet(spool: Spool) -> None:
    with Incoming(spool, ID) as incoming:
        incoming.write(b"half a mess")
        assert Message.open(spool, ID) is None
    assert files(spool) == []


def test_what_is_accepted_is_free_to_be_delivered(spool: Spool) -> None:
    store(spool)
    message = Message.open(spool, ID)
    assert message
    message.close()


def test_a_failed_write_abandons_the_message(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Incoming(spool, ID) as incoming:
        install(monkeypatch, Stand(1, no_space))
        with pytest.raises(TempFail, match="No space left on device") as refused:
            incoming.write(b"x")
        assert refused.value.status == "4.3.1"
        assert files(spool) == []


def test_an_envelope_that_cannot_be_written_is_a_temporary_failure(spool: Spool) -> None:
    with Incoming(spool, ID) as incoming:
        forged = replace(envelope(), recipients=(Recipient("a@b\nc@d"),))
        with pytest.raises(TempFail, match="line break in address"):
            incoming.commit(forged)
    assert files(spool) == []


def test_an_id_that_is_taken_is_not_taken_again(spool: Spool) -> None:
    store(spool, body=b"first\n")
    with pytest.raises(IdTaken):
        Incoming(spool, ID)
    message = Message.open(spool, ID)
    assert message
    with message:
        assert message.body_size == len(b"first\n")


def test_another_id_is_tried_when_one_is_taken(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 1)
    with begin(spool, Ticks(lambda: 1795447318.0)) as first:
        second = begin(spool, Ticks(lambda: 1795447318.0))
        assert second.id > first.id
        second.abandon()


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_modes_do_not_depend_on_the_umask(spool: Spool, umask: int) -> None:
    os.umask(umask)
    store(spool)
    for suffix in "DH":
        status = os.stat(f"{ID}-{suffix}", dir_fd=spool.place(ID))
        assert stat.S_IMODE(status.st_mode) == 0o600


def test_a_stranger_to_the_spool_makes_a_body_that_its_owner_can_lock(spool: Spool) -> None:
    spool.owner = os.geteuid() + 1
    with Incoming(spool, ID):
        status = os.stat(f"{ID}-D", dir_fd=spool.input)
        assert stat.S_IMODE(status.st_mode) == 0o660


def test_the_body_is_locked_where_exim_locks_it(spool: Spool) -> None:
    with Incoming(spool, ID):
        fd = os.open(f"{ID}-D", os.O_RDWR, dir_fd=spool.place(ID))
        assert locks.is_locked(fd, len(ID) + 3)
        assert not locks.is_locked(fd, 100, start=len(ID) + 3)
        os.close(fd)


def test_an_envelope_is_replaced_in_one_step(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(spool)
    stand = install(monkeypatch, Stand())
    rewrite(spool.place(ID), replace(envelope(), warning_count=3))
    assert stand.calls == [
        "open hdr",
        "fchmod hdr",
        "write hdr",
        "fdatasync hdr",
        "rename hdr",
        "fsync directory",
    ]
    octets = Path(spool.path, "input", "i" if spool.split else "", f"{ID}-H").read_bytes()
    assert decode(octets, ID).warning_count == 3


def test_a_failed_replacement_leaves_a_whole_envelope(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(spool)
    for step in range(1, 7):
        with monkeypatch.context() as patch:
            install(patch, Stand(step, no_space))
            with pytest.raises(TempFail):
                rewrite(spool.place(ID), replace(envelope(), warning_count=step))
        assert files(spool) == [f"{ID}-D", f"{ID}-H"]
        message = Message.open(spool, ID)
        assert message
        message.close()


def test_a_draft_that_a_crash_left_is_in_nobodys_way(spool: Spool) -> None:
    store(spool)
    fd = os.open(f"hdr.{ID}", os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=spool.place(ID))
    os.close(fd)
    rewrite(spool.place(ID), envelope())
    assert files(spool) == [f"{ID}-D", f"{ID}-H"]


def test_a_draft_is_not_written_through_a_link(spool: Spool, tmp_path: Path) -> None:
    store(spool)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    os.symlink(victim, f"hdr.{ID}", dir_fd=spool.place(ID))
    rewrite(spool.place(ID), envelope())
    assert victim.read_text() == "precious"
