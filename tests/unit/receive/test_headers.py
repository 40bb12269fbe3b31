"""What becomes of single headers when a message comes."""

from __future__ import annotations

import pytest

from mta.mail.header import Header
from mta.receive.headers import message_id_of, tidied


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (b"Subject: x\n", b"Subject: x\n"),
        (b"Subject: x \t\n", b"Subject: x \t\n"),
        (b"Subject: x\n  \n", b"Subject: x\n"),
        (b"Subject: x \n \n\t\n \n", b"Subject: x \n"),
        (b"Subject:\n \n", b"Subject:\n"),
        (b"Subject: x\n \n y \n", b"Subject: x\n \n y \n"),
        (b"Subject: x\n \v\n", b"Subject: x\n \v\n"),
        (b"Subject: a\0b\n \0\n", b"Subject: a?b\n ?\n"),
        (b": \n", b": \n"),
    ],
)
def test_nuls_and_blank_lines_at_the_end_do_not_stay(text: bytes, kept: bytes) -> None:
    assert tidied([Header(" ", text)]) == [Header(" ", kept)]


def test_the_first_message_id_is_the_one_and_a_resent_one_is_none() -> None:
    resent = Header("I", b"Resent-Message-ID: <r@x>\n")
    one, other = Header("I", b"Message-Id : <1@x>\n"), Header("I", b"Message-ID: <2@x>\n")
    assert message_id_of([resent, one, other]) is one
    assert message_id_of([resent]) is None
