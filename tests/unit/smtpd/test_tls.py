"""The options of TLS as a server, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mta.base.errors import ConfigError, Where
from mta.config.line import Line
from mta.config.load import parse
from mta.config.model import Configuration
from mta.expand.compile import prepare
from mta.expand.context import Connection, Context
from mta.lookup.api import Tables
from mta.smtpd import tls
from tests.harness.certificates import Authority


def configuration(*lines: str) -> Configuration:
    conf = parse(
        [Line(line, Where("mta.conf", n)) for n, line in enumerate(lines, 1)], "mta.conf"
    )
    assert prepare(conf) == []
    return conf


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("openssl_options = +no_tlsv1_2 +no_tls13", "did you mean 'no_tlsv1_3'?"),
        ("openssl_options = no_tlsv1_2", '"no_tlsv1_2" is not known'),
        ("tls_require_ciphers = NORMAL:-CURVE-ALL", "has no counterpart here"),
        ("tls_on_connect_ports = submision", "did you mean 'submission'?"),
        ("tls_certificate = /a/rsa.crt : /a/ec.crt", "only one tls_certificate"),
    ],
)
def test_what_cannot_work_is_refused_with_its_place(line: str, said: str) -> None:
    with pytest.raises(ConfigError, match=r"mta\.conf:1: ") as caught:
        tls.check(configuration(line), {})
    assert said in str(caught.value)


def test_what_will_not_work_is_told(tmp_path: Path) -> None:
    pair = Authority(tmp_path).issue("mx.test")
    good = configuration(
        f"tls_certificate = {pair.certificate}", f"tls_privatekey = {pair.key}"
    )
    assert tls.check(good, {}) == []
    given = {pair.certificate: b"nothing", pair.key: Path(pair.key).read_bytes()}
    (told,) = tls.check(good, given)
    assert told.startswith(f"mta.conf:1: TLS will not work: {pair.certificate} holds no cert")


def test_switches_are_turned_on_and_off() -> None:
    assert tls.read_options("+no_tlsv1_2 +no_ticket -no_tlsv1_2", None) == ("no_ticket",)


def test_who_is_asked_for_a_certificate() -> None:
    conf = configuration(
        "tls_verify_hosts = 192.0.2.1",
        "tls_try_verify_hosts = 192.0.2.0/24",
        "tls_verify_certificates = /etc/ours.pem",
        "tls_dhparam = historic",
        "tls_require_ciphers = NORMAL:%SERVER_PRECEDENCE",
    )
    asked = []
    for address in ("192.0.2.1", "192.0.2.2", "198.51.100.1"):
        ctx = Context(conf, Tables(), connection=Connection(host_address=address))
        made = tls.settings_for(conf, ctx)
        asked.append((made.require, made.ask, made.authorities))
        assert (made.parameters, made.curve) == ("", "")
        assert made.options == ("cipher_server_preference",)
    assert asked == [
        (True, True, "/etc/ours.pem"),
        (False, True, "/etc/ours.pem"),
        (False, False, ""),
    ]


def test_on_which_ports_tls_comes_first() -> None:
    conf = configuration("tls_on_connect_ports = 465 : 2465")
    assert [tls.is_on_connect(conf, port) for port in (25, 465, 2465)] == [False, True, True]
    assert not tls.is_on_connect(configuration(), 465)
