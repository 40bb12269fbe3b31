"""The mail systems that are compared: how each is installed, set up and started.

Each lives in a Debian root of its own on one file system, syncs before its 250, and listens on
a port of its own on 127.0.0.1. `Exim` and `Postfix` are Debian's packages with a small
production configuration; `Mta` is a copy of this tree with its production configuration, in
which only ports, domains and paths are changed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.harness import roots
from tests.harness.source import TREE

HERE = Path(__file__).resolve().parent
SINK_PORT = 9025
SCENARIOS = ("receive", "maildir", "relay", "users")
# The users that mail of the scenario of this name is for, beside alice.
USERS, FIRST_UID = 1000, 20000


class System:
    """One mail system; a subclass says what differs."""

    name: str
    port: int
    packages: tuple[str, ...] = ()
    spool: str
    queues: tuple[str, ...]

    @property
    def root_name(self) -> str:
        return f"bench-{self.name}"

    @property
    def root(self) -> Path:
        return roots.path_of(self.root_name)

    def maildirs(self) -> list[Path]:
        """Of everybody who gets mail."""
        names = ["alice", *(f"u{number}" for number in range(USERS))]
        return [self.root / f"home/{name}/Maildir" for name in names]

    def why_not(self) -> str:
        """Why this system cannot take part; empty when it can."""
        return ""

    def install(self) -> None:
        """Build the root; needs the network the first time."""
        roots.make(self.root_name, *self.packages)
        add_users(self.root)

    def configure(self, scenario: str) -> None:
        raise NotImplementedError

    def program(self, scenario: str) -> list[str]:
        """The daemon in the foreground, as seen from inside the root."""
        raise NotImplementedError

    def command(self, scenario: str) -> list[str]:
        return roots.entering(self.root_name, "root", *self.program(scenario))

    def clean(self) -> None:
        """Remove all mail; the directories stay as the system made them."""
        for queue in self.queues:
            for place, _, files in os.walk(self.root / self.spool / queue):
                for file in files:
                    os.unlink(os.path.join(place, file))
        for maildir in self.maildirs():
            shutil.rmtree(maildir, ignore_errors=True)

    def delivered(self) -> int:
        """How many messages lie in alice's Maildir."""
        return number_in(self.root / "home/alice/Maildir/new")

    def delivered_to_all(self) -> int:
        """How many messages lie in all Maildirs."""
        return sum(number_in(maildir / "new") for maildir in self.maildirs())


def number_in(directory: Path) -> int:
    try:
        return len(os.listdir(directory))
    except FileNotFoundError:
        return 0


def add_users(root: Path) -> None:
    """Users u0, u1 and so on with a home each, as useradd makes them but at once."""
    file = root / "etc/passwd"
    known = file.read_text()
    if f"\nu{USERS - 1}:" in known:
        return
    accounts, groups = "", ""
    for number in range(USERS):
        uid = FIRST_UID + number
        home = root / f"home/u{number}"
        home.mkdir(exist_ok=True)
        os.chown(home, uid, uid)
        accounts += f"u{number}:x:{uid}:{uid}::/home/u{number}:/bin/sh\n"
        groups += f"u{number}:x:{uid}:\n"
    file.write_text(known + accounts)
    file = root / "etc/group"
    file.write_text(file.read_text() + groups)


class Exim(System):
    name, port = "exim", 10025
    packages = ("exim4-daemon-heavy",)
    spool, queues = "var/spool/exim4", ("input", "msglog", "db")

    def configure(self, scenario: str) -> None:
        text = (HERE / "peers/exim4.conf").read_text()
        # A macro on the command line would cost the daemon its root when it runs itself again.
        head = "RECEIVE = yes\n" if scenario == "receive" else ""
        file = self.root / "etc/exim4/exim4.conf"
        file.write_text(head + text)
        file.chmod(0o644)

    def program(self, scenario: str) -> list[str]:
        return ["/usr/sbin/exim4", "-bdf"]


