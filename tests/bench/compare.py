"""Compare this MTA with Debian's Postfix and Exim: the same messages, in turn, in one run.

    python -m tests.bench.compare [--systems mta,postfix,exim]
                                  [--scenarios receive,maildir,relay,users]
                                  [--rounds 3] [--messages 2000] [--clients 10] [--size 4096]
                                  [--counts] [--json FILE]

Scenarios: receive (accept and keep), maildir (and deliver to a Maildir), relay (and send on
to a sink), users (and deliver to the Maildirs of 1,000 system users in turn); each with a
session per message and with reused sessions. The clock stops when the last message is in its
Maildir or the sink. Rates of different runs say nothing about each other: only the ratios
within one run do. All queues and mailboxes are on one ext4 with a journal, made for the run:
that is what servers have, and one without makes every new file search through those that were
just removed. Needs root, gcc and debootstrap; runs in namespaces of its own, so nothing else
on the machine can be reached or disturbed. With --counts a short traced run adds forks, execs
and syncs per message.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import mmap
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.measure import Daemon
from tests.bench.systems import ALL, SCENARIOS, SINK_PORT, USERS, System
from tests.harness import roots

HERE = Path(__file__).resolve().parent
INSIDE = "MTA_BENCH_INSIDE"
STALL = 60.0
DISK_SIZE = "3G"
# Exim is an order of magnitude slower at these: fewer messages give as good a rate.
SLOW = {("exim", "maildir"), ("exim", "relay"), ("exim", "users")}
TO = {"relay": "alice@relay.test", "users": "u%d@local.test"}
# Title, width, decimals, and the name of the value.
COLUMNS = (
    ("cpu ms", 8, 2, "cpu_ms"),
    ("MiB", 7, 1, "memory_mib"),
    ("p50 ms", 8, 1, "p50_ms"),
    ("p99 ms", 8, 1, "p99_ms"),
    ("forks", 7, 2, "forks"),
    ("execs", 7, 2, "execs"),
    ("syncs", 7, 2, "syncs"),
)
Row = dict[str, float]
Results = dict[tuple[str, str, str], list[Row]]


class Bench:
    """The tools of one comparison: load generator, sink, and where traces go."""

    def __init__(self, place: Path, options: argparse.Namespace) -> None:
        self.place, self.options = place, options
        for tool in ("load", "sink"):
            compiling = ["gcc", "-O2", "-o", str(place / tool), str(HERE / f"{tool}.c")]
            subprocess.run(compiling, check=True)

    @contextmanager
    def sink(self) -> Iterator[Callable[[], int]]:
        """A running sink; the value says how many messages it has taken."""
        counter = self.place / "count"
        counter.write_bytes(bytes(8))
        process = subprocess.Popen([str(self.place / "sink"), str(SINK_PORT), str(counter)])
        try:
            with (
                counter.open("rb") as file,
                mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ) as m,
            ):
                yield lambda: int.from_bytes(m[:8], sys.byteorder)
        finally:
            process.kill()
            process.wait()

    def load(
        self, system: System, scenario: str, style: str, messages: int
    ) -> subprocess.Popen[str]:
        to = TO.get(scenario, "alice@local.test")
        command = [
            str(self.place / "load"),
            "-p",
            str(system.port),
            "-n",
            str(messages),
            "-t",
            to,
        ]
        command += ["-c", str(self.options.clients), "-s", str(self.options.size)]
        if style == "reused":
            command.append("-r")
        if scenario == "users":
            command += ["-u", str(USERS)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def run(
        self, daemon: Daemon, system: System, scenario: str, style: str, messages: int
    ) -> Row:
        """One measured run of a daemon that is up and warm."""
        with self.sink() as taken:
            done = {
                "receive": lambda: messages,
                "maildir": system.delivered,
                "relay": taken,
                "users": system.delivered_to_all,
            }[scenario]
            before = done() if scenario in ("maildir", "users") else 0
            began = moved = time.monotonic()
            daemon.mark()
            load = self.load(system, scenario, style, messages)
            memory, last = 0.0, -1
            # To list a Maildir costs as much as a delivery: hardly ever while the load runs,
            # then at the pace at which the rest can be expected.
            while load.poll() is None or last - before < messages:
                running = load.poll() is None
                pace = (time.monotonic() - began) / max(1, last - before)
                left = max(0, messages + before - last)
                time.sleep(0.05 if running else min(0.5, max(0.005, left * pace / 4)))
                now = time.monotonic()
                if not memory and now - began > 0.7:
                    memory = daemon.group.memory()
                look = not running or now - moved > STALL / 4
                if look and (count := done()) != last:
                    moved, last = now, count
                if now - moved > STALL:
                    load.kill()
                    raise RuntimeError(
                        f"{system.name} {scenario}: stuck after {last - before}"
                    )
            seconds = time.monotonic() - began
            report = json.loads(load.stdout.read()) if load.stdout else {}
        row: Row = {
            "rate": messages / seconds,
            "cpu_ms": daemon.cpu() * 1000 / messages,
            "memory_mib": memory or daemon.group.memory(),
            "p50_ms": report["p50"],
            "p99_ms": report["p99"],
            "errors": report["errors"],
        }
        return row

    def measure(
        self, system: System, scenario: str, style: str, *, traced: bool = False
    ) -> Row:
        """Start the system clean, warm it, measure, stop it."""
        system.clean()
        system.configure(scenario)
        trace = self.place / "trace" if traced else None
        daemon = Daemon(system.name, system.command(scenario), system.port, trace)
        messages = 100 if traced else self.options.messages
        if (system.name, scenario) in SLOW and not traced:
            messages = max(200, messages // 5)
        try:
            self.run(daemon, system, scenario, style, 60)
            time.sleep(1.0 if traced else 0.3)
            row = self.run(daemon, system, scenario, style, messages)
            if traced:
                time.sleep(1.0)
                return {key: value / messages for key, value in daemon.counted().items()}
            return row
        finally:
            daemon.stop()
            system.clean()


def compare(bench: Bench, systems: list[System], scenarios: list[str]) -> Results:
    """Every combination, the systems in turn, `rounds` times."""
    results: Results = {}
    for turn in range(bench.options.rounds):
        for scenario in scenarios:
            for style in ("single", "reused"):
                # Whoever goes first finds another machine than whoever goes last.
                order = systems[turn % len(systems) :] + systems[: turn % len(systems)]
                for system in order:
                    row = bench.measure(system, scenario, style)
                    results.setdefault((scenario, style, system.name), []).append(row)
                    say(f"{scenario:8} {style:7} {system.name:8} {row['rate']:7.0f}/s")
    return results


def medians(results: Results) -> dict[tuple[str, str, str], Row]:
    return {
        key: {name: statistics.median(row[name] for row in rows) for name in rows[0]}
        for key, rows in results.items()
    }


def table(rows: dict[tuple[str, str, str], Row], systems: list[System]) -> Iterator[str]:
    """The comparison as text; the ratios are each system's rate to that of a peer."""
    names = [system.name for system in systems]
    peers = [name for name in names if name != "mta"]
    head = f"{'scenario':9}{'sessions':9}{'system':9}{'msg/s':>8}"
    head += "".join(f"{'x ' + name:>10}" for name in peers)
    yield head + "".join(f"{title:>{width}}" for title, width, _, _ in COLUMNS)
    for (scenario, style, name), row in rows.items():
        line = f"{scenario:9}{style:9}{name:9}{row['rate']:8.0f}"
        for peer in peers:
            other = rows.get((scenario, style, peer))
            line += f"{row['rate'] / other['rate']:10.2f}" if other else " " * 10
        for _, width, digits, key in COLUMNS:
            line += f"{row[key]:{width}.{digits}f}" if key in row else " " * width
        yield line


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def options_of(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare mail systems.")
    parser.add_argument("--systems", default=",".join(kind.name for kind in ALL))
    parser.add_argument("--scenarios", default=",".join(SCENARIOS))
    for name, number in (("rounds", 3), ("messages", 2000), ("clients", 10), ("size", 4096)):
        parser.add_argument(f"--{name}", type=int, default=number)
    parser.add_argument("--counts", action="store_true")
    parser.add_argument("--json", type=Path)
    return parser.parse_args(arguments)


def chosen_systems(names: str) -> list[System]:
    """The systems that can take part; the others are named with their reason."""
    chosen = []
    for kind in ALL:
        system = kind()
        if system.name in names.split(","):
            if why := system.why_not():
                say(f"{system.name} is left out: {why}")
            else:
                chosen.append(system)
    return chosen


def inside(module: str, systems: list[System], arguments: list[str]) -> int | None:
    """Install the systems and run the module again in a network namespace of its own.

    Its exit code; None when this is that second run.
    """
    if INSIDE in os.environ:
        return None
    roots.directory().mkdir(parents=True, exist_ok=True)
    lock = os.open(roots.directory(), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.flock(lock, fcntl.LOCK_EX)  # two at a time would measure each other
    for system in systems:
        system.install()
    again = [sys.executable, "-m", module, *arguments]
    command = [
        "unshare",
        "--net",
        "--mount",
        "sh",
        "-c",
        'ip link set lo up && exec "$@"',
        "sh",
        *again,
    ]
    return subprocess.run(command, env={**os.environ, INSIDE: "1"}, check=False).returncode


@contextmanager
def own_disk(place: Path, systems: list[System]) -> Iterator[None]:
    """The queues and mailboxes of all systems are on one file system while the block runs.

    The mounts are seen in this namespace only.
    """
    image, disk = place / "disk.img", place / "disk"
    disk.mkdir()
    subprocess.run(["fallocate", "-l", DISK_SIZE, image], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, disk], check=True)
    mounted = [disk]
    try:
        for system in systems:
            for path in (system.spool, "home"):
                new, old = disk / system.name / path, system.root / path
                new.parent.mkdir(parents=True, exist_ok=True)
                subprocess.run(["cp", "-a", old, new], check=True)
                subprocess.run(["mount", "--bind", new, old], check=True)
                mounted.append(old)
        yield
    finally:
        for path in reversed(mounted):
            subprocess.run(["umount", path], check=True)


def main(arguments: list[str]) -> int:
    options = options_of(arguments)
    if why := roots.why_not():
        say(f"compare: {why}")
        return 77
    systems = chosen_systems(options.systems)
    if (code := inside("tests.bench.compare", systems, arguments)) is not None:
        return code
    with tempfile.TemporaryDirectory(prefix="mta-bench-", dir="/var/tmp") as place:
        bench = Bench(Path(place), options)
        with own_disk(Path(place), systems):
            scenarios = options.scenarios.split(",")
            results = compare(bench, systems, scenarios)
            rows = medians(results)
            for key, row in rows.items() if options.counts else ():
                system = next(system for system in systems if system.name == key[2])
                row.update(bench.measure(system, key[0], key[1], traced=True))
    for line in table(rows, systems):
        print(line)
    if options.json:
        records = [
            {"scenario": key[0], "sessions": key[1], "system": key[2], **row}
            for key, row in rows.items()
        ]
        settings = {"clients": options.clients, "size": options.size, "rounds": options.rounds}
        options.json.write_text(json.dumps({"settings": settings, "rows": records}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
