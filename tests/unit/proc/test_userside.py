"""What a worker reports of the parcels of a round, whatever goes wrong with one of them."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mta.base.errors import ProtocolError
from mta.config.load import load
from mta.deliver.frames import ENDED, Carry, OutcomeFrame
from mta.log.sink import Log
from mta.proc import userside
from mta.proc.roles import Identities, Inherited
from mta.proc.userside import Worker
from mta.transport import parcel as parcels
from mta.transport.api import Outcome, Parcel, ParcelRecipient, Result
from mta.transport.engine import Stages, Transport, for_all, load_transports
from mta.unix import frames, privilege

CONFIG = """\
primary_hostname = mx.example
begin transports
box:
  driver = appendfile
  directory = /nowhere
  maildir_format
"""
ID = "1xVWXv-{:09d}6iH-0QlH"
DONE = Outcome("", Result.DONE)


@dataclass
class Case:
    """A worker in this process, and the deliverer's end of its channel."""

    worker: Worker
    deliverer: socket.socket
    parcel: Parcel

    def send(self, *senders: str) -> None:
        """Parcels that stand in line, with these return paths."""
        for number, sender in enumerate(senders):
            given = replace(self.parcel, message_id=ID.format(number), sender=sender)
            order = Carry("box", given.message_id, parcels.encode(given))
            frames.send(self.deliverer, order, [given.body])

    def said(self) -> list[tuple[str, str, str, int]]:
        """What came back: number of the parcel, result, text, and how many are to come."""
        found = []
        self.deliverer.setblocking(False)
        while True:
            try:
                received = frames.receive(self.deliverer, (OutcomeFrame,))
            except BlockingIOError:
                return found
            assert received is not None
            assert isinstance(received.message, OutcomeFrame)
            frame = received.message
            number = frame.message_id.split("-")[1][8]
            found.append((number, frame.result, frame.text, frame.left))


def deliver(transport: Transport, ctx: object, parcel: Parcel) -> Stages:
    """A delivery that stops once, and of which the return path says how it ends."""
    del transport, ctx
    yield
    if parcel.sender == "bug":
        raise RuntimeError("a bug")
    text = "\0" if parcel.sender == "unsayable" else ""
    return for_all(parcel, replace(DONE, text=text))


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    (tmp_path / "mta.conf").write_text(CONFIG)
    conf = load(str(tmp_path / "mta.conf"))
    transport = load_transports(conf)["box"]
    monkeypatch.setattr(type(transport), "deliver", deliver)
    null = os.open(os.devnull, os.O_RDONLY)
    me = privilege.myself()
    ours, theirs = frames.pair()
    inherited = Inherited(
        conf, ours, Log(null, null, null), {}, [], Identities(me, me, separated=False)
    )
    to = tuple(ParcelRecipient(f"{name}@x", f"{name}@x", name, "x") for name in "ab")
    parcel = Parcel("", "box", "r", "", to, b"Subject: x\n", null, 0, 0)
    yield Case(Worker(inherited, transport, theirs, me, routers={}), ours, parcel)
    ours.close()
    theirs.close()
    os.close(null)


def test_all_of_a_round_are_reported_in_their_order(case: Case) -> None:
    case.send("good", "good")
    assert case.worker.next()
    assert case.said() == [(number, "done", "", left) for number in "01" for left in (1, 0)]


@pytest.mark.parametrize("place", range(3))
def test_an_error_of_ours_in_one_parcel_loses_the_outcome_of_that_one_only(
    case: Case, place: int
) -> None:
    senders = ["good"] * 3
    senders[place] = "bug"
    case.send(*senders)
    with pytest.raises(RuntimeError, match="a bug"):
        case.worker.next()
    assert case.said() == [
        (str(number), *(("defer", ENDED) if number == place else ("done", "")), left)
        for number in range(3)
        for left in (1, 0)
    ]


def test_an_outcome_that_cannot_be_said_loses_no_other(case: Case) -> None:
    case.send("unsayable", "bug", "good")
    with pytest.raises(ProtocolError, match="NUL"):
        case.worker.next()
    said = case.said()
    assert [each[:2] for each in said if each[3] == 0] == [
        ("0", "defer"),
        ("1", "defer"),
        ("2", "done"),
    ]


def test_an_error_in_what_a_parcel_says_of_itself_spares_the_others(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = userside.context_for

    def fail(conf: object, tables: object, parcel: Parcel, *more: object) -> object:
        if parcel.sender == "odd":
            raise RuntimeError("a bug")
        return real(conf, tables, parcel, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(userside, "context_for", fail)
    case.send("good", "odd", "good")
    with pytest.raises(RuntimeError):
        case.worker.next()
    assert [each[1] for each in case.said() if each[3] == 0] == ["done", "defer", "done"]


def test_an_error_is_not_lost_with_a_deliverer_that_has_gone(case: Case) -> None:
    case.send("good", "bug")
    case.deliverer.close()
    with pytest.raises(RuntimeError):
        case.worker.next()


def test_a_worker_leaves_a_deliverer_that_has_gone(case: Case) -> None:
    case.send("good")
    case.deliverer.close()
    assert not case.worker.next()
