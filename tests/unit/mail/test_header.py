"""Header lines: cut from a block, named, made, found."""

from __future__ import annotations

import pytest

from mta.mail.header import Header, classify, find, first, join, make, parse_block


def test_a_block_is_cut_into_headers_and_the_body_is_left() -> None:
    block = b"From: a@b\nSubject: one\n two\n\tthree\nX-Odd : x\n\nbody\n"
    assert parse_block(block) == (
        [
            Header("F", b"From: a@b\n"),
            Header(" ", b"Subject: one\n two\n\tthree\n"),
            Header(" ", b"X-Odd : x\n"),
        ],
        b"body\n",
    )


def test_a_line_that_is_no_header_begins_the_body() -> None:
    assert parse_block(b"To: x\nno header here\n\nmore\n") == (
        [Header("T", b"To: x\n")],
        b"no header here\n\nmore\n",
    )


def test_a_body_may_begin_at_once() -> None:
    assert parse_block(b"\nTo: x\n") == ([], b"To: x\n")
    assert parse_block(b"") == ([], b"")


def test_a_line_of_blanks_continues_a_header() -> None:
    headers, rest = parse_block(b"Subject: x\n \nTo: y\n\n")
    assert [header.text for header in headers] == [b"Subject: x\n \n", b"To: y\n"]
    assert rest == b""


@pytest.mark.parametrize(
    ("block", "texts", "rest"),
    [
        (b"To: x\nCc: y", [b"To: x\n", b"Cc: y\n"], b""),
        (b"To: x\n y", [b"To: x\n y\n"], b""),
        (b"To: x\nnothing", [b"To: x\n"], b"nothing"),
        (b" blank first\n", [], b" blank first\n"),
        (b": no name\n", [b": no name\n"], b""),
        (b" : no name\n", [], b" : no name\n"),
        (b"N\xe4me: x\n\xa0To: y\n", [b"N\xe4me: x\n", b"\xa0To: y\n"], b""),
        (b"To\v\f: x\n", [b"To\v\f: x\n"], b""),
        (b"T\x7fo: x\n", [], b"T\x7fo: x\n"),
        (b"T\0o: x\n", [], b"T\0o: x\n"),
    ],
)
def test_odd_ends_and_beginnings(block: bytes, texts: list[bytes], rest: bytes) -> None:
    headers, left = parse_block(block)
    assert ([header.text for header in headers], left) == (texts, rest)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (b"Bcc", "B"),
        (b"CC", "C"),
        (b"from", "F"),
        (b"Message-ID", "I"),
        (b"Received", "P"),
        (b"Reply-To", "R"),
        (b"Sender", "S"),
        (b"To", "T"),
        (b"Resent-To", "T"),
        (b"Resent-Message-Id", "I"),
        (b"Date", " "),
        (b"Subject", " "),
        (b"Toto", " "),
    ],
)
def test_the_kind_of_a_header_is_a_letter(name: bytes, kind: str) -> None:
    assert classify(name) == kind


def test_name_and_body_are_read_from_the_text() -> None:
    header = Header(" ", b"X-Odd \t: a: b\n c\n")
    assert (header.name, header.body) == (b"x-odd", b" a: b\n c\n")


def test_a_made_header_cannot_begin_another_one() -> None:
    assert make("Subject", "hi\nBcc: x\r\n\r\nbody\n kept fold\n") == Header(
        " ", b"Subject: hi\n\tBcc: x\n\t\n\tbody\n kept fold\n"
    )


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\n", "ä"])
def test_a_made_header_has_a_proper_name(name: str) -> None:
    with pytest.raises(ValueError, match="not a header name"):
        make(name, "x")


def test_deleted_headers_are_neither_found_nor_sent() -> None:
    headers = [make("To", "a"), make("to", "b").deleted(), make("TO", "c"), make("Toto", "d")]
    assert [header.body for header in find(headers, "tO")] == [b" a\n", b" c\n"]
    assert first(headers, "Cc") is None
    assert join(headers) == b"To: a\nTO: c\nToto: d\n"
