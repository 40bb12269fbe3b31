"""Channels to workers: started, reused, replaced, and never believed too much."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mta.deliver.frames import Carried, Carry, Refused, Start, pack
from mta.deliver.workers import Job, Workers
from mta.transport import parcel as parcels
from mta.transport.api import Outcome, Parcel, ParcelRecipient, Result
from mta.unix import frames
from mta.unix.process import run_child

DONE = Outcome("a@x.example", Result.DONE)

# What a worker does with a channel; the number counts the workers from 1.
Behaviour = Callable[[socket.socket, int], None]


def receive(channel: socket.socket) -> Parcel | None:
    """Take a parcel as a worker does."""
    received = frames.receive(channel, (Carry,))
    if received is None:
        return None
    sealed, body = received.fds
    parcel = parcels.decode(parcels.open_sealed(sealed), body)
    received.close()
    return parcel


def carry_all(channel: socket.socket, number: int) -> None:
    """A good worker; its number is in what it says."""
    while (parcel := receive(channel)) is not None:
        for recipient in parcel.recipients:
            outcome = Outcome(recipient.address, Result.DONE, f"worker {number}")
            frames.send(channel, pack(outcome))
        frames.send(channel, Carried(parcel.message_id))


class Launcher:
    """A launcher in a process of its own, whose workers all behave in one way."""

    def __init__(self) -> None:
        self.pids: list[int] = []

    def start(self, behaviour: Behaviour) -> socket.socket:
        ours, theirs = frames.pair()

        def serve() -> None:
            ours.close()
            number = 0
            while (received := frames.receive(theirs, (Start,))) is not None:
                number += 1
                channel = socket.socket(fileno=received.fds.pop())
                one = number

                def work(channel: socket.socket = channel, one: int = one) -> None:
                    theirs.close()
                    behaviour(channel, one)

                run_child(work)
                channel.close()

        self.pids.append(run_child(serve))
        theirs.close()
        return ours

    def stop(self) -> None:
        for pid in self.pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


@pytest.fixture
def launcher() -> Iterator[Launcher]:
    made = Launcher()
    yield made
    made.stop()


@pytest.fixture
def parcel(tmp_path: Path) -> Iterator[Parcel]:
    (tmp_path / "body").write_bytes(b"x")
    fd = os.open(tmp_path / "body", os.O_RDONLY)
    yield Parcel(
        "1xVWXv-000000006iH-0QlH",
        "box",
        "local",
        "s@y.example",
        (ParcelRecipient("a@x.example", "a@x.example", "a", "x.example"),),
        b"Subject: x\n",
        fd,
        0,
        1,
    )
    os.close(fd)


def carry(workers: Workers, *jobs: Job, most: int = 1) -> list[list[Outcome]]:
    return [outcomes for _, outcomes in workers.carry(jobs, most)]


def test_a_worker_is_kept_for_the_next_parcel(launcher: Launcher, parcel: Parcel) -> None:
    workers = Workers(launcher.start(carry_all))
    for _ in range(3):
        assert carry(workers, Job(parcel)) == [[replace(DONE, text="worker 1")]]
    workers.close()


def test_another_user_gets_another_worker(launcher: Launcher, parcel: Parcel) -> None:
    workers = Workers(launcher.start(carry_all))
    assert carry(workers, Job(parcel, "alice")) == [[replace(DONE, text="worker 1")]]
    assert carry(workers, Job(parcel, "bob")) == [[replace(DONE, text="worker 2")]]
    assert carry(workers, Job(parcel, "alice")) == [[replace(DONE, text="worker 1")]]
    workers.close()


def test_only_a_few_idle_workers_are_kept(launcher: Launcher, parcel: Parcel) -> None:
    workers = Workers(launcher.start(carry_all))
    for number in range(9):
        carry(workers, Job(parcel, f"user{number}"))
    assert carry(workers, Job(parcel, "user8")) == [[replace(DONE, text="worker 9")]]
    assert carry(workers, Job(parcel, "user0")) == [[replace(DONE, text="worker 10")]]
    workers.close()


def test_a_worker_that_has_left_is_replaced(launcher: Launcher, parcel: Parcel) -> None:
    def once(channel: socket.socket, number: int) -> None:
        assert receive(channel) is not None
        frames.send(channel, pack(replace(DONE, text=f"worker {number}")))
        frames.send(channel, Carried(parcel.message_id))

    workers = Workers(launcher.start(once))
    said = [carry(workers, Job(parcel))[0][0].text for _ in range(3)]
    assert said == ["worker 1", "worker 2", "worker 3"]
    workers.close()


def test_a_worker_that_dies_has_deferred_what_it_had_not_reported(
    launcher: Launcher, parcel: Parcel
) -> None:
    def die(channel: socket.socket, number: int) -> None:
        receive(channel)

    workers = Workers(launcher.start(die))
    ((outcome,),) = carry(workers, Job(parcel))
    assert (outcome.result, outcome.text) == (
        Result.DEFER,
        "the delivery process ended unexpectedly",
    )


def test_what_it_had_reported_counts(launcher: Launcher, parcel: Parcel) -> None:
    two = (*parcel.recipients, ParcelRecipient("b@x.example", "b@x.example", "b", "x.example"))

    def half(channel: socket.socket, number: int) -> None:
        receive(channel)
        frames.send(channel, pack(DONE))

    workers = Workers(launcher.start(half))
    ((first, second),) = carry(workers, Job(replace(parcel, recipients=two)))
    assert first == DONE
    assert (second.address, second.result) == ("b@x.example", Result.DEFER)


def test_outcomes_for_strangers_are_ignored(launcher: Launcher, parcel: Parcel) -> None:
    def other(channel: socket.socket, number: int) -> None:
        receive(channel)
        frames.send(channel, pack(replace(DONE, address="z@x.example")))
        frames.send(channel, Carried(parcel.message_id))

    ((outcome,),) = carry(Workers(launcher.start(other)), Job(parcel))
    assert (outcome.address, outcome.result) == ("a@x.example", Result.DEFER)


def test_a_refusal_defers_with_its_reason(launcher: Launcher, parcel: Parcel) -> None:
    def refuse(channel: socket.socket, number: int) -> None:
        frames.send(channel, Refused("user nobody is one of never_users", 0))

    ((outcome,),) = carry(Workers(launcher.start(refuse)), Job(parcel))
    assert (outcome.result, outcome.code) == (Result.DEFER, -29)
    assert outcome.text == "user nobody is one of never_users"


def test_nonsense_defers(launcher: Launcher, parcel: Parcel) -> None:
    def babble(channel: socket.socket, number: int) -> None:
        receive(channel)
        channel.send(b"what?")

    ((outcome,),) = carry(Workers(launcher.start(babble)), Job(parcel))
    assert outcome.result is Result.DEFER
    assert outcome.text.startswith("the delivery process answered nonsense")


def test_silence_has_an_end(launcher: Launcher, parcel: Parcel) -> None:
    def say_nothing(channel: socket.socket, number: int) -> None:
        receive(channel)
        channel.recv(1)

    channel = launcher.start(say_nothing)
    for most, jobs in ((1, [Job(parcel)]), (2, [Job(parcel), Job(parcel)])):
        for (outcome,) in carry(Workers(channel, patience=0.05), *jobs, most=most):
            assert outcome.text == "the delivery process did not answer in time"


def test_without_a_launcher_everything_is_deferred(parcel: Parcel) -> None:
    ours, theirs = frames.pair()
    theirs.close()
    ((outcome,),) = carry(Workers(ours), Job(parcel))
    assert outcome.result is Result.DEFER
    assert outcome.text.startswith("cannot start a delivery process: ")


def test_several_are_carried_at_a_time_and_no_more(launcher: Launcher, parcel: Parcel) -> None:
    reader, writer = os.pipe()

    def together(channel: socket.socket, number: int) -> None:
        # The first waits for the second, so both must be under way at once.
        while (taken := receive(channel)) is not None:
            if number == 1:
                os.read(reader, 1)
            else:
                os.write(writer, b"x")
            frames.send(channel, pack(replace(DONE, text=f"worker {number}")))
            frames.send(channel, Carried(taken.message_id))

    workers = Workers(launcher.start(together))
    said = [texts[0].text for texts in carry(workers, *[Job(parcel)] * 2, most=2)]
    assert sorted(said) == ["worker 1", "worker 2"]
    workers.close()
    os.close(reader)
    os.close(writer)


def test_a_parcel_that_was_never_read_goes_to_a_fresh_worker(
    launcher: Launcher, parcel: Parcel
) -> None:
    reader, writer = os.pipe()

    def lazy(channel: socket.socket, number: int) -> None:
        taken = receive(channel)
        assert taken is not None
        frames.send(channel, pack(replace(DONE, text=f"worker {number}")))
        frames.send(channel, Carried(taken.message_id))
        if number == 1:
            os.read(reader, 1)  # leave only when the next parcel is waiting

    class Late(Workers):
        """Lets the first worker go after the parcel has been sent to it."""

        def _hand(self, worker: object, job: Job) -> bool:
            handed = super()._hand(worker, job)  # type: ignore[arg-type]
            if not worker.is_fresh:  # type: ignore[attr-defined]
                os.write(writer, b"x")
            return handed

    workers = Late(launcher.start(lazy))
    said = [carry(workers, Job(parcel))[0][0].text for _ in range(2)]
    assert said == ["worker 1", "worker 2"]
    os.close(reader)
    os.close(writer)


def test_descriptors_do_not_pile_up(launcher: Launcher, parcel: Parcel) -> None:
    workers = Workers(launcher.start(carry_all))
    carry(workers, Job(parcel))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        carry(workers, Job(parcel))
    assert len(os.listdir("/proc/self/fd")) == before
    workers.close()
    assert len(os.listdir("/proc/self/fd")) == before - 1


def test_a_worker_carries_no_more_than_it_may(launcher: Launcher, parcel: Parcel) -> None:
    workers = Workers(launcher.start(carry_all), max_use=2)
    said = [carry(workers, Job(parcel))[0][0].text for _ in range(5)]
    assert said == ["worker 1", "worker 1", "worker 2", "worker 2", "worker 3"]
    workers.close()


def test_with_zero_each_parcel_has_a_worker_of_its_own(
    launcher: Launcher, parcel: Parcel
) -> None:
    workers = Workers(launcher.start(carry_all), max_use=0)
    said = [carry(workers, Job(parcel))[0][0].text for _ in range(2)]
    assert said == ["worker 1", "worker 2"]
    workers.close()
