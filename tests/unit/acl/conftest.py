"""ACLs in a configuration of their own, run without any session."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mta.acl import engine
from mta.acl.acls import Acls, load_acls
from mta.acl.phase import Phase
from mta.acl.program import Verdict
from mta.acl.situation import Situation
from mta.acl.verifier import Verification
from mta.config.load import load
from mta.config.model import Configuration
from mta.expand.context import Connection, Context, Message, Place
from mta.log.sink import Log
from mta.lookup.api import Tables


@dataclass
class Bench:
    """A configuration's ACLs, and one recipient to try them on."""

    conf: Configuration
    acls: Acls
    log_file: Path
    situation: Situation
    waited: list[float] = field(default_factory=list)

    def run(self, phase: Phase = Phase.RCPT) -> Verdict:
        return engine.check(self.acls, self.situation, phase)

    def recipient(self, address: str) -> Bench:
        local_part, _, domain = address.partition("@")
        self.situation.recipient = address
        self.situation.ctx.place = Place(
            local_part=local_part.lower(), domain=domain, original_local_part=local_part
        )
        return self

    def logged(self) -> list[str]:
        return [line[20:] for line in self.log_file.read_text().split("\n")[:-1]]


Maker = Callable[..., Bench]


@pytest.fixture
def acl(tmp_path: Path) -> Maker:
    """Makes a bench of the text of an ACL for RCPT, and of more configuration."""

    def make(
        text: str,
        *,
        main: str = "",
        verify: dict[str, Verification] | None = None,
    ) -> Bench:
        file = tmp_path / "mta.conf"
        file.write_text(
            "primary_hostname = mx.example\nspool_directory = /nonexistent\n"
            f"acl_smtp_rcpt = rcpt\n{main}\nbegin acl\nrcpt:\n{text}\n"
        )
        conf = load(str(file))
        log_file = tmp_path / "log"
        fd = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        ctx = Context(
            conf,
            Tables(),
            connection=Connection(host_address="192.0.2.7", helo_name="c.example"),
            message=Message(sender="s@remote.example"),
        )
        situation = Situation(ctx, Log(fd, fd, fd), who=lambda: "H=[192.0.2.7]")
        bench = Bench(conf, load_acls(conf), log_file, situation)
        situation.wait = bench.waited.append
        if verify is not None:
            situation.verifier = lambda ctx, address, what: verify[f"{what} {address}"]
        return bench.recipient("User@local.example")

    return make
