"""Tests of answers to messages: what is said, to whom, and to whom never."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from mta.base.errors import TempFail
from mta.transport.api import Outcome, Parcel, Result
from mta.transport.engine import Transport

Load = Callable[[str], Transport]
MakeParcel = Callable[..., Parcel]
Deliver = Callable[[Transport, Parcel], list[Outcome]]

NOW = 1763910421
PLAIN = """driver = autoreply
to = $sender_address
from = me@example.org
subject = Re: $h_subject:
text = hello\\nthere
"""


class Answers:
    """What transports handed in."""

    def __init__(self, load: Load, deliver: Deliver, parcel: MakeParcel) -> None:
        self.load, self.deliver, self.parcel = load, deliver, parcel
        self.sent: list[tuple[tuple[str, ...], str]] = []

    def submit(self, recipients: Sequence[str], message: bytes) -> None:
        self.sent.append((tuple(recipients), message.decode()))

    def to(self, options: str = "", plain: str = PLAIN, **changes: object) -> Outcome:
        """What becomes of a message for a transport with these options."""
        transport = self.load(plain + options)
        transport.submit = self.submit
        (outcome,) = self.deliver(transport, self.parcel(**changes))
        return outcome

    def only(self, options: str = "", plain: str = PLAIN, **changes: object) -> str:
        """The one answer to a message."""
        self.sent.clear()
        assert self.to(options, plain, **changes).result is Result.DONE
        ((_, text),) = self.sent
        return text


@pytest.fixture
def answers(load: Load, deliver: Deliver, parcel: MakeParcel) -> Answers:
    return Answers(load, deliver, parcel)


@pytest.fixture
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mta.base.clock.now", lambda: float(NOW))
    monkeypatch.setenv("TZ", "UTC")


def test_an_answer_has_exims_headers_in_exims_order(answers: Answers) -> None:
    options = (
        "cc = c@example.net, Dee <d@example.net>\nbcc = b@example.net\n"
        "reply_to = r@example.org\nheaders = X-A: b\\nX-C: d\n"
    )
    block = b"Subject: hi\nMessage-ID: <m1@x>\n"
    assert answers.to(options, headers=block) == Outcome("alice@example.org", Result.DONE)
    assert answers.sent == [
        (
            ("bob@example.com", "c@example.net", "d@example.net", "b@example.net"),
            "From: me@example.org\n"
            "Reply-To: r@example.org\n"
            "To: bob@example.com\n"
            "Cc: c@example.net, Dee <d@example.net>\n"
            "Subject: Re: hi\n"
            "In-Reply-To: <m1@x>\n"
            "References: <m1@x>\n"
            "Auto-Submitted: auto-replied\n"
            "X-A: b\n"
            "X-C: d\n"
            "\n"
            "hello\nthere\n",
        )
    ]


@pytest.mark.parametrize(
    ("block", "lines"),
    [
        ("", []),
        ("Message-ID: <m@x>\n", ["In-Reply-To: <m@x>", "References: <m@x>"]),
        (
            "Message-ID: <m@x>\nIn-Reply-To: <i@x>\n",
            ["In-Reply-To: <m@x>", "References: <i@x> <m@x>"],
        ),
        (
            "Message-ID: <m@x>\nIn-Reply-To: <i@x>\nReferences: <a@x>\n\t<b@x>\n",
            ["In-Reply-To: <m@x>", "References: <a@x> <b@x> <m@x>"],
        ),
        ("Message-ID: <m@x>\nReferences: junk <a b> <\n", ["In-Reply-To: <m@x>"] * 1),
    ],
)
def test_it_refers_to_what_it_answers(answers: Answers, block: str, lines: list[str]) -> None:
    text = answers.only(headers=f"Subject: x\n{block}".encode())
    found = [line for line in text.split("\n") if line.startswith(("In-Reply", "References"))]
    assert found[: len(lines)] == lines
    assert "junk" not in text


def test_references_stay_short(answers: Answers) -> None:
    many = " ".join(f"<{n}@x>" for n in range(1000))
    text = answers.only(headers=f"Message-ID: <m@x>\nReferences: {many}\n".encode())
    assert text.count("@x>") == 1 + 1 + 20 + 1  # In-Reply-To; the first, the last, its own


def test_a_bounce_is_not_answered(answers: Answers) -> None:
    outcome = answers.to(sender="", values={"sender_address": ""})
    assert outcome == Outcome("alice@example.org", Result.DONE)
    assert answers.sent == []


def test_who_never_gets_mail_is_left_out_of_headers_too(answers: Answers) -> None:
    text = answers.only(
        "cc = c@example.net, d@example.net\nnever_mail = c@example.net : x@y\n"
    )
    assert "Cc: d@example.net\n" in text
    assert answers.sent[0][0] == ("bob@example.com", "d@example.net")
    answers.sent.clear()
    assert answers.to("never_mail = *@example.com\n").result is Result.DONE
    assert answers.sent == []


@pytest.mark.parametrize(
    ("subject", "shown", "number"),
    [
        ("x\\ty\\033z", "x\\ty\\033z", 27),
        ("x\\ny", "x\\ny", 10),
        ("xé", "x\\303\\251", 195),
        ("x\\r\\n y", "x\\r\\n y", 13),
    ],
)
def test_what_is_no_header_text_fails(
    answers: Answers, subject: str, shown: str, number: int
) -> None:
    plain = PLAIN.replace("Re: $h_subject:", subject)
    outcome = answers.to(plain=plain)
    assert (outcome.result, outcome.text, outcome.told) == (
        Result.FAIL,
        f'Expansion of "{shown}" in t1 transport contains non-printing character {number}',
        "",
    )
    assert answers.sent == []


def test_a_fold_is_header_text(answers: Answers) -> None:
    text = answers.only(plain=PLAIN.replace("Re: $h_subject:", "x\\n y"))
    assert "\nSubject: x\n y\n" in text


def test_a_stranger_adds_no_header(answers: Answers) -> None:
    block = b"Subject: x\nX-Evil: =?utf-8?q?a=0ABcc:_v@example.net=0A=0Abody?=\n"
    answers.to("headers = X-Copy: $h_x-evil:\n", headers=block)
    ((recipients, text),) = answers.sent
    head, _, body = text.partition("\n\n")
    assert recipients == ("bob@example.com",)
    assert body == "hello\nthere\n"
    assert "X-Copy: a" in head


def test_an_expansion_that_fails_fails_the_delivery(answers: Answers) -> None:
    outcome = answers.to("reply_to = ${if eq{a}{b}{x}fail}\n")
    assert (outcome.result, outcome.text) == (
        Result.FAIL,
        'Expansion of "${if eq{a}{b}{x}fail}" failed in t1 transport:'
        ' "if" failed and "fail" requested',
    )


def test_an_address_that_is_none_waits(answers: Answers) -> None:
    outcome = answers.to(plain=PLAIN.replace("$sender_address", "foo@@bar"))
    assert outcome.result is Result.DEFER
    assert outcome.text.startswith("Failed to send message from t1 transport")


def test_what_cannot_be_handed_in_waits(
    load: Load, deliver: Deliver, parcel: MakeParcel
) -> None:
    transport = load(PLAIN)

    def refuse(recipients: Sequence[str], message: bytes) -> None:
        raise TempFail("no space")

    transport.submit = refuse
    (outcome,) = deliver(transport, parcel())
    assert (outcome.result, outcome.text) == (Result.DEFER, "no space")


# ---- the text


def test_a_file_follows_the_text(answers: Answers, tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text("from $local_part\n${if\nend")
    text = answers.only(f"file = {file}\n")
    assert text.endswith("\n\nhello\nthere\nfrom $local_part\n${if\nend\n")
    text = answers.only(f"file = {file}\nfile_expand\n")
    assert text.endswith("\n\nhello\nthere\nfrom alice\n${if\nend\n")


def test_a_file_that_is_missing_waits_unless_it_is_optional(
    answers: Answers, tmp_path: Path
) -> None:
    outcome = answers.to(f"file = {tmp_path}/f\n")
    assert (outcome.result, outcome.code, outcome.text) == (
        Result.DEFER,
        2,
        f"Failed to open file {tmp_path}/f when sending message from t1 transport:"
        " No such file or directory",
    )
    assert answers.only(f"file = {tmp_path}/f\nfile_optional\n").endswith("hello\nthere\n")


def test_strangers_name_no_file(answers: Answers) -> None:
    for option in ("file", "log", "once"):
        outcome = answers.to(f"{option} = /tmp/$local_part\n")
        assert outcome.result is Result.DEFER
        assert outcome.text.startswith("Tainted '/tmp/alice'")
    assert answers.sent == []


MESSAGE = "Subject: hi\nBcc: c@example.net\n\nhello\n"


@pytest.mark.parametrize(
    ("option", "copy"),
    [
        ("", f"the message, including all the headers.\n\n{MESSAGE}"),
        (
            "return_path_add",
            "the message, including all the headers.\n\n"
            f"Return-path: <bob@example.com>\n{MESSAGE}",
        ),
        ("body_only", "the body of the message, without the headers.\n\nhello\n"),
        (
            "headers_only",
            "the message's header lines.\n\nSubject: hi\nBcc: c@example.net\n\n",
        ),
    ],
)
def test_a_copy_of_the_message_may_follow(answers: Answers, option: str, copy: str) -> None:
    text = answers.only(f"return_message\n{option}\n")
    assert text.partition("hello\nthere\n\n")[2] == f"------ This is a copy of {copy}"


def test_of_a_large_message_only_the_beginning_is_copied(answers: Answers) -> None:
    text = answers.only("return_message\n", body=b"x\n" * 60_000)
    assert (
        "------ This is a copy of the message, including all the headers.\n"
        "------ The body of the message is 120000 characters long; only the first\n"
        "------ 106000 or so are included here.\n\nSubject: hi\n"
    ) in text
    assert text.count("x\n") == 106_496 // 2


# ---- once, and the log


@pytest.mark.usefixtures("_clock")
def test_the_same_sender_is_answered_once(answers: Answers, tmp_path: Path) -> None:
    options = f"once = {tmp_path}/once\nonce_file_size = 100\nlog = {tmp_path}/log\n"
    answers.to(options)
    answers.to(options)
    answers.to(options, values={"sender_address": "eve@example.com"})
    assert [to for to, _ in answers.sent] == [("bob@example.com",), ("eve@example.com",)]
    assert (tmp_path / "log").read_text() == (
        "2025-11-23 15:07:01\n"
        "  From: me@example.org\n  To: bob@example.com\n  Subject: Re: hi\n"
        "2025-11-23 15:07:01\n"
        "  previously sent to bob@example.com\n"
        "2025-11-23 15:07:01\n"
        "  From: me@example.org\n  To: eve@example.com\n  Subject: Re: hi\n"
    )
    assert (tmp_path / "once").read_bytes() == (
        NOW.to_bytes(8, "little") + b"bob@example.com\0"
        + NOW.to_bytes(8, "little") + b"eve@example.com\0"
    )  # fmt: skip
    assert stat.S_IMODE(os.stat(tmp_path / "once").st_mode) == 0o600


@pytest.mark.usefixtures("_clock")
def test_the_oldest_are_forgotten_where_room_is_needed(
    answers: Answers, tmp_path: Path
) -> None:
    options = f"once = {tmp_path}/once\nonce_file_size = 50\n"
    for who in ("a@example.com", "b@example.com", "c@example.com", "a@example.com"):
        answers.to(options, values={"sender_address": who})
    assert len(answers.sent) == 4
    assert (tmp_path / "once").stat().st_size <= 50


def test_after_a_while_the_same_is_answered_again(
    answers: Answers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = f"once = {tmp_path}/once\nonce_repeat = 7d\n"
    for days, count in ((0, 1), (6.9, 1), (7, 2), (13.9, 2)):
        monkeypatch.setattr("mta.base.clock.now", lambda days=days: NOW + days * 86400)
        answers.to(options)
        assert len(answers.sent) == count
    assert sorted(os.listdir(tmp_path))[-1] == "once.list"


@pytest.mark.usefixtures("_clock")
def test_what_was_not_handed_in_is_not_remembered(
    load: Load, deliver: Deliver, parcel: MakeParcel, tmp_path: Path
) -> None:
    transport = load(PLAIN + f"once = {tmp_path}/once\n")
    (outcome,) = deliver(transport, parcel())
    assert outcome.result is Result.DEFER
    assert (tmp_path / "once.list").read_bytes() == b""


def test_two_at_a_time_are_not_both_answered(answers: Answers, tmp_path: Path) -> None:
    options = f"once = {tmp_path}/once\n"
    inner: list[Outcome] = []
    transport = answers.load(PLAIN + options)

    def submit(recipients: Sequence[str], message: bytes) -> None:
        inner.append(answers.to(options))

    transport.submit = submit
    answers.deliver(transport, answers.parcel())
    assert [each.result for each in inner] == [Result.DEFER]
    assert answers.sent == []


@pytest.mark.parametrize(
    ("option", "result", "text"),
    [
        (
            "once = /nonexistent/x",
            Result.DEFER,
            'Failed to open "once" file /nonexistent/x when sending message from t1 transport:'
            " No such file or directory",
        ),
        (
            "once = /nonexistent/x\nonce_repeat = foo",
            Result.FAIL,
            'Invalid time value "foo" for "once_repeat" in t1 transport',
        ),
    ],
)
def test_a_list_that_cannot_be_used_is_no_answer(
    answers: Answers, option: str, result: Result, text: str
) -> None:
    outcome = answers.to(f"{option}\n")
    assert (outcome.result, outcome.text) == (result, text)
    assert answers.sent == []


def test_a_log_that_cannot_be_written_is_no_reason_not_to_answer(answers: Answers) -> None:
    assert answers.only("log = /nonexistent/x\n")


def test_a_damaged_list_is_read_as_far_as_it_goes(answers: Answers, tmp_path: Path) -> None:
    octets = NOW.to_bytes(8, "little") + b"bob@example.com\0" + b"junk that has no end"
    (tmp_path / "once").write_bytes(octets)
    assert answers.to(f"once = {tmp_path}/once\nonce_file_size = 1K\n").result is Result.DONE
    assert answers.sent == []
