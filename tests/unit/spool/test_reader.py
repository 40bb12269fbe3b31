"""Holding a message: the lock, the journal, the end, and files that are not to be believed."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mta.base.errors import TempFail
from mta.spool import layout, reader
from mta.spool.errors import SpoolError
from mta.spool.layout import Spool
from mta.spool.reader import Message, set_aside
from mta.unix import locks
from tests.unit.spool.messages import ID, envelope, files, store


def held(spool: Spool, message_id: str = ID) -> Message:
    message = Message.open(spool, message_id)
    assert message is not None
    return message


def place(spool: Spool) -> Path:
    return Path(spool.path, "input", "i") if spool.split else Path(spool.path, "input")


def test_a_message_is_read_as_it_was_written(spool: Spool) -> None:
    store(spool, body=b"one\ntwo\n")
    with held(spool) as message:
        assert message.envelope == envelope()
        assert message.size == len(b"Subject: hello\n\none\ntwo\n")
        assert os.pread(message.data_fd, 100, message.body_offset) == b"one\ntwo\n"


def test_who_holds_a_message_holds_it_alone(spool: Spool) -> None:
    store(spool)
    with held(spool):
        assert Message.open(spool, ID) is None
        looking = Message.open(spool, ID, lock=False)
        assert looking
        looking.close()
        # Looking and letting go again must not take the lock away from its holder.
        assert Message.open(spool, ID) is None
    held(spool).close()


def test_a_message_stays_locked_while_a_copy_of_its_descriptor_lives(spool: Spool) -> None:
    store(spool)
    message = held(spool)
    copy = os.dup(message.data_fd)
    message.close()
    assert Message.open(spool, ID) is None
    os.close(copy)
    held(spool).close()


def test_a_message_that_is_gone_is_nobodys(spool: Spool) -> None:
    assert Message.open(spool, ID) is None
    store(spool)
    with held(spool) as message:
        message.remove()
    assert Message.open(spool, ID) is None
    assert files(spool) == []


def test_a_message_removed_while_we_waited_for_its_lock_is_not_delivered_again(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(spool)
    take = locks.lock

    def removed_just_before(fd: int, length: int) -> bool:
        for name in files(spool):
            os.unlink(place(spool) / name)
        return take(fd, length)

    monkeypatch.setattr(reader, "take_lock", removed_just_before)
    assert Message.open(spool, ID) is None


def test_a_lock_on_a_file_that_lost_its_name_to_another_is_no_lock(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(spool)
    take = locks.lock

    def replaced_just_before(fd: int, length: int) -> bool:
        octets = (place(spool) / f"{ID}-D").read_bytes()
        (place(spool) / "new").write_bytes(octets)
        os.rename(place(spool) / "new", place(spool) / f"{ID}-D")
        return take(fd, length)

    monkeypatch.setattr(reader, "take_lock", replaced_just_before)
    assert Message.open(spool, ID) is None


def test_both_layouts_are_read_whichever_is_written(spool: Spool) -> None:
    store(spool)
    other = Spool(spool.path, split=not spool.split)
    with held(other) as message:
        assert message.envelope == envelope()
        message.remove()
    assert files(spool) == []
    other.close()


def test_what_is_in_the_journal_is_done(spool: Spool) -> None:
    store(spool)
    with held(spool) as message:
        message.journal(["one@example.net"], sync=True)
    assert (place(spool) / f"{ID}-J").read_bytes() == b"one@example.net\n"
    with held(spool) as message:
        assert [to.address for to in message.envelope.remaining] == ["two@example.net"]
        message.journal(["two@example.net", "x@y"], sync=False)
    with held(spool) as message:
        assert message.envelope.remaining == ()


def test_a_rewritten_envelope_takes_the_journal_in(spool: Spool) -> None:
    store(spool)
    with held(spool) as message:
        message.journal(["one@example.net"], sync=True)
        done = replace(message.envelope, nonrecipients=frozenset({"one@example.net"}))
        message.rewrite(done)
        assert files(spool) == [f"{ID}-D", f"{ID}-H"]
        message.journal(["two@example.net"], sync=True)
    with held(spool) as message:
        assert message.envelope.nonrecipients == {"one@example.net", "two@example.net"}


def test_a_torn_line_of_the_journal_is_neither_believed_nor_continued(spool: Spool) -> None:
    store(spool)
    journal = place(spool) / f"{ID}-J"
    journal.write_bytes(b"one@example.net\ntwo@exam")
    with held(spool) as message:
        assert message.envelope.nonrecipients == {"one@example.net"}
        message.journal(["two@example.net"], sync=False)
    assert journal.read_bytes() == b"one@example.net\ntwo@example.net\n"


def test_a_failed_write_leaves_no_half_line_in_the_journal(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(spool)

    def half(fd: int, octets: bytes) -> None:
        os.write(fd, octets[:5])
        raise OSError(28, "No space left on device")

    with held(spool) as message:
        message.journal(["one@example.net"], sync=False)
        with monkeypatch.context() as patch:
            patch.setattr(reader, "write_all", half)
            with pytest.raises(TempFail, match="No space left"):
                message.journal(["two@example.net"], sync=False)
    assert (place(spool) / f"{ID}-J").read_bytes() == b"one@example.net\n"


@pytest.mark.parametrize("address", ["", "a\nb", "a\0b"])
def test_no_address_makes_two_lines_in_the_journal(spool: Spool, address: str) -> None:
    store(spool)
    with held(spool) as message, pytest.raises(SpoolError):
        message.journal([address], sync=False)
    assert files(spool) == [f"{ID}-D", f"{ID}-H"]


def test_the_order_of_removal_never_leaves_a_message_without_a_body(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(spool)
    removed: list[str] = []
    with held(spool) as message:
        message.journal(["one@example.net"], sync=False)
        unlink = reader.unlink_quietly
        monkeypatch.setattr(
            reader,
            "unlink_quietly",
            lambda directory, name: (removed.append(name), unlink(directory, name))[1],
        )
        message.remove()
    assert removed[:3] == [f"{ID}-H", f"{ID}-D", f"{ID}-J"]
    assert set(removed[3:]) == {ID}


def link(spool: Spool) -> None:
    os.link(place(spool) / f"{ID}-D", place(spool) / "another name")


def other_owner(spool: Spool) -> None:
    spool.owners = frozenset({os.geteuid() + 1})


def symbolic_link(spool: Spool) -> None:
    os.rename(place(spool) / f"{ID}-H", place(spool) / "h")
    os.symlink("h", place(spool) / f"{ID}-H")


def fifo(spool: Spool) -> None:
    os.unlink(place(spool) / f"{ID}-D")
    os.mkfifo(place(spool) / f"{ID}-D")


def directory(spool: Spool) -> None:
    os.unlink(place(spool) / f"{ID}-H")
    os.mkdir(place(spool) / f"{ID}-H")


def short_header(spool: Spool) -> None:
    os.truncate(place(spool) / f"{ID}-H", 50)


def empty_header(spool: Spool) -> None:
    os.truncate(place(spool) / f"{ID}-H", 0)


def huge_header(spool: Spool) -> None:
    os.truncate(place(spool) / f"{ID}-H", reader.HEADER_FILE_LIMIT + 1)


def short_data(spool: Spool) -> None:
    os.truncate(place(spool) / f"{ID}-D", 10)


def no_data(spool: Spool) -> None:
    os.unlink(place(spool) / f"{ID}-D")


def foreign_journal(spool: Spool) -> None:
    os.symlink("/etc/passwd", place(spool) / f"{ID}-J")


DAMAGE = [
    link,
    other_owner,
    symbolic_link,
    fifo,
    directory,
    short_header,
    empty_header,
    huge_header,
    short_data,
    no_data,
    foreign_journal,
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_files_that_cannot_be_ours_are_refused_and_set_aside(
    spool: Spool, damage: Callable[[Spool], None]
) -> None:
    store(spool)
    damage(spool)
    with pytest.raises(SpoolError) as refused:
        Message.open(spool, ID)
    set_aside(spool, ID, str(refused.value))
    assert Message.open(spool, ID) is None
    assert not any(name.startswith(ID) for name in files(spool))
    kept = Path(spool.path, "corrupt")
    assert (kept / f"{ID}-H").exists() or (kept / f"{ID}-H").is_symlink()
    assert (kept / f"{ID}.reason").read_text() == f"{refused.value}\n"


def test_the_directory_for_what_is_set_aside_is_made_where_it_is_missing(
    spool: Spool,
) -> None:
    store(spool)
    os.rmdir(f"{spool.path}/corrupt")
    set_aside(spool, ID, "why")
    assert not any(name.startswith(ID) for name in files(spool))
    assert (Path(spool.path, "corrupt") / f"{ID}-H").exists()


def test_what_cannot_be_set_aside_stays_where_it_is(spool: Spool) -> None:
    store(spool)
    os.rmdir(f"{spool.path}/corrupt")
    Path(spool.path, "corrupt").touch()
    with pytest.raises(TempFail, match="corrupt: Not a directory"):
        set_aside(spool, ID, "why")
    assert any(name.startswith(ID) for name in files(spool))


def test_a_body_without_envelope_is_no_message_whatever_is_in_it(spool: Spool) -> None:
    (place(spool) / f"{ID}-D").write_bytes(b"")
    assert Message.open(spool, ID) is None


def test_a_directory_that_the_network_user_made_is_not_looked_into(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    layout.prepare(path, split=False)
    os.mkdir(f"{path}/input/i")
    trap = Spool(path, split=True)
    trap.owner = os.geteuid() + 1
    assert trap.place(ID) == trap.input
    assert trap.places(ID) == [trap.input]
    trap.close()


def test_a_spool_is_prepared_with_its_modes_whatever_the_umask(tmp_path: Path) -> None:
    os.umask(0o077)
    path = str(tmp_path / "a" / "spool")
    layout.prepare(path, split=True)
    layout.prepare(path, split=True)

    def mode(name: str) -> int:
        return stat.S_IMODE(os.stat(f"{path}/{name}").st_mode)

    assert mode("") == 0o755
    assert [mode(name) for name in ("input", "input/0", "input/z")] == [0o3770] * 3
    assert (mode("msglog"), mode("drop"), mode("corrupt")) == (0o750, 0o3733, 0o700)
    assert len(os.listdir(f"{path}/input")) == 62


def test_closing_a_spool_gives_all_descriptors_back(spool: Spool) -> None:
    before = len(os.listdir("/proc/self/fd"))
    other = Spool(spool.path, split=spool.split)
    store(other)
    other.everywhere()
    other.close()
    other.close()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("damage", [None, *DAMAGE])
def test_no_descriptor_is_lost_by_opening(
    spool: Spool, damage: Callable[[Spool], None] | None
) -> None:
    store(spool)
    spool.places(ID)
    if damage:
        damage(spool)
    before = sorted(os.listdir("/proc/self/fd"))
    try:
        message = Message.open(spool, ID)
        assert message
        message.close()
    except SpoolError:
        pass
    assert sorted(os.listdir("/proc/self/fd")) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make files of others")
def test_a_journal_of_the_network_user_counts_for_nothing(spool: Spool) -> None:
    network = 64001
    spool.owners = frozenset({os.geteuid(), network})
    store(spool)
    planted = place(spool) / f"{ID}-J"
    planted.write_bytes(b"a@example\nalice@example.org\nbob@example.org\n")
    os.chown(planted, network, network)
    with held(spool) as message:
        assert not message.has_journal
        assert message.envelope.nonrecipients == frozenset()
        message.journal(["a@example"], sync=False)
    assert planted.read_bytes() == b"a@example\n"
    assert planted.stat().st_uid == os.geteuid()
