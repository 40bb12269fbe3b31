"""The configurations that come with the program are right."""

from __future__ import annotations

from pathlib import Path

import pytest

from mta.config import load
from mta.config.model import Configuration
from mta.transport.drivers.smtp import Smtp
from mta.transport.engine import load_transports

ETC = Path(__file__).resolve().parents[3] / "etc"


def demo(**more: str) -> Configuration:
    macros = {"SPOOL": "/x y/spool", "INTERFACES": "<; [127.0.0.1]:2525"}
    return load.load(str(ETC / "mta.demo.conf"), macros | more)


def test_the_production_default_is_read_without_a_remark_on_its_options() -> None:
    conf = load.load(str(ETC / "mta.conf"))
    assert [remark.text for remark in conf.remarks if remark.where.line] == []
    assert [router.name for router in conf.routers] == [
        "relay",
        "not_local",
        "aliases",
        "users",
    ]
    assert list(conf.acls) == [
        "check_connect",
        "check_helo",
        "check_mail",
        "check_rcpt",
        "check_data",
    ]


def test_every_line_that_is_commented_out_in_the_production_default_works(
    tmp_path: Path,
) -> None:
    opened = [
        line[2:] if line.startswith("# ") and (" = " in line or line.endswith(":")) else line
        for line in (ETC / "mta.conf").read_text().split("\n")
    ]
    file = tmp_path / "mta.conf"
    file.write_text("\n".join(opened).replace("#   no_more", "  no_more"))
    conf = load.load(str(file))
    assert conf.naming.primary_hostname == "mail.example.org"
    assert conf.naming.qualify_domain == "example.org"
    assert [(each.name, each.driver) for each in conf.authenticators] == [
        ("plain", "plaintext"),
        ("login", "plaintext"),
        ("to_smarthost", "plaintext"),
    ]
    assert [each.hidden for each in conf.authenticators[2].settings] == [False, True]
    transport = load_transports(conf)["remote_smtp"]
    assert isinstance(transport, Smtp)
    assert [each.name for each in transport.authenticators] == ["to_smarthost"]
    smarthost = conf.routers[0]
    assert (smarthost.name, smarthost.driver) == ("smarthost", "manualroute")
    assert [each.name for each in smarthost.settings] == [
        "domains",
        "route_list",
        "transport",
        "no_more",
    ]


def test_the_demonstration_keeps_mail_for_others() -> None:
    conf = demo()
    assert conf.queue.spool_directory == "/x y/spool"
    assert [router.name for router in conf.routers] == ["play", "home"]


def test_the_demonstration_sends_only_when_told_where() -> None:
    send = demo(REALLY_SEND="yes", RELAY="relay.example").routers[0]
    assert (send.name, send.driver) == ("send", "manualroute")
    assert [(each.name, each.value) for each in send.settings] == [
        ("domains", "! demo.localhost"),
        ("route_list", "* relay.example"),
        ("transport", "remote"),
    ]


def test_the_demonstration_has_between_25_and_50_lines_beside_its_comments() -> None:
    lines = (ETC / "mta.demo.conf").read_text().split("\n")
    said = [line for line in lines if line.strip(" ") and not line.lstrip(" ").startswith("#")]
    assert 25 <= len(said) <= 50


@pytest.mark.parametrize("name", ["mta.conf", "mta.demo.conf"])
def test_no_line_is_too_wide_for_a_terminal(name: str) -> None:
    lines = (ETC / name).read_text().split("\n")
    assert [line for line in lines if len(line) > 95] == []
