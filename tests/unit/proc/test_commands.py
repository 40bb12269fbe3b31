"""Who may ask for what, and what is known of failures."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mta.base.errors import Where
from mta.config.line import Line
from mta.config.load import parse
from mta.config.model import Configuration
from mta.hints.retry import Record, RetryHints
from mta.proc import commands
from mta.proc.control import (
    ANSWERS,
    AskWhy,
    Denied,
    Done,
    KnownFailure,
    List,
    Retry,
    Run,
    Steer,
)
from mta.proc.schedule import Schedule
from mta.unix import frames

ID = "1xVXBP-000000000Od-0MgI"


def configuration(*lines: str) -> Configuration:
    text = ("primary_hostname = mx.example", *lines)
    return parse([Line(line, Where("mta.conf", n)) for n, line in enumerate(text, 1)], "x")


class Loop:
    def after(self, seconds: float, work: Callable[[], None]) -> Any:
        return SimpleNamespace(cancel=lambda: None)

    def watch(self, fd: int, work: Callable[[], None]) -> None:
        pass

    def unwatch(self, fd: int) -> None:
        pass


class Runner:
    """A runner of which only the answers are of interest."""

    def __init__(self, conf: Configuration) -> None:
        network = SimpleNamespace(uid=-7)
        identities = SimpleNamespace(network=network)
        self.inherited = SimpleNamespace(conf=conf, identities=identities, log=None)
        self.schedule = Schedule()
        self.schedule.add(ID)
        self.spool = SimpleNamespace(path="/nonexistent")
        self.askers: Counter[int] = Counter()
        self.loop = Loop()
        self.helped: list[Any] = []

    def queue_run(self, order: Run) -> int:
        return 7

    def dispatch(self) -> None:
        pass

    def assist(self, work: Any, ended: Callable[[], None]) -> None:
        self.helped.append(work)


def asked(runner: Runner, request: object) -> object:
    """The answer to a request; None where a child would give it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        conversation = commands.Conversation(runner, theirs)  # type: ignore[arg-type]
        conversation.act(request)
        ours.setblocking(False)
        try:
            received = frames.receive(ours, ANSWERS)
        except BlockingIOError:
            return None
        return None if received is None else received.message


@pytest.fixture
def _stranger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "is_admin", lambda conf, peer: False)


@pytest.mark.usefixtures("_stranger")
@pytest.mark.parametrize(
    ("option", "request_", "allowed"),
    [
        ("", Run(1), False),
        ("", Retry(ID), False),
        ("", AskWhy(), False),
        ("no_prod_requires_admin", Run(1), True),
        ("no_prod_requires_admin", Retry(ID), True),
        ("no_prod_requires_admin", Steer("remove", ID), False),
        ("no_queue_list_requires_admin", Run(1), False),
    ],
)
def test_what_a_stranger_may_do(option: str, request_: object, allowed: bool) -> None:
    conf = configuration(option) if option else configuration()
    answer = asked(Runner(conf), request_)
    assert isinstance(answer, Done if allowed else Denied)


@pytest.mark.usefixtures("_stranger")
@pytest.mark.parametrize(
    ("option", "sees_all"),
    [("queue_list_requires_admin", False), ("no_queue_list_requires_admin", True)],
)
def test_whose_messages_a_stranger_sees(option: str, sees_all: bool) -> None:
    runner = Runner(configuration(option))
    assert asked(runner, List()) is None
    (work,) = runner.helped
    assert (work.args[-1] is None) is sees_all


def test_steering_is_done_by_a_child() -> None:
    runner = Runner(configuration())
    assert asked(runner, Steer("freeze", ID)) is None
    assert len(runner.helped) == 1


def test_a_message_may_be_tried_only_if_it_is_due() -> None:
    runner = Runner(configuration())
    assert asked(runner, Retry(ID, 0)) == Done(1)
    entry = runner.schedule.entries[ID]
    assert (entry.force, entry.thaw, entry.queue_run) == (False, False, True)
    asked(runner, Retry(ID))
    assert (entry.force, entry.thaw) == (True, True)


def test_each_failure_is_told_with_its_rule(tmp_path: Path) -> None:
    path = str(tmp_path / "retry.sqlite")
    hints = RetryHints(path)
    hints.save(
        [
            Record("T:mx.slow.example:192.0.2.1", 10, 20, 2**31, True, 111, "refused"),
            Record("R:a@b.example:<s@x>", 10, 20, 30, False, -44, "450 later", "450"),
        ]
    )
    hints.close()
    conf = configuration(
        "begin retry", "*.slow.example * F,1h,5m", "* rcpt_45x F,2h,10m", "x.example * F,9h,9m"
    )
    assert commands.failures(conf, path) == [
        KnownFailure(
            "R:a@b.example:<s@x>", 10, 20, 30, 0, -44, "450 later",
            "* rcpt_45x F,2h,10m", "mta.conf:4", 7200,
        ),
        KnownFailure(
            "T:mx.slow.example:192.0.2.1", 10, 20, 2**31, 1, 111, "refused",
            "*.slow.example * F,1h,5m", "mta.conf:3", 3600,
        ),
    ]  # fmt: skip
