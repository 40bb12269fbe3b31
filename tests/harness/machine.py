"""A Debian machine on which this project is the mail system, with programs that send mail.

    with machine.running("clients", *PACKAGES) as debian:
        debian.run("alice", "mail", "-s", "hello", "bob", message="Hello.")

The daemon is the tree as it stands, installed as the README says and started by root with
etc/mta.conf; `/usr/sbin/sendmail` is ours.  It has a network of its own: 127.0.0.1 only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.harness import peers, roots
from tests.harness.source import TREE
from tests.harness.wait import until

HOME = "/opt/mta"
NAMES = ("sendmail", "mailq", "newaliases", "runq", "exim")
LIMIT = 60.0


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine at work."""

    root: Path
    process: subprocess.Popen[bytes]

    def run(self, user: str, *command: str, message: str = "") -> str:
        """What a command of the user says; the test fails if it does."""
        account = ["runuser", "-u", user, "--"] if user != "root" else []
        home = "/root" if user == "root" else f"/home/{user}"
        environment = [
            "env",
            "-i",
            "-C",
            home,
            f"HOME={home}",
            f"USER={user}",
            f"LOGNAME={user}",
        ]
        environment += ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "TERM=dumb"]
        done = subprocess.run(
            [
                *(
                    "nsenter",
                    "-t",
                    roots.inside(self.process),
                    "-m",
                    "-n",
                    "-p",
                    "-u",
                    "-i",
                    "-r",
                    "-w",
                ),
                *("--", *account, *environment, *command),
            ],
            input=message,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout[-4000:]}"
        return done.stdout

    def log(self) -> str:
        file = self.root / "var/log/mta/mainlog"
        return file.read_text("utf-8", "replace") if file.exists() else ""

    def await_log(self, text: str) -> str:
        """The first line of the log that holds the text."""
        until(lambda: text in self.log(), LIMIT, f"{text!r} in the log:\n{self.log()[-4000:]}")
        return next(line for line in self.log().split("\n") if text in line)


def entered(root: Path, *command: str) -> None:
    """Run a command of root's in the system, to set it up."""
    done = subprocess.run(
        roots.entering(root.name, "root", *command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]


def install(root: Path) -> None:
    """A fresh copy of the tree, its environment, its users, and the usual names."""
    home = root / HOME.lstrip("/")
    for entry in home.iterdir() if home.is_dir() else ():
        if entry.name != ".venv":
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    roots.copy_tree(home)
    for leftover in ("etc/mta", "var/spool/mta", "var/log/mta", "var/mail"):
        shutil.rmtree(root / leftover, ignore_errors=True)
    mail = root / "var/mail"
    mail.mkdir()
    os.chown(mail, 0, 8)  # root:mail
    mail.chmod(0o2775)
    for user in ("alice", "bob"):
        shutil.rmtree(root / f"home/{user}/Maildir", ignore_errors=True)
    entered(root, f"{HOME}/bin/mta", "--install-only")
    entered(root, f"{HOME}/bin/mta", "install", "--users")
    for name in NAMES:
        link = root / "usr/sbin" / name
        link.unlink(missing_ok=True)
        link.symlink_to(f"{HOME}/bin/{name}")


@contextmanager
def running(
    name: str, *packages: str, adapted: Callable[[str], str] = lambda text: text
) -> Iterator[Machine]:
    """The machine with the shipped configuration, or what `adapted` makes of it."""
    if why := roots.why_not():
        pytest.skip(why)
    root = roots.make(name, *packages)
    with peers.alone(root):
        install(root)
        (root / "etc/mta/mta.conf").write_text(adapted((TREE / "etc/mta.conf").read_text()))
        command = roots.entering(root.name, "root", f"{HOME}/bin/mta", "run", "--foreground")
        alone = {**os.environ, "DEBROOT_NET": "none"}
        with roots.started(command, env=alone) as process:
            made = Machine(root, process)
            made.await_log("daemon started")
            yield made
