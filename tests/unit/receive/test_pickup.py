"""What was left in the drop-box is taken over once, as from whom it was left by."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable
from dataclasses import asdict

import pytest

from mta.receive import pickup
from mta.spool.dropbox import Drop
from mta.spool.drops import Box
from mta.spool.layout import Spool
from tests.unit.receive.conftest import Post
from tests.unit.receive.test_local import PLAIN

Maker = Callable[..., Post]
RECORDS = [
    (key, str(value)) for key, value in asdict(PLAIN).items() if key != "recipients"
] + [("recipients", "bob@x.example"), ("recipients", "carl")]


def leave(mail: Post, text: bytes, records: list[tuple[str, str]] | None = None) -> None:
    drop = Drop(str(mail.directory / "spool"), RECORDS if records is None else records)
    drop.write(text)
    drop.commit()


def test_a_message_is_taken_over(post: Maker) -> None:
    mail = post()
    spool = mail.service.spool
    assert pickup.waiting(spool) == []
    leave(mail, b"Subject: x\n\nbody\n")
    assert len(pickup.waiting(spool)) == 1
    assert take(mail) == 1
    assert pickup.waiting(spool) == []
    (envelope,) = mail.envelopes()
    assert envelope.uid == os.getuid()
    assert [to.address for to in envelope.recipients] == [
        "bob@x.example",
        "carl@local.example",
    ]
    assert mail.bodies() == [b"body\n"]


def take(mail: Post, *known: str) -> int:
    """Take what waits, some of it for another time."""
    spool = mail.service.spool
    names = [file.name for file in pickup.waiting(spool)]
    return pickup.empty(mail.service, spool, names, frozenset(known))


def kept(mail: Post) -> dict[str, bytes]:
    """What lies in corrupt/, the number in the names as N."""
    return {
        re.sub("[0-9a-f]{8,}|[0-9]+", "N", file.name): file.read_bytes()
        for file in (mail.directory / "spool" / "corrupt").iterdir()
    }


def test_a_file_that_nobody_of_ours_made_is_removed(post: Maker) -> None:
    mail = post()
    leave(mail, b"\n")
    (file,) = (mail.directory / "spool" / "drop").iterdir()
    file.chmod(0o666)
    assert take(mail) == 0
    assert pickup.waiting(mail.service.spool) == []
    assert "removed from the drop-box" in mail.logged()[0]
    assert kept(mail) == {}


def test_a_file_that_breaks_the_rules_is_removed(post: Maker) -> None:
    mail = post()
    leave(mail, b"\n", [("uid", "0")])
    assert take(mail) == 0
    assert pickup.waiting(mail.service.spool) == []
    assert "wrong record 'uid'" in mail.logged()[0]
    assert kept(mail) == {}


def test_a_file_far_larger_than_any_message_is_kept(post: Maker) -> None:
    mail = post("message_size_limit = 1K\n")
    leave(mail, b"x")
    (file,) = (mail.directory / "spool" / "drop").iterdir()
    os.truncate(file, 1 << 30)
    assert take(mail) == 0
    assert pickup.waiting(mail.service.spool) == []
    assert len(kept(mail)) == 2


def test_a_message_that_is_refused_is_kept_with_the_reason(post: Maker) -> None:
    mail = post("message_size_limit = 1K\n")
    leave(mail, b"x" * 2000)
    assert take(mail) == 0
    assert pickup.waiting(mail.service.spool) == []
    assert mail.envelopes() == []
    why, message = sorted(kept(mail).values(), key=len)
    assert why == b"Message size exceeds maximum permitted\n"
    assert message.endswith(b"x" * 2000)
    assert "kept in" in mail.logged()[-1]


def test_a_message_that_cannot_be_taken_now_stays(post: Maker) -> None:
    mail = post("check_spool_space = 1000000G\n")
    leave(mail, b"\n")
    assert take(mail) == 0
    assert len(pickup.waiting(mail.service.spool)) == 1


def test_two_at_a_time_do_not_take_the_same_file(post: Maker) -> None:
    mail = post()
    spool = mail.service.spool
    leave(mail, b"Subject: x\n\nbody\n")
    other = Box(spool.root)
    assert other.lock()
    assert take(mail) == 0
    other.close()
    assert take(mail) == 1


def test_what_is_kept_takes_no_others_place(post: Maker) -> None:
    mail = post("message_size_limit = 1K\n")
    drop = mail.directory / "spool" / "drop"
    for letter in (b"a", b"b"):
        leave(mail, letter * 2000)
        (file,) = drop.iterdir()
        file.rename(drop / "m.1")
        take(mail)
    bodies = [
        file.read_bytes()[-1:]
        for file in sorted((mail.directory / "spool" / "corrupt").iterdir())
        if not file.name.endswith(".reason")
    ]
    assert bodies == [b"a", b"b"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_directory_for_what_is_refused_is_made_where_it_is_missing(
    post: Maker, when: str
) -> None:
    mail = post("message_size_limit = 1K\n")
    spool = mail.service.spool
    os.rmdir(f"{spool.path}/corrupt")
    if when == "before":
        spool.close()
        spool = mail.service.spool = Spool(spool.path, split=False)
    leave(mail, b"x" * 2000)
    take(mail)
    assert pickup.waiting(spool) == []
    assert len(kept(mail)) == 2
    assert stat.S_IMODE(os.stat(f"{spool.path}/corrupt").st_mode) == 0o700
    spool.close()


def no_place(mail: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    del monkeypatch
    corrupt = mail.directory / "spool" / "corrupt"
    corrupt.rmdir()
    corrupt.touch()


def another_disk(mail: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    del mail

    def rename(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr("mta.spool.drops.os.rename", rename)


@pytest.mark.parametrize("trouble", [no_place, another_disk])
def test_of_what_cannot_be_set_aside_the_log_tells_once(
    post: Maker,
    monkeypatch: pytest.MonkeyPatch,
    trouble: Callable[[Post, pytest.MonkeyPatch], None],
) -> None:
    mail = post("message_size_limit = 1K\n")
    leave(mail, b"x" * 2000)
    trouble(mail, monkeypatch)
    (file,) = pickup.waiting(mail.service.spool)
    take(mail)
    assert pickup.waiting(mail.service.spool) == [file]
    stays = [line for line in mail.logged() if "stays" in line]
    assert len(stays) == 1
    assert stays[0].startswith(
        f"drop/{file.name} stays: Message size exceeds maximum permitted;"
    )
    take(mail, file.name)
    assert [line for line in mail.logged() if "stays" in line] == stays


def test_of_what_cannot_be_taken_now_the_log_tells_once(post: Maker) -> None:
    mail = post("check_spool_space = 1000000G\n")
    leave(mail, b"\n")
    (file,) = pickup.waiting(mail.service.spool)
    take(mail)
    take(mail, file.name)
    assert len([line for line in mail.logged() if "stays" in line]) == 1