class Postfix(System):
    name, port = "postfix", 20025
    packages = ("postfix",)
    spool = "var/spool/postfix"
    queues = ("maildrop", "hold", "incoming", "active", "deferred", "bounce", "defer", "trace")

    def configure(self, scenario: str) -> None:
        text = (HERE / "peers/main.cf").read_text()
        if scenario == "receive":
            text += "smtpd_client_restrictions = check_client_access static:HOLD\n"
        (self.root / "etc/postfix/main.cf").write_text(text)
        master = self.root / "etc/postfix/master.cf"
        lines = [line for line in master.read_text().split("\n") if " inet " not in line]
        lines = [line for line in lines if line] + [
            f"127.0.0.1:{self.port} inet n - n - - smtpd\n"
        ]
        master.write_text("\n".join(lines))
        shutil.copy(self.root / "etc/resolv.conf", self.root / "var/spool/postfix/etc/")

    def install(self) -> None:
        super().install()
        (self.root / "var/spool/postfix/etc").mkdir(exist_ok=True)

    def program(self, scenario: str) -> list[str]:
        return ["/usr/sbin/postfix", "start-fg"]


class Mta(System):
    name, port = "mta", 30025
    spool, queues = "var/spool/mta", ("input", "msglog", "db")

    def why_not(self) -> str:
        return "" if (TREE / "etc/mta.conf").is_file() else "there is no etc/mta.conf yet"

    def install(self) -> None:
        """A fresh copy of this tree, with its environment and users."""
        super().install()
        home = self.root / "opt/mta"
        for entry in home.iterdir() if home.is_dir() else ():
            if entry.name != ".venv":
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        roots.copy_tree(home)
        # What an earlier tree installed would be kept.
        for leftover in ("etc/mta", self.spool):
            shutil.rmtree(self.root / leftover, ignore_errors=True)
        for arguments in (["--install-only"], ["install", "--users"]):
            enter = roots.entering(self.root_name, "root", "/opt/mta/bin/mta", *arguments)
            subprocess.run(enter, check=True, stdin=subprocess.DEVNULL)

    def configure(self, scenario: str) -> None:
        text = (TREE / "etc/mta.conf").read_text()
        file = self.root / "etc/mta/mta.conf"
        file.parent.mkdir(exist_ok=True)
        file.write_text(adapted(text, scenario, self.port))
        hosts = self.root / "etc/mta/relay_hosts"
        hosts.write_text(f"relay.test: 127.0.0.1::{SINK_PORT}\n")

    def program(self, scenario: str) -> list[str]:
        return ["/opt/mta/bin/mta", "run", "--foreground", "-C", "/etc/mta/mta.conf"]


# How a line of etc/mta.conf begins -> what the bench needs in its place.
ADAPTED = {
    "# primary_hostname =": "primary_hostname = mx.test",
    "domainlist local_domains =": "domainlist local_domains = local.test",
    "domainlist relay_to_domains =": "domainlist relay_to_domains = relay.test",
    # The generator is a stranger, not one of our own machines: every check is made.
    "hostlist relay_from_hosts =": "hostlist relay_from_hosts =",
    "# local_interfaces =": "local_interfaces = 127.0.0.1",
    # The sink is on this host.
    "route_data = ${lookup{$domain}lsearch{/etc/mta/relay_hosts}}": (
        "  route_data = ${lookup{$domain}lsearch{/etc/mta/relay_hosts}}\n  self = send"
    ),
    "driver = smtp": "  driver = smtp\n  allow_localhost",
}


def adapted(text: str, scenario: str, port: int) -> str:
    """The production configuration with the bench's port, domains and sink, and no more."""
    # Exim's setting too: a long session would leave the rest of its mail to a queue run.
    ports = f"daemon_smtp_ports = {port}\nsmtp_accept_queue_per_connection = 0"
    changes = {**ADAPTED, "daemon_smtp_ports =": ports}
    if scenario == "receive":
        changes["daemon_smtp_ports ="] += "\nqueue_only"
    lines = []
    for line in text.split("\n"):
        plain = " ".join(line.split())
        found = next((start for start in changes if plain.startswith(start)), None)
        lines.append(changes.pop(found) if found else line)
    if changes:
        raise RuntimeError(f"etc/mta.conf has changed: there is no line {sorted(changes)}")
    return "\n".join(lines)


ALL: tuple[type[System], ...] = (Mta, Postfix, Exim)
