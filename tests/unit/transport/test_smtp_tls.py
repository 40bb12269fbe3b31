"""Tests of sending over TLS: with whom, with which certificates, what failures lead to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mta.base.errors import ConfigError
from mta.route.api import Host
from mta.transport.api import Outcome, Parcel, ParcelRecipient, Result
from mta.transport.engine import Transport
from tests.harness.certificates import Authority
from tests.unit.transport.scripted import Servers

Load = Callable[[str], Transport]
MakeParcel = Callable[..., Parcel]
Deliver = Callable[[Transport, Parcel], list[Outcome]]

NAME = "mx.example.net"
ONE = (Host(NAME, "192.0.2.1"),)
OFFER = ("s: 220 hi", "c:", "s: 250-hi", "s: 250 STARTTLS")
AGREED = (*OFFER, "c:", "s: 220 go")
MAIL = ("c:", "s: 250 ok", "c:", "s: 250 ok", "c:", "s: 354 go", "d:", "s: 250 taken", "c:")
AFTER = ("c:", "s: 250 hi", *MAIL)
IN_CLEAR = ("s: 220 hi", "c:", "s: 250 hi", *MAIL)
TIMES = "driver = smtp\ncommand_timeout = 2s\nfinal_timeout = 2s\n"
CIPHER = "TLS1.3:TLS_AES_256_GCM_SHA384:256"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def mail(parcel: MakeParcel) -> Parcel:
    to = ParcelRecipient("a@example.net", "a@example.net", "a", "example.net")
    return parcel(hosts=ONE, recipients=(to,))


def secret(authority: Authority, host: str = NAME, *, days: int = 30) -> str:
    pair = authority.issue(host, days=days)
    return f"tls {pair.certificate} {pair.key}"


def ending(outcomes: list[Outcome]) -> tuple[Result, int, str]:
    last = outcomes[-1]
    return last.result, last.code, last.text


def test_tls_is_spoken_where_it_is_offered(
    load: Load, mail: Parcel, servers: Servers, deliver: Deliver, authority: Authority
) -> None:
    smtp = load(TIMES)
    servers.expect((*AGREED, secret(authority), *AFTER))
    (outcome,) = deliver(smtp, mail)
    assert (outcome.result, outcome.cipher, outcome.verified, outcome.peer) == (
        Result.DONE,
        CIPHER,
        False,
        f"/CN={NAME}",
    )
    smtp.close()
    heard = servers.heard()
    assert heard[:3] == ["EHLO mx.example.org|", "STARTTLS|", "EHLO mx.example.org|"]
    # Even that is said in secret.
    assert heard[-1] == "QUIT|"


def test_it_is_not_where_that_is_avoided(
    load: Load, mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    smtp = load(f"{TIMES}hosts_avoid_tls = 192.0.2.0/24\n")
    servers.expect((*OFFER, *MAIL))
    (outcome,) = deliver(smtp, mail)
    assert (outcome.result, outcome.cipher) == (Result.DONE, "")


def test_a_good_certificate_is_verified(
    load: Load, mail: Parcel, servers: Servers, deliver: Deliver, authority: Authority
) -> None:
    smtp = load(f"{TIMES}tls_verify_certificates = {authority.certificate}\n")
    servers.expect((*AGREED, secret(authority), *AFTER))
    assert deliver(smtp, mail)[0].verified


@pytest.mark.parametrize(
    ("options", "verified"),
    [
        ("", False),
        ("tls_verify_cert_hostnames =\n", True),
        ("tls_try_verify_hosts =\n", False),
    ],
)
def test_a_certificate_for_somebody_else_is_noted(
    load: Load,
    mail: Parcel,
    servers: Servers,
    deliver: Deliver,
    authority: Authority,
    options: str,
    verified: bool,
) -> None:
    smtp = load(f"{TIMES}tls_verify_certificates = {authority.certificate}\n{options}")
    servers.expect((*AGREED, secret(authority, "other.example.net"), *AFTER))
    (outcome,) = deliver(smtp, mail)
    assert (outcome.result, outcome.verified) == (Result.DONE, verified)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("expired", "certificate verify failed"),
        ("other", "certificate name mismatch"),
        ("stranger", "certificate verify failed"),
        ("revoked", "certificate verify failed"),
    ],
)
def test_a_server_that_must_be_verified_and_is_not(
    load: Load,
    mail: Parcel,
    servers: Servers,
    deliver: Deliver,
    authority: Authority,
    tmp_path: Path,
    how: str,
    said: str,
) -> None:
    trusted = authority.certificate
    revoked = authority.revoke()
    if how == "stranger":
        (tmp_path / "other").mkdir()
        authority = Authority(tmp_path / "other", "Another")
    host = "other.example.net" if how == "other" else NAME
    pair = authority.issue(host, days=-1 if how == "expired" else 30)
    if how == "revoked":
        revoked = authority.revoke(pair)
    smtp = load(
        f"{TIMES}tls_verify_hosts = *\nhosts_require_tls = *\n"
        f"tls_verify_certificates = {trusted}\ntls_crl = {revoked}\n"
    )
    servers.expect((*AGREED, f"tls {pair.certificate} {pair.key}", "c:"))
    outcomes = deliver(smtp, mail)
    assert ending(outcomes) == (Result.DEFER, -37, f"TLS session: (SSL_connect): {said}")
    assert outcomes[0].host_error


def test_when_tls_fails_the_message_goes_in_the_clear(
    load: Load, mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    servers.expect((*AGREED, "s: that was a lie", "c:"), IN_CLEAR)
    note, outcome = deliver(load(TIMES), mail)
    # The answer came before there was any question: it is an error, not an answer.
    assert (note.address, note.result) == ("", Result.DONE)
    assert note.text == (
        "TLS session: (SSL_connect): something was said in the clear before the handshake: "
        "delivering unencrypted to H=mx.example.net [192.0.2.1] (not in hosts_require_tls)"
    )
    assert (outcome.result, outcome.cipher) == (Result.DONE, "")


@pytest.mark.parametrize(
    "options", ["tls_tempfail_tryclear = false\n", "hosts_require_tls = *\n"]
)
def test_or_it_waits_where_that_is_wanted(
    load: Load, mail: Parcel, servers: Servers, deliver: Deliver, options: str
) -> None:
    servers.expect((*AGREED, "eof"))
    smtp = load(TIMES.replace("2s", "1s") + options)
    assert ending(deliver(smtp, mail)) == (
        Result.DEFER,
        -37,
        "TLS session: (SSL_connect): timed out",
    )


def test_what_was_said_in_the_clear_is_never_heard_in_secret(
    load: Load, mail: Parcel, servers: Servers, deliver: Deliver, authority: Authority
) -> None:
    smtp = load(f"{TIMES}hosts_require_tls = *\n")
    injected = (*AGREED, "s: 250 evil", secret(authority), *AFTER)
    servers.expect(injected)
    assert ending(deliver(smtp, mail)) == (
        Result.DEFER,
        -37,
        "TLS session: (SSL_connect): something was said in the clear before the handshake",
    )


def test_tls_that_is_required_and_not_offered(
    load: Load, mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    servers.expect(("s: 220 hi", "c:", "s: 250 hi", "c:"))
    assert ending(deliver(load(f"{TIMES}hosts_require_tls = *\n"), mail)) == (
        Result.DEFER,
        -38,
        "a TLS session is required, but the server did not offer TLS support",
    )


def test_tls_that_is_required_and_refused(
    load: Load, mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    servers.expect((*OFFER, "c:", "s: 454 not now", "c:"))
    assert ending(deliver(load(f"{TIMES}hosts_require_tls = *\n"), mail)) == (
        Result.DEFER,
        -38,
        "a TLS session is required, but an attempt to start TLS failed",
    )


def test_a_refusal_for_now_is_believed_where_that_is_wanted(
    load: Load, mail: Parcel, servers: Servers, deliver: Deliver
) -> None:
    servers.expect((*OFFER, "c:", "s: 454 not now", "c:"))
    smtp = load(f"{TIMES}tls_tempfail_tryclear = false\n")
    assert ending(deliver(smtp, mail)) == (
        Result.DEFER,
        0,
        "SMTP error from remote mail server after STARTTLS: 454 not now",
    )
    servers.expect((*OFFER, "c:", "s: 454 not now", *MAIL))
    assert deliver(load(TIMES), mail)[0].result is Result.DONE


def test_a_kept_connection_stays_secret(
    load: Load, mail: Parcel, servers: Servers, deliver: Deliver, authority: Authority
) -> None:
    smtp = load(f"{TIMES}hosts_require_tls = *\n")
    first = AFTER[:-1]
    again = MAIL
    servers.expect((*AGREED, secret(authority), *first, *again))
    before, after = deliver(smtp, mail)[0], deliver(smtp, mail)[0]
    assert (before.cipher, before.reused) == (CIPHER, False)
    assert (after.cipher, after.reused) == (CIPHER, True)
    assert len(servers.children) == 1


def test_smtps_is_secret_from_the_first_octet(
    load: Load, mail: Parcel, servers: Servers, deliver: Deliver, authority: Authority
) -> None:
    servers.expect((secret(authority), *IN_CLEAR))
    assert deliver(load(f"{TIMES}protocol = smtps\n"), mail)[0].cipher == CIPHER
    assert servers.asked == [("192.0.2.1", 465, "")]


def test_what_there_is_not_is_refused(load: Load) -> None:
    for options, said in (
        ("protocol = dmtp\n", 'protocol "dmtp" is not supported yet'),
        ("tls_require_ciphers = NORMAL:+CURVE-X448\n", "has no counterpart here"),
    ):
        with pytest.raises(ConfigError, match=said):
            load(TIMES + options)
