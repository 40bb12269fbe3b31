"""What the checker finds in a configuration before any process relies on it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mta.base.errors import ConfigError
from mta.config import load
from mta.proc import reach
from mta.proc.checker import compile_all
from mta.unix.privilege import Identity

BEGIN = "spool_directory = /tmp/spool\nprimary_hostname = mail.example.org\n"


def compiled(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "mta.conf"
    file.write_text(BEGIN + text)
    return compile_all(load.load(str(file), {}))


def test_a_retry_rule_that_is_none_is_an_error_of_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mta\.conf:4: .*not a known retry error name"):
        compiled(tmp_path, "begin retry\nnonsense = 1\n")


def test_a_time_of_a_retry_rule_is_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="15x"):
        compiled(tmp_path, "begin retry\n* * F,2h,15x\n")


def test_a_port_without_a_service_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="smpt"):
        compiled(tmp_path, "daemon_smtp_ports = smpt\n")


@pytest.mark.parametrize(
    "text",
    [
        "begin routers\na:\n  driver = redirect\n  data = ${if eq{a}{b}\n",
        "begin transports\na:\n  driver = smtp\n  hosts = ${if eq{a}{b}\n",
        "acl_smtp_rcpt = a\nbegin acl\na:\n  accept condition = ${if eq{a}{b}\n",
        'begin retry\n"${if eq{a}{b}" *\n',
    ],
    ids=["router", "transport", "acl", "retry"],
)
def test_a_string_that_cannot_be_compiled_is_remarked(tmp_path: Path, text: str) -> None:
    (remark,) = compiled(tmp_path, text)
    assert "failed to expand" in remark
    assert "mta.conf:" in remark


@pytest.mark.parametrize(
    "text",
    [
        "domainlist mine = a\nacl_smtp_rcpt = a\nbegin acl\na:\n  accept domains = +mien\n",
        "domainlist mine = a.example\nacl_smtp_rcpt = accept domains = +mien\n",
        "hostlist mine = 192.0.2.1\nhost_reject_connection = +mien\n",
        "hostlist mine = 192.0.2.1\nhostlist others = +mien\n",
    ],
    ids=["acl", "acl in place", "option", "list"],
)
def test_a_list_that_there_is_not_is_remarked_with_what_was_meant(
    tmp_path: Path, text: str
) -> None:
    (remark,) = compiled(tmp_path, text)
    assert "list \"+mien\" (did you mean 'mine'?)" in remark
    assert "mta.conf:" in remark


def test_of_a_good_configuration_nothing_is_said(tmp_path: Path) -> None:
    assert compiled(tmp_path, "begin retry\n* * F,2h,15m\n") == []


def test_a_closed_directory_on_the_way_to_the_program_is_named(tmp_path: Path) -> None:
    tree = tmp_path / "home" / "mta"
    tree.mkdir(parents=True)
    os.chmod(tmp_path, 0o755)
    os.chmod(tmp_path / "home", 0o700)
    stranger = Identity("mta", 64001, 64001, (64001,))
    assert reach.closed_directory(str(tree), stranger, top=str(tmp_path)) == str(
        tmp_path / "home"
    )


def test_a_directory_that_is_open_to_a_group_of_the_user_is_passed(tmp_path: Path) -> None:
    tree = tmp_path / "home" / "mta"
    tree.mkdir(parents=True)
    os.chmod(tmp_path, 0o755)
    os.chmod(tmp_path / "home", 0o710)
    member = Identity("mta", 64001, 64001, (64001, os.stat(tmp_path / "home").st_gid))
    assert reach.closed_directory(str(tree), member, top=str(tmp_path)) == ""


def test_a_size_that_is_no_number_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="message_size_limit"):
        compiled(tmp_path, "message_size_limit = 50Q\n")


def test_a_size_that_is_expanded_is_left_to_its_use(tmp_path: Path) -> None:
    size = "${if eq{$sender_host_address}{127.0.0.1}{1G}{50M}}"
    assert compiled(tmp_path, f"message_size_limit = {size}\n") == []


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        (
            "dns_servers = 127.0.0.1 : ns.example",
            '"ns.example" in dns_servers is not an address',
        ),
        (
            "extra_local_interfaces = 192.0.2.1 : 192.0.2",
            '"192.0.2" in extra_local_interfaces is no address',
        ),
        ("dns_check_names_pattern = (", "dns_check_names_pattern: missing ), unterminated"),
        (
            "host_lookup_order = bydns:byname",
            '"byname" in host_lookup_order is no way to look',
        ),
    ],
)
def test_options_about_the_dns_are_checked(tmp_path: Path, option: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compiled(tmp_path, f"{option}\n")
    assert reason in str(caught.value)
    assert "mta.conf:" in str(caught.value)
