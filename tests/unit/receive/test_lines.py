"""The text that local programs give: line ends, and the dot that ends it."""

from __future__ import annotations

import pytest

from mta.receive.lines import LocalText


def read(text: bytes, cut: int, *, dot_ends: bool) -> bytes:
    reader = LocalText(dot_ends=dot_ends)
    return reader.feed(text[:cut]) + reader.feed(text[cut:]) + reader.end()


@pytest.mark.parametrize(
    ("text", "dot_ends", "result"),
    [
        (b"a\nb\n", True, b"a\nb\n"),
        (b"a\r\nb\r\n", True, b"a\nb\n"),
        (b"a\nb", True, b"a\nb\n"),
        (b"", True, b""),
        (b".\n", True, b""),
        (b".", True, b""),
        (b".", False, b".\n"),
        (b"a\n.\nb\n", True, b"a\n"),
        (b"a\n.\r\nb\n", True, b"a\n"),
        (b"a\n.\nb\n", False, b"a\n.\nb\n"),
        (b"a\n..\nb\n", True, b"a\n..\nb\n"),
        (b"a\n.", True, b"a\n"),
        (b"a: b\rc: d\r\r\ne\r", True, b"a: b\n c: d\n \ne\n \n"),
        (b"a: b\n\nc\rd\r\r\ne\r", True, b"a: b\n\nc\nd\n\ne\n"),
        (b"a: b\r\n\r\nc\rd\n", False, b"a: b\n\nc\nd\n"),
        (b"\nc\rd\n", False, b"\nc\nd\n"),
        (b"a\n\n\r.\rb", True, b"a\n\n\n.\nb\n"),
        (b"a\n\n\n", True, b"a\n\n\n"),
    ],
)
def test_text_becomes_lines_wherever_it_is_cut(
    text: bytes, dot_ends: bool, result: bytes
) -> None:
    for cut in range(len(text) + 1):
        assert read(text, cut, dot_ends=dot_ends) == result
