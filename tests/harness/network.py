"""Hosts in network namespaces, with a switch between them that loses, delays, and resets.

    with network.made() as net:
        a = net.host("a", "10.99.0.11")
        a.command("ip", "addr")               # a command line that runs in its network
        net.link("a", delay=0.05, loss=0.05)

Needs root (see `why_not`).  Nothing is made in the machine's own network.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pytest

from tests.harness.source import TREE
from tests.harness.wait import until

SWITCH = TREE / "tests" / "harness" / "switch.py"
TUN = "/dev/net/tun"
FIRST_PORT = "/proc/sys/net/ipv4/ip_unprivileged_port_start"


@dataclass(slots=True)
class Host:
    """A network of its own, and the way into it."""

    name: str
    address: str
    pid: int

    @property
    def entering(self) -> list[str]:
        """What goes before a command line that is to run there."""
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", "--"]

    def command(self, *arguments: str) -> list[str]:
        return [*self.entering, *arguments]

    def run(self, *arguments: str, message: str = "") -> str:
        """Its output; fails the test if it fails."""
        done = subprocess.run(
            self.command(*arguments),
            input=message,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout[-4000:]}"
        return done.stdout

    def hears(self, port: int) -> bool:
        """Whether something listens there."""
        wanted = f":{port:04X} "
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/{self.pid}/net/{table}").read_text().split("\n"):
                if " 0A " in line and wanted in line.partition(" 0A ")[0]:
                    return True
        return False

    def await_port(self, port: int, seconds: float = 30.0) -> None:
        until(lambda: self.hears(port), seconds, f"port {port} on {self.name}")


@dataclass(slots=True)
class Network:
    """The switch, and the hosts by name."""

    orders: IO[str]
    answers: IO[str]
    hosts: dict[str, Host] = field(default_factory=dict)

    def order(self, **words: object) -> dict[str, int]:
        self.orders.write(json.dumps(words) + "\n")
        self.orders.flush()
        said = json.loads(self.answers.readline() or '{"error": "the switch has ended"}')
        assert "error" not in said, said
        return dict(said)

    def host(self, name: str, address: str, *others: str) -> Host:
        """One more; 10.99.0.N/24 and what else is given with its prefix."""
        pid = self.order(host=name, addresses=[f"{address}/24", *others])["pid"]
        made = self.hosts[name] = Host(name, address, pid)
        # So that an unprivileged daemon can have port 25.
        made.run("sh", "-c", f"echo 0 > {FIRST_PORT}")
        return made

    def link(
        self, name: str, *, delay: float = 0.0, loss: float = 0.0, copies: float = 0.0
    ) -> None:
        """What becomes of the frames that the host sends: seconds, and shares of one."""
        self.order(link=name, delay=float(delay), loss=float(loss), copies=float(copies))

    def part(self, one: str, other: str) -> None:
        self.order(apart=[one, other])

    def heal(self, one: str, other: str) -> None:
        self.order(together=[one, other])

    def reset_when(self, name: str, seen: bytes, when: str = "before", times: int = 1) -> None:
        """Reset the connection in which this host sends the octets."""
        self.order(
            **{"break": name, "seen": seen.decode("latin-1"), "when": when}, times=times
        )

    def resets(self, name: str) -> int:
        """How many connections were reset by the last `reset_when`."""
        return self.order(broken=name)["broken"]


def why_not() -> str:
    """Why there can be no network here; empty when there can."""
    if os.geteuid() != 0:
        return "needs root"
    if not os.path.exists(TUN):
        os.makedirs(os.path.dirname(TUN), exist_ok=True)
        os.mknod(TUN, 0o600 | stat.S_IFCHR, os.makedev(10, 200))
    try:
        os.close(os.open(TUN, os.O_RDWR))
    except OSError as error:
        return f"needs {TUN}: {error.strerror}"
    tried = subprocess.run(
        ["unshare", "--net", "ip", "link"], capture_output=True, check=False
    )
    return "" if tried.returncode == 0 else "needs the right to make network namespaces"


@contextmanager
def made() -> Iterator[Network]:
    """A network without hosts; the test is skipped where there can be none."""
    if why := why_not():
        pytest.skip(why)
    command: Sequence[str] = (
        *("unshare", "--net", "--kill-child", "--fork"),
        *(sys.executable, "-I", str(SWITCH)),
    )
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as switch:
        assert switch.stdin is not None
        assert switch.stdout is not None
        yield Network(switch.stdin, switch.stdout)
        switch.stdin.close()
