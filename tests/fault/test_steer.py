"""kill -9 while a message is frozen, thawed, edited, given up or removed: nothing is lost.

A process does one of these to a message of its own and dies at each of its system calls in
turn.  Afterwards the message is there as it was or as it was to be; one that is to be returned
is never gone without its bounce.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from mta.mail.header import parse_block
from mta.spool import scan, writer
from mta.spool.envelope import Envelope, Recipient
from mta.spool.ids import Ticks
from mta.spool.layout import Spool, prepare
from mta.spool.reader import Message
from tests.fault import strace
from tests.harness.source import TREE

pytestmark = pytest.mark.timeout(600)

ACTOR = """
import sys
sys.path.insert(0, sys.argv[1])
from mta.config.load import load
from mta.deliver.bounce import Bouncer
from mta.deliver.steer import ACTIONS, Steering
from mta.log.sink import open_log
from mta.lookup.api import Tables
from mta.spool.layout import Spool
from mta.spool.reader import Message
place, action, message_id, *words = sys.argv[2:]
conf = load(place + "/mta.conf", {})
spool, log = Spool(place + "/spool", split=True), open_log(place + "/log/%slog")
bouncer = Bouncer(conf, spool, log, Tables())
print("ready", flush=True)
sys.stdin.readline()
message = Message.open(spool, message_id)
with message:
    ACTIONS[action](Steering(log, bouncer, "root"), message, words)
"""
NOW = 1_700_000_000.0


class Place:
    """A spool and what acts on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "mta.conf").write_text("primary_hostname = mx.test\n")
        (path / "log").mkdir()
        prepare(str(path / "spool"), split=True)
        self.spool = Spool(str(path / "spool"), split=True)
        self.ticks = Ticks()

    def put(self, *, frozen: bool) -> str:
        headers, _ = parse_block(b"Subject: hello\n")
        with writer.begin(self.spool, self.ticks) as incoming:
            incoming.write(b"the body\n")
            incoming.commit(
                Envelope(
                    incoming.id,
                    "alice",
                    os.getuid(),
                    os.getgid(),
                    "s@sender.test",
                    NOW,
                    frozen_at=int(NOW) if frozen else 0,
                    recipients=(Recipient("a@b.test"), Recipient("c@d.test")),
                    headers=tuple(headers),
                )
            )
            return incoming.id

    def envelope(self, message_id: str) -> Envelope | None:
        """The envelope as the next delivery will find it; None if the message is gone."""
        message = Message.open(self.spool, message_id)
        if message is None:
            assert not scan.exists(self.spool, message_id)
            return None
        with message:
            body = os.pread(message.data_fd, 100, message.body_offset)
            assert body == b"the body\n"
            # When it was frozen is of no interest.
            return replace(message.envelope, frozen_at=int(message.envelope.is_frozen))

    @contextmanager
    def acting(
        self, action: str, message_id: str, *words: str
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A process that waits for a line of input and then acts."""
        with subprocess.Popen(
            [sys.executable, "-I", "-c", ACTOR, TREE, self.path, action, message_id, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield process


def act(process: subprocess.Popen[bytes]) -> int:
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it has died already
        process.stdin.write(b"go\n")
    return process.wait(30)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    strace.needs_strace()
    made = Place(tmp_path)
    yield made
    made.spool.close()


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ("freeze", ()),
        ("thaw", ()),
        ("remove", ()),
        ("give_up", ()),
        ("mark_delivered", ("a@b.test",)),
        ("add_recipients", ("e@f.test",)),
        ("change_sender", ("new@sender.test",)),
    ],
)
def test_death_at_any_call_loses_nothing(
    place: Place, action: str, words: tuple[str, ...]
) -> None:
    message = place.put(frozen=action == "thaw")
    before = place.envelope(message)
    assert before is not None
    codes: list[int] = []
    with place.acting(action, message, *words) as process:
        lines = strace.trace(process.pid, lambda: codes.append(act(process)))
    assert codes == [0]
    after = place.envelope(message)
    assert after != before
    strikes = strace.strikes(lines)
    assert len(strikes) > 5

    died = 0
    for strike in strikes:
        message = place.put(frozen=action == "thaw")
        others = set(scan.ids(place.spool))
        with (
            place.acting(action, message, *words) as process,
            strace.struck(process.pid, strike),
        ):
            died += act(process) != 0
        found = place.envelope(message)
        assert found is None or replace(found, id="") in (
            replace(before, id="", received_time=found.received_time),
            None if after is None else replace(after, id=""),
        ), f"{strike}: neither as it was nor as it was to be"
        if found is None:
            assert action in ("remove", "give_up"), f"{strike}: the message is gone"
            bounces = set(scan.ids(place.spool)) - others
            assert action == "remove" or bounces, f"{strike}: given up and nobody was told"
    assert died > 5, "hardly any strike hit"
