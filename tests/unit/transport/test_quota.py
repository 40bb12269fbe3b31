"""Tests of quotas: values, what is counted, and the file that keeps the count."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mta.base.errors import TempFail
from mta.transport import quota
from mta.transport.api import Outcome, Parcel, Result
from mta.transport.engine import Transport
from mta.transport.quota import Limit

Load = Callable[[str], Transport]
MakeParcel = Callable[..., Parcel]
Deliver = Callable[[Transport, Parcel], list[Outcome]]

SIZE = len(b"Subject: hi\nBcc: c@example.net\n\nhello\n")


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("", Limit(0)),
        ("0", Limit(0)),
        ("100", Limit(100)),
        ("1.5K", Limit(1536)),
        ("2m", Limit(2 << 20)),
        ("3G/no_check", Limit(3 << 30, is_checked=False)),
        ("-1", Limit(0)),
    ],
)
def test_values(text: str, limit: Limit) -> None:
    assert quota.parse(text, "$x", "t1") == limit


@pytest.mark.parametrize("text", ["x", "10Z", "10/x", "1.5.2", "10K5", "75%", " ", "٣", "1e9"])
def test_values_that_are_none(text: str) -> None:
    with pytest.raises(TempFail) as caught:
        quota.parse(text, "$x", "t1")
    assert caught.value.text == f'Malformed value "{text}" (expansion of "$x") in t1 transport'
    assert caught.value.code == -1


@pytest.fixture
def box(tmp_path: Path) -> Path:
    return tmp_path / "box"


def fill(path: Path, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)


def transport(load: Load, kind: str, box: Path, *options: str) -> Transport:
    return load("\n".join(["driver = appendfile", f"{kind} = {box}", *options, ""]))


def only(outcomes: list[Outcome]) -> Outcome:
    (outcome,) = outcomes
    return outcome


@pytest.mark.parametrize(
    ("there", "options", "result"),
    [
        (100, [f"quota = {100 + SIZE}"], Result.DONE),
        (100, [f"quota = {99 + SIZE}"], Result.DEFER),
        (100, ["quota = 100", "quota_is_inclusive = false"], Result.DONE),
        (101, ["quota = 100", "quota_is_inclusive = false"], Result.DEFER),
        (100, ["quota = 100/no_check"], Result.DONE),
        (100, ["quota = 1K", "mailbox_size = 1K"], Result.DEFER),
        (10_000, ["quota = 1K", "mailbox_size = 0"], Result.DONE),
    ],
)
def test_a_message_fits_into_a_mailbox_or_not(
    load: Load,
    box: Path,
    parcel: MakeParcel,
    deliver: Deliver,
    there: int,
    options: list[str],
    result: Result,
) -> None:
    fill(box, there)
    box.chmod(0o600)
    outcome = only(deliver(transport(load, "file", box, *options), parcel()))
    assert outcome.result is result
    if result is Result.DEFER:
        assert outcome.code == -22
        assert outcome.status == "4.2.2"
        assert outcome.text == (
            f"mailbox is full (MTA-imposed quota exceeded while writing to {box})"
        )
        assert box.stat().st_size == there


def test_all_files_of_a_directory_count(
    load: Load, box: Path, parcel: MakeParcel, deliver: Deliver
) -> None:
    fill(box / "one", 50)
    fill(box / "deep" / "two", 50)
    os.link(box / "one", box / "deep" / "one")  # the same octets, counted once
    (box / "link").symlink_to("/bin/sh")
    exact = transport(load, "directory", box, f"quota = {100 + SIZE}")
    assert only(deliver(exact, parcel())).result is Result.DONE
    outcome = only(deliver(exact, parcel()))
    assert outcome.result is Result.DEFER
    assert f"writing to {box}/temp.{os.getpid()}.mx.example.org" in outcome.text


def test_names_may_tell_the_sizes(
    load: Load, box: Path, parcel: MakeParcel, deliver: Deliver
) -> None:
    fill(box / "x,S=90", 0)
    fill(box / "y", 10)
    options = ["quota_size_regex = ,S=(\\d+)"]
    small = transport(load, "directory", box, f"quota = {99 + SIZE}", *options)
    assert only(deliver(small, parcel())).result is Result.DEFER
    enough = transport(load, "directory", box, f"quota = {100 + SIZE}", *options)
    assert only(deliver(enough, parcel())).result is Result.DONE


def test_files_are_counted(
    load: Load, box: Path, parcel: MakeParcel, deliver: Deliver
) -> None:
    local = transport(load, "directory", box, "quota = 1M", "quota_filecount = 2")
    results = [only(deliver(local, parcel())) for _ in range(3)]
    assert [each.result for each in results] == [Result.DONE, Result.DONE, Result.DEFER]
    assert "MTA-imposed filecount quota exceeded" in results[2].text


def test_another_directory_may_be_the_one_that_counts(
    load: Load, box: Path, parcel: MakeParcel, deliver: Deliver
) -> None:
    fill(box / "one", 1000)
    elsewhere = transport(
        load, "directory", box / "in", "quota = 1K", f"quota_directory = {box}"
    )
    assert only(deliver(elsewhere, parcel())).result is Result.DEFER
    relative = transport(load, "directory", box, "quota = 1K", "quota_directory = q")
    outcome = only(deliver(relative, parcel()))
    assert outcome.text == 'appendfile: quota_directory name "q" is not absolute'
    assert outcome.code == -21


# ---- maildirsize


def maildir(load: Load, box: Path, *options: str) -> Transport:
    return transport(
        load, "directory", box, "maildir_format", "maildir_use_size_file", *options
    )


def test_a_size_file_is_kept(
    load: Load, box: Path, parcel: MakeParcel, deliver: Deliver
) -> None:
    local = maildir(load, box, "quota = 10K", "quota_filecount = 7")
    for _ in range(2):
        assert only(deliver(local, parcel())).result is Result.DONE
    assert (box / "maildirsize").read_text() == f"10240S,7C\n0 0\n{SIZE} 1\n{SIZE} 1\n"
    assert list((box / "tmp").iterdir()) == []


def test_without_a_quota_it_is_kept_all_the_same(
    load: Load, box: Path, parcel: MakeParcel, deliver: Deliver
) -> None:
    assert only(deliver(maildir(load, box), parcel())).result is Result.DONE
    assert (box / "maildirsize").read_text() == f"0S,0C\n0 0\n{SIZE} 1\n"


@pytest.mark.parametrize(
    "there",
    [
        "5000S,3C\n99 1\n",  # another quota
        "10240S\n" + "1 1\n" * 2000,  # too long
        "10240S\nnot a line\n",
        "10240S\n5 1\n-6 -1\n",  # less than nothing
        "10240S\n20000 1\n3 1\n",  # full, but it may be wrong
        "",
    ],
)
def test_a_size_file_that_may_be_wrong_is_made_anew(
    load: Load, box: Path, parcel: MakeParcel, deliver: Deliver, there: str
) -> None:
    for name in ("cur", "new", "tmp", ".Sent/cur", ".Sent/tmp", "other"):
        fill(box / name / "x", 100)
    fill(box / ".Sent" / "y", 100)
    (box / "maildirsize").write_text(there)
    assert only(deliver(maildir(load, box, "quota = 10K"), parcel())).result is Result.DONE
    # cur/, new/ and the folder's cur/ count; what else lies there does not.
    assert (box / "maildirsize").read_text() == f"10240S,0C\n300 3\n{SIZE} 1\n"


def test_a_size_file_that_says_the_quota_is_believed(
    load: Load, box: Path, parcel: MakeParcel, deliver: Deliver
) -> None:
    fill(box / "cur" / "x", 5000)
    for name in ("new", "tmp"):
        (box / name).mkdir()
    (box / "maildirsize").write_text("10240S\n77 1\n22 1\n")
    assert only(deliver(maildir(load, box, "quota = 10K"), parcel())).result is Result.DONE
    assert (box / "maildirsize").read_text() == f"10240S\n77 1\n22 1\n{SIZE} 1\n"


def test_a_full_maildir_takes_nothing_and_its_size_file_is_as_it_was(
    load: Load, box: Path, parcel: MakeParcel, deliver: Deliver
) -> None:
    local = maildir(load, box, "quota = 100")
    results = [only(deliver(local, parcel())).result for _ in range(4)]
    assert results == [Result.DONE, Result.DONE, Result.DEFER, Result.DEFER]
    assert len(list((box / "new").iterdir())) == 2
    assert (box / "maildirsize").read_text() == f"100S,0C\n{2 * SIZE} 2\n"


def test_a_folder_counts_in_its_maildir_unless_it_is_left_out(
    load: Load, box: Path, parcel: MakeParcel, deliver: Deliver
) -> None:
    for folder in (".Sent", ".Trash"):
        fill(box / folder / "maildirfolder", 0)
    fill(box / "cur" / "x", 1000)
    for name in ("new", "tmp"):
        (box / name).mkdir()
    but_trash = "maildir_quota_directory_regex = ^(?:cur|new|\\.(?!Trash).*)$"
    sent = maildir(load, box / ".Sent", "quota = 1K", but_trash)
    assert only(deliver(sent, parcel())).result is Result.DEFER
    trash = maildir(load, box / ".Trash", "quota = 1K", but_trash)
    assert only(deliver(trash, parcel())).result is Result.DONE
    assert (box / "maildirsize").read_text() == "1024S,0C\n1000 1\n"
    assert not (box / ".Trash" / "maildirsize").exists()


def test_a_size_file_that_is_a_link_is_not_followed(
    load: Load, box: Path, parcel: MakeParcel, deliver: Deliver
) -> None:
    for name in ("cur", "new", "tmp"):
        (box / name).mkdir(parents=True)
    precious = box.parent / "precious"
    precious.write_text("10240S\n1 1\n")
    (box / "maildirsize").symlink_to(precious)
    outcome = only(deliver(maildir(load, box, "quota = 10K"), parcel()))
    assert outcome.result is Result.DEFER
    assert precious.read_text() == "10240S\n1 1\n"
    assert list((box / "new").iterdir()) == []
