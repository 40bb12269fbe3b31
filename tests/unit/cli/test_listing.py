"""The listing of the queue: column for column as mailq shows it everywhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mta.cli import listing
from mta.proc.control import Waiting
from mta.spool import layout, writer
from mta.spool.envelope import Envelope, Recipient

ENTRY = listing.Entry(
    "1xVW5F-000000000tB-2FH8",
    "s@x.example",
    268,
    1000,
    recipients=("a@b.example", "c@d.example"),
)


def test_a_message_is_one_line_and_one_for_each_recipient() -> None:
    assert list(listing.lines(ENTRY, 1030)) == [
        " 0m   268 1xVW5F-000000000tB-2FH8 <s@x.example>",
        "          a@b.example",
        "          c@d.example",
        "",
    ]


def test_who_has_it_already_is_marked() -> None:
    entry = replace(ENTRY, recipients=("c@d.example",), delivered=("a@b.example",))
    assert list(listing.lines(entry, 1030))[1:3] == [
        "        D a@b.example",
        "          c@d.example",
    ]
    assert list(listing.lines(entry, 1030, delivered=False))[1:] == [
        "          c@d.example",
        "",
    ]


def test_a_frozen_bounce() -> None:
    entry = replace(ENTRY, sender="", frozen=True)
    assert next(listing.lines(entry, 1030)) == (
        " 0m   268 1xVW5F-000000000tB-2FH8 <> *** frozen ***"
    )


def test_an_address_cannot_make_a_line() -> None:
    entry = replace(ENTRY, recipients=("a\n 0m forged@b.example",))
    assert list(listing.lines(entry, 1030))[1] == "          a\\n 0m forged@b.example"


@pytest.mark.parametrize(
    ("octets", "shown"),
    [
        (0, "     "),
        (268, "  268"),
        (1023, " 1023"),
        (1024, " 1.0K"),
        (1780, " 1.7K"),
        (10006, " 9.8K"),
        (10240, "  10K"),
        (104133, " 102K"),
        (1014556, " 991K"),
        (1063826, " 1.0M"),
        (3043128, " 2.9M"),
        (11157413, "  11M"),
    ],
)
def test_sizes(octets: int, shown: str) -> None:
    assert listing.size(octets) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, " 0m"),
        (59, " 0m"),
        (60, " 1m"),
        (90 * 60, "90m"),
        (91 * 60, " 2h"),
        (72 * 3600, "72h"),
        (73 * 3600, " 3d"),
        (86400 * 10, "10d"),
    ],
)
def test_ages(seconds: int, shown: str) -> None:
    assert listing.age(seconds) == shown


def test_the_parts_of_a_long_answer_are_put_together() -> None:
    first = Waiting("1xVW5F-000000000tB-2FH8", "s@x", 5, 7, 9, 0, 1, ("a@b",), ("c@d",))
    second = replace(first, recipients=("e@f",), delivered=())
    assert listing.from_frames([first, second]) == [
        listing.Entry(
            "1xVW5F-000000000tB-2FH8", "s@x", 5, 7, 9, False, True, ("a@b", "e@f"), ("c@d",)
        )
    ]


def test_the_spool_itself_says_the_same(tmp_path: Path) -> None:
    layout.prepare(str(tmp_path / "spool"), split=True)
    spool = layout.Spool(str(tmp_path / "spool"), split=True)
    envelope = Envelope(
        id="1xVW5F-000000000tB-2FH8",
        login="user",
        uid=1,
        gid=1,
        sender="s@x.example",
        received_time=1000.0,
        recipients=(Recipient("a@b.example"), Recipient("c@d.example")),
        nonrecipients=frozenset({"a@b.example"}),
    )
    incoming = writer.Incoming(spool, envelope.id)
    incoming.write(b"body\n")
    incoming.commit(envelope)
    assert list(listing.from_spool(spool)) == [
        listing.Entry(
            "1xVW5F-000000000tB-2FH8",
            "s@x.example",
            6,
            1000,
            recipients=("c@d.example",),
            delivered=("a@b.example",),
        )
    ]
