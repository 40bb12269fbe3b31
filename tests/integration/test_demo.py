"""`mta demo`, on a copy of the tree in a path with blanks: what a newcomer sees first."""

from __future__ import annotations

import base64
import os
import pwd
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from mta.cli.demo import PORT
from mta.unix.process import tree_root
from tests.harness.wait import until

BOOT = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); sys.argv[0] = 'mta'\n"
    "from mta.cli.main import main; main()"
)


def port_is_taken() -> bool:
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", PORT)) == 0


class Demo:
    """The demo of a tree that belongs to an ordinary user, whoever runs the test."""

    def __init__(self, tree: Path, user: str) -> None:
        self.tree = tree
        self.user = user
        self.python = [sys.executable, "-IB", "-c", BOOT, str(tree)]

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start it in the background; as root it finds its user by itself."""
        return subprocess.Popen(
            [*self.python, "demo", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd="/",
        )

    def started(self) -> subprocess.Popen[str]:
        """Start it and read what it says until it waits."""
        running = self.start()
        assert running.stdout is not None
        self.said = ""
        while line := running.stdout.readline():
            self.said += line
            if "Stop it with Ctrl-C" in line:
                return running
        raise AssertionError(self.said)

    def call(self, *words: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run sendmail or a relative of the tree as the user of the demo."""
        program, *arguments = words
        return subprocess.run(
            [str(self.tree / "bin" / program), *self.options(), *arguments],
            input=text,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            **self.identity(),
            cwd="/",
        )

    def identity(self) -> dict[str, int]:
        if not self.user:
            return {}
        owner = pwd.getpwnam(self.user)
        return {"user": owner.pw_uid, "group": owner.pw_gid}

    def options(self) -> list[str]:
        return [
            "-C",
            str(self.tree / "etc" / "mta.demo.conf"),
            f"-DSPOOL={self.tree}/spool",
            f"-DINTERFACES=<; [127.0.0.1]:{PORT}",
        ]

    def mail_of(self, name: str) -> list[str]:
        directory = self.tree / "spool" / "mail" / name / "new"
        return [file.read_text() for file in sorted(directory.iterdir())]


@pytest.fixture(scope="module")
def _alone() -> Iterator[None]:
    """The demo has one port: two runs of this file on a machine take turns."""
    with socket.socket(socket.AF_UNIX) as lock:

        def taken() -> bool:
            with suppress(OSError):
                lock.bind("\0mta-test-demo")
                return True
            return False

        until(taken, 100, "another run of these tests ends")
        if port_is_taken():
            pytest.skip(f"port {PORT} is in use")
        yield


@pytest.fixture
def demo(_alone: None) -> Iterator[Demo]:
    place = Path(tempfile.mkdtemp(prefix="mta demo "))
    place.chmod(0o755)
    tree = place / "the tree"
    tree.mkdir()
    for part in ("mta", "bin", "etc"):
        shutil.copytree(Path(tree_root()) / part, tree / part)
    (tree / ".venv").symlink_to(Path(tree_root()) / ".venv")
    (tree / "spool").mkdir()
    user = ""
    if os.geteuid() == 0:
        user = "nobody"
        owner = pwd.getpwnam(user)
        os.chown(tree, owner.pw_uid, owner.pw_gid)
        os.chown(tree / "spool", owner.pw_uid, owner.pw_gid)
    yield Demo(tree, user)
    shutil.rmtree(place)


def test_once_shows_two_delivered_messages(demo: Demo) -> None:
    said, _ = (running := demo.start("--once")).communicate(timeout=60)
    assert running.returncode == 0, said
    assert "Subject: A message through sendmail" in said
    assert "Subject: A message by SMTP" in said
    assert "Both messages were delivered" in said
    assert len(demo.mail_of("alice")) == len(demo.mail_of("bob")) == 1


