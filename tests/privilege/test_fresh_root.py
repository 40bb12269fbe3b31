"""What a newcomer does: a fresh Debian, a copy of the tree in a path with spaces, a command.

The first run of a suite builds the root with debootstrap. Both releases are tried in turn, by
the day; MTA_TEST_ALL=1 runs both.
"""

from __future__ import annotations

import datetime
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import roots

SUITES = ("bookworm", "trixie")
HOME = "/home/alice/a mail system"
UNAVAILABLE = roots.why_not()

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(UNAVAILABLE), reason=UNAVAILABLE or "-"),
]


def enter(
    suite: str, user: str, *command: str, network: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run a command in the root; without a network unless it is to install something."""
    environment = dict(os.environ)
    if not network:
        environment["DEBROOT_NET"] = "none"
    return subprocess.run(
        roots.entering(f"fresh-{suite}", user, *command),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="module", params=SUITES)
def suite(request: pytest.FixtureRequest) -> Iterator[str]:
    """A release whose turn it is, with a fresh copy of the tree that belongs to alice."""
    name: str = request.param
    turn = SUITES[datetime.date.today().toordinal() % len(SUITES)]
    if name != turn and not os.environ.get("MTA_TEST_ALL"):
        pytest.skip(f"it is {turn}'s turn today; MTA_TEST_ALL=1 runs every release")
    root = roots.make(f"fresh-{name}", suite=name)
    place = root / HOME.lstrip("/")
    shutil.rmtree(place, ignore_errors=True)
    roots.copy_tree(place)
    assert enter(name, "root", "chown", "-R", "alice:alice", HOME).returncode == 0
    yield name
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="module")
def installed(suite: str) -> str:
    """The release, after alice's first command."""
    first = enter(suite, "alice", f"{HOME}/bin/mta", "--install-only", "test", network=True)
    assert first.returncode == 0, first.stdout
    assert "installed in" in first.stdout
    return suite


def stamp(suite: str) -> Path:
    return roots.path_of(f"fresh-{suite}") / HOME.lstrip("/") / ".venv/mta-installed"


def test_the_first_command_installs_what_is_needed_for_its_user(installed: str) -> None:
    root = roots.path_of(f"fresh-{installed}")
    assert stamp(installed).stat().st_uid == (root / "home/alice").stat().st_uid


def test_the_second_command_installs_nothing(installed: str) -> None:
    again = enter(installed, "alice", f"{HOME}/bin/mta", "--version")
    assert again.returncode == 0, again.stdout
    assert "install" not in again.stdout


def test_the_unit_tests_pass_there(installed: str) -> None:
    ended = enter(installed, "alice", f"{HOME}/bin/mta", "test", "unit")
    assert ended.returncode == 0, ended.stdout[-6000:]
    assert " 0 failed" in ended.stdout.rstrip("\n").rpartition("\n")[2]


@pytest.mark.parametrize("user", ["alice", "root"])
def test_the_demo_delivers_its_two_messages(installed: str, user: str) -> None:
    ended = enter(installed, user, f"{HOME}/bin/mta", "demo", "--once")
    assert ended.returncode == 0, ended.stdout[-6000:]
    assert ended.stdout.count("Subject:") >= 2


def test_root_gets_the_owner_of_the_tree_to_install(installed: str) -> None:
    stamp(installed).unlink()
    ended = enter(installed, "root", f"{HOME}/bin/mta", "--install-only", network=True)
    assert ended.returncode == 0, ended.stdout
    assert "belongs to alice" in ended.stdout
    assert stamp(installed).stat().st_uid != 0


def test_what_root_installs_is_of_use_to_the_users_of_the_daemon(suite: str) -> None:
    copying = f'rm -rf /opt/mta; cp -r "{HOME}" /opt/mta; rm -rf /opt/mta/.venv'
    script = f"{copying}; umask 077; /opt/mta/bin/mta --install-only"
    ended = enter(suite, "root", "sh", "-c", script, network=True)
    assert ended.returncode == 0, ended.stdout
    python = "/opt/mta/.venv/bin/python"
    imported = enter(suite, "bob", python, "-I", "-c", "import click, mta")
    assert imported.returncode == 0, imported.stdout


def test_pip_installs_the_same_commands(installed: str) -> None:
    script = f'python3 -m venv --clear ~/v && ~/v/bin/pip -q install "{HOME}" && ls ~/v/bin'
    ended = enter(installed, "alice", "sh", "-c", script, network=True)
    assert ended.returncode == 0, ended.stdout
    names = set(ended.stdout.split("\n"))
    assert names >= {"mta", "sendmail", "mailq", "runq", "newaliases", "exim"}
    share = roots.path_of(f"fresh-{installed}") / "home/alice/v/share"
    assert (share / "mta/mta.conf").is_file()
    assert (share / "man/man5/mta.conf.5").is_file()
    version = enter(installed, "alice", "/home/alice/v/bin/mta", "--version")
    assert version.returncode == 0, version.stdout


def test_without_python3_venv_the_message_names_the_package(installed: str) -> None:
    root = roots.path_of(f"fresh-{installed}")
    (shipped,) = root.glob("usr/lib/python3.*/ensurepip")
    away = shipped.with_name("ensurepip.away")
    shipped.rename(away)
    stamp(installed).rename(stamp(installed).with_name("kept"))
    try:
        ended = enter(installed, "alice", f"{HOME}/bin/mta", "--version")
    finally:
        away.rename(shipped)
        stamp(installed).with_name("kept").rename(stamp(installed))
    assert ended.returncode == 69
    assert "apt-get install python3-venv" in ended.stdout
