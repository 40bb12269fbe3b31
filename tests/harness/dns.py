"""A name server for tests: it answers from a few lines of text, or misbehaves as told.

    with dns.serving('''
        example.test.      MX   10 mx1.example.test.
        mx1.example.test.  A    192.0.2.1
        broken.test.       SERVFAIL
        slow.test.         SILENT
        long.test.         TXT  "x" ...
    ''') as server:
        resolver = Resolver(Settings(servers=(server.place,)))
        ... server.asked() ...

Each line is a name, a type and the data as in a master file.  In place of a type SERVFAIL,
REFUSED and NXDOMAIN answer so, SILENT not at all, and GARBAGE with octets that are no message.
A name without a line does not exist; one with lines of other types has no data.  CNAMEs are
followed as far as there are lines.  An answer that is too long for UDP is cut short, and comes
over TCP.  The server is a process of its own and can be stopped and begun again.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import socket
import struct
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

TTL = 300
UDP_SIZE = 512
Note = Callable[[str], object]
MISBEHAVIOUR = frozenset({"SERVFAIL", "REFUSED", "NXDOMAIN", "SILENT", "GARBAGE"})


@dataclass(slots=True)
class Zone:
    """What there is to be said."""

    records: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    moods: dict[str, str] = field(default_factory=dict)
    ttl: int = TTL
    secure: bool = False

    def has(self, name: str) -> bool:
        """True if the name exists, be it only as part of another."""
        return any(known == name or known.endswith(f".{name}") for known, _ in self.records)


def parse(text: str, ttl: int, *, secure: bool) -> Zone:
    """The zone in these lines."""
    zone = Zone(ttl=ttl, secure=secure)
    for line in text.splitlines():
        words = line.split(None, 2)
        if not words:
            continue
        name = words[0].lower()
        if words[1] in MISBEHAVIOUR:
            zone.moods[name] = words[1]
        else:
            zone.records.setdefault((name, words[1]), []).append(words[2])
    return zone


def answer(zone: Zone, query: dns.message.Message, *, limit: int) -> bytes | None:
    """The octets to send back, or None for nothing."""
    question = query.question[0]
    name, kind = question.name.to_text().lower(), dns.rdatatype.to_text(question.rdtype)
    mood = zone.moods.get(name)
    if mood == "SILENT":
        return None
    if mood == "GARBAGE":
        return b"\0\0garbage"
    response = dns.message.make_response(query, recursion_available=True)
    if zone.secure:
        response.flags |= dns.flags.AD
    if mood is not None:
        response.set_rcode(dns.rcode.from_text(mood))
    elif not _fill(zone, response, name, kind):
        response.set_rcode(dns.rcode.NXDOMAIN)
    if not response.answer:
        soa = f"ns.test. root.test. 1 2 3 4 {zone.ttl}"
        response.authority.append(dns.rrset.from_text("test.", zone.ttl, "IN", "SOA", soa))
    octets = response.to_wire(max_size=65535)
    if len(octets) > limit:
        short = dns.message.make_response(query, recursion_available=True)
        short.flags |= dns.flags.TC
        octets = short.to_wire()
    return octets


def _fill(zone: Zone, response: dns.message.Message, name: str, kind: str) -> bool:
    """Put the records into the answer; False if the name does not exist."""
    for _ in range(10):
        if found := zone.records.get((name, kind)):
            response.answer.append(dns.rrset.from_text(name, zone.ttl, "IN", kind, *found))
            return True
        alias = zone.records.get((name, "CNAME"))
        if not alias:
            return zone.has(name)
        response.answer.append(dns.rrset.from_text(name, zone.ttl, "IN", "CNAME", *alias))
        name = alias[0].lower()
    return True


@dataclass(slots=True)
class Server:
    """A running name server."""

    zone: Zone
    place: tuple[str, int]
    _log: Path
    _sockets: tuple[socket.socket, socket.socket]
    _pid: int = 0

    @property
    def options(self) -> str:
        """Lines for a configuration that asks this server, each question once."""
        address, port = self.place
        return f"dns_servers = <; [{address}]:{port}\ndns_retry = 1\ndns_retrans = 1s\n"

    def start(self) -> None:
        """Begin to answer; the port is the same as before."""
        self._pid = os.fork()
        if not self._pid:
            try:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                _serve(self.zone, self._sockets, self._log)
            finally:
                os._exit(1)

    def stop(self) -> None:
        """Answer no more; what is asked is lost."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = 0

    def asked(self) -> list[str]:
        """What was asked until now, as `name type`, in order."""
        return [line.partition("\t")[0] for line in self._log.read_text().splitlines()]

    def flags(self) -> list[str]:
        """Whether signatures were wanted: DO or nothing for each question."""
        return [line.partition("\t")[2] for line in self._log.read_text().splitlines()]


def _serve(zone: Zone, sockets: tuple[socket.socket, socket.socket], log: Path) -> None:
    udp, tcp = sockets
    with log.open("a", buffering=1) as asked:
        while True:
            ready, _, _ = select.select(sockets, [], [])
            if udp in ready:
                octets, peer = udp.recvfrom(4096)
                if (made := _reply(zone, octets, asked.write, UDP_SIZE)) is not None:
                    udp.sendto(made, peer)
            if tcp in ready:
                with contextlib.suppress(OSError, struct.error):
                    _over_tcp(zone, tcp, asked.write)


def _over_tcp(zone: Zone, listening: socket.socket, note: Note) -> None:
    connection, _ = listening.accept()
    with connection:
        connection.settimeout(5.0)
        (size,) = struct.unpack("!H", connection.recv(2))
        made = _reply(zone, connection.recv(size), note, 65535)
        if made is not None:
            connection.sendall(struct.pack("!H", len(made)) + made)


def _reply(zone: Zone, octets: bytes, note: Note, limit: int) -> bytes | None:
    try:
        query = dns.message.from_wire(octets)
    except dns.exception.DNSException:
        return None
    question = query.question[0]
    flags = "DO" if query.ednsflags & dns.flags.DO else ""
    note(f"{question.name.to_text()} {dns.rdatatype.to_text(question.rdtype)}\t{flags}\n")
    edns = query.payload if query.edns >= 0 else UDP_SIZE
    return answer(zone, query, limit=limit if limit > UDP_SIZE else max(edns, UDP_SIZE))


@contextlib.contextmanager
def serving(text: str, *, ttl: int = TTL, secure: bool = False) -> Iterator[Server]:
    """A name server on 127.0.0.1, at a port of its own."""
    directory = Path(tempfile.mkdtemp(prefix="mta-dns-"))
    udp, tcp = _sockets()
    log = directory / "asked"
    log.touch()
    zone = parse(text, ttl, secure=secure)
    server = Server(zone, udp.getsockname(), log, (udp, tcp))
    server.start()
    try:
        yield server
    finally:
        server.stop()
        udp.close()
        tcp.close()
        shutil.rmtree(directory)


def _sockets() -> tuple[socket.socket, socket.socket]:
    """One port for both protocols."""
    while True:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tcp.bind(udp.getsockname())
        except OSError:
            udp.close()
            tcp.close()
            continue
        tcp.listen()
        return udp, tcp
