"""AUTH= of MAIL: xtext there and back, and nothing that could end a line."""

from __future__ import annotations

import pytest

from mta.smtp.author import LONGEST, decode, encode


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a@b.example", "a@b.example"),
        ("<>", "<>"),
        ("a+2Bb+3D@c", "a+b=@c"),
        ("a+20b", "a b"),
        ("+C3+A9@b", "é@b"),
        ("+FF", "\udcff"),
    ],
)
def test_a_value_is_decoded_and_encoded(value: str, text: str) -> None:
    assert decode(value) == text
    assert decode(encode(text)) == text
    assert encode(text) == value


@pytest.mark.parametrize(
    "value",
    ["", "a=b", "a b", "+", "+2", "+2b", "+0A", "+0D", "+00", "+7F", "é", "a\n", "+zz",
     "x" * (LONGEST + 1)],
)  # fmt: skip
def test_what_is_no_xtext_or_no_text_is_none(value: str) -> None:
    assert decode(value) is None


def test_what_is_encoded_is_one_word() -> None:
    text = "".join(map(chr, range(0x180)))
    value = encode(text)
    assert value.isascii()
    assert value.isprintable()
    assert " " not in value
    assert "=" not in value
