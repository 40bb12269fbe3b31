"""The mta command: what it answers, with which exit code, and that it says what to do next."""

from __future__ import annotations

import json
import os
import pwd
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mta.cli import mailq, place
from mta.cli.main import COMMANDS, mta
from mta.spool import layout


def run(*words: str) -> Result:
    return CliRunner().invoke(mta, list(words), prog_name="mta")


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A configuration with a spool that no daemon serves."""
    file = tmp_path / "mta.conf"
    file.write_text(
        f"spool_directory = {tmp_path}/spool\n"
        "primary_hostname = mail.example.org\n"
        "hide qualify_domain = secret.example\n"
        "domainlist local_domains = example.org : example.net\n"
        "begin routers\n"
        "all:\n"
        "  driver = accept\n"
        "  transport = box\n"
        "begin transports\n"
        "box:\n"
        "  driver = appendfile\n"
        "  directory = /tmp/box\n"
        "  maildir_format\n"
        "  user = mail\n"
    )
    layout.prepare(str(tmp_path / "spool"), split=True)
    return str(file)


def test_help_lists_every_command_and_gives_examples() -> None:
    shown = run("--help").output
    assert [name for name in COMMANDS if f"\n  {name} " not in shown] == []
    assert "Examples:" in shown


def test_every_command_explains_itself() -> None:
    for name in COMMANDS:
        ended = run(name, "--help")
        assert (name, ended.exit_code) == (name, 0)


def test_a_mistyped_command_is_answered_with_the_right_one() -> None:
    ended = run("stauts")
    assert ended.exit_code == 2
    assert "no such command 'stauts'; did you mean 'status'?" in ended.output


def test_the_version() -> None:
    assert run("--version").output == "mta version 0.1.0\n"


def test_an_empty_queue(config: str) -> None:
    ended = run("queue", "list", "-C", config)
    assert (ended.exit_code, ended.output) == (0, "The queue is empty.\n")
    assert json.loads(run("queue", "list", "--json", "-C", config).output) == []


def test_status_without_a_daemon_says_how_to_start_one(config: str) -> None:
    ended = run("status", "-C", config)
    assert ended.exit_code == 69
    assert "no daemon runs with spool" in ended.output
    assert "start one with: mta run, or mta demo" in ended.output


def test_an_id_that_is_none_is_refused(config: str) -> None:
    ended = run("queue", "show", "-C", config, "../../etc/passwd")
    assert ended.exit_code == 65
    assert "'../../etc/passwd' is not a message id; mailq shows them" in ended.output


def test_a_message_that_is_not_there(config: str) -> None:
    ended = run("queue", "show", "-C", config, "1xVW5F-000000000tB-2FH8")
    assert ended.exit_code == 66
    assert "it is done or was removed" in ended.output


def test_settings(config: str) -> None:
    ended = run("config", "show", "-C", config, "primary_hostname", "+local_domains")
    assert ended.output == (
        "primary_hostname = mail.example.org\n"
        "domainlist local_domains = example.org : example.net\n"
    )
    ended = run("config", "show", "--json", "-C", config, "primary_hostname")
    assert json.loads(ended.output) == {"primary_hostname": "mail.example.org"}


def test_the_settings_of_a_router(config: str) -> None:
    assert "driver = accept" in run("config", "show", "-C", config, "router", "all").output


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (
            ["primary_hostnam"],
            "no option 'primary_hostnam' (did you mean 'primary_hostname'?)",
        ),
        (["router", "al"], "no router 'al' (did you mean 'all'?)"),
    ],
)
def test_unknown_settings_are_answered_with_the_nearest(
    config: str, words: list[str], reason: str
) -> None:
    ended = run("config", "show", "-C", config, *words)
    assert ended.exit_code == 78
    assert reason in ended.output


def test_expansion(config: str) -> None:
    ended = run("expand", "-C", config, "${uc:$primary_hostname}")
    assert (ended.exit_code, ended.output) == (0, "MAIL.EXAMPLE.ORG\n")
    ended = run("expand", "-C", config, "${nosuchthing:x}")
    assert ended.exit_code == 1
    assert ended.output.startswith("Failed: ")


def test_a_good_configuration(config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    ended = run("check", "--json", "-C", config)
    answer = json.loads(ended.output)
    assert (ended.exit_code, answer["usable"], answer["error"]) == (0, True, "")


def test_a_bad_configuration_is_shown_with_file_line_and_suggestion(
    config: str, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.conf"
    bad.write_text("\nprimary_hostnam = x\n")
    ended = run("check", "-C", str(bad))
    assert ended.exit_code == 2
    assert ended.output == (
        f'mta: {bad}:2: main option "primary_hostnam" unknown'
        " (did you mean 'primary_hostname'?)\n"
    )


def test_a_missing_configuration_is_not_a_traceback(tmp_path: Path) -> None:
    ended = run("config", "show", "-C", str(tmp_path / "none.conf"))
    assert ended.exit_code == 78
    assert "none.conf" in ended.output


def test_installing_shows_what_it_would_do(config: str) -> None:
    ended = run("install", "--users", "--dry-run", "-C", config)
    assert ended.exit_code == 0


def test_without_any_configuration_the_way_out_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(place, "SYSTEM_CONFIG", "/nonexistent/mta.conf")
    monkeypatch.setattr(place, "tree", lambda: str(tmp_path))
    ended = run("queue", "list")
    assert ended.exit_code == 78
    assert "there is no /nonexistent/mta.conf: make one with mta install" in ended.output
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "mta.demo.conf").touch()
    assert "or start one with: mta demo" in run("queue", "list").output


def test_macros() -> None:
    assert place.parse_macros(["A=1", "B = x = y", "C"]) == {"A": "1", "B": "x = y", "C": ""}


def test_the_list_of_commands_is_not_cut_short() -> None:
    for words in (["--help"], ["queue", "--help"]):
        assert run(*words).output.count("...") == 1  # of the usage line


def test_a_shipped_file_is_found_in_the_tree_and_where_pip_puts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert place.shipped("mta.conf") == f"{place.tree()}/etc/mta.conf"
    monkeypatch.setattr(place, "tree", lambda: str(tmp_path))
    assert place.shipped("mta.conf").endswith("/share/mta/mta.conf")


def test_the_daemon_does_not_start_without_a_configuration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(place, "SYSTEM_CONFIG", "/nonexistent/mta.conf")
    ended = run("run")
    assert ended.exit_code == os.EX_CONFIG
    assert "mta install --users" in ended.output


def test_the_demo_says_where_it_plays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "tree", lambda: str(tmp_path))
    ended = run("demo")
    assert ended.exit_code == os.EX_UNAVAILABLE
    assert "source tree" in ended.output


def test_what_the_network_user_took_in_is_shown(
    config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gid = os.stat(tmp_path / "spool" / "input").st_gid
    entry = pwd.struct_passwd(("mtanet", "x", 64001, gid, "", "/", "/bin/false"))
    monkeypatch.setattr(pwd, "getpwall", lambda: [entry])
    spool = mailq.open_spool(str(tmp_path / "spool"))
    assert 64001 in spool.owners
    spool.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_spool_that_is_closed_to_the_caller_says_whose_it_is(
    config: str, tmp_path: Path
) -> None:
    os.chmod(tmp_path / "spool" / "input", 0)
    ended = run("queue", "list", "-C", config)
    os.chmod(tmp_path / "spool" / "input", 0o700)
    assert ended.exit_code == os.EX_NOPERM
    assert "no daemon runs, and what is in" in ended.output
