"""A configuration is complete when it is loaded, and whatever is wrong has a place."""

from __future__ import annotations

from pathlib import Path

import pytest

from mta.base.errors import ConfigError
from mta.config import load
from mta.config.main import later
from mta.config.model import Configuration, ListKind
from mta.config.quick import DEFAULT_SPOOL, quick_spool_directory

NAMED = "primary_hostname = mail.example.org\n"


def loaded(tmp_path: Path, text: str, **macros: str) -> Configuration:
    file = tmp_path / "mta.conf"
    file.write_text(NAMED + text)
    return load.load(str(file), macros)


def refusal(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text)
    return str(caught.value).replace(str(tmp_path), "DIR")


def test_every_topic_and_section_arrives(tmp_path: Path) -> None:
    conf = loaded(
        tmp_path,
        "smtp_accept_max = 7\nno_message_logs\nreceiver_max_use = 3\nacl_smtp_rcpt = x\n"
        "domainlist here = @\nbegin acl\nx:\naccept\nbegin routers\nr:\ndriver = accept\n"
        "begin transports\nt:\ndriver = smtp\nbegin retry\n* * F,1h,1m\nbegin rewrite\n* a\n",
    )
    assert conf.smtp_in.smtp_accept_max == 7
    assert conf.queue.message_logs is False
    assert conf.own.receiver_max_use == 3
    assert conf.policy.acl_smtp_rcpt is not None
    assert list(conf.lists) == [(ListKind.DOMAIN, "here")]
    assert list(conf.acls) == ["x"]
    assert [router.name for router in conf.routers] == ["r"]
    assert [transport.driver for transport in conf.transports] == ["smtp"]
    assert [line.text for line in (*conf.retry, *conf.rewrite)] == ["* * F,1h,1m", "* a"]


def test_macros_of_the_file_and_of_the_command_line_are_remembered(tmp_path: Path) -> None:
    assert loaded(tmp_path, "AA = 1\n", BB="2").macros == {"BB": "2", "AA": "1"}


def test_domains_follow_from_the_name_of_the_host(tmp_path: Path) -> None:
    naming = loaded(tmp_path, "").naming
    assert (naming.qualify_domain, naming.qualify_recipient) == ("mail.example.org",) * 2


def test_the_domain_of_recipients_follows_from_that_of_senders(tmp_path: Path) -> None:
    naming = loaded(tmp_path, "qualify_domain = example.org\n").naming
    assert (naming.qualify_domain, naming.qualify_recipient) == ("example.org",) * 2


def test_paths_follow_from_the_spool_directory(tmp_path: Path) -> None:
    conf = loaded(tmp_path, "spool_directory = /var/my spool\n")
    assert conf.queue.spool_directory == "/var/my spool"
    assert conf.logging.log_file_path == "/var/my spool/log/%slog"
    assert conf.logging.pid_file_path == "/var/my spool/exim-daemon.pid"


def test_an_empty_path_is_one_that_is_not_set(tmp_path: Path) -> None:
    conf = loaded(tmp_path, "spool_directory = /s\nlog_file_path =\npid_file_path = /p\n")
    assert conf.logging.log_file_path == "/s/log/%slog"
    assert conf.logging.pid_file_path == "/p"


def test_the_host_file_gives_a_short_name_its_domain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost\n127.0.1.1\tvm.example.org vm # me\n")
    monkeypatch.setattr(load, "_HOSTS_FILE", str(hosts))
    monkeypatch.setattr(load.os, "uname", lambda: _Uname("vm"))
    assert load.host_name() == "vm.example.org"
    monkeypatch.setattr(load.os, "uname", lambda: _Uname("other"))
    assert load.host_name() == "other"
    monkeypatch.setattr(load.os, "uname", lambda: _Uname("long.example"))
    assert load.host_name() == "long.example"


class _Uname:
    def __init__(self, nodename: str) -> None:
        self.nodename = nodename


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "qualify_domian = x",
            "main option \"qualify_domian\" unknown (did you mean 'qualify_domain'?)",
        ),
        ("hide nosuch = 1", 'main option "nosuch" unknown'),
        ("c d", 'main option "c" unknown'),
        ("begin", 'main option "begin" unknown'),
        (
            "tls_certificat = x",
            "main option \"tls_certificat\" unknown (did you mean 'tls_certificate'?)",
        ),
        (
            "domain_list x = y",
            "main option \"domain_list\" unknown (did you mean 'domainlist'?)",
        ),
        ("queue_only yes", 'missing "=" after queue_only (write queue_only = yes)'),
        (
            "smtp_accept_max",
            "unexpected end of line (data missing) after smtp_accept_max "
            "(write smtp_accept_max = …)",
        ),
        (
            "auto_thaw = 5 minutes",
            "invalid time value for auto_thaw (write it like 2h30m or 4d)",
        ),
        (
            "primary_hostname = b",
            '"primary_hostname" option set for the second time (it was set at DIR/mta.conf:1)',
        ),
        ("spool_directory = s", 'spool_directory "s" is not an absolute path'),
        (
            "spool_directory = /$x",
            '"$" in spool_directory is not expanded (write the text itself)',
        ),
        (
            "qualify_domain = $primary_hostname",
            '"$" in qualify_domain is not expanded (write the text itself)',
        ),
        ("qualify_domain = a b", "there is white space in qualify_domain"),
        (
            "log_file_path = /a/%slog:syslog",
            'log_file_path "/a/%slog:syslog" is not one absolute path '
            "(syslog and lists are not supported yet)",
        ),
        (
            "log_file_path = /a/%s-%D",
            'log_file_path "/a/%s-%D": %s may stand there once, and no other "%"',
        ),
        ("pid_file_path = p", 'pid_file_path "p" is not an absolute path'),
    ],
)
def test_what_is_wrong_in_the_main_section_is_refused(
    tmp_path: Path, text: str, reason: str
) -> None:
    assert refusal(tmp_path, f"# second line\n{text}\n") == f"DIR/mta.conf:3: {reason}"


