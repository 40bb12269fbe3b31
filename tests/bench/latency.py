"""How long one message takes on an idle machine: ours, Postfix and Exim, in turn.

    python -m tests.bench.latency [--systems mta,postfix,exim] [--messages 60] [--rounds 3]
                                  [--json FILE]

Two rows for each system: `inject` is the sendmail command of a local program from its start to
its exit; `end to end` is a message by SMTP, from the connection until it is in the Maildir.
Needs what `compare` needs, and runs in a network namespace of its own as that does.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tests.bench.compare import chosen_systems, inside, say
from tests.bench.measure import Daemon
from tests.bench.systems import ALL, System
from tests.harness import clients, roots
from tests.harness.wait import until

SENDMAIL = {
    "mta": "/opt/mta/bin/sendmail",
    "postfix": "/usr/sbin/sendmail",
    "exim": "/usr/sbin/exim4",
}
# Timed inside the root, so that entering it does not count.
INJECT = """
import subprocess, sys, time
program, number = sys.argv[1], int(sys.argv[2])
command = [program, "-i", "-f", "alice@local.test", "alice@local.test"]
message = b"From: alice@local.test\\nSubject: local\\n\\n" + b"x\\n" * 500
for _ in range(number):
    began = time.perf_counter()
    subprocess.run(command, input=message, check=True)
    print(time.perf_counter() - began)
    time.sleep(0.02)
"""
MESSAGE = b"From: <a@sender.test>\r\nSubject: one\r\n\r\n" + b"x" * 70 + b"\r\n"


def inject(system: System, number: int) -> list[float]:
    """Seconds of each of so many runs of sendmail, by an ordinary user."""
    script = ["python3", "-I", "-S", "-c", INJECT, SENDMAIL[system.name], str(number)]
    command = roots.entering(system.root_name, "alice", *script)
    ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [float(line) for line in ran.stdout.split("\n") if line]


def end_to_end(system: System, number: int) -> list[float]:
    """Seconds from the connection to the file, message by message."""
    times = []
    for _ in range(number):
        before = system.delivered()
        began = time.perf_counter()
        with clients.Conversation(("127.0.0.1", system.port)) as client:
            client.codes("EHLO client.test", "MAIL FROM:<a@sender.test>")
            client.codes("RCPT TO:<alice@local.test>", "DATA")
            # No QUIT yet: Exim would take 200 ms over one that comes with the dot.
            client.send(MESSAGE + b".\r\n")
            if client.reply().code != 250:
                raise RuntimeError(f"{system.name} did not take the message")
            while system.delivered() == before:
                if time.perf_counter() - began > 30:
                    raise RuntimeError(f"{system.name} did not deliver")
        times.append(time.perf_counter() - began)
        time.sleep(0.02)
    return times


def measure(system: System, number: int) -> dict[str, list[float]]:
    """Both times of one system, started clean and warmed."""
    system.clean()
    system.configure("maildir")
    daemon = Daemon(system.name, system.command("maildir"), system.port)
    try:
        end_to_end(system, 5)
        found = {"end to end": end_to_end(system, number)}
        before = system.delivered()
        found["inject"] = inject(system, number)
        until(
            lambda: system.delivered() >= before + number,
            60.0,
            "delivery of what was injected",
        )
        return found
    finally:
        daemon.stop()
        system.clean()


def rows(times: dict[tuple[str, str], list[float]]) -> list[dict[str, object]]:
    """Median and 99th percentile in milliseconds, with the ratio to Postfix's median."""
    found = []
    for (what, name), seconds in sorted(times.items()):
        ordered = sorted(seconds)
        median = statistics.median(ordered)
        postfix = times.get((what, "postfix"))
        found.append(
            {
                "scenario": what,
                "system": name,
                "p50_ms": median * 1000,
                "p99_ms": ordered[int(len(ordered) * 0.99)] * 1000,
                "to_postfix": median / statistics.median(postfix) if postfix else 0.0,
            }
        )
    return found


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Time single messages.")
    parser.add_argument("--systems", default=",".join(kind.name for kind in ALL))
    parser.add_argument("--messages", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    if why := roots.why_not():
        say(f"latency: {why}")
        return 77
    systems = chosen_systems(options.systems)
    if (code := inside("tests.bench.latency", systems, arguments)) is not None:
        return code
    times: dict[tuple[str, str], list[float]] = {}
    for _ in range(options.rounds):
        for system in systems:
            for what, seconds in measure(system, options.messages).items():
                times.setdefault((what, system.name), []).extend(seconds)
                say(f"{what:11} {system.name:8} {statistics.median(seconds) * 1000:7.1f} ms")
    table = rows(times)
    print(f"{'scenario':12}{'system':9}{'p50 ms':>8}{'p99 ms':>8}{'x postfix':>10}")
    for row in table:
        line = "{scenario:12}{system:9}{p50_ms:8.1f}{p99_ms:8.1f}{to_postfix:10.2f}"
        print(line.format(**row))
    if options.json:
        options.json.write_text(json.dumps(table, indent=1))
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
