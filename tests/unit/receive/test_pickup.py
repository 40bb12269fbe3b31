"""What was left in the drop-box is taken over once, as from whom it was left by."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import asdict

from mta.receive import pickup
from mta.spool.dropbox import Drop
from mta.spool.drops import Box
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
    assert not pickup.is_waiting(spool)
    leave(mail, b"Subject: x\n\nbody\n")
    assert pickup.is_waiting(spool)
    assert pickup.empty(mail.service, spool) == 1
    assert not pickup.is_waiting(spool)
    (envelope,) = mail.envelopes()
    assert envelope.uid == os.getuid()
    assert [to.address for to in envelope.recipients] == [
        "bob@x.example",
        "carl@local.example",
    ]
    assert mail.bodies() == [b"body\n"]


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
    assert pickup.empty(mail.service, mail.service.spool) == 0
    assert not pickup.is_waiting(mail.service.spool)
    assert "removed from the drop-box" in mail.logged()[0]
    assert kept(mail) == {}


def test_a_file_that_breaks_the_rules_is_removed(post: Maker) -> None:
    mail = post()
    leave(mail, b"\n", [("uid", "0")])
    assert pickup.empty(mail.service, mail.service.spool) == 0
    assert not pickup.is_waiting(mail.service.spool)
    assert "wrong record 'uid'" in mail.logged()[0]
    assert kept(mail) == {}


def test_a_file_far_larger_than_any_message_is_kept(post: Maker) -> None:
    mail = post("message_size_limit = 1K\n")
    leave(mail, b"x")
    (file,) = (mail.directory / "spool" / "drop").iterdir()
    os.truncate(file, 1 << 30)
    assert pickup.empty(mail.service, mail.service.spool) == 0
    assert not pickup.is_waiting(mail.service.spool)
    assert len(kept(mail)) == 2


def test_a_message_that_is_refused_is_kept_with_the_reason(post: Maker) -> None:
    mail = post("message_size_limit = 1K\n")
    leave(mail, b"x" * 2000)
    assert pickup.empty(mail.service, mail.service.spool) == 0
    assert not pickup.is_waiting(mail.service.spool)
    assert mail.envelopes() == []
    why, message = sorted(kept(mail).values(), key=len)
    assert why == b"Message size exceeds maximum permitted\n"
    assert message.endswith(b"x" * 2000)
    assert "kept in" in mail.logged()[-1]


def test_a_message_that_cannot_be_taken_now_stays(post: Maker) -> None:
    mail = post("check_spool_space = 1000000G\n")
    leave(mail, b"\n")
    assert pickup.empty(mail.service, mail.service.spool) == 0
    assert pickup.is_waiting(mail.service.spool)


def test_two_at_a_time_do_not_take_the_same_file(post: Maker) -> None:
    mail = post()
    spool = mail.service.spool
    leave(mail, b"Subject: x\n\nbody\n")
    other = Box(spool.root)
    assert other.lock()
    assert pickup.empty(mail.service, spool) == 0
    other.close()
    assert pickup.empty(mail.service, spool) == 1


def test_what_is_kept_takes_no_others_place(post: Maker) -> None:
    mail = post("message_size_limit = 1K\n")
    drop = mail.directory / "spool" / "drop"
    for letter in (b"a", b"b"):
        leave(mail, letter * 2000)
        (file,) = drop.iterdir()
        file.rename(drop / "m.1")
        pickup.empty(mail.service, mail.service.spool)
    bodies = [
        file.read_bytes()[-1:]
        for file in sorted((mail.directory / "spool" / "corrupt").iterdir())
        if not file.name.endswith(".reason")
    ]
    assert bodies == [b"a", b"b"]
