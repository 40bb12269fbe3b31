"""Tests of sending over SMTP: which commands go out, and what each answer means."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace

import pytest

from mta.base.errors import TempFail
from mta.net.exchangers import Way
from mta.route.api import Host
from mta.transport.api import Outcome, Parcel, ParcelRecipient, Result
from mta.transport.engine import Transport
from tests.unit.transport.scripted import PIPELINING, PLAIN, Servers

Load = Callable[[str], Transport]
MakeParcel = Callable[..., Parcel]
Deliver = Callable[[Transport, Parcel], list[Outcome]]

ONE = (Host("mx.example.net", "192.0.2.1"),)
TWO = (*ONE, Host("backup.example.net", "192.0.2.2", 2525))
TAKEN = ("s: 250 sender ok", "s: 250 recipient ok", "s: 354 go on", "d:", "s: 250 OK id=1")
ALL_OK = (*PIPELINING, "c:", "c:", "c:", *TAKEN, "c:")
TEXT = "Subject: hi|Bcc: c@example.net||hello|.|"


@pytest.fixture
def smtp(load: Load) -> Transport:
    return load("driver = smtp\ncommand_timeout = 1s\nfinal_timeout = 1s\n")


def to(*names: str) -> tuple[ParcelRecipient, ...]:
    return tuple(
        ParcelRecipient(f"{name}@example.net", f"{name}@example.net", name, "example.net")
        for name in names
    )


@pytest.fixture
def mail(parcel: MakeParcel) -> Parcel:
    return parcel(hosts=ONE, recipients=to("a"))


def test_commands_go_out_together_and_the_confirmation_comes_back(
    smtp: Transport, mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    servers.expect(ALL_OK)
    assert deliver(smtp, mail) == [
        Outcome(
            "a@example.net",
            Result.DONE,
            "250 OK id=1",
            host="mx.example.net",
            host_address="192.0.2.1",
            port=25,
        )
    ]
    smtp.close()
    assert servers.heard() == [
        "EHLO mx.example.org|",
        f"MAIL FROM:<bob@example.com> SIZE={1024 + len(TEXT) - 2 + 4}|",
        "RCPT TO:<a@example.net>|",
        "DATA|",
        TEXT,
        "QUIT|",
    ]
    assert servers.asked == [("192.0.2.1", 25, "")]


def test_without_pipelining_each_command_waits_for_its_answer(
    smtp: Transport, mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    servers.expect(
        (
            *PLAIN,
            "c:",
            "s: 250 ok",
            "c:",
            "s: 250 ok",
            "c:",
            "s: 354 go",
            "d:",
            "s: 250 ok",
            "c:",
        )
    )
    assert deliver(smtp, mail)[0].result is Result.DONE
    smtp.close()
    assert servers.heard()[1:4] == [
        "MAIL FROM:<bob@example.com>|",
        "RCPT TO:<a@example.net>|",
        "DATA|",
    ]


def test_helo_is_said_to_a_server_that_does_not_know_ehlo(
    smtp: Transport, mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    servers.expect(
        (
            "s: 220 hi",
            "c:",
            "s: 502 what",
            "c:",
            "s: 250 hi",
            "c:",
            "s: 250 ok",
            "c:",
            "s: 250 ok",
            "c:",
            "s: 354 go",
            "d:",
            "s: 250 ok",
            "c:",
        )
    )
    assert deliver(smtp, mail)[0].result is Result.DONE
    smtp.close()
    assert servers.heard()[:2] == ["EHLO mx.example.org|", "HELO mx.example.org|"]


def test_eight_bit_mail_is_announced_where_that_is_offered(
    smtp: Transport, mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    servers.expect(
        (
            "s: 220 hi",
            "c:",
            "s: 250-hi",
            "s: 250-8BITMIME",
            "s: 250 PIPELINING",
            "c:",
            "c:",
            "c:",
            *TAKEN,
            "c:",
        )
    )
    deliver(smtp, replace(mail, is_8bit=True))
    smtp.close()
    assert servers.heard()[1] == "MAIL FROM:<bob@example.com> BODY=8BITMIME|"


REFUSALS = {
    "greeting 4xx": (
        ("s: 421 busy", "eof"),
        Result.DEFER,
        0,
        "SMTP error from remote mail server after initial connection: 421 busy",
        "host",
    ),
    "greeting 5xx": (
        ("s: 554 go away", "eof"),
        Result.FAIL,
        0,
        "SMTP error from remote mail server after initial connection: 554 go away",
        "host",
    ),
    "EHLO 4xx": (
        ("s: 220 hi", "c:", "s: 450-not", "s: 450 now", "c:", "s: 450 never", "eof"),
        Result.DEFER,
        0,
        "SMTP error from remote mail server after HELO mx.example.org: 450 never",
        "host",
    ),
    "EHLO 421": (
        ("s: 220 hi", "c:", "s: 421-not", "s: 421 now", "eof"),
        Result.DEFER,
        0,
        "SMTP error from remote mail server after EHLO mx.example.org: 421-not\\n421 now",
        "host",
    ),
    "closed after HELO": (
        ("s: 220 hi", "c:", "s: 450 no", "c:"),
        Result.DEFER,
        -18,
        "Remote host closed connection in response to HELO mx.example.org "
        "(EHLO response was: 450 no)",
        "host",
    ),
    "an empty line": (
        ("s: ", "eof"),
        Result.DEFER,
        -19,
        "Malformed SMTP reply (an empty line) in response to initial connection",
        "host",
    ),
    "MAIL 4xx": (
        (*PLAIN, "c:", "s: 451 later", "eof"),
        Result.DEFER,
        -45,
        "SMTP error from remote mail server after MAIL FROM:<bob@example.com>: 451 later",
        "message",
    ),
    "MAIL 5xx pipelined": (
        (*PIPELINING, "c:", "c:", "c:", "s: 550 no", "s: 503 no", "s: 503 no", "eof"),
        Result.FAIL,
        0,
        "SMTP error from remote mail server after pipelined MAIL FROM:<bob@example.com> "
        "SIZE=1066: 550 no",
        "message",
    ),
    "RCPT 4xx": (
        (*PLAIN, "c:", "s: 250 ok", "c:", "s: 450 4.2.1 grey", "eof"),
        Result.DEFER,
        -44,
        "SMTP error from remote mail server after RCPT TO:<a@example.net>: 450 4.2.1 grey",
        "",
    ),
    "RCPT 5xx": (
        (*PLAIN, "c:", "s: 250 ok", "c:", "s: 550 unknown", "eof"),
        Result.FAIL,
        0,
        "SMTP error from remote mail server after RCPT TO:<a@example.net>: 550 unknown",
        "",
    ),
    "RCPT 552 is transient": (
        (*PLAIN, "c:", "s: 250 ok", "c:", "s: 552 too many", "eof"),
        Result.DEFER,
        -44,
        "SMTP error from remote mail server after RCPT TO:<a@example.net>: 552 too many",
        "",
    ),
    "DATA 4xx": (
        (*PLAIN, "c:", "s: 250 ok", "c:", "s: 250 ok", "c:", "s: 451 later", "eof"),
        Result.DEFER,
        -46,
        "SMTP error from remote mail server after DATA: 451 later",
        "message",
    ),
    "dot 4xx": (
        (
            *PLAIN,
            "c:",
            "s: 250 ok",
            "c:",
            "s: 250 ok",
            "c:",
            "s: 354 go",
            "d:",
            "s: 452 full",
            "eof",
        ),
        Result.DEFER,
        -46,
        "SMTP error from remote mail server after end of data: 452 full",
        "message",
    ),
    "dot 5xx": (
        (
            *PLAIN,
            "c:",
            "s: 250 ok",
            "c:",
            "s: 250 ok",
            "c:",
            "s: 354 go",
            "d:",
            "s: 554 spam",
            "eof",
        ),
        Result.FAIL,
        0,
        "SMTP error from remote mail server after end of data: 554 spam",
        "message",
    ),
    "closed at once": (
        (),
        Result.DEFER,
        -18,
        "Remote host closed connection in response to initial connection",
        "host",
    ),
    "closed after MAIL": (
        (*PLAIN, "c:"),
        Result.DEFER,
        -18,
        "Remote host closed connection in response to MAIL FROM:<bob@example.com>",
        "host",
    ),
    "closed after the dot": (
        (*PLAIN, "c:", "s: 250 ok", "c:", "s: 250 ok", "c:", "s: 354 go", "d:"),
        Result.DEFER,
        -18,
        "Remote host closed connection in response to end of data",
        "message",
    ),
    "garbage": (
        ("s: SSH-2.0-OpenSSH", "eof"),
        Result.DEFER,
        -19,
        "Malformed SMTP reply in response to initial connection: SSH-2.0-OpenSSH",
        "host",
    ),
    "a code that is none": (
        ("s: 999 hi", "eof"),
        Result.DEFER,
        0,
        "SMTP error from remote mail server after initial connection: 999 hi",
        "host",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_each_refusal_has_its_meaning_and_exims_words(
    smtp: Transport, mail: Parcel, servers: Servers, deliver: Deliver, case: str
) -> None:
    script, result, code, text, blamed = REFUSALS[case]
    servers.expect(script)
    outcome = deliver(smtp, mail)[-1]
    smtp.close()
    assert outcome.result is result
    assert outcome.text == text
    assert outcome.code == code
    assert (outcome.host_error, outcome.message_error) == (
        blamed == "host",
        blamed == "message",
    )
    assert outcome.host_address == "192.0.2.1"


@pytest.mark.parametrize(
    ("script", "text"),
    [
        (("eof",), "SMTP timeout after initial connection"),
        ((*PLAIN, "c:", "eof"), "SMTP timeout after MAIL FROM:<bob@example.com>"),
        (
            (*PLAIN, "c:", "s: 250 ok", "c:", "eof"),
            "SMTP timeout after RCPT TO:<a@example.net>",
        ),
    ],
)
def test_silence_ends_when_the_time_is_up(
    smtp: Transport,
    mail: Parcel,
    servers: Servers,
    deliver: Deliver,
    monkeypatch: pytest.MonkeyPatch,
    script: tuple[str, ...],
    text: str,
) -> None:
    monkeypatch.setattr(smtp, "command_timeout", 0.05)
    servers.expect(script)
    outcome = deliver(smtp, mail)[-1]
    assert (outcome.result, outcome.code) == (Result.DEFER, errno.ETIMEDOUT)
    assert outcome.text == text


def test_silence_after_the_final_dot_says_how_much_was_written(
    smtp: Transport, mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    smtp.__dict__["final_timeout"] = 0.05
    servers.expect((*PIPELINING, "c:", "c:", "c:", *TAKEN[:-1], "eof"))
    outcome = deliver(smtp, mail)[-1]
    assert outcome.text == "SMTP timeout after end of data (45 bytes written)"
    assert outcome.message_error


def test_a_confirmation_of_several_lines_is_shown_as_exim_shows_it(
    smtp: Transport, mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    servers.expect(
        (*PIPELINING, "c:", "c:", "c:", *TAKEN[:-1], "s: 250-x", "s: 250 id=1", "c:")
    )
    assert deliver(smtp, mail)[-1].text == "250-x\\n250 id=1"


def test_a_host_that_refuses_for_good_is_noted_too(
    smtp: Transport, mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    servers.expect(("s: 554 busy", "eof"))
    note, outcome = deliver(smtp, mail)
    assert (note.address, note.result, note.host_error) == ("", Result.DEFER, True)
    assert outcome.result is Result.FAIL


def test_a_recipient_that_the_last_host_defers_needs_no_note(
    smtp: Transport, mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    servers.expect((*PLAIN, "c:", "s: 250 ok", "c:", "s: 450 grey", "c:"))
    assert len(deliver(smtp, mail)) == 1


def test_an_endless_reply_is_cut(
    smtp: Transport, mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    servers.expect(("s: 220-more",) * 300)
    outcome = deliver(smtp, mail)[-1]
    assert outcome.code == -19
    assert outcome.text == ("Malformed SMTP reply in response to initial connection: 220-more")


@pytest.mark.parametrize(
    "answers",
    [
        ("s: 450 no", "s: 250 ok", "s: 354 go"),
        ("s: 550 no", "s: 250 ok", "s: 354 go"),
        ("s: 354 go", "s: 250 ok", "s: 354 go"),
        ("s: 250 ok", "s: 354 go", "s: 354 go"),
        ("s: 099 no", "s: 250 ok", "s: 354 go"),
    ],
)
def test_a_server_out_of_step_gets_no_empty_message(
    smtp: Transport, mail: Parcel, servers: Servers, deliver: Deliver, answers: tuple[str, ...]
) -> None:
    servers.expect((*PIPELINING, "c:", "c:", "c:", *answers, "idle"))
    outcome = deliver(smtp, mail)[-1]
    assert outcome.result is (Result.FAIL if answers[0] == "s: 550 no" else Result.DEFER)
    smtp.close()
    assert servers.heard()[4:] in ([""], ["QUIT|"])


def test_a_refused_recipient_does_not_hold_up_the_others(
    smtp: Transport, mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    servers.expect(
        (
            *PIPELINING,
            *(["c:"] * 5),
            "s: 250 ok",
            "s: 250 ok",
            "s: 550 5.1.1 who",
            "s: 450 busy",
            "s: 354 go",
            "d:",
            "s: 250 taken",
            "c:",
        )
    )
    outcomes = deliver(smtp, replace(mail, recipients=to("a", "b", "c")))
    assert [(each.address, each.result, each.status) for each in outcomes] == [
        ("a@example.net", Result.DONE, ""),
        ("b@example.net", Result.FAIL, "5.1.1"),
        ("c@example.net", Result.DEFER, ""),
    ]
    assert outcomes[1].remote_text == "550 5.1.1 who"


def test_data_sent_ahead_in_vain_is_ended_with_an_empty_message(
    smtp: Transport, mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    servers.expect(
        (
            *PIPELINING,
            "c:",
            "c:",
            "c:",
            "s: 250 ok",
            "s: 550 no",
            "s: 354 go",
            "d:",
            "s: 554 no recipients",
            "c:",
        )
    )
    assert deliver(smtp, mail)[-1].result is Result.FAIL
    smtp.close()
    assert servers.heard()[4:] == [".|", "QUIT|"]


def test_recipients_beyond_max_rcpt_follow_in_another_transaction(
    load: Load, mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    smtp = load("driver = smtp\nmax_rcpt = 2\n")
    servers.expect((*PIPELINING, *["c:"] * 4, "s: 250 ok", *TAKEN, *["c:"] * 3, *TAKEN, "c:"))
    outcomes = deliver(smtp, replace(mail, recipients=to("a", "b", "c")))
    assert [each.result for each in outcomes] == [Result.DONE] * 3
    assert [each.reused for each in outcomes] == [False, False, True]


def test_recipients_that_were_too_many_are_offered_again(
    smtp: Transport, mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    servers.expect(
        (
            *PIPELINING,
            *(["c:"] * 4),
            "s: 250 ok",
            "s: 250 ok",
            "s: 452 too many",
            "s: 354 go",
            "d:",
            "s: 250 first",
            *(["c:"] * 3),
            *TAKEN,
            "c:",
        )
    )
    outcomes = deliver(smtp, replace(mail, recipients=to("a", "b")))
    assert [each.text for each in outcomes] == ["250 first", "250 OK id=1"]


def test_the_next_host_is_tried_and_the_first_is_noted(
    smtp: Transport, mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    refused = OSError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    servers.expect(refused, ALL_OK)
    note, outcome = deliver(smtp, replace(mail, hosts=TWO))
    assert note == Outcome(
        "",
        Result.DEFER,
        "Connection refused",
        code=errno.ECONNREFUSED,
        host="mx.example.net",
        host_address="192.0.2.1",
        port=25,
        host_error=True,
    )
    assert (outcome.result, outcome.host) == (Result.DONE, "backup.example.net")
    assert servers.asked == [("192.0.2.1", 25, ""), ("192.0.2.2", 2525, "")]


def test_a_recipient_that_the_first_host_defers_is_offered_to_the_next(
    smtp: Transport, mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    servers.expect((*PLAIN, "c:", "s: 250 ok", "c:", "s: 450 grey", "c:"), ALL_OK)
    note, outcome = deliver(smtp, replace(mail, hosts=TWO))
    assert (note.address, note.host_error, note.code) == ("", False, -44)
    assert (outcome.result, outcome.host) == (Result.DONE, "backup.example.net")


def test_after_a_loss_behind_the_final_dot_no_other_host_is_asked(
    smtp: Transport, mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    servers.expect((*PIPELINING, "c:", "c:", "c:", *TAKEN[:-1]))
    note, outcome = deliver(smtp, replace(mail, hosts=TWO))
    assert note.message_error
    assert outcome.result is Result.DEFER
    assert len(servers.asked) == 1


def test_no_more_hosts_are_tried_than_the_option_allows(
    load: Load, mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    refused = OSError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    servers.expect(*[refused] * 9)
    hosts = tuple(Host(f"h{n}", f"192.0.2.{n}") for n in range(1, 9))
    smtp = load("driver = smtp\nhosts_max_try = 3\n")
    assert deliver(smtp, replace(mail, hosts=hosts))[-1].result is Result.DEFER
    assert len(servers.asked) == 3


@pytest.mark.parametrize(
    ("expired", "preferences", "tried"),
    [
        # The one at which the limit is reached is followed by the next preference.
        ("", "10 10 10 10 20 20", "h1 h2 h5"),
        ("", "10 10 20 30 30", "h1 h2 h3 h4"),
        # Expired hosts are tried, and not counted.
        ("h1 h2", "10 10 10 10 10", "h1 h2 h3 h4"),
    ],
)
def test_hosts_that_are_expired_or_of_another_preference_are_not_counted(
    load: Callable[[str], Transport],
    mail: Parcel,
    servers: Servers,
    deliver: Deliver,
    expired: str,
    preferences: str,
    tried: str,
) -> None:
    refused = OSError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    servers.expect(*[refused] * 9)
    hosts = tuple(
        Host(f"h{n}", f"192.0.2.{n}", 0, int(preference), f"h{n}" in expired.split(" "))
        for n, preference in enumerate(preferences.split(" "), 1)
    )
    smtp = load("driver = smtp\nhosts_max_try = 2\n")
    outcomes = deliver(smtp, replace(mail, hosts=hosts))
    assert [each.host for each in outcomes[:-1]] == tried.split(" ")


def test_the_hard_limit_counts_expired_hosts_too(
    load: Callable[[str], Transport], mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    refused = OSError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    servers.expect(*[refused] * 9)
    hosts = tuple(Host(f"h{n}", f"192.0.2.{n}", expired=True) for n in range(1, 9))
    smtp = load("driver = smtp\nhosts_max_try_hardlimit = 4\n")
    deliver(smtp, replace(mail, hosts=hosts))
    assert len(servers.asked) == 4


def test_a_connection_is_used_for_the_next_message(
    smtp: Transport, mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    servers.expect((*PIPELINING, "c:", "c:", "c:", *TAKEN, "c:", "c:", "c:", *TAKEN, "c:"))
    first = deliver(smtp, mail)[-1]
    second = deliver(smtp, mail)[-1]
    smtp.close()
    assert (first.reused, second.reused) == (False, True)
    assert len(servers.asked) == 1
    assert [line[:4] for line in servers.heard()] == [
        "EHLO", "MAIL", "RCPT", "DATA", "Subj", "MAIL", "RCPT", "DATA", "Subj", "QUIT",
    ]  # fmt: skip


def test_after_a_transaction_without_data_the_next_begins_with_rset(
    smtp: Transport, mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    servers.expect(
        (
            *PIPELINING,
            "c:",
            "c:",
            "c:",
            "s: 250 ok",
            "s: 550 no",
            "s: 503 no",
            "c:",
            "c:",
            "c:",
            "c:",
            "s: 250 reset",
            *TAKEN,
            "c:",
        )
    )
    assert deliver(smtp, mail)[-1].result is Result.FAIL
    assert deliver(smtp, mail)[-1].result is Result.DONE
    smtp.close()
    assert servers.heard()[4] == "RSET|"


@pytest.mark.parametrize(
    "ending",
    [
        (),
        ("c:", "c:", "c:"),
        ("c:", "c:", "c:", "s: 421 bye"),
        ("c:", "c:", "c:", "s: 452 enough mail", "s: 503", "s: 503"),
        ("c:", "c:", "c:", "s: 250 ok", "s: 421 bye"),
        ("c:", "c:", "c:", "s: 250 ok", "s: 250 ok"),
    ],
)
def test_a_kept_connection_that_is_dead_is_replaced_without_a_word(
    smtp: Transport,
    mail: Parcel,
    servers: Servers,
    deliver: Deliver,
    ending: tuple[str, ...],
) -> None:
    servers.expect((*PIPELINING, "c:", "c:", "c:", *TAKEN, *ending), ALL_OK)
    deliver(smtp, mail)
    if not ending:
        os.waitpid(servers.children[0], 0)
    (outcome,) = deliver(smtp, mail)
    assert (outcome.result, outcome.reused) == (Result.DONE, False)
    assert len(servers.asked) == 2


def test_a_kept_connection_that_dies_behind_the_final_dot_is_not_tried_again(
    smtp: Transport, mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    servers.expect((*PIPELINING, "c:", "c:", "c:", *TAKEN, "c:", "c:", "c:", *TAKEN[:-1]))
    deliver(smtp, mail)
    assert deliver(smtp, mail)[-1].result is Result.DEFER
    assert len(servers.asked) == 1


def test_a_connection_carries_no_more_messages_than_it_may(
    load: Load, mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    smtp = load("driver = smtp\nconnection_max_messages = 1\n")
    servers.expect(ALL_OK, ALL_OK)
    deliver(smtp, mail)
    deliver(smtp, mail)
    assert len(servers.asked) == 2


def test_a_connection_elsewhere_is_closed_before_another_is_made(
    smtp: Transport, mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    servers.expect(ALL_OK, ALL_OK)
    deliver(smtp, mail)
    deliver(smtp, replace(mail, hosts=(Host("other", "192.0.2.9"),)))
    assert servers.heard(0)[-1] == "QUIT|"
    assert [address for address, _, _ in servers.asked] == ["192.0.2.1", "192.0.2.9"]


def test_hosts_ports_and_interfaces_come_from_the_options(
    load: Load, mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    refused = OSError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    servers.expect(refused, refused, refused)
    smtp = load(
        "driver = smtp\nhosts = <; 192.0.2.1 ; [2001:db8::1]:2525 ; 192.0.2.3:26\n"
        "port = 587\ninterface = <; 127.0.0.1 ; ::1\nallow_localhost\n"
    )
    deliver(smtp, replace(mail, hosts=()))
    assert servers.asked == [
        ("192.0.2.1", 587, "127.0.0.1"),
        ("2001:db8::1", 2525, "::1"),
        ("192.0.2.3", 26, "127.0.0.1"),
    ]


def test_this_host_is_no_target_of_its_own_unless_that_is_allowed(
    load: Load, mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    smtp = load("driver = smtp\nhosts = 127.0.0.1\n")
    outcome = deliver(smtp, replace(mail, hosts=()))[-1]
    assert outcome.text == "t1 transport found host 127.0.0.1 to be local"
    servers.expect(ALL_OK)
    smtp = load("driver = smtp\nhosts = 127.0.0.1\nallow_localhost\n")
    assert deliver(smtp, replace(mail, hosts=()))[-1].result is Result.DONE


def test_without_any_host_the_message_waits(
    smtp: Transport, mail: Parcel, deliver: Deliver
) -> None:
    (outcome,) = deliver(smtp, replace(mail, hosts=()))
    assert outcome.result is Result.DEFER
    assert outcome.text == "t1 transport called with no hosts set"


Finds = Callable[..., tuple[list[str], str, bool]]


def finding(monkeypatch: pytest.MonkeyPatch, finds: Finds) -> None:
    """Let hosts be found like this."""
    monkeypatch.setattr("mta.match.search.addresses_for", finds)


@pytest.mark.parametrize(
    ("why", "told"),
    [("", ""), ("lookup of A for nowhere: no answer", ": lookup of A for nowhere: no answer")],
)
def test_a_host_without_addresses_defers(
    smtp: Transport,
    mail: Parcel,
    deliver: Deliver,
    monkeypatch: pytest.MonkeyPatch,
    why: str,
    told: str,
) -> None:
    finding(monkeypatch, lambda *what: ([], why, False))
    note, outcome = deliver(smtp, replace(mail, hosts=(Host("nowhere"),)))
    assert note.host_error
    assert outcome.result is Result.DEFER
    assert outcome.text == f"failed to lookup IP address for nowhere{told}"


def test_a_resolver_that_cannot_be_asked_defers(
    smtp: Transport, mail: Parcel, deliver: Deliver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*what: object) -> tuple[list[str], str, bool]:
        raise TempFail("bad dns_servers")

    finding(monkeypatch, fail)
    outcome = deliver(smtp, replace(mail, hosts=(Host("mx"),)))[-1]
    assert outcome.text == "failed to lookup IP address for mx: bad dns_servers"


def test_all_addresses_of_a_host_are_tried_in_order(
    smtp: Transport,
    mail: Parcel,
    servers: Servers,
    deliver: Deliver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    finding(monkeypatch, lambda *what: (["2001:db8::1", "192.0.2.1"], "", False))
    servers.expect(OSError(errno.ENETUNREACH, "Network is unreachable"), ALL_OK)
    deliver(smtp, replace(mail, hosts=(Host("mx"),)))
    assert [address for address, _, _ in servers.asked] == ["2001:db8::1", "192.0.2.1"]


@pytest.mark.parametrize(("option", "way"), [("", Way.EITHER), ("gethostbyname", Way.NAME)])
def test_a_name_among_its_own_hosts_is_looked_up(
    load: Load,
    mail: Parcel,
    servers: Servers,
    deliver: Deliver,
    monkeypatch: pytest.MonkeyPatch,
    option: str,
    way: Way,
) -> None:
    asked: list[tuple[str, Way]] = []

    def find(ctx: object, name: str, rules: object, how: Way) -> tuple[list[str], str, bool]:
        asked.append((name, how))
        return ["192.0.2.1"], "", False

    finding(monkeypatch, find)
    servers.expect(ALL_OK)
    smtp = load(f"driver = smtp\nhosts = relay.example::26\n{option}\n")
    deliver(smtp, replace(mail, hosts=()))
    assert asked == [("relay.example", way)]
    assert servers.asked == [("192.0.2.1", 26, "")]


@pytest.mark.parametrize(
    ("option", "first"), [("", "192.0.2.1"), ("hosts_override", "192.0.2.9")]
)
def test_its_own_hosts_may_count_more_than_the_routers(
    load: Load, mail: Parcel, servers: Servers, deliver: Deliver, option: str, first: str
) -> None:
    servers.expect(ALL_OK)
    smtp = load(f"driver = smtp\nhosts = 192.0.2.9\n{option}\n")
    deliver(smtp, mail)
    assert [address for address, _, _ in servers.asked] == [first]


@pytest.mark.parametrize("bad", ["a\r\nRCPT TO:<x@y>", "a\nb", "a\0b", "a>b"])
def test_no_address_can_smuggle_a_command(
    smtp: Transport, mail: Parcel, servers: Servers, deliver: Deliver, bad: str
) -> None:
    servers.expect(ALL_OK)
    evil = ParcelRecipient(f"{bad}@example.net", "", bad, "example.net")
    outcomes = deliver(smtp, replace(mail, recipients=(evil, *to("a"))))
    assert [each.result for each in outcomes] == [Result.FAIL, Result.DONE]
    smtp.close()
    assert len(servers.heard()) == 6
    assert deliver(smtp, replace(mail, sender=bad))[0].result is Result.FAIL


def test_prefixes_and_suffixes_are_dropped_unless_they_are_wanted(
    smtp: Transport, mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    servers.expect(ALL_OK)
    tagged = ParcelRecipient("a+tag@Example.net", "", "a", "example.net", suffix="+tag")
    deliver(smtp, replace(mail, recipients=(tagged,)))
    smtp.close()
    assert servers.heard()[2] == "RCPT TO:<a@Example.net>|"


def test_a_spool_that_cannot_be_read_never_ends_in_a_message_cut_short(
    smtp: Transport, mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    servers.expect((*PIPELINING, "c:", "c:", "c:", *TAKEN[:3], "eof"))
    outcome = deliver(smtp, replace(mail, body_size=900_000))[0]
    assert outcome.result is Result.DEFER
    assert outcome.text == "the spool file is shorter than it was"
    assert "." not in servers.heard()[4].split("|")


# Delivery status notifications: RFC 3461 5.2.

KNOWS_DSN = ("s: 220 mx", "c:", "s: 250-mx", "s: 250-PIPELINING", "s: 250 DSN")


def wishing(flags: int, orcpt: str = "", origin: str = "") -> ParcelRecipient:
    (recipient,) = to("a")
    return replace(recipient, dsn_flags=flags, orcpt=orcpt, origin=origin or recipient.address)


def said(
    smtp: Transport,
    parcel: Parcel,
    servers: Servers,
    deliver: Deliver,
    greeting: tuple[str, ...] = KNOWS_DSN,
) -> tuple[list[str], Outcome]:
    """What MAIL and RCPT said, and the outcome."""
    servers.expect((*greeting, "c:", "c:", "c:", *TAKEN, "c:"))
    (outcome,) = deliver(smtp, parcel)
    smtp.close()
    return [line.rstrip("|") for line in servers.heard()[1:3]], outcome


def test_a_server_that_knows_dsn_is_told_the_wishes(
    smtp: Transport, mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    wished = (wishing(0x1C, "rfc822;o+40x"),)
    parcel = replace(mail, recipients=wished, dsn_envid="e+2B1", dsn_ret="hdrs")
    commands, outcome = said(smtp, parcel, servers, deliver)
    assert commands == [
        "MAIL FROM:<bob@example.com> RET=HDRS ENVID=e+2B1",
        "RCPT TO:<a@example.net> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;o+40x",
    ]
    assert outcome.is_dsn_relayed


def test_one_that_does_not_is_told_nothing(
    smtp: Transport, mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    wished = (wishing(0x02, "rfc822;o"),)
    parcel = replace(mail, recipients=wished, dsn_envid="e", dsn_ret="full")
    greeting = ("s: 220 mx", "c:", "s: 250-mx", "s: 250 PIPELINING")
    commands, outcome = said(smtp, parcel, servers, deliver, greeting)
    assert commands == ["MAIL FROM:<bob@example.com>", "RCPT TO:<a@example.net>"]
    assert not outcome.is_dsn_relayed


@pytest.mark.parametrize(
    ("recipient", "words"),
    [
        (wishing(0), ""),
        (wishing(0, "rfc822;o"), " ORCPT=rfc822;o"),
        (wishing(0, origin="l+x@example.org"), ""),
        (wishing(2, origin="l+x@example.org"), " NOTIFY=NEVER"),
        (
            wishing(8, origin="l+x@example.org"),
            " NOTIFY=FAILURE ORCPT=rfc822;l+2Bx@example.org",
        ),
        (wishing(8, "rfc822;o", "l@example.org"), " NOTIFY=FAILURE ORCPT=rfc822;o"),
        (wishing(8, origin="A@Example.NET"), " NOTIFY=FAILURE"),
        (wishing(8 | 1, "rfc822;o"), ""),  # dsn_lasthop
        (wishing(8, "rfc822;o SIZE=1"), " NOTIFY=FAILURE"),
        (wishing(8, "rfc822;o\r\nRSET"), " NOTIFY=FAILURE"),
    ],
)
def test_what_is_said_of_a_recipient(
    smtp: Transport,
    mail: Parcel,
    servers: Servers,
    deliver: Deliver,
    recipient: ParcelRecipient,
    words: str,
) -> None:
    parcel = replace(mail, recipients=(recipient,))
    commands, _ = said(smtp, parcel, servers, deliver)
    assert commands[1] == f"RCPT TO:<a@example.net>{words}"


@pytest.mark.parametrize(
    ("envid", "ret", "words"),
    [
        ("", "", ""),
        ("e", "full", " RET=FULL ENVID=e"),
        ("e x", "all", ""),
        ("e\r\nRSET", "hdrs", " RET=HDRS"),
    ],
)
def test_what_is_said_of_the_message(
    smtp: Transport,
    mail: Parcel,
    servers: Servers,
    deliver: Deliver,
    envid: str,
    ret: str,
    words: str,
) -> None:
    parcel = replace(mail, dsn_envid=envid, dsn_ret=ret)
    commands, _ = said(smtp, parcel, servers, deliver)
    assert commands[0] == f"MAIL FROM:<bob@example.com>{words}"


def test_behind_the_last_hop_nothing_is_said_of_the_message_either(
    smtp: Transport, mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    parcel = replace(mail, recipients=(wishing(4 | 1),), dsn_envid="e", dsn_ret="full")
    commands, _ = said(smtp, parcel, servers, deliver)
    assert commands[0] == "MAIL FROM:<bob@example.com>"
