"""A service on a spool of its own, and local users to call it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mta.acl.acls import load_acls
from mta.auth.engine import load_authenticators, servers
from mta.config.load import load
from mta.log.sink import open_log
from mta.lookup.api import Tables
from mta.receive.service import Caller, Service
from mta.spool import layout
from mta.spool.envelope import Envelope
from mta.spool.header_file import decode

ALICE = Caller(1001, 1001, "alice", "Alice Liddell", is_trusted=False)
ROOT = Caller(0, 0, "root", "root", is_trusted=True)


@dataclass
class Post:
    """A service and what it has taken."""

    service: Service
    directory: Path
    hints: list[tuple[str, bool, str, str]] = field(default_factory=list)

    @property
    def input(self) -> Path:
        return self.directory / "spool" / "input"

    def envelopes(self) -> list[Envelope]:
        paths = sorted(self.input.glob("*-H"))
        return [decode(path.read_bytes(), path.name[:-2]) for path in paths]

    def bodies(self) -> list[bytes]:
        paths = sorted(self.input.glob("*-D"))
        return [path.read_bytes().split(b"\n", 1)[1] for path in paths]

    def headers(self) -> list[str]:
        """The headers of the only message but its Received:, with their kinds."""
        (envelope,) = self.envelopes()
        shown = [f"{each.kind} {each.text.decode()}" for each in envelope.headers]
        return [line for line in shown if not line.startswith("P ")]

    def logged(self) -> list[str]:
        return [
            line[20:] for line in (self.directory / "mainlog").read_text().split("\n")[:-1]
        ]


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Callable[[str], Post]]:
    """Makes a service with these lines of configuration."""
    opened = ExitStack()

    def make(text: str = "") -> Post:
        file = tmp_path / "mta.conf"
        file.write_text(
            f"primary_hostname = mx.example\nqualify_domain = local.example\n"
            f"spool_directory = {tmp_path}/spool\n{text}"
        )
        conf = load(str(file))
        layout.prepare(conf.queue.spool_directory, split=False)
        spool = layout.Spool(conf.queue.spool_directory, split=False)
        os.umask(0o022)
        opened.callback(spool.close)
        log = open_log(str(tmp_path / "%slog"))
        for fd in log.fds():
            opened.callback(os.close, fd)
        clients = servers(load_authenticators(conf))
        service = Service(conf, load_acls(conf), spool, log, Tables(), servers=clients)
        made = Post(service, tmp_path)
        service.arrived = lambda *hint: made.hints.append(hint)
        return made

    with opened:
        yield make
