"""Address tests: -bt, -bv and -bvs, in Exim 4.98's words."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mta.cli import address_test, sendmail
from mta.cli.say import as_it_is
from mta.route.files import Files

CONFIG = """\
primary_hostname = mx.example
qualify_domain = example.org
domainlist local_domains = example.org
begin routers
out:
  driver = manualroute
  domains = ! +local_domains
  transport = smtp
  route_list = far.example "<+ 192.0.2.1 + 2001:db8::25" ; near.example 192.0.2.7::26
  no_more
aliases:
  driver = redirect
  data = ${extract{$local_part}{both=alice,bob,x@far.example hole=:blackhole: \\
    gone=":fail: no such person" later=":defer: try later" file=/var/file}}
  allow_fail
  allow_defer
  file_transport = box
  debug_print = "R: aliases for $local_part"
forbidding:
  driver = redirect
  local_parts = forbidden
  data = /var/file, |/bin/cat
  forbid_pipe
  pipe_transport = box
odd:
  driver = redirect
  local_parts = odd
  data = no address at@all, alice
  skip_syntax_errors
people:
  driver = accept
  local_parts = alice : bob
  transport = box
begin transports
smtp:
  driver = smtp
box:
  driver = appendfile
  directory = /nowhere
  maildir_format
"""
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Run:
    """Run sendmail with this configuration: the exit code, and what it says."""
    monkeypatch.setattr(address_test, "become_owner", lambda conf: Files())
    file = tmp_path / "mta.conf"
    file.write_text(CONFIG)

    def command(*words: str) -> tuple[int, str]:
        code = sendmail.run("sendmail", ["-C", str(file), *words])
        return code, capsys.readouterr().out

    return command


def test_a_local_address(run: Run) -> None:
    said = "alice@example.org\n  router = people, transport = box\n"
    assert run("-bt", "alice") == (0, said)


def test_hosts_stand_in_columns(run: Run) -> None:
    assert run("-bt", "x@far.example", "x@near.example") == (
        0,
        "x@far.example\n"
        "  router = out, transport = smtp\n"
        "  host 192.0.2.1    [192.0.2.1]\x20\x20\x20\n"
        "  host 2001:db8::25 [2001:db8::25]\n"
        "x@near.example\n"
        "  router = out, transport = smtp\n"
        "  host 192.0.2.7 [192.0.2.7] port=26\n",
    )


def test_a_redirection_and_where_it_came_from(run: Run) -> None:
    code, said = run("-bt", "both")
    assert code == 0
    assert said == (
        "bob@example.org\n    <-- both@example.org\n  router = people, transport = box\n"
        "alice@example.org\n    <-- both@example.org\n  router = people, transport = box\n"
        "x@far.example\n    <-- both@example.org\n  router = out, transport = smtp\n"
        "  host 192.0.2.1    [192.0.2.1]\x20\x20\x20\n"
        "  host 2001:db8::25 [2001:db8::25]\n"
    )


@pytest.mark.parametrize(
    ("address", "code", "said"),
    [
        ("nobody", 2, "nobody@example.org is undeliverable: Unrouteable address\n"),
        ("gone", 2, "gone@example.org is undeliverable: no such person\n"),
        ("later", 1, "later@example.org cannot be resolved at this time: try later\n"),
        ("hole", 0, "mail to hole@example.org is discarded\n"),
        ("file", 0, "file@example.org -> /var/file\n  transport = box\n"),
        ("a b@c", 2, "syntax error: "),
    ],
)
def test_other_ends(run: Run, address: str, code: int, said: str) -> None:
    got, text = run("-bt", address)
    assert got == code
    assert text.startswith(said)


def test_files_and_pipes_that_go_nowhere(run: Run) -> None:
    assert run("-bt", "forbidden") == (
        0,
        "forbidden@example.org -> /var/file\n"
        "*** Error in setting up pipe, file, or autoreply:\n"
        "file_transport unset in forbidding router\n"
        "forbidden@example.org -> |/bin/cat *** forbidden ***\n",
    )


def test_what_is_said_of_routers_and_lists_is_no_part_of_the_answer(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(address_test.sys.stderr, "write", said.append)
    assert run("-bt", "odd")[0] == 0
    assert said[0] == "R: aliases for odd\n"
    assert any("odd router: skipped error: malformed" in line for line in said)
    said.clear()
    run("-bv", "alice")
    assert said == []


def test_the_worst_decides_the_exit_code(run: Run) -> None:
    assert run("-bt", "alice", "later", "gone", "bob")[0] == 2
    assert run("-bt", "alice", "later")[0] == 1


def test_what_was_seen_before_is_a_duplicate(run: Run) -> None:
    _, said = run("-bt", "alice", "alice")
    assert "alice@example.org   [duplicate, would not be delivered]\n" in said


@pytest.mark.parametrize(
    ("address", "code", "said"),
    [
        ("alice", 0, "alice@example.org verified\n"),
        ("hole", 0, "hole@example.org verified\n"),
        ("both", 0, "both@example.org verified\n"),
        ("gone", 2, "gone@example.org failed to verify: no such person\n"),
        ("nobody", 2, "nobody@example.org failed to verify: Unrouteable address\n"),
        ("later", 1, "later@example.org cannot be resolved at this time: try later\n"),
    ],
)
@pytest.mark.parametrize("flag", ["-bv", "-bvs"])
def test_verification(run: Run, flag: str, address: str, code: int, said: str) -> None:
    assert run(flag, address) == (code, said)


def test_a_configuration_that_cannot_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bad.conf"
    file.write_text("no_such_option = x\n")
    assert sendmail.run("sendmail", ["-C", str(file), "-bt", "x"]) == os.EX_CONFIG
    assert f"{file}:1:" in capsys.readouterr().err


def test_octets_that_are_no_text_are_a_question_too(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = io.TextIOWrapper(io.BytesIO(b"\xff@example.org\nalice\n"), "utf-8")
    monkeypatch.setattr("sys.stdin", asked)
    assert list(address_test._asked()) == ["\udcff@example.org", "alice"]


def test_octets_that_are_no_text_are_an_answer_too(monkeypatch: pytest.MonkeyPatch) -> None:
    octets = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(octets, "utf-8"))
    as_it_is()
    sys.stdout.write("\udcff\n")
    sys.stdout.flush()
    assert octets.getvalue() == b"\xff\n"


def test_options_about_the_dns_are_checked_first(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mta.conf").write_text("dns_servers = ns.example\n" + CONFIG)
    assert run("-bt", "alice") == (78, "")
