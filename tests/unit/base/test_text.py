"""Bytes and text."""

from __future__ import annotations

import pytest

from mta.base import text


def test_every_octet_survives_the_way_to_text_and_back() -> None:
    octets = bytes(range(256))
    assert text.to_bytes(text.to_text(octets)) == octets


@pytest.mark.parametrize(
    ("given", "lowered"), [("ABC", "abc"), ("ÄBC", "Äbc"), ("İ", "İ"), ("", "")]
)
def test_only_ascii_letters_change_case(given: str, lowered: str) -> None:
    assert text.lower(given) == lowered


@pytest.mark.parametrize("digits", ["", "²", "١", "1 ", "-1"])
def test_only_ascii_digits_make_a_number(digits: str) -> None:
    assert not text.is_number(digits)


def test_trimming_leaves_white_space_of_other_alphabets() -> None:
    assert text.trim(" \t\u00a0x\u2003\r\n") == "\u00a0x\u2003"


def test_words_are_split_at_ascii_white_space_only() -> None:
    assert text.words(" a\tb\u00a0c\r\n d ") == ["a", "b\u00a0c", "d"]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain", "plain"),
        ("a\nb", "a\\nb"),
        ("a\r\n2026-01-01 forged", "a\\r\\n2026-01-01 forged"),
        ("\x1b[31m", "\\033[31m"),
        ("\x85\u2028", "\\205\\u2028"),
        ("\x00", "\\000"),
    ],
)
def test_one_line_is_one_line(given: str, shown: str) -> None:
    assert text.one_line(given) == shown
