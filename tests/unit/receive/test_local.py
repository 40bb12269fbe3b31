"""Messages of local programs: who they are from, what is added, when they are refused."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from mta.base.errors import TempFail
from mta.receive import local
from mta.receive.frames import Accepted, Finished, More, Rejected, Session, Submit
from mta.receive.service import Caller
from mta.spool.envelope import DSN_FAILURE, DSN_SUCCESS, RET_HEADERS
from mta.unix import frames
from mta.unix.process import run_child
from tests.unit.receive.conftest import ALICE, ROOT, Post

Maker = Callable[..., Post]
ID = re.compile(r"[0-9A-Za-z]{6}-[0-9A-Za-z]{11}-[0-9A-Za-z]{4}")
PLAIN = Submit(
    has_sender=0,
    sender="",
    full_name="",
    recipients=("bob@remote.example",),
    from_headers=0,
    dot_ends=1,
    delivery="",
    fixups=1,
    dsn_ret="",
    dsn_notify="",
)


def send(
    post: Post, text: bytes, caller: Caller = ALICE, **changes: object
) -> Accepted | Rejected:
    request = replace(PLAIN, **changes)  # type: ignore[arg-type]

    def source() -> Iterator[bytes]:
        yield text

    return local.submit(post.service, caller, request, request.recipients, source)


def shown(post: Post) -> list[str]:
    """The headers with what changes from run to run taken out."""
    lines = [ID.sub("ID", line) for line in post.headers()]
    return [re.sub(r"Date: .*", "Date: DATE", line) for line in lines]


def test_what_a_message_lacks_is_added(post: Maker) -> None:
    mail = post()
    answer = send(mail, b"Subject: x\n\nbody\n")
    assert isinstance(answer, Accepted)
    assert shown(mail) == [
        "  Subject: x\n",
        "I Message-Id: <EID@mx.example>\n",
        "F From: Alice Liddell <alice@local.example>\n",
        "  Date: DATE\n",
    ]
    (envelope,) = mail.envelopes()
    assert (envelope.sender, envelope.login, envelope.uid) == (
        "alice@local.example",
        "alice",
        1001,
    )
    assert (envelope.received_protocol, envelope.local, envelope.ident) == (
        "local",
        True,
        "alice",
    )
    assert mail.hints == [(envelope.id, True, "alice@local.example", "remote.example")]
    size = envelope.header_size + 1 + len(b"body\n")
    line = f"{envelope.id} <= alice@local.example U=alice P=local S={size}"
    assert mail.logged() == [line]


def test_what_a_message_has_stays_as_it_is(post: Maker) -> None:
    mail = post()
    text = (
        b"From: Alice <alice@local.example>\nDate: today\n"
        b"Message-ID: <1@x>\nTo: bob@remote.example\n"
    )
    send(mail, text + b"\n")
    assert "".join(line[2:] for line in mail.headers()).encode() == text


def test_whoever_writes_as_another_is_named(post: Maker) -> None:
    mail = post()
    send(mail, b"From: boss@remote.example\nSender: boss@remote.example\n\n")
    assert shown(mail) == [
        "F From: boss@remote.example\n",
        "* Sender: boss@remote.example\n",
        "I Message-Id: <EID@mx.example>\n",
        "S Sender: Alice Liddell <alice@local.example>\n",
        "  Date: DATE\n",
    ]


def test_a_trusted_caller_may_write_as_another(post: Maker) -> None:
    mail = post()
    send(mail, b"From: a@b.example\nDate: d\nMessage-Id: <1@x>\n\n", ROOT)
    assert mail.headers() == ["F From: a@b.example\n", "  Date: d\n", "I Message-Id: <1@x>\n"]


POSTMARK = b"From joe@b.example Mon Nov 23 12:00:00 2026\n"


@pytest.mark.parametrize(
    ("caller", "text", "changes", "sender", "headers"),
    [
        (ROOT, POSTMARK, {}, "joe@b.example", ["F From: joe@b.example\n"]),
        (ROOT, b"From joe Nov 3 1:00\n x\n", {}, "joe@local.example", []),
        (ROOT, b"From <> 3 Nov 2026 01:00\n", {}, "", []),
        (ROOT, b"From <<> Mon, 3 Nov 26 01:00\n", {}, "root@local.example", []),
        (ROOT, POSTMARK, {"has_sender": 1, "sender": "x@y.example"}, "x@y.example", []),
        (ALICE, POSTMARK, {}, "alice@local.example", ["F From: Alice Liddell <alice@l"]),
        (ALICE, b"From <> Nov 3 1:00\n", {}, "alice@local.example", []),
        (ALICE, b"From x@ok.example Nov 3 1:00\n", {}, "x@ok.example", []),
    ],
)
def test_a_line_of_an_mbox_file_is_taken_away_and_its_sender_believed(
    post: Maker,
    caller: Caller,
    text: bytes,
    changes: dict[str, object],
    sender: str,
    headers: list[str],
) -> None:
    mail = post("untrusted_set_sender = *@ok.example\n")
    send(mail, text + b"Subject: x\n\nbody\n", caller, **changes)
    (envelope,) = mail.envelopes()
    assert envelope.sender == sender
    assert mail.bodies() == [b"body\n"]
    assert mail.headers()[0] == "  Subject: x\n"
    assert [line for line in mail.headers() if line.startswith(tuple(headers) or "!")] or (
        not headers
    )


@pytest.mark.parametrize(
    "text",
    [
        b"from joe@b.example Mon Nov 23 12:00:00 2026\n\n",
        b"From joe@b.example Monday Nov 23 12:00:00 2026\n\n",
        b"From joe@b.example\n\n",
        b">From joe@b.example Mon Nov 23 12:00:00 2026\n\n",
    ],
)
def test_what_is_no_such_line_begins_the_body(post: Maker, text: bytes) -> None:
    mail = post()
    send(mail, text, ROOT)
    assert mail.bodies() == [text]


def test_bare_names_get_a_domain_and_the_old_line_is_kept(post: Maker) -> None:
    mail = post()
    send(
        mail, b'To: bob, "x, y" <carl>,\n  dan (c), e@f.example\nDate: d\nFrom: joe\n\n', ROOT
    )
    assert mail.headers()[:5] == [
        '* To: bob, "x, y" <carl>,\n  dan (c), e@f.example\n',
        'T To: bob@local.example, "x, y" <carl@local.example>,\n'
        "  dan@local.example (c), e@f.example\n",
        "  Date: d\n",
        "* From: joe\n",
        "F From: joe@local.example\n",
    ]


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("a: b, c;, d", "a: b@local.example, c@local.example;, d@local.example"),
        ("a:b;", "a:b@local.example;"),
        ("n <b>, c@d.example", "n <b@local.example>, c@d.example"),
        ("b, b@c.example, <b>", "b@local.example, b@c.example, <b@local.example>"),
        ("bb, b", "bb@local.example, b@local.example"),
        # Columns are counted with the name and what separates the addresses.
        (
            "abcdefghijklmnopqrst, b@c.example",
            "abcdefghijklmnopqrst@local.example, b@c.example",
        ),
        (
            "abcdefghijklmnopqrstu ,b@c.example",
            "abcdefghijklmnopqrstu@local.example ,\n\tb@c.example",
        ),
        (
            "n <abcdefghijklmnopqrstu> (x),  b, c@d",
            "n <abcdefghijklmnopqrstu@local.example> (x),  \n\tb@local.example, c@d",
        ),
        (
            "abcdefghijklmnopqrstuvwxyz,\n c@d.example",
            "abcdefghijklmnopqrstuvwxyz@local.example,\n c@d.example",
        ),
        ('"b, b" <x@y.example>', '"b, b" <x@y.example>'),
    ],
)
def test_domains_are_added_everywhere_and_long_lines_folded(
    post: Maker, given: str, made: str
) -> None:
    mail = post()
    send(mail, f"To: {given}\nDate: d\n\n".encode(), ROOT)
    assert f"T To: {made}\n" in mail.headers()


def test_recipients_may_come_from_the_header(post: Maker) -> None:
    mail = post()
    text = b"To: bob, carl@x.example\nCc: Team: dan@x.example;\nBcc: eve@x.example\n\n"
    send(mail, text, from_headers=1, recipients=("dan@x.example",))
    (envelope,) = mail.envelopes()
    addresses = [to.address for to in envelope.recipients]
    assert addresses == ["bob@local.example", "carl@x.example", "eve@x.example"]
    assert "* Bcc: eve@x.example\n" in mail.headers()


def test_a_resent_message_goes_to_whom_it_is_resent(post: Maker) -> None:
    mail = post()
    text = b"To: a@x.example\nResent-To: b@x.example\nResent-From: alice@local.example\n\n"
    send(mail, text, from_headers=1, recipients=())
    (envelope,) = mail.envelopes()
    assert [to.address for to in envelope.recipients] == ["b@x.example"]
    assert [line[2:].split(":")[0] for line in mail.headers()] == [
        "Resent-Date",
        "Resent-Message-Id",
        "To",
        "Resent-To",
        "Resent-From",
    ]


@pytest.mark.parametrize(
    ("caller", "given", "sender", "untrusted"),
    [
        (ROOT, "x@y.example", "x@y.example", False),
        (ROOT, "x", "x@local.example", False),
        (ROOT, "<>", "", False),
        (ROOT, "", "", False),
        (ALICE, "x@y.example", "alice@local.example", False),
        (ALICE, "<>", "", True),
        (ALICE, "list@ok.example", "list@ok.example", True),
    ],
)
def test_a_sender_is_believed(
    post: Maker, caller: Caller, given: str, sender: str, untrusted: bool
) -> None:
    mail = post("untrusted_set_sender = *@ok.example\n")
    send(mail, b"\n", caller, has_sender=1, sender=given)
    (envelope,) = mail.envelopes()
    assert (envelope.sender, envelope.sender_set_untrusted) == (sender, untrusted)


@pytest.mark.parametrize(
    ("changes", "text", "answer"),
    [
        ({"recipients": ()}, b"\n", Rejected(65, "no recipients")),
        ({"recipients": ("a@@b",)}, b"\n", None),
        ({"recipients": ("a\nb@c.example",)}, b"\n", None),
        ({"from_headers": 1, "recipients": ()}, b"X: y\n\n", None),
        ({"from_headers": 1, "recipients": ()}, b"To: a@@b\n\n", None),
        ({"has_sender": 1, "sender": "a b c"}, b"\n", None),
        ({}, b"x" * 3000, Rejected(69, "Message size exceeds maximum permitted")),
    ],
)
def test_what_cannot_be_taken_is_refused(
    post: Maker, changes: dict[str, object], text: bytes, answer: Rejected | None
) -> None:
    mail = post("message_size_limit = 2K\n")
    given = send(mail, text, **changes)
    assert isinstance(given, Rejected)
    if answer is not None:
        assert given == answer
    assert given.code in (65, 69)
    assert list(mail.input.iterdir()) == []


def test_a_disk_that_is_full_is_no_reason_to_lose_mail(
    post: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    mail = post()

    def full(*arguments: object) -> None:
        raise TempFail("spool space check failed: 0 octets free", status="4.3.1")

    monkeypatch.setattr(local, "check_room", full)
    assert send(mail, b"\n") == Rejected(75, "spool space check failed: 0 octets free")


def test_no_field_can_forge_a_record_or_a_line(post: Maker) -> None:
    mail = post()
    evil = "x\r\nBcc: y@z.example\n\n${run{/bin/x}}"
    send(mail, b"Subject: ${run{/bin/x}}\n\nb\n", full_name=evil)
    (envelope,) = mail.envelopes()
    lines = [line for line in mail.headers() if line.startswith("F ")]
    assert lines == ['F From: "x Bcc: y@z.example ${run{/bin/x}}" <alice@local.example>\n']
    assert len(envelope.recipients) == 1
    assert "  Subject: ${run{/bin/x}}\n" in mail.headers()


def test_the_acl_for_local_messages_decides(post: Maker) -> None:
    mail = post(
        "acl_not_smtp = check\nbegin acl\ncheck:\n"
        "  deny senders = alice@local.example\n"
        "       message = no mail of $sender_address\n  accept\n"
    )
    assert send(mail, b"\n") == Rejected(69, "no mail of alice@local.example")
    assert ID.sub("ID", mail.logged()[0]) == (
        "ID U=alice F=<alice@local.example> rejected by non-SMTP ACL: "
        "no mail of alice@local.example"
    )
    assert isinstance(send(mail, b"\n", ROOT), Accepted)


def test_what_the_sender_wants_to_be_told_is_kept(post: Maker) -> None:
    mail = post()
    wishes = {"dsn_notify": "success,failure", "dsn_ret": "hdrs", "dsn_envid": "e+2B"}
    assert isinstance(send(mail, b"\nbody\n", **wishes), Accepted)
    (envelope,) = mail.envelopes()
    assert (envelope.dsn_ret, envelope.dsn_envid) == (RET_HEADERS, "e+2B")
    assert [to.dsn_flags for to in envelope.recipients] == [DSN_SUCCESS | DSN_FAILURE]


@pytest.mark.parametrize(
    "wishes",
    [
        {"dsn_notify": "never,success"},
        {"dsn_notify": "always"},
        {"dsn_envid": "a b"},
        {"dsn_envid": "a\n-frozen 1"},
        {"dsn_envid": "x" * 101},
    ],
)
def test_wishes_that_rfc_3461_does_not_know_are_refused(
    post: Maker, wishes: dict[str, str]
) -> None:
    assert isinstance(send(post(), b"\nbody\n", **wishes), Rejected)


def test_a_message_may_be_queued_only(post: Maker) -> None:
    mail = post()
    send(mail, b"\n", delivery="queue")
    assert [hint[1] for hint in mail.hints] == [False]


def talk(mail: Post, frames_out: list[tuple[object, list[int]]]) -> list[object]:
    """What the server answers to these frames."""
    ours, theirs = frames.pair()

    def server() -> None:
        ours.close()
        local.serve(mail.service, theirs)

    pid = run_child(server)
    theirs.close()
    ours.settimeout(10)
    answers: list[object] = []
    for frame, fds in frames_out:
        frames.send(ours, frame, fds)
    ours.shutdown(socket.SHUT_WR)
    while (received := frames.receive(ours, (Accepted, Rejected, Finished))) is not None:
        answers.append(received.message)
    ours.close()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    return answers


def test_a_message_comes_through_a_descriptor(post: Maker) -> None:
    mail = post()
    reader, writer = os.pipe()
    os.write(writer, b"Subject: x\r\n\r\nbody\r\n.\r\nnot read")
    os.close(writer)
    more = More(tuple(f"r{number}@x.example" for number in range(500)))
    (answer,) = talk(mail, [(more, []), (PLAIN, [reader])])
    os.close(reader)
    assert isinstance(answer, Accepted)
    (envelope,) = mail.envelopes()
    assert envelope.uid == os.getuid()
    assert len(envelope.recipients) == 501
    assert mail.bodies() == [b"body\n"]


def test_a_descriptor_that_cannot_be_read_is_refused(post: Maker) -> None:
    mail = post()
    directory = os.open("/", os.O_RDONLY)
    (answer,) = talk(mail, [(PLAIN, [directory])])
    os.close(directory)
    assert isinstance(answer, Rejected)
    assert list(mail.input.iterdir()) == []


def test_wrong_frames_are_refused(post: Maker) -> None:
    mail = post()
    assert talk(mail, [(PLAIN, [])]) == [Rejected(64, "there must be one descriptor")]
    (answer,) = talk(mail, [(Accepted("x"), [])])
    assert isinstance(answer, Rejected)
    assert talk(mail, [(Session(0, "", ""), [])]) == [
        Rejected(64, "there must be two descriptors")
    ]


def test_who_is_trusted(post: Maker) -> None:
    conf = post("trusted_users = nobody : daemon\n").service.conf
    assert local.caller_of(conf, 0).is_trusted
    assert local.caller_of(conf, 65534).is_trusted
    assert not local.caller_of(conf, 4_000_000).is_trusted
    assert local.caller_of(conf, 4_000_000).login == "uid-4000000"
