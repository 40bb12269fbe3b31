"""A switch between hosts in network namespaces, in user space: a kernel may have no netem.

    unshare --net --kill-child --fork python switch.py

Reads one JSON object a line from standard input and answers each with one line:

    {"host": NAME, "addresses": ["10.99.0.11/24", ...]}   make one; answers {"pid": ...}
    {"link": NAME, "delay": S, "loss": P, "copies": P}    what the host sends from now on
    {"apart": [NAME, NAME]}, {"together": [NAME, NAME]}   a partition, and its end
    {"break": NAME, "seen": TEXT, "when": "before"|"after", "times": N}
                           when the host sends the text: that connection is reset, both ends,
                           before the frame that holds it is passed on or after
    {"broken": NAME}       how often that has happened

Each host is a process of ours in a namespace of its own, with one TAP device that ends here.
Nothing is made outside, and all of it is gone when this process is.
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import json
import os
import random
import select
import signal
import struct
import subprocess
import sys
import time
from dataclasses import dataclass, field

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TAP_NO_PI = 0x1002
PR_SET_PDEATHSIG = 1
IPV4, IPV6, TCP = b"\x08\x00", b"\x86\xdd", 6
RST, ACK = 0x04, 0x10
FRAMES_AT_ONCE = 64

libc = ctypes.CDLL(None, use_errno=True)


@dataclass(slots=True)
class Link:
    """What becomes of the frames a host sends."""

    name: str
    device: int
    delay: float = 0.0
    loss: float = 0.0
    copies: float = 0.0
    seen: bytes = b""
    when: str = "before"
    times: int = 0
    broken: int = 0


@dataclass(slots=True)
class Segment:
    """A TCP segment, as far as a reset needs it."""

    ethernet: bytes
    source: bytes
    target: bytes
    ports: tuple[int, int]
    sequence: int
    acknowledged: int
    payload: bytes

    def resets(self) -> tuple[bytes, bytes]:
        """The frames that reset the connection for the receiver, and for the sender."""
        after = (self.sequence + len(self.payload)) & 0xFFFFFFFF
        here, there, kind = self.ethernet[6:12], self.ethernet[:6], self.ethernet[12:]
        ahead = reset((self.source, self.target), self.ports, self.sequence, self.acknowledged)
        back = reset((self.target, self.source), self.ports[::-1], self.acknowledged, after)
        return there + here + kind + ahead, here + there + kind + back


def checksum(octets: bytes) -> int:
    """Of RFC 1071."""
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def reset(
    addresses: tuple[bytes, bytes], ports: tuple[int, ...], sequence: int, acknowledged: int
) -> bytes:
    """A packet that says RST."""

    def head(total: int) -> bytes:
        flags = (5 << 12) | RST | ACK
        return struct.pack("!HHIIHHHH", *ports, sequence, acknowledged, flags, 0, total, 0)

    def packet(total: int) -> bytes:
        if len(addresses[0]) == 16:
            return struct.pack("!IHBB", 6 << 28, 20, TCP, 64) + both
        return struct.pack("!BBHHHBBH", 0x45, 0, 40, 0, 0, 64, TCP, total) + both

    both = b"".join(addresses)
    segment = head(checksum(both + struct.pack("!HH", TCP, 20) + head(0)))
    return packet(checksum(packet(0))) + segment


def segment_of(frame: bytes) -> Segment | None:
    """The TCP segment in a frame; None if it holds something else."""
    kind = frame[12:14]
    if kind == IPV4 and len(frame) >= 54 and frame[23] == TCP:
        start, length = 14 + (frame[14] & 15) * 4, 4
        end = 14 + int.from_bytes(frame[16:18], "big")
        addresses = 26
    elif kind == IPV6 and len(frame) >= 74 and frame[20] == TCP:
        start, length = 54, 16
        end = 54 + int.from_bytes(frame[18:20], "big")
        addresses = 22
    else:
        return None
    here, there, sequence, acknowledged, flags = struct.unpack_from("!HHIIH", frame, start)
    return Segment(
        frame[:14],
        frame[addresses : addresses + length],
        frame[addresses + length : addresses + 2 * length],
        (here, there),
        sequence,
        acknowledged,
        frame[start + (flags >> 12) * 4 : end],
    )


@dataclass(slots=True)
class Switch:
    """All hosts and what is on its way between them."""

    poll: select.epoll = field(default_factory=select.epoll)
    links: dict[int, Link] = field(default_factory=dict)
    learnt: dict[bytes, int] = field(default_factory=dict)
    apart: set[frozenset[str]] = field(default_factory=set)
    waiting: list[tuple[float, int, int, bytes]] = field(default_factory=list)
    number: int = 0

    def named(self, name: str) -> Link:
        return next(link for link in self.links.values() if link.name == name)

    def send(self, origin: int, frame: bytes) -> None:
        """To the host it is for, or to all."""
        target = self.learnt.get(frame[:6])
        for device in [target] if target is not None else list(self.links):
            pair = frozenset((self.links[origin].name, self.links[device].name))
            if device != origin and pair not in self.apart:
                try:
                    os.write(device, frame)
                except OSError:
                    continue  # its queue is full: lost, as on any wire

    def reset(self, segment: Segment, link: Link) -> None:
        """Both ends hear that the other has no such connection."""
        ahead, back = segment.resets()
        self.send(link.device, ahead)
        os.write(link.device, back)
        link.times -= 1
        link.broken += 1

    def take(self, link: Link, frame: bytes) -> None:
        """One frame of a host."""
        self.learnt[frame[6:12]] = link.device
        hit = segment_of(frame) if link.times > 0 else None
        if hit is not None and link.seen not in hit.payload:
            hit = None
        if hit is not None and link.when == "before":
            self.reset(hit, link)
            return
        if random.random() >= link.loss:
            for _ in range(2 if random.random() < link.copies else 1):
                self.pass_on(link, frame)
        if hit is not None:
            # What comes after starts behind this one.
            hit.sequence = (hit.sequence + len(hit.payload)) & 0xFFFFFFFF
            hit.payload = b""
            self.reset(hit, link)

    def pass_on(self, link: Link, frame: bytes) -> None:
        if not link.delay:
            self.send(link.device, frame)
            return
        self.number += 1
        due = time.monotonic() + link.delay
        heapq.heappush(self.waiting, (due, self.number, link.device, frame))

    def due(self) -> float:
        """Send what has waited long enough; seconds until the next, or -1."""
        now = time.monotonic()
        while self.waiting and self.waiting[0][0] <= now:
            _, _, device, frame = heapq.heappop(self.waiting)
            self.send(device, frame)
        return self.waiting[0][0] - now if self.waiting else -1

    def run(self) -> None:
        """Until standard input ends."""
        self.poll.register(0, select.EPOLLIN)
        while True:
            for device, _ in self.poll.poll(self.due()):
                if device == 0:
                    line = sys.stdin.buffer.raw.readline()  # type: ignore[attr-defined]
                    if not line:
                        return
                    print(json.dumps(self.obey(json.loads(line))), flush=True)
                    continue
                for _ in range(FRAMES_AT_ONCE):
                    try:
                        frame = os.read(device, 65536)
                    except BlockingIOError:
                        break
                    self.take(self.links[device], frame)

    def obey(self, order: dict[str, object]) -> dict[str, object]:
        """One order of whoever started this."""
        match order:
            case {"host": str(name), "addresses": list(addresses)}:
                return {"pid": self.host(name, addresses)}
            case {"link": str(name), "delay": float(delay), "loss": float(loss)}:
                link = self.named(name)
                link.delay, link.loss = delay, loss
                link.copies = float(str(order.get("copies", 0.0)))
            case {"apart": [str(one), str(other)]}:
                self.apart.add(frozenset((one, other)))
            case {"together": [str(one), str(other)]}:
                self.apart.discard(frozenset((one, other)))
            case {"break": str(name), "seen": str(text), "when": str(when), "times": int(n)}:
                link = self.named(name)
                link.seen, link.when, link.times = text.encode("latin-1"), when, n
                link.broken = 0
            case {"broken": str(name)}:
                return {"broken": self.named(name).broken}
            case _:
                return {"error": f"not understood: {order}"}
        return {}

    def host(self, name: str, addresses: list[str]) -> int:
        """A process in a network of its own, with these addresses; its id."""
        ready, told = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(ready)
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if libc.unshare(CLONE_NEWNET) != 0:
                os._exit(1)
            os.close(told)
            while True:
                signal.pause()
        os.close(told)
        os.read(ready, 1)
        os.close(ready)
        device = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        wanted = f"t{len(self.links)}"
        fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", wanted.encode(), IFF_TAP_NO_PI))
        ip("link", "set", wanted, "netns", str(pid))
        inside = ["nsenter", f"--net=/proc/{pid}/ns/net"]
        ip("link", "set", wanted, "name", "eth0", within=inside)
        for order in ("lo", "eth0"):
            ip("link", "set", order, "up", within=inside)
        for address in addresses:
            options = ["nodad"] if ":" in address else []
            ip("addr", "add", address, "dev", "eth0", *options, within=inside)
        self.links[device] = Link(name, device)
        self.poll.register(device, select.EPOLLIN)
        return pid


def ip(*arguments: str, within: list[str] | None = None) -> None:
    subprocess.run([*(within or []), "ip", *arguments], check=True, stdin=subprocess.DEVNULL)


if __name__ == "__main__":
    Switch().run()
