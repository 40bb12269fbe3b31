"""The values of RET=, ENVID=, NOTIFY= and ORCPT=: what is taken, what is made."""

from __future__ import annotations

import pytest

from mta.mail import xtext


@pytest.mark.parametrize("text", ["", "a", "a+2Bb", "QQ314159", "<m@x>", "x" * 100])
def test_envelope_ids_that_are_taken(text: str) -> None:
    assert xtext.is_envelope_id(text)


@pytest.mark.parametrize(
    "text",
    ["x" * 101, "a=b", "a b", "a+zz", "a+2b", "a+", "a+0A", "a+7F", "a\n", "\x7f", "\xe4"],
)
def test_envelope_ids_that_are_refused(text: str) -> None:
    assert not xtext.is_envelope_id(text)


@pytest.mark.parametrize(
    "text", ["rfc822;a@b.example", "utf-8;a+2B", "x400;c+3Dde", "rfc822;" + "a" * 493]
)
def test_original_recipients_that_are_taken(text: str) -> None:
    assert xtext.is_original_recipient(text)


@pytest.mark.parametrize(
    "text",
    ["", "rfc822", "rfc822;", ";a", "a b;c", "r(f)c;c", "rfc822;a b", "rfc822;" + "a" * 494],
)
def test_original_recipients_that_are_refused(text: str) -> None:
    assert not xtext.is_original_recipient(text)


def test_an_original_recipient_is_made_of_an_address() -> None:
    made = xtext.original_recipient('"a b+c=d"@x.example')
    assert made == 'rfc822;"a+20b+2Bc+3Dd"@x.example'
    assert xtext.is_original_recipient(made)


@pytest.mark.parametrize("text", ["a+b c=d", "\xe4", "", "+", "a\n"])
def test_what_is_encoded_can_be_decoded(text: str) -> None:
    assert xtext.decode(xtext.encode(text)) == text


@pytest.mark.parametrize("text", ["a+", "a+2", "a+2b", "+zz"])
def test_what_is_no_xtext_is_left_alone(text: str) -> None:
    assert xtext.decode(text) == text


@pytest.mark.parametrize("address", ["\xe4@x.example", "a" * 500, "a\n@x"])
def test_an_address_that_cannot_be_told_becomes_none(address: str) -> None:
    assert xtext.original_recipient(address) == ""


@pytest.mark.parametrize(
    ("text", "flags", "words"),
    [
        ("NEVER", 2, "NEVER"),
        ("success", 4, "SUCCESS"),
        ("Delay,failure,SUCCESS", 28, "SUCCESS,FAILURE,DELAY"),
        ("success,success", 4, "SUCCESS"),
    ],
)
def test_wishes_are_read_and_written_in_exims_order(text: str, flags: int, words: str) -> None:
    assert xtext.notify_flags(text) == flags
    assert xtext.notify_words(flags) == words


@pytest.mark.parametrize(
    "text", ["", "x", "never,never", "never,delay", "delay,", "delay never"]
)
def test_wishes_that_contradict_or_say_nothing_are_refused(text: str) -> None:
    assert xtext.notify_flags(text) == 0


def test_no_wishes_have_no_words() -> None:
    assert xtext.notify_words(0) == ""
