"""What the tests of deliveries share: a spool, messages in it, workers that play a part."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from mta.base.errors import Where
from mta.config.line import Line
from mta.config.load import parse
from mta.config.model import Configuration
from mta.deliver.message import Deliverer
from mta.deliver.report import How, Report
from mta.deliver.workers import Job, Workers
from mta.hints.retry import RetryHints
from mta.log.sink import Log, open_log
from mta.lookup.api import Tables
from mta.mail.header import parse_block
from mta.route.engine import load_routers
from mta.spool import scan, writer
from mta.spool.envelope import Envelope, Recipient
from mta.spool.ids import Ticks
from mta.spool.layout import Spool, prepare
from mta.spool.reader import Message
from mta.transport.api import Outcome, Parcel, Result
from mta.transport.engine import load_transports

NOW = 1_700_000_000.0

CONFIGURATION = """
primary_hostname = mx.example
qualify_domain = example.org
begin routers
special:
driver = redirect
domains = special.example
allow_fail
allow_defer
data = ${if eq{$local_part}{bad}{:fail: no such person}{\
${if eq{$local_part}{wait}{:defer: try later}{\
${if eq{$local_part}{hole}{:blackhole:}{\
${if eq{$local_part}{two}{one@local.example, two@local.example}}}}}}}}
no_more
local:
driver = accept
domains = local.example : example.org
transport = box
remote:
driver = manualroute
route_list = *.far.example "192.0.2.1 : 192.0.2.3"
transport = smtp
begin transports
box:
driver = appendfile
directory = /nowhere
maildir_format
smtp:
driver = smtp
begin retry
* * F,1h,10m
"""

SAMPLE = (
    b"Received: by mx.example\nFrom: s@sender.example\nSubject: hello\nMessage-ID: <m1@x>\n"
)


def configuration(text: str) -> Configuration:
    lines = text.replace("\\\n", "").split("\n")
    return parse(
        [Line(line, Where("mta.conf", n)) for n, line in enumerate(lines, 1) if line],
        "mta.conf",
    )


Answer = Outcome | list[Outcome]


class Play(Workers):
    """Workers that do nothing but say what the test wants said."""

    def __init__(self) -> None:
        self.parcels: list[Parcel] = []
        self.jobs: list[Job] = []
        self.answers: dict[str, Outcome] = {}
        self.notes: list[Outcome] = []
        self.ended: list[tuple[Job, list[Outcome]]] = []
        self.before: Callable[[Parcel], None] = lambda parcel: None

    def submit(self, job: Job) -> None:
        self.before(job.parcel)
        self.jobs.append(job)
        self.parcels.append(job.parcel)
        done = Outcome("", Result.DONE)
        outcomes = [
            replace(self.answers.get(each.address, done), address=each.address)
            for each in job.parcel.recipients
        ]
        self.ended.append((job, self.notes + outcomes))

    def wait(self, also: int = -1) -> list[tuple[Job, list[Outcome]]]:
        ended, self.ended = self.ended, []
        return ended


@dataclass
class House:
    """A spool with what delivers from it."""

    spool: Spool
    log: Log
    directory: Path
    workers: Play
    conf: Configuration
    hints: RetryHints
    ticks: Ticks = field(default_factory=Ticks)

    def deliverer(self) -> Deliverer:
        return Deliverer(
            self.conf,
            self.spool,
            self.log,
            load_routers(self.conf, self.log.panic),
            load_transports(self.conf),
            Tables(),
            self.workers,
            hints=self.hints,
        )

    def put(
        self,
        *recipients: str,
        sender: str = "s@sender.example",
        body: bytes = b"the body\n",
        **how: object,
    ) -> str:
        """A message in the spool."""
        headers, _ = parse_block(SAMPLE)
        with writer.begin(self.spool, self.ticks) as incoming:
            incoming.write(body)
            envelope = Envelope(
                incoming.id,
                "alice",
                1000,
                1000,
                sender,
                NOW,
                received_protocol="local",
                ident="alice",
                deliver_firsttime=True,
                body_linecount=1,
                recipients=tuple(Recipient(each) for each in recipients),
                headers=tuple(headers),
            )
            incoming.commit(replace(envelope, **how))  # type: ignore[arg-type]
            return incoming.id

    def attempt(self, message_id: str, **how: object) -> Report:
        deliverer = self.deliverer()
        deliverer.begin(message_id, How(**how))  # type: ignore[arg-type]
        (report,) = deliverer.wait()
        return report

    def envelope(self, message_id: str) -> Envelope:
        message = Message.open(self.spool, message_id, lock=False)
        assert message is not None
        with message:
            return message.envelope

    def body(self, message_id: str) -> str:
        message = Message.open(self.spool, message_id, lock=False)
        assert message is not None
        with message:
            return os.pread(message.data_fd, 100_000, message.body_offset).decode()

    def left(self) -> list[str]:
        return list(scan.ids(self.spool))

    def lines(self, which: str = "main") -> list[str]:
        """The log without times, ids as ID or, for further messages, as they are."""
        text = (self.directory / f"{which}log").read_text()
        return [line[20:] for line in text.split("\n") if line]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Set the time to so many seconds after the arrival of messages."""

    def set_to(seconds: float) -> None:
        monkeypatch.setattr("mta.base.clock.now", lambda: NOW + seconds)

    set_to(1)
    return set_to


@pytest.fixture
def house(tmp_path: Path, clock: Callable[[float], None]) -> Iterator[House]:
    path = str(tmp_path / "spool")
    prepare(path, split=True)
    spool = Spool(path, split=True)
    log = open_log(str(tmp_path / "log" / "%slog"))
    hints = RetryHints(str(tmp_path / "hints" / "retry"))
    yield House(spool, log, tmp_path / "log", Play(), configuration(CONFIGURATION), hints)
    hints.close()
    spool.close()
    for fd in log.fds():
        os.close(fd)
