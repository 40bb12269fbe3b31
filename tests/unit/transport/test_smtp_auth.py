"""Tests of telling a server who we are: what is sent, what answers mean, what is logged."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable

import pytest

from mta.base.errors import ConfigError
from mta.transport.api import Outcome, Parcel, Result
from mta.transport.engine import Transport, load_transports
from tests.unit.transport.conftest import configuration
from tests.unit.transport.scripted import GREETING, Servers
from tests.unit.transport.test_smtp import ONE, TWO, to

MakeParcel = Callable[..., Parcel]
Deliver = Callable[[Transport, Parcel], list[Outcome]]
Together = Callable[[Transport, list[Parcel]], list[list[Outcome]]]

SECRET = "pa^^ss"
CREDENTIALS = b64encode(b"\0user\0pa^ss").decode()
OFFER = (*GREETING, "s: 250-mx.example.net", "s: 250-AUTH LOGIN PLAIN", "s: 250 8BITMIME")
MAIL = (
    *("c:", "s: 250 ok", "c:", "s: 250 ok", "c:", "s: 354 go", "d:", "s: 250 ok"),
    "c:",
)
HERE = "H=mx.example.net [192.0.2.1]"


def smtp(options: str, authenticators: str = "") -> Transport:
    text = (
        "primary_hostname = mx.example.org\nbegin transports\nt1:\ndriver = smtp\n"
        f"command_timeout = 2s\nfinal_timeout = 2s\n{options}\nbegin authenticators\n"
    )
    usual = (
        f"plain:\ndriver = plaintext\npublic_name = PLAIN\nclient_send = ^user^{SECRET}\n"
        "client_set_id = user at $host\n"
        "login:\ndriver = plaintext\npublic_name = LOGIN\nclient_send = : user : $auth1-word\n"
    )
    return load_transports(configuration(text + (authenticators or usual)))["t1"]


@pytest.fixture
def mail(parcel: MakeParcel) -> Parcel:
    return parcel(hosts=ONE, recipients=to("a"))


def test_the_first_authenticator_that_the_server_offers_is_used(
    mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    servers.expect((*OFFER, "c:", "s: 235 welcome", *MAIL))
    transport = smtp("hosts_try_auth = *")
    [outcome] = deliver(transport, mail)
    transport.close()
    assert (outcome.result, outcome.authenticated) == (
        Result.DONE,
        "plain:user at mx.example.net",
    )
    assert servers.heard()[1] == f"AUTH PLAIN {CREDENTIALS}|"


def test_login_answers_prompts_which_it_can_use(
    mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    servers.expect(
        (
            *(*OFFER, "c:", "s: 535 no", "c:", "s: 334 VXNlcm5hbWU6", "c:"),
            *("s: 334 UGFzc3dvcmQ6", "c:", "s: 235 yes", *MAIL),
        )
    )
    transport = smtp("hosts_require_auth = 192.0.2.1")
    note, outcome = deliver(transport, mail)
    transport.close()
    assert servers.heard()[2:5] == [
        "AUTH LOGIN|",
        f"{b64encode(b'user').decode()}|",
        f"{b64encode(b'Username:-word').decode()}|",
    ]
    assert outcome.authenticated == "login"
    assert note == Outcome("", Result.DONE, f"plain authenticator failed {HERE} 535 no")


def test_a_server_of_hosts_try_auth_gets_the_message_all_the_same(
    mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    servers.expect((*OFFER, "c:", "s: 535 no", "c:", "s: 504 nor that", *MAIL))
    transport = smtp("hosts_try_auth = *")
    *notes, outcome = deliver(transport, mail)
    transport.close()
    assert (outcome.result, outcome.authenticated) == (Result.DONE, "")
    assert [note.text for note in notes] == [
        f"plain authenticator failed {HERE} 535 no",
        f"login authenticator failed {HERE} 504 nor that",
    ]


@pytest.mark.parametrize(
    ("offer", "more", "why"),
    [
        ("", (), "server did not advertise AUTH support"),
        ("s: 250-AUTH GSSAPI", (), "no common mechanisms were found"),
        (
            "s: 250-AUTH PLAIN",
            ("c:", "s: 535 no"),
            "authentication attempt(s) failed",
        ),
    ],
)
def test_one_of_hosts_require_auth_does_not_and_the_next_is_asked(
    offer: str,
    more: tuple[str, ...],
    why: str,
    parcel: MakeParcel,
    servers: Servers,
    deliver: Deliver,
) -> None:
    refusing = (
        *GREETING,
        "s: 250-mx",
        *((offer,) if offer else ()),
        "s: 250 SIZE",
        *more,
        "c:",
    )
    servers.expect(refusing, (*OFFER, "c:", "s: 235 yes", *MAIL))
    transport = smtp("hosts_require_auth = *")
    *notes, outcome = deliver(transport, parcel(hosts=TWO, recipients=to("a")))
    transport.close()
    assert outcome.result is Result.DONE
    assert outcome.host == "backup.example.net"
    assert notes[-1].text == f"authentication required but {why}"
    assert (notes[-1].code, notes[-1].host_error) == (-42, True)
    assert servers.heard()[-1] == "QUIT|"


def test_a_server_that_cannot_say_now_is_tried_later(
    mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    servers.expect((*OFFER, "c:", "s: 454 4.7.0 later", "c:"))
    note, outcome = deliver(smtp("hosts_try_auth = *"), mail)
    assert outcome.result is Result.DEFER
    stars = "*" * 16
    assert note.text == (
        f"SMTP error from remote mail server after AUTH PLAIN {stars}: 454 4.7.0 later"
    )
    assert note.host_error


def test_a_server_that_goes_away_is_tried_later(
    mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    servers.expect((*OFFER, "c:"))
    note, outcome = deliver(smtp("hosts_try_auth = *"), mail)
    assert outcome.result is Result.DEFER
    stars = "*" * 16
    assert note.text == f"Remote host closed connection in response to AUTH PLAIN {stars}"


@pytest.mark.parametrize("challenge", ["334 !!!", "334 ="])
def test_a_challenge_that_is_no_base_64_ends_the_exchange(
    challenge: str, mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    servers.expect(
        (*OFFER, "c:", f"s: {challenge}", "c:", "s: 501 ok", "c:", "s: 535 no", *MAIL)
    )
    transport = smtp("hosts_try_auth = *")
    notes = deliver(transport, mail)
    transport.close()
    assert servers.heard()[2] == "*|"
    assert notes[0].text.startswith(f"plain authenticator cancelled authentication {HERE}")
    assert notes[-1].result is Result.DONE


def test_a_server_that_asks_for_more_than_there_is_gets_no_more(
    mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    servers.expect(
        (*OFFER, "c:", "s: 334 bW9yZQ==", "c:", "s: 501 ok", "c:", "s: 535 no", *MAIL)
    )
    transport = smtp("hosts_try_auth = *")
    notes = deliver(transport, mail)
    transport.close()
    assert servers.heard()[2] == "*|"
    assert notes[0].text == (
        f"plain authenticator cancelled authentication {HERE}"
        " Too few items in client_send in plain authenticator"
    )


@pytest.mark.parametrize(
    "said",
    [
        f"s: 535 not {CREDENTIALS} nor pa^ss",
        f"s: 454 not {CREDENTIALS} nor pa^ss",
        f"s: 334 {CREDENTIALS}!pa^ss",
        f"s: what {CREDENTIALS} pa^ss",
    ],
)
def test_a_password_that_the_server_says_again_is_in_no_text(
    said: str, mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    servers.expect((*OFFER, "c:", said, "c:", "s: 535 no", "c:", "s: 535 no", *MAIL))
    transport = smtp("hosts_try_auth = *")
    outcomes = deliver(transport, mail)
    transport.close()
    shown = repr(outcomes)
    assert "pa^ss" not in shown
    assert CREDENTIALS not in shown
    assert outcomes[0].text != ""


def test_an_expansion_that_fails_does_not_show_what_was_to_be_sent(
    mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    servers.expect((*OFFER, "c:"))
    made = smtp(
        "hosts_require_auth = *",
        "plain:\ndriver = plaintext\npublic_name = PLAIN\n"
        "client_send = ^user^Secret${lookup{x}lsearch{/no/such/file}}\n",
    )
    [outcome] = deliver(made, mail)
    assert outcome.result is Result.DEFER
    assert outcome.code == -48
    assert "/no/such/file" in outcome.text
    assert "Secret" not in outcome.text


def test_forced_failure_and_client_condition_skip_an_authenticator(
    mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    servers.expect((*OFFER, *MAIL))
    made = smtp(
        "hosts_try_auth = *",
        "plain:\ndriver = plaintext\npublic_name = PLAIN\n"
        "client_send = ^user^${if eq{a}{b}{x}fail}\n"
        "login:\ndriver = plaintext\npublic_name = LOGIN\nclient_send = : x : y\n"
        "client_condition = ${if !eq{$tls_out_cipher}{}}\n",
    )
    [outcome] = deliver(made, mail)
    made.close()
    assert outcome.result is Result.DONE
    assert servers.heard()[1][:4] == "MAIL"


def test_other_servers_are_not_told(mail: Parcel, servers: Servers, deliver: Deliver) -> None:
    servers.expect((*OFFER, *MAIL))
    transport = smtp("hosts_try_auth = 192.0.2.99")
    deliver(transport, mail)
    transport.close()
    assert servers.heard()[1][:4] == "MAIL"


@pytest.mark.parametrize(
    ("options", "login", "wanted"),
    [
        ("hosts_try_auth = *", ("c:", "s: 235 yes"), " AUTH=who+2Bx@example.com"),
        (
            "hosts_try_auth = *\nauthenticated_sender = $sender_address",
            ("c:", "s: 235 yes"),
            " AUTH=bob@example.com",
        ),
        ("authenticated_sender = a b", (), ""),
        ("authenticated_sender = a b\nauthenticated_sender_force", (), " AUTH=a+20b"),
    ],
)
def test_a_server_that_knows_us_hears_who_wrote_the_message(
    options: str,
    login: tuple[str, ...],
    wanted: str,
    mail: Parcel,
    servers: Servers,
    deliver: Deliver,
) -> None:
    mail.values["authenticated_sender"] = "who+x@example.com"
    servers.expect((*OFFER, *login, *MAIL))
    transport = smtp(options)
    deliver(transport, mail)
    transport.close()
    [line] = [each for each in servers.heard() if each.startswith("MAIL")]
    assert line == f"MAIL FROM:<bob@example.com>{wanted}|"


def test_one_connection_carries_no_messages_of_two_logins(
    parcel: MakeParcel, servers: Servers, deliver: Deliver
) -> None:
    first = (*OFFER, "c:", "s: 235 yes", *MAIL)
    servers.expect(first, first)
    transport = smtp(
        "hosts_try_auth = *",
        "plain:\ndriver = plaintext\npublic_name = PLAIN\nclient_send = ^$sender_address^x\n",
    )
    for sender in ("one@example.com", "two@example.com"):
        mail = parcel(hosts=ONE, recipients=to("a"), sender=sender)
        mail.values["sender_address"] = sender
        deliver(transport, mail)
    transport.close()
    assert len(servers.asked) == 2


def test_one_connection_carries_messages_of_the_same_login(
    parcel: MakeParcel, servers: Servers, deliver: Deliver
) -> None:
    servers.expect((*OFFER, "c:", "s: 235 yes", *MAIL[:-1], *MAIL))
    transport = smtp("hosts_try_auth = *")
    for _ in range(2):
        [outcome] = deliver(transport, parcel(hosts=ONE, recipients=to("a")))
        assert outcome.authenticated == "plain:user at mx.example.net"
    transport.close()
    assert len(servers.asked) == 1


def test_two_clients_of_one_mechanism_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        smtp(
            "hosts_try_auth = *",
            "one:\ndriver = plaintext\npublic_name = PLAIN\nclient_send = x\n"
            "two:\ndriver = plaintext\npublic_name = plain\nclient_send = Secret\n",
        )
    assert "two client authenticators (one and two) have the same public name" in str(
        caught.value
    )
    assert "Secret" not in str(caught.value)


def test_cram_md5_proves_the_password_without_saying_it(
    mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    # The example of RFC 2195 2.
    challenge = b64encode(b"<1896.697170952@postoffice.reston.mci.net>").decode()
    offer = (*GREETING, "s: 250-mx", "s: 250-AUTH CRAM-MD5", "s: 250 SIZE")
    servers.expect((*offer, "c:", f"s: 334 {challenge}", "c:", "s: 235 yes", *MAIL))
    transport = smtp(
        "hosts_require_auth = *",
        "cram:\ndriver = cram_md5\npublic_name = CRAM-MD5\n"
        "client_name = tim\nclient_secret = tanstaaftanstaaf\n",
    )
    [outcome] = deliver(transport, mail)
    transport.close()
    assert outcome.result is Result.DONE
    answer = b64encode(b"tim b913a602c7eda7a495b4e6e7334d3890").decode()
    assert servers.heard()[1:3] == ["AUTH CRAM-MD5|", f"{answer}|"]
