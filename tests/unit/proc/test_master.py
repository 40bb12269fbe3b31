"""The master and roles that talk more than they should."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from mta.proc import roles
from mta.proc.control import Ready
from mta.proc.master import Generation, Master, Order, Running
from mta.unix import frames
from mta.unix.loop import Loop


@dataclass
class Case:
    """A master with one generation of three roles, of which the tests are the other end."""

    master: Master
    generation: Generation
    ends: dict[str, socket.socket]
    ready: list[str] = field(default_factory=list)

    def hear(self, name: str) -> Running:
        running = self.generation.running[name]
        self.master.heard(running)
        return running


@pytest.fixture
def case() -> Iterator[Case]:
    master = Master.__new__(Master)
    master.loop = Loop()
    master.order = Order("", {})
    master.stopping, master.announced = False, True
    master.log = None  # type: ignore[assignment]  # nothing here is logged
    generation = Generation(SimpleNamespace(), -1)  # type: ignore[arg-type]
    master.generation, master.old = generation, []
    made = Case(master, generation, {})
    generation.when_ready = lambda: made.ready.append("ready")
    for role in roles.ROLES:
        ours, theirs = frames.pair()
        ours.setblocking(False)
        generation.running[role.name] = Running(role, generation, 4_000_000, ours)
        master.loop.watch(ours.fileno(), lambda: None)
        made.ends[role.name] = theirs
    yield made
    for running in generation.running.values():
        master.hang_up(running)
    for each in (*made.ends.values(), *generation.start):
        each.close()


def test_all_roles_must_be_ready(case: Case) -> None:
    for name in ("launcher", "runner"):
        frames.send(case.ends[name], Ready())
        case.hear(name)
    assert case.ready == []
    frames.send(case.ends["listener"], Ready())
    case.hear("listener")
    assert case.ready == ["ready"]


def test_a_role_that_is_started_again_before_all_were_ready_still_counts(case: Case) -> None:
    for name in ("launcher", "runner", "listener"):
        frames.send(case.ends[name], Ready())
    case.hear("launcher")
    case.hear("runner").ready = False  # it died, and has a second life
    case.hear("listener")
    assert case.ready == []
    frames.send(case.ends["runner"], Ready())
    case.hear("runner")
    assert case.ready == ["ready"]


def test_a_role_that_says_twice_that_it_is_ready_is_heard_once(case: Case) -> None:
    for name in ("launcher", "runner", "listener", "listener"):
        frames.send(case.ends[name], Ready())
        running = case.hear(name)
    assert case.ready == ["ready"]
    assert running.control is None


@pytest.mark.parametrize("octets", [b"", b"ready", b"stop\0", b"x" * 70_000])
def test_nonsense_of_a_role_closes_its_channel_and_nothing_else(
    case: Case, octets: bytes
) -> None:
    case.ends["listener"].send(octets)
    assert case.hear("listener").control is None


def test_no_descriptor_that_a_role_sends_is_kept(case: Case) -> None:
    reader, writer = os.pipe()
    frames.send(case.ends["listener"], Ready(), [writer] * 3)
    os.close(writer)
    case.hear("listener")
    assert os.read(reader, 1) == b""
    os.close(reader)
    assert case.ready == []


def test_a_role_that_does_not_listen_does_not_hold_the_master(case: Case) -> None:
    for _ in range(10_000):
        case.master.finish_generations()
        case.generation.draining = True
        case.generation.running["listener"].pid = 0
        case.generation.running["runner"].pid = 0


def test_what_a_dead_role_left_open_is_forgotten(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mta.proc.master.events.role", lambda *_: None)
    running = case.generation.running["runner"]
    assert running.control is not None
    number = running.control.fileno()
    case.master.ended(running, -signal.SIGKILL)
    # Its other end is still held by somebody; the number is free for the next channel.
    null = os.open(os.devnull, os.O_RDONLY)
    if null != number:
        os.dup2(null, number)
        os.close(null)
    reader, writer = os.pipe()
    os.dup2(reader, number)
    case.master.loop.watch(number, lambda: None)
    case.master.loop.unwatch(number)
    for fd in (reader, writer, number):
        os.close(fd)
