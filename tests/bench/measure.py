"""What one run of a mail system costs: processor time, memory, forks and syncs."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

V1 = Path("/sys/fs/cgroup/cpuacct")
V2 = Path("/sys/fs/cgroup")
START_LIMIT = 30.0
FORKS = {"fork", "vfork", "clone", "clone3"}
# (sync_file_range, as we use it, begins to write and waits for nothing.)
SYNCS = {"fsync", "fdatasync", "sync", "syncfs", "msync"}
TRACED = ",".join(sorted(FORKS | SYNCS | {"execve"}))
CALL = re.compile(r"^\d+\s+(\w+)\(")


class Group:
    """A control group around a daemon, so that children that are long gone are counted too."""

    def __init__(self, name: str) -> None:
        self.version = 1 if V1.is_dir() else 2
        self.place = (V1 if self.version == 1 else V2) / f"mta-bench-{name}-{os.getpid()}"
        self.place.mkdir(exist_ok=True)

    def wrap(self, command: list[str]) -> list[str]:
        """The command line that starts `command` inside the group."""
        join = 'echo $$ > "$0/cgroup.procs" && exec "$@"'
        return ["/bin/sh", "-c", join, str(self.place), *command]

    def seconds(self) -> float:
        """Processor time used by everything that ever ran in the group."""
        if self.version == 1:
            return int((self.place / "cpuacct.usage").read_text()) / 1e9
        words = (self.place / "cpu.stat").read_text().split()
        return int(words[words.index("usage_usec") + 1]) / 1e6

    def processes(self) -> list[int]:
        return [int(pid) for pid in (self.place / "cgroup.procs").read_text().split()]

    def memory(self) -> float:
        """MiB of memory of all processes, shared pages counted once (PSS)."""
        kib = 0
        for pid in self.processes():
            try:
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue  # it has ended meanwhile
            found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
            kib += int(found[1]) if found else 0
        return kib / 1024


class Daemon:
    """A mail system under way, and what it has used since `mark`."""

    def __init__(
        self, name: str, command: list[str], port: int, trace: Path | None = None
    ) -> None:
        self.group = Group(name)
        self.trace = trace
        if trace is not None:
            trace.unlink(missing_ok=True)
            command = [
                "strace",
                "-f",
                "-qqq",
                "-e",
                f"trace={TRACED}",
                "-o",
                str(trace),
                *command,
            ]
        self.process = subprocess.Popen(
            self.group.wrap(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.await_port(port)
        self.mark()

    def await_port(self, port: int) -> None:
        """Return when the daemon greets."""
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
                    client.settimeout(5)
                    if client.recv(512).startswith(b"220"):
                        client.sendall(b"QUIT\r\n")
                        return
            except OSError:
                pass
            time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"{self.process.args!r} does not answer on port {port}")

    def mark(self) -> None:
        self.began = self.group.seconds()
        self.calls = self.count()

    def cpu(self) -> float:
        return self.group.seconds() - self.began

    def count(self) -> Counter[str]:
        """Calls so far, when they are traced."""
        if self.trace is None or not self.trace.exists():
            return Counter()
        with self.trace.open(errors="replace") as lines:
            return Counter(found[1] for line in lines if (found := CALL.match(line)))

    def counted(self) -> dict[str, int]:
        """Forks, execs and syncs since the mark."""
        calls = self.count() - self.calls
        return {
            "forks": sum(calls[name] for name in FORKS),
            "execs": calls["execve"],
            "syncs": sum(calls[name] for name in SYNCS),
        }

    def stop(self) -> None:
        """End it and all it started: its namespace goes with it."""
        if not self.group.place.exists():
            return
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        deadline = time.monotonic() + 10
        while self.group.processes() and time.monotonic() < deadline:
            time.sleep(0.02)
        self.group.place.rmdir()
