"""Tests of LMTP: an answer for each recipient, and what is true where one is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mta.base.errors import ConfigError
from mta.route.api import Host
from mta.transport.api import Outcome, Parcel, Result
from mta.transport.engine import Transport
from tests.unit.transport.conftest import ALICE
from tests.unit.transport.scripted import Servers

Load = Callable[[str], Transport]
MakeParcel = Callable[..., Parcel]
Deliver = Callable[[Transport, Parcel], list[Outcome]]
Talk = Callable[..., list[tuple[Result, str, int]]]

BOB = replace(ALICE, address="bob@example.org", local_part="bob")
CAROL = replace(ALICE, address="carol@example.org", local_part="carol")
START = ("s: 220 store LMTP", "c:")
LHLO = (*START, "s: 250-store", "s: 250-PIPELINING", "s: 250 IGNOREQUOTA", "c:")
THREE = (*LHLO, "s: 250 ok", "c:", "s: 250 ok", "c:", "s: 250 ok", "c:", "s: 250 ok", "c:")
SENT = (*THREE, "s: 354 go on", "d:")
FULL = "452 4.2.2 mailbox full"


@pytest.fixture
def lmtp(load: Load, tmp_path: Path) -> Transport:
    return load(
        f"driver = lmtp\nsocket = {tmp_path}/lmtp.sock\nbatch_max = 10\ntimeout = 1s\n"
    )


@pytest.fixture
def talk(
    lmtp: Transport, servers: Servers, deliver: Deliver, parcel: MakeParcel, tmp_path: Path
) -> Talk:
    """What becomes of three recipients with a server that follows this script."""

    def run(*script: str, transport: Transport = lmtp) -> list[tuple[Result, str, int]]:
        servers.listen(tmp_path / "lmtp.sock", script)
        outcomes = deliver(transport, parcel(recipients=(ALICE, BOB, CAROL)))
        assert [each.address for each in outcomes] == [
            "alice@example.org",
            "bob@example.org",
            "carol@example.org",
        ]
        return [(each.result, each.text, each.code) for each in outcomes]

    return run


def test_each_recipient_gets_its_own_answer(talk: Talk, servers: Servers) -> None:
    script = (*SENT, "s: 250-one", "s: 250 more", f"s: {FULL}", "s: 552 5.2.2 never", "c:")
    assert talk(*script) == [
        (Result.DONE, "250-one\\n250 more", 0),
        (Result.DEFER, f"LMTP error after end of data: {FULL}", -46),
        (Result.FAIL, "LMTP error after end of data: 552 5.2.2 never", 0),
    ]
    assert servers.heard() == [
        "LHLO mx.example.org|",
        "MAIL FROM:<bob@example.com>|",
        "RCPT TO:<alice@example.org>|",
        "RCPT TO:<bob@example.org>|",
        "RCPT TO:<carol@example.org>|",
        "DATA|",
        "Subject: hi|Bcc: c@example.net||hello|.|",
        "QUIT|",
    ]


def test_only_those_who_were_taken_are_answered_for(talk: Talk) -> None:
    script = (*LHLO, "s: 250 ok", "c:", "s: 550 5.1.1 no", "c:", "s: 250 ok", "c:")
    script += ("s: 451 4.1.1 later", "c:", "s: 354 go on", "d:", "s: 250 bob's", "c:")
    assert talk(*script) == [
        (Result.FAIL, "LMTP error after RCPT TO:<alice@example.org>: 550 5.1.1 no", 0),
        (Result.DONE, "250 bob's", 0),
        (Result.DEFER, "LMTP error after RCPT TO:<carol@example.org>: 451 4.1.1 later", -44),
    ]


def test_nobody_taken_means_no_message(talk: Talk, servers: Servers) -> None:
    script = (
        *LHLO,
        "s: 250 ok",
        "c:",
        "s: 550 no",
        "c:",
        "s: 550 no",
        "c:",
        "s: 550 no",
        "c:",
    )
    assert {result for result, _, _ in talk(*script)} == {Result.FAIL}
    assert servers.heard()[-1] == "QUIT|"


@pytest.mark.parametrize(
    ("after_dot", "text", "code"),
    [
        ((), "LMTP connection closed after end of data", -1),
        (("s: nonsense",), "Malformed LMTP response after end of data: nonsense", -19),
        (("idle",), "LMTP timeout after end of data", -1),
    ],
)
def test_who_was_answered_before_a_loss_has_it_and_the_others_wait(
    talk: Talk, after_dot: tuple[str, ...], text: str, code: int
) -> None:
    assert talk(*SENT, "s: 250 one", *after_dot) == [
        (Result.DONE, "250 one", 0),
        (Result.DEFER, text, code),
        (Result.DEFER, text, code),
    ]


@pytest.mark.parametrize(
    ("script", "result", "text", "code"),
    [
        (("s: 554 no",), Result.FAIL, "LMTP error after initial connection: 554 no", 0),
        (("s: 421 no",), Result.DEFER, "LMTP error after initial connection: 421 no", -1),
        ((), Result.DEFER, "LMTP connection closed after initial connection", -1),
        (
            ("s: hello",),
            Result.DEFER,
            "Malformed LMTP response after initial connection: hello",
            -19,
        ),
        (
            (*START, "s: 500 what"),
            Result.FAIL,
            "LMTP error after LHLO mx.example.org: 500 what",
            0,
        ),
        (
            (*LHLO, "s: 451 no"),
            Result.DEFER,
            "LMTP error after MAIL FROM:<bob@example.com>: 451 no",
            -45,
        ),
        (
            (*LHLO, "s: 250 ok", "c:", "s: 250 ok", "c:"),
            Result.DEFER,
            "LMTP connection closed after RCPT TO:<bob@example.org>",
            -1,
        ),
        ((*THREE, "s: 550 no"), Result.FAIL, "LMTP error after DATA: 550 no", 0),
        ((*THREE, "s: 451 no"), Result.DEFER, "LMTP error after DATA: 451 no", -46),
        (THREE, Result.DEFER, "LMTP connection closed after DATA", -1),
    ],
)
def test_what_goes_wrong_before_the_dot_is_true_of_all(
    talk: Talk, script: tuple[str, ...], result: Result, text: str, code: int
) -> None:
    assert talk(*script) == [(result, text, code)] * 3


@pytest.mark.parametrize(("extension", "said"), [("IGNOREQUOTA", " IGNOREQUOTA"), ("X", "")])
def test_quotas_are_ignored_by_who_can_do_that(
    load: Load, talk: Talk, servers: Servers, tmp_path: Path, extension: str, said: str
) -> None:
    transport = load(f"driver = lmtp\nsocket = {tmp_path}/lmtp.sock\nignore_quota\n")
    script = tuple(step.replace("IGNOREQUOTA", extension) for step in SENT)
    talk(*script, "s: 250 a", "s: 250 b", "s: 250 c", "c:", transport=transport)
    assert servers.heard()[2] == f"RCPT TO:<alice@example.org>{said}|"


def test_where_nobody_listens_all_wait(
    lmtp: Transport, deliver: Deliver, parcel: MakeParcel, tmp_path: Path
) -> None:
    (outcome,) = deliver(lmtp, parcel())
    assert (outcome.result, outcome.code, outcome.text) == (
        Result.DEFER,
        -1,
        f"Failed to connect to socket {tmp_path}/lmtp.sock for t1 transport:"
        " No such file or directory",
    )


def test_strangers_name_no_socket(load: Load, deliver: Deliver, parcel: MakeParcel) -> None:
    (outcome,) = deliver(load("driver = lmtp\nsocket = /run/$local_part\n"), parcel())
    assert outcome.result is Result.DEFER
    assert outcome.text.startswith("Tainted '/run/alice'")


def test_a_socket_may_have_a_long_path(
    load: Load, servers: Servers, deliver: Deliver, parcel: MakeParcel, tmp_path: Path
) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    near = tmp_path / "near"
    near.symlink_to(deep)
    script = (
        *LHLO,
        "s: 250 ok",
        "c:",
        "s: 250 ok",
        "c:",
        "s: 354 go",
        "d:",
        "s: 250 in",
        "c:",
    )
    servers.listen(near / "s", script)
    (outcome,) = deliver(load(f"driver = lmtp\nsocket = {deep}/s\n"), parcel())
    assert (outcome.result, outcome.text) == (Result.DONE, "250 in")


STORE = """
echo 220 store; read a; echo 250 store; read a; echo 250 ok; read a; echo 250 ok; read a
echo 354 go; while read a; do case $a in .*) break;; esac; done; echo 250 kept; read a; exit 3
"""


def test_a_program_may_be_the_store(
    load: Load, deliver: Deliver, parcel: MakeParcel, tmp_path: Path
) -> None:
    script = tmp_path / "store"
    script.write_text(STORE)
    transport = load(f"driver = lmtp\ncommand = /bin/sh {script}\n")
    (outcome,) = deliver(transport, parcel())
    assert (outcome.result, outcome.text) == (Result.DONE, "250 kept")


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("/bin/false", "LMTP connection closed after initial connection"),
        (
            "/nonexistent",
            "Failed to run /nonexistent for t1 transport: No such file or directory",
        ),
    ],
)
def test_a_program_that_is_no_store_defers(
    load: Load, deliver: Deliver, parcel: MakeParcel, command: str, text: str
) -> None:
    (outcome,) = deliver(load(f"driver = lmtp\ncommand = {command}\n"), parcel())
    assert (outcome.result, outcome.text, outcome.code) == (Result.DEFER, text, -1)


@pytest.mark.parametrize("options", ["", "socket = /a\ncommand = /b\n"])
def test_it_is_a_socket_or_a_command(load: Load, options: str) -> None:
    with pytest.raises(ConfigError, match=r"one \(and only one\) of command or socket"):
        load(f"driver = lmtp\n{options}")


# ---- protocol = lmtp of the smtp transport

REMOTE = (Host("store.example.net", "192.0.2.1"),)
GREETED = (*START, "s: 250-store", "s: 250-PIPELINING", "s: 250 IGNOREQUOTA")
AHEAD = (*GREETED, "c:", "c:", "c:", "c:", "c:", *(("s: 250 ok",) * 4), "s: 354 go", "d:")


@pytest.fixture
def over_tcp(
    load: Load, servers: Servers, deliver: Deliver, parcel: MakeParcel
) -> Callable[..., list[Outcome]]:
    """All outcomes of a delivery to three recipients, notes about hosts as well."""

    def run(*script: str, options: str = "") -> list[Outcome]:
        servers.expect(script)
        transport = load(f"driver = smtp\nprotocol = lmtp\nfinal_timeout = 1s\n{options}")
        people = (ALICE, BOB, CAROL)
        outcomes = deliver(transport, parcel(hosts=REMOTE, recipients=people))
        transport.close()
        return outcomes

    return run


def said(outcomes: list[Outcome]) -> list[tuple[str, Result, str, int]]:
    names = [each.address.partition("@")[0] for each in outcomes]
    return [(n, o.result, o.text, o.code) for n, o in zip(names, outcomes, strict=True)]


def test_over_tcp_each_recipient_gets_its_own_answer(
    over_tcp: Callable[..., list[Outcome]], servers: Servers
) -> None:
    script = (*AHEAD, "s: 250 one", "s: 552 5.2.2 never", f"s: {FULL}", "c:")
    assert said(over_tcp(*script)) == [
        ("alice", Result.DONE, "250 one", 0),
        ("bob", Result.FAIL, "LMTP error after DATA: 552 5.2.2 never", 0),
        ("carol", Result.DEFER, f"LMTP error after DATA: {FULL}", 0),
    ]
    heard = servers.heard()
    assert (heard[0], heard[-1]) == ("LHLO mx.example.org|", "QUIT|")
    assert servers.asked == [("192.0.2.1", 24, "")]


def test_over_tcp_a_loss_spares_those_who_were_answered(
    over_tcp: Callable[..., list[Outcome]],
) -> None:
    lost = "Remote host closed connection in response to end of data"
    assert said(over_tcp(*AHEAD, "s: 250 one")) == [
        ("", Result.DEFER, lost, -18),
        ("alice", Result.DONE, "250 one", 0),
        ("bob", Result.DEFER, lost, -18),
        ("carol", Result.DEFER, lost, -18),
    ]


def test_over_tcp_quotas_are_ignored_by_who_can_do_that(
    over_tcp: Callable[..., list[Outcome]], servers: Servers
) -> None:
    script = (*AHEAD, "s: 250 a", "s: 250 b", "s: 250 c", "c:")
    over_tcp(*script, options="lmtp_ignore_quota\n")
    assert servers.heard()[2] == "RCPT TO:<alice@example.org> IGNOREQUOTA|"


def test_a_server_that_does_not_know_lhlo_is_not_asked_for_helo(
    over_tcp: Callable[..., list[Outcome]], servers: Servers
) -> None:
    outcomes = over_tcp(*START, "s: 500 what", "c:")
    text = "SMTP error from remote mail server after LHLO mx.example.org: 500 what"
    assert {each.text for each in outcomes} == {text}
    assert servers.heard() == ["LHLO mx.example.org|", "QUIT|"]


def test_only_known_protocols_are_spoken(load: Load) -> None:
    with pytest.raises(ConfigError, match='protocol "uucp" is not'):
        load("driver = smtp\nprotocol = uucp\n")
