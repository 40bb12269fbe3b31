"""Spool files that are cut short, foreign, or no files at all: set aside once."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from mta.spool.dropbox import Drop
from tests.fault import conversation
from tests.harness import clients, daemon, mailbox
from tests.harness.daemon import Running
from tests.harness.wait import until

QUEUED = daemon.BASIC.replace("split_spool", "queue_only\nsplit_spool")
FOREIGN = 1  # daemon's uid: neither root's nor that of the tree
Damage = Callable[[Path, Path], None]


def waiting(mta: Running, number: int = 1) -> list[str]:
    """Messages in the spool of a tree that does not run."""
    mta.config.write_text(QUEUED)
    mta.start()
    for _ in range(number):
        clients.send(mta.address, "a@sender.test", ["alice@local.test"])
    mta.stop()
    mta.config.write_text(daemon.BASIC)
    return mta.messages()


def file_of(mta: Running, name: str) -> Path:
    (found,) = (mta.spool / "input").rglob(name)
    return found


def header_empty(header: Path, data: Path) -> None:
    header.write_bytes(b"")


def header_half(header: Path, data: Path) -> None:
    header.write_bytes(header.read_bytes()[: header.stat().st_size // 2])


def header_without_headers(header: Path, data: Path) -> None:
    header.write_bytes(header.read_bytes().partition(b"\n\n")[0] + b"\n")


def header_garbage(header: Path, data: Path) -> None:
    header.write_bytes(os.urandom(50_000))


def header_of_nuls(header: Path, data: Path) -> None:
    """What some file systems leave after a power cut."""
    header.write_bytes(b"\0" * header.stat().st_size)


def header_of_another(header: Path, data: Path) -> None:
    octets = header.read_bytes()
    header.write_bytes(b"1aaaaa-00000000000-0000" + octets[23:])


def header_huge(header: Path, data: Path) -> None:
    os.truncate(header, 1 << 40)


def header_endless_numbers(header: Path, data: Path) -> None:
    octets = re.sub(rb"\n1\nalice", b"\n" + b"9" * 5000 + b"\nalice", header.read_bytes())
    header.write_bytes(octets)


def header_foreign(header: Path, data: Path) -> None:
    os.chown(header, FOREIGN, FOREIGN)
    header.chmod(0o600)


def header_linked(header: Path, data: Path) -> None:
    os.link(header, header.with_name(f"other-{header.name[:23]}"))


def header_symbolic(header: Path, data: Path) -> None:
    other = header.with_name(f"other-{header.name[:23]}")
    header.rename(other)
    header.symlink_to(other)


def header_fifo(header: Path, data: Path) -> None:
    header.unlink()
    os.mkfifo(header, 0o666)


def header_directory(header: Path, data: Path) -> None:
    header.unlink()
    header.mkdir()
    owned_as(header, data)


def header_socket(header: Path, data: Path) -> None:
    header.unlink()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(header))


def data_missing(header: Path, data: Path) -> None:
    data.unlink()


def data_empty(header: Path, data: Path) -> None:
    data.write_bytes(b"")


def data_half_a_first_line(header: Path, data: Path) -> None:
    data.write_bytes(data.read_bytes()[:10])


def data_of_another(header: Path, data: Path) -> None:
    data.write_bytes(b"1aaaaa-00000000000-0000-D\nbody\n")


def data_foreign(header: Path, data: Path) -> None:
    os.chown(data, FOREIGN, FOREIGN)
    data.chmod(0o666)


def data_linked(header: Path, data: Path) -> None:
    os.link(data, data.with_name(f"other-{data.name[:23]}"))


def data_symbolic(header: Path, data: Path) -> None:
    other = data.with_name(f"other-{data.name[:23]}")
    data.rename(other)
    data.symlink_to(other)


def data_fifo(header: Path, data: Path) -> None:
    data.unlink()
    os.mkfifo(data, 0o666)


def data_directory(header: Path, data: Path) -> None:
    data.unlink()
    data.mkdir()
    owned_as(data, header)


def journal_fifo(header: Path, data: Path) -> None:
    os.mkfifo(str(header)[:-1] + "J", 0o666)


def journal_symbolic(header: Path, data: Path) -> None:
    Path(str(header)[:-1] + "J").symlink_to("/etc/passwd")


def journal_foreign(header: Path, data: Path) -> None:
    journal = Path(str(header)[:-1] + "J")
    journal.write_text("alice@local.test\n")
    os.chown(journal, FOREIGN, FOREIGN)
    journal.chmod(0o666)


def owned_as(path: Path, other: Path) -> None:
    """Give a new file to the owner of another."""
    if os.geteuid() == 0:
        status = other.stat()
        os.chown(path, status.st_uid, status.st_gid)


HEADER_LINE = re.compile(rb"^[0-9]{3}[ A-Z*]", re.MULTILINE)
FOREIGNERS: list[Damage] = [header_foreign, data_foreign, data_fifo, journal_foreign]
DAMAGES: list[Damage] = [
    header_empty,
    header_half,
    header_without_headers,
    header_garbage,
    header_of_nuls,
    header_of_another,
    header_huge,
    header_endless_numbers,
    header_foreign,
    header_linked,
    header_symbolic,
    header_fifo,
    header_directory,
    header_socket,
    data_missing,
    data_empty,
    data_half_a_first_line,
    data_of_another,
    data_foreign,
    data_linked,
    data_symbolic,
    data_fifo,
    data_directory,
    journal_fifo,
    journal_symbolic,
    journal_foreign,
]


def test_damaged_messages_are_set_aside_once_and_the_others_are_delivered() -> None:
    damages = [each for each in DAMAGES if os.geteuid() == 0 or each not in FOREIGNERS]
    with daemon.prepared() as mta:
        messages = waiting(mta, len(damages) + 2)
        damaged = dict(zip(messages[1:-1], damages, strict=True))
        for bad, damage in damaged.items():
            damage(file_of(mta, f"{bad}-H"), file_of(mta, f"{bad}-D"))
        mta.start()
        assert len(mailbox.await_messages(mta.maildir("alice"), 2)) == 2
        until(
            lambda: not remains(mta, damaged), 10.0, f"a clean spool: {remains(mta, damaged)}"
        )
        for _ in range(3):
            conversation.run_queue(mta)
        mta.await_empty()
        panics = mta.log("panic")
        aside = {file.name for file in (mta.spool / "corrupt").iterdir()}
        for bad, damage in damaged.items():
            assert panics.count(f"{bad} Format error in spool file") == 1, damage.__name__
            assert f"{bad}.reason" in aside, damage.__name__
            assert any(name.startswith(f"{bad}-") for name in aside), damage.__name__
        assert panics.count("\n") == panics.count("kept in") == len(damaged)
        assert "started again" not in mta.log()
        assert len(mailbox.messages(mta.maildir("alice"))) == 2
        mta.stop()


def remains(mta: Running, ids: Iterable[str]) -> list[str]:
    """The files of these messages that are still where messages are."""
    files = (file.name for file in (mta.spool / "input").rglob("*-[DHJ]"))
    return [name for name in files if name[:-2] in ids]


def test_a_header_cut_short_is_set_aside_or_ends_where_a_header_line_does() -> None:
    """One message for each length.  Between two header lines Exim's format has no more to say,
    so a file that ends there is believed; its envelope is whole."""
    with daemon.prepared() as mta:
        (whole,) = waiting(mta)
        header, data = file_of(mta, f"{whole}-H"), file_of(mta, f"{whole}-D")
        octets, body = header.read_bytes(), data.read_bytes()[len(whole) + 3 :]
        envelope = octets.index(b"\n\n") + 2
        ends = {each.start() for each in HEADER_LINE.finditer(octets, envelope)}
        assert len(ends) == 4
        for length in range(len(octets)):
            each = f"{whole[:-4]}{length:04d}"
            file = header.with_name(f"{each}-H")
            file.write_bytes(octets.replace(whole.encode(), each.encode())[:length])
            owned_as(file, header)
            file = header.with_name(f"{each}-D")
            file.write_bytes(f"{each}-D\n".encode() + body)
            owned_as(file, header)
        mta.start()
        mta.await_empty(60)
        arrived = mailbox.messages(mta.maildir("alice"))
        aside = {int(file.name[19:23]) for file in (mta.spool / "corrupt").glob("*.reason")}
        assert set(range(len(octets))) - aside == ends
        assert len(arrived) == len(ends) + 1
        assert {message.partition(b"\n\n")[2] for message in arrived} == {b"Hello.\n"}
        assert "started again" not in mta.log()
        mta.stop()


def test_a_journal_left_by_a_crash_is_believed() -> None:
    with daemon.prepared() as mta:
        mta.config.write_text(QUEUED)
        mta.start()
        clients.send(mta.address, "a@sender.test", ["alice@local.test", "bob@local.test"])
        mta.stop()
        mta.config.write_text(daemon.BASIC)
        (message,) = mta.messages()
        header = file_of(mta, f"{message}-H")
        journal = header.with_name(f"{message}-J")
        # The last line was being written when the machine stopped.
        journal.write_text("alice@local.test\nbob@loc")
        owned_as(journal, header)
        mta.start()
        mailbox.await_messages(mta.maildir("bob"), 1)
        mta.await_empty()
        assert mailbox.messages(mta.maildir("alice")) == []
        assert not list((mta.spool / "input").rglob(f"{message}*"))
        mta.stop()


def test_a_journal_that_names_everybody_completes_the_message() -> None:
    with daemon.prepared() as mta:
        (message,) = waiting(mta)
        header = file_of(mta, f"{message}-H")
        journal = header.with_name(f"{message}-J")
        journal.write_text("alice@local.test\n")
        owned_as(journal, header)
        mta.start()
        mta.await_log(f"{message} Completed")
        assert not list((mta.spool / "input").rglob(f"{message}*"))
        assert mailbox.messages(mta.maildir("alice")) == []
        mta.stop()


def test_what_a_crash_left_of_a_reception_is_removed_when_it_is_old() -> None:
    with daemon.prepared() as mta:
        young, old = waiting(mta, 2)
        for each, age in ((young, 3600.0), (old, 90_000.0)):
            file_of(mta, f"{each}-H").unlink()
            data = file_of(mta, f"{each}-D")
            draft = data.with_name(f"hdr.{each}")
            draft.write_bytes(b"half")
            owned_as(draft, data)
            for file in (data, draft):
                os.utime(file, (time.time() - age,) * 2)
        mta.start()
        mta.await_log(f"removed {old}-D")
        until(lambda: not list((mta.spool / "input").rglob(f"*{old}*")), 5.0, "no remains")
        assert file_of(mta, f"{young}-D")
        assert file_of(mta, f"hdr.{young}")
        assert mta.log("panic") == ""
        mta.stop()


def test_strange_names_in_the_spool_are_left_alone() -> None:
    names = ["-H", "x-H", "README", "1aaaaa-bbb-H", "a" * 255, "\udcff-H", "q\n-H"]
    with daemon.prepared() as mta:
        (message,) = waiting(mta)
        place = file_of(mta, f"{message}-H").parent
        for directory in (mta.spool / "input", place):
            for name in names:
                (directory / name).write_text("strange")
            (directory / "directory-H").mkdir()
        mta.start()
        mailbox.await_messages(mta.maildir("alice"), 1)
        conversation.run_queue(mta)
        until(lambda: not (place / f"{message}-H").exists(), 5.0, "the end of the message")
        assert all((place / name).exists() for name in names)
        assert mta.log("panic") == ""
        assert mta.run("mailq", *mta.arguments()).returncode == 0
        mta.stop()


def test_the_queue_can_be_listed_while_a_message_in_it_is_damaged() -> None:
    with daemon.prepared() as mta:
        bad, good = waiting(mta, 2)
        file_of(mta, f"{bad}-H").write_bytes(b"garbage")
        result = mta.run("mailq", *mta.arguments())
        assert result.returncode == 0
        assert good.encode() in result.stdout


def drop(mta: Running) -> Path:
    return mta.spool / "drop"


def test_bad_files_in_the_drop_box_are_removed_and_logged_and_good_ones_taken() -> None:
    with daemon.prepared() as mta:
        mta.start()
        mta.stop()
        box = drop(mta)
        records = [("recipients", "alice@local.test"), ("fixups", "1")]
        left = Drop(str(mta.spool), records)
        left.write(b"Subject: good\n\nbody\n")
        left.commit()
        (file,) = box.iterdir()
        octets = file.read_bytes()
        short = box / "m.2.1.aa"
        short.write_bytes(octets[:40])
        (box / "m.2.2.aa").write_bytes(os.urandom(10_000))
        os.mkfifo(box / "m.2.3.aa")
        (box / "m.2.4.aa").symlink_to("/etc/passwd")
        os.link(short, box / "m.2.5.aa")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(box / "m.2.6.aa"))
        huge = box / "m.2.7.aa"
        huge.write_bytes(b"mta-drop 1 99999999\n")
        for each in box.iterdir():
            if each.is_file() and not each.is_symlink():
                owned_as(each, file)
                each.chmod(0o640)
        (box / "m.2.8.aa").mkdir()
        (box / "unknown").write_bytes(b"")
        mta.start()
        mailbox.await_messages(mta.maildir("alice"), 1)
        until(
            lambda: {each.name for each in box.iterdir()} == {"m.2.8.aa", "unknown"},
            10.0,
            f"an empty drop-box; there are {[each.name for each in box.iterdir()]}",
        )
        assert mta.log().count("removed from the drop-box") == 7
        assert mta.log("panic") == ""
        mta.stop()
