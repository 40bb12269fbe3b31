"""How long a message is ours before its sender knows: the window of RFC 1047.

    python -m tests.bench.window [--messages 200] [--size 2000] [--json FILE]

Two rows: `window` is from the rename of -H, which makes a message ours for good, until the 250
is there; a connection that is cut in it gives the message twice.  `answer` is from the final
dot to the 250, which is what a client waits for.  The rename is seen by inotify, in the same
process that waits for the answer, so that one clock times both; what is measured is therefore
a little more than what it is.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import select
import statistics
import struct
import sys
import time
from pathlib import Path

from tests.bench.compare import say
from tests.harness import clients, daemon
from tests.harness.daemon import Running

IN_MOVED_TO = 0x80
EVENT = struct.Struct("iIII")
PLAIN = daemon.BASIC.replace("split_spool_directory = true", "split_spool_directory = false")


class Watch:
    """Tells when a -H file gets its name."""

    def __init__(self, directory: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        watched = libc.inotify_add_watch(self.fd, os.fsencode(directory), IN_MOVED_TO)
        if self.fd < 0 or watched < 0:
            raise OSError(ctypes.get_errno(), "inotify")

    def sees_message(self) -> bool:
        """True if one of the events that wait is the rename of a -H."""
        octets, at, found = os.read(self.fd, 65536), 0, False
        while at < len(octets):
            *_, length = EVENT.unpack_from(octets, at)
            at += EVENT.size
            found = found or octets[at : at + length].rstrip(b"\0").endswith(b"-H")
            at += length
        return found


def once(client: clients.Conversation, watch: Watch, message: bytes) -> tuple[float, float]:
    """Seconds from the rename to the answer, and from the final dot to the answer."""
    client.codes("MAIL FROM:<a@sender.test>", "RCPT TO:<alice@local.test>", "DATA")
    client.send(message)
    poll = select.poll()
    poll.register(watch.fd, select.POLLIN)
    poll.register(client.socket, select.POLLIN)
    dot = time.perf_counter()
    client.send(b".\r\n")
    stored = 0.0
    while True:
        ready = {fd for fd, _ in poll.poll(30_000)}
        now = time.perf_counter()
        if watch.fd in ready and watch.sees_message():
            stored = stored or now
        if client.socket.fileno() in ready:
            if client.reply().code != 250 or not stored:
                raise RuntimeError("the message was not taken, or not seen in the spool")
            return now - stored, now - dot


def measure(mta: Running, number: int, size: int) -> list[tuple[float, float]]:
    """Both times of so many messages over one connection."""
    watch = Watch(mta.spool / "input")
    line = b"x" * 70 + b"\r\n"
    message = b"Subject: window\r\n\r\n" + line * (size // len(line) + 1)
    with clients.Conversation(mta.address) as client:
        client.codes("EHLO client.test")
        for _ in range(5):
            once(client, watch, message)
        return [once(client, watch, message) for _ in range(number)]


def row(what: str, seconds: list[float]) -> dict[str, object]:
    """Median and 99th percentile in milliseconds."""
    ordered = sorted(seconds)
    return {
        "scenario": what,
        "p50_ms": statistics.median(ordered) * 1000,
        "p99_ms": ordered[int(len(ordered) * 0.99)] * 1000,
    }


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Time the window of RFC 1047.")
    parser.add_argument("--messages", type=int, default=200)
    parser.add_argument("--size", type=int, default=2000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    # Only queued: what is delivered meanwhile would be measured, too.
    with daemon.running(f"queue_only = true\n{PLAIN}") as mta:
        times = measure(mta, options.messages, options.size)
    table = [
        row("window", [window for window, _ in times]),
        row("answer", [answer for _, answer in times]),
    ]
    say(f"{'scenario':12}{'p50 ms':>8}{'p99 ms':>8}")
    for each in table:
        say("{scenario:12}{p50_ms:8.3f}{p99_ms:8.3f}".format(**each))
    if options.json:
        options.json.write_text(json.dumps(table, indent=1))
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
