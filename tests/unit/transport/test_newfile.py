"""Tests of delivery into new files: Maildirs with tags and folders, mailstores, plain ones."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mta.transport import newfile
from mta.transport.api import Outcome, Parcel, Result
from mta.transport.engine import Transport
from mta.transport.places import Creation

Load = Callable[[str], Transport]
MakeParcel = Callable[..., Parcel]
Deliver = Callable[[Transport, Parcel], list[Outcome]]
Together = Callable[[Transport, list[Parcel]], list[list[Outcome]]]

MESSAGE = b"Subject: hi\nBcc: c@example.net\n\nhello\n"


@pytest.fixture
def box(tmp_path: Path) -> Path:
    return tmp_path / "box"


def transport(load: Load, box: Path, *options: str) -> Transport:
    return load("\n".join(["driver = appendfile", f"directory = {box}", *options, ""]))


def only(outcomes: list[Outcome]) -> Outcome:
    (outcome,) = outcomes
    return outcome


def names(directory: Path) -> list[str]:
    return sorted(os.listdir(directory))


def test_a_plain_file_has_the_time_and_its_number_in_its_name(
    load: Load, box: Path, parcel: MakeParcel, deliver: Deliver
) -> None:
    assert only(deliver(transport(load, box, "mode = 0640"), parcel())).result is Result.DONE
    (name,) = names(box)
    assert name.startswith("q")
    assert name.endswith(f"-{(box / name).stat().st_ino}")
    assert (box / name).read_bytes() == MESSAGE
    assert stat.S_IMODE((box / name).stat().st_mode) == 0o640
    assert stat.S_IMODE(box.stat().st_mode) == 0o700


def test_several_plain_files_are_written_at_a_time(
    load: Load, box: Path, parcel: MakeParcel, together: Together
) -> None:
    outcomes = together(transport(load, box), [parcel(b"%d\n" % each) for each in range(4)])
    assert [only(each).result for each in outcomes] == [Result.DONE] * 4
    assert len(names(box)) == 4


def test_a_plain_file_is_called_what_the_option_says(
    load: Load, box: Path, parcel: MakeParcel, deliver: Deliver
) -> None:
    local = transport(load, box, "directory_file = for-$local_part-$message_size")
    assert only(deliver(local, parcel())).result is Result.DONE
    assert names(box) == [f"for-alice-{len(MESSAGE)}"]


@pytest.mark.parametrize(
    "name", ["../$local_part", "a/b", "${lookup{x}lsearch{/nonexistent}}"]
)
def test_a_plain_file_that_cannot_be_called_so_is_removed(
    load: Load, box: Path, parcel: MakeParcel, deliver: Deliver, name: str
) -> None:
    local = transport(load, box, f"directory_file = {name}")
    assert only(deliver(local, parcel())).result is Result.DEFER
    assert names(box) == []
    assert "alice" not in names(box.parent)


def test_a_mailstore_is_an_envelope_and_a_message(
    load: Load, box: Path, parcel: MakeParcel, deliver: Deliver
) -> None:
    local = transport(
        load,
        box,
        "mailstore_format",
        "mailstore_prefix = base $mailstore_basename",
        "mailstore_suffix = for $local_part\\n",
    )
    given = parcel()
    carol = replace(given.recipients[0], address="carol@example.org")
    both = replace(given, recipients=(given.recipients[0], carol))
    assert [each.result for each in deliver(local, both)] == [Result.DONE] * 2
    envelope, message = names(box)
    base = envelope.removesuffix(".env")
    assert message == f"{base}.msg"
    assert base.startswith(f"{given.message_id}-0000")
    assert len(base) == len(given.message_id) + 12
    assert (box / message).read_bytes() == MESSAGE
    assert (box / envelope).read_text() == (
        f"base {box}/{base}\nbob@example.com\nalice@example.org\ncarol@example.org\nfor \n"
    )


def test_a_message_may_be_stored_twice(
    load: Load, box: Path, parcel: MakeParcel, together: Together
) -> None:
    given = parcel()
    outcomes = together(transport(load, box, "mailstore_format"), [given, given])
    assert [only(each).result for each in outcomes] == [Result.DONE] * 2
    assert len(names(box)) == 4


@pytest.mark.parametrize("options", [(), ("mailstore_format",)])
@pytest.mark.parametrize("call", ["write_all", "os.fsync", "sync_dir", "os.rename"])
def test_an_error_leaves_no_file(
    load: Load,
    box: Path,
    parcel: MakeParcel,
    deliver: Deliver,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    call: str,
) -> None:
    def fail(*arguments: object, **named: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    local = transport(load, box, "check_string = x", *options)
    assert only(deliver(local, parcel())).result is Result.DONE
    before = names(box)
    place = newfile.os if call.startswith("os.") else newfile
    with monkeypatch.context() as patch:
        patch.setattr(place, call.removeprefix("os."), fail)
        if call == "write_all":
            patch.setattr("mta.transport.shape.write_all", fail)
        outcome = only(deliver(local, parcel()))
    assert (outcome.result, outcome.code) == (Result.DEFER, errno.ENOSPC)
    assert names(box) == before


@pytest.mark.parametrize(
    ("options", "text", "code"),
    [
        (["no_create_directory"], "stat() error for {}: No such file or directory", 2),
        (
            ["create_file = belowhome", "home_directory = /usr"],
            "tried to create file in {}, but file creation outside the home directory is not "
            "permitted",
            -34,
        ),
    ],
)
@pytest.mark.parametrize("kind", ["maildir_format", "mailstore_format", ""])
def test_a_directory_that_may_not_be_made(
    load: Load,
    box: Path,
    parcel: MakeParcel,
    deliver: Deliver,
    kind: str,
    options: list[str],
    text: str,
    code: int,
) -> None:
    outcome = only(deliver(transport(load, box, kind, *options), parcel()))
    assert (outcome.text, outcome.code) == (text.format(box), code)
    assert not box.exists()


def test_what_is_no_directory_is_named(
    load: Load, box: Path, parcel: MakeParcel, deliver: Deliver
) -> None:
    box.touch()
    outcome = only(deliver(transport(load, box, "maildir_format"), parcel()))
    assert (outcome.text, outcome.code) == (f"{box} is not a directory", -5)


# ---- Maildirs


@pytest.mark.parametrize(
    ("tag", "end"),
    [
        (",S=$message_size", f",S={len(MESSAGE)}"),
        ("S=$message_size", f":S={len(MESSAGE)}"),
        ("/x/y", ":xy"),
        ('",a\\tb c"', ",abc"),
        ("${if eq{a}{b}{x}fail}", ""),
        (f":${{if eq{{a}}{{a}}{{{'x' * 300}}}}}", ""),
    ],
)
def test_a_tag_ends_the_name_in_new(
    load: Load, box: Path, parcel: MakeParcel, deliver: Deliver, tag: str, end: str
) -> None:
    local = transport(load, box, "maildir_format", f"maildir_tag = {tag}")
    assert only(deliver(local, parcel())).result is Result.DONE
    (name,) = names(box / "new")
    assert name.endswith(f".mx.example.org{end}")


def test_a_tag_that_cannot_be_made_defers(
    load: Load, box: Path, parcel: MakeParcel, deliver: Deliver
) -> None:
    tag = "maildir_tag = ${lookup{x}lsearch{/nonexistent}}"
    outcome = only(deliver(transport(load, box, "maildir_format", tag), parcel()))
    assert outcome.code == -1
    assert "(maildir_tag for t1 transport) failed: " in outcome.text
    assert names(box / "tmp") == names(box / "new") == []


def test_folders_are_marked(
    load: Load, box: Path, parcel: MakeParcel, deliver: Deliver
) -> None:
    regex = "maildirfolder_create_regex = /\\.[^/]+$"
    for place in (box, box / ".Sent", box / ".Sent"):
        local = transport(load, place, "maildir_format", regex)
        assert only(deliver(local, parcel())).result is Result.DONE
    assert (box / ".Sent" / "maildirfolder").exists()
    assert not (box / "maildirfolder").exists()


def test_what_stands_around_a_message_is_written_into_maildirs_too(
    load: Load, box: Path, parcel: MakeParcel, deliver: Deliver
) -> None:
    local = transport(
        load,
        box,
        "maildir_format",
        'message_prefix = "first\\n"',
        'message_suffix = "last\\n"',
        "check_string = he",
        "escape_string = HE",
    )
    assert only(deliver(local, parcel())).result is Result.DONE
    (name,) = names(box / "new")
    assert (box / "new" / name).read_bytes() == (
        b"first\n" + MESSAGE.replace(b"hello", b"HEllo") + b"last\n"
    )


# ---- where files may be made


@pytest.mark.parametrize(
    ("rule", "path", "is_allowed"),
    [
        ("anywhere", "/etc/passwd", True),
        ("inhome", "{}/box", True),
        ("inhome", "{}/deep/box", False),
        ("inhome", "{}x/box", False),
        ("belowhome", "{}/deep/box", True),
        ("belowhome", "{}/../box", False),
        ("belowhome", "{}/deep/../../box", False),
        ("belowhome", "{}/link/box", False),
        ("belowhome", "{}", False),
        ("{}/deep", "{}/deep/box", True),
        ("{}/deep", "{}/box", False),
    ],
)
def test_where_files_may_be_made(
    tmp_path: Path, rule: str, path: str, is_allowed: bool
) -> None:
    home = tmp_path / "home"
    (home / "deep").mkdir(parents=True)
    (home / "link").symlink_to("/")
    creation = newfile_rule(rule.format(home), str(home))
    assert creation.allows(path.format(home)) is is_allowed


def newfile_rule(rule: str, home: str) -> Creation:
    return Creation(rule, home, True, 0o700)


def test_a_rule_that_names_a_place_makes_a_strangers_path_safe(
    load: Load, box: Path, parcel: MakeParcel, deliver: Deliver
) -> None:
    box.mkdir()
    local = transport(load, box / "$local_part", "maildir_format", f"create_file = {box}")
    assert only(deliver(local, parcel())).result is Result.DONE
    up = replace(parcel().recipients[0], local_part="../x")
    outcome = only(deliver(local, replace(parcel(), recipients=(up,))))
    assert outcome.text.startswith(f"Tainted '{box}/../x'")
    assert names(box) == ["alice"]