def test_the_user_of_the_demo_can_log_in_and_nobody_else(demo: Demo) -> None:
    running = demo.started()
    found = re.search(r"-a PLAIN -au you -ap (\S+)\n", demo.said)
    assert found, demo.said
    for word in (found[1], "guessed-wrong"):
        with smtplib.SMTP("127.0.0.1", PORT, timeout=30) as client:
            client.ehlo()
            if word == found[1]:
                client.login("you", word)
                client.sendmail(
                    "somebody@demo.localhost",
                    ["alice@demo.localhost"],
                    "From: x@y.example\n\n",
                )
            else:
                with pytest.raises(smtplib.SMTPAuthenticationError):
                    client.login("you", word)
    until(lambda: len(demo.mail_of("alice")) == 2, 10, "the message arrives")
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=30)
    [text] = [each for each in demo.mail_of("alice") if "Sender: you@demo.localhost" in each]
    assert "with esmtpa" in text
    log = (demo.tree / "spool" / "log" / "mainlog").read_text()
    assert " P=esmtpa A=login:you " in log
    assert "535 Incorrect authentication data (set_id=you)" in log
    everything = [
        file.read_bytes() for file in (demo.tree / "spool").rglob("*") if file.is_file()
    ]
    for word in (found[1], "guessed-wrong"):
        for form in (word.encode(), base64.b64encode(f"\0you\0{word}".encode())):
            assert not any(form in octets for octets in everything)


def test_a_second_demo_says_that_one_is_running(demo: Demo) -> None:
    first = demo.started()
    said, _ = (second := demo.start()).communicate(timeout=30)
    first.send_signal(signal.SIGINT)
    last, _ = first.communicate(timeout=30)
    assert second.returncode == 69
    assert "a demo runs here already, as process" in said
    assert (first.returncode, "Stopped in" in last) == (0, True)


def test_a_killed_demo_takes_its_processes_along_and_loses_nothing(demo: Demo) -> None:
    first = demo.started()
    assert demo.call("sendmail", "slow@demo.localhost", text="\nkept\n").returncode == 0
    first.kill()
    first.communicate(timeout=30)
    socket_file = demo.tree / "spool" / "run" / "submit"
    until(lambda: not socket_file.exists(), 10, "the processes leave")
    second = demo.started()
    assert "slow@demo.localhost" in demo.call("mailq").stdout
    second.send_signal(signal.SIGINT)
    second.communicate(timeout=30)
    # Its time has not come; the order to try it nevertheless delivers it.
    assert demo.call("sendmail", "-qf").returncode == 0
    assert ["kept" in text for text in demo.mail_of("slow")] == [True]


def test_a_port_that_is_taken_is_named_with_its_holder(demo: Demo) -> None:
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", PORT))
        holder.listen()
        said, _ = (running := demo.start()).communicate(timeout=30)
    assert running.returncode == 69
    assert f"port {PORT} of 127.0.0.1 is taken by " in said


def test_without_a_daemon_the_owner_delivers_with_processes_of_his_own(demo: Demo) -> None:
    ended = demo.call("sendmail", "-odi", "bob@demo.localhost", text="\nalone\n")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ["alone" in text for text in demo.mail_of("bob")] == [True]
    ended = demo.call("sendmail", "-bs", text="EHLO x\nQUIT\n".replace("\n", "\r\n"))
    assert ended.stdout.startswith("220 demo.localhost ESMTP")
    assert demo.call("mailq").stdout == ""


def test_the_daemon_can_be_started_off_into_the_background(demo: Demo) -> None:
    ended = demo.call("sendmail", "-bd", "-q30m")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    pid_file = demo.tree / "spool" / "run" / "master"
    pid = int(pid_file.read_text())
    again = demo.call("sendmail", "-bd")
    assert again.returncode == 69
    assert f"another mta (process {pid}) runs on" in again.stderr
    os.kill(pid, signal.SIGTERM)
    socket_file = demo.tree / "spool" / "run" / "submit"
    until(lambda: not socket_file.exists(), 10, "the daemon leaves")