# Options of Exim that are not acted upon


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "tls_ocsp_file = /x",
            'option "tls_ocsp_file" is Exim\'s but is not supported yet',
        ),
        ("prdr_enable", 'option "prdr_enable" is Exim\'s but is not supported yet'),
        ("no_tcp_nodelay", 'option "tcp_nodelay" is Exim\'s but is not supported yet'),
        (
            "percent_hack_domains = *",
            'option "percent_hack_domains" is Exim\'s and is not supported: '
            "a%b@c is an invitation to relay",
        ),
        (
            "exim_user = x",
            'option "exim_user" is Exim\'s and is not supported: '
            "write mail_user and network_user instead",
        ),
    ],
)
def test_an_option_of_exim_is_refused_honestly(tmp_path: Path, text: str, reason: str) -> None:
    assert refusal(tmp_path, text) == f"DIR/mta.conf:2: {reason}"


@pytest.mark.parametrize(
    "text",
    [
        "keep_environment =",
        "tls_advertise_hosts =",
        "no_prdr_enable",
        "prdr_enable = false",
        "tcp_nodelay",
        "tcp_nodelay = yes",
    ],
)
def test_an_option_that_asks_for_what_is_done_anyway_is_fine(
    tmp_path: Path, text: str
) -> None:
    assert loaded(tmp_path, text).remarks == ()


def test_an_option_without_effect_is_remarked_upon(tmp_path: Path) -> None:
    [remark] = loaded(tmp_path, "rfc1413_hosts = *\n").remarks
    assert str(remark).replace(str(tmp_path), "DIR") == (
        'DIR/mta.conf:2: option "rfc1413_hosts" has no effect: '
        "clients are never asked for an ident"
    )


def test_an_option_that_is_declared_but_does_not_work_has_only_its_default(
    tmp_path: Path,
) -> None:
    assert loaded(tmp_path, "smtp_return_error_details = false\n").remarks == ()
    assert refusal(tmp_path, "smtp_return_error_details = true\n") == (
        'DIR/mta.conf:2: option "smtp_return_error_details" is Exim\'s but only its '
        "default is supported yet (remove smtp_return_error_details = true)"
    )


def test_an_option_that_changes_nothing_for_a_message_is_remarked_upon(
    tmp_path: Path,
) -> None:
    [remark] = loaded(tmp_path, "log_selector = +all\n").remarks
    assert (
        remark.text == 'option "log_selector" has no effect yet: '
        "beside smtp_mailauth and tls_... the usual is logged"
    )


def test_what_does_not_work_is_declared(tmp_path: Path) -> None:
    assert later.DEFAULT_ONLY | later.NO_EFFECT_YET.keys() <= load.OPTIONS.keys()


def test_an_old_name_is_another_name_of_the_option(tmp_path: Path) -> None:
    assert loaded(tmp_path, "daemon_smtp_port = 26\n").smtp_in.daemon_smtp_ports == "26"


def test_no_option_is_both_acted_upon_and_put_off() -> None:
    assert set(load.OPTIONS) & set(later.NAMES) == set()


def test_all_options_of_exim_4_98_are_known_by_name() -> None:
    own = {
        "mail_user",
        "network_user",
        "receiver_max_use",
        "deliver_max_use",
        "dsn_details",
        "deliver_max_parallel",
        "worker_max_use",
        "auth_max_failures",
        "auth_failure_delay",
        "dns_servers",
    }
    assert len((set(load.OPTIONS) | set(later.NAMES)) - own) == 293


def test_the_main_options_are_told_to_conditionals(tmp_path: Path) -> None:
    text = (
        ".ifdef _OPT_MAIN_QUEUE_ONLY\nsmtp_accept_max = 1\n.endif\n"
        ".ifdef _OPT_MAIN_TLS_OCSP_FILE\nsmtp_accept_max = 2\n.endif\n"
    )
    assert loaded(tmp_path, text).smtp_in.smtp_accept_max == 1


# The spool directory, quickly


def quick(tmp_path: Path, text: str, **macros: str) -> str:
    file = tmp_path / "mta.conf"
    file.write_text(text)
    return quick_spool_directory(str(file), macros)


def test_the_spool_directory_is_found_without_reading_the_sections(tmp_path: Path) -> None:
    assert quick(
        tmp_path, "x = y\nspool_directory = SPOOL/s\nbegin acl\n.endif\n", SPOOL="/a"
    ) == ("/a/s")
    assert quick(tmp_path, 'hide spool_directory="/a b"\n') == "/a b"


def test_the_default_is_the_same_for_both_ways(tmp_path: Path) -> None:
    assert quick(tmp_path, "spool_directory_x = /a\n") == DEFAULT_SPOOL
    assert loaded(tmp_path, "").queue.spool_directory == DEFAULT_SPOOL


def test_a_relative_spool_directory_is_refused_quickly_too(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r'spool_directory "a" in .* is not an absolute path'
    ):
        quick(tmp_path, "spool_directory = a\n")
