"""Channels to workers: started, reused, replaced, and never believed too much."""

from __future__ import annotations

import errno
import os
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mta.base import clock
from mta.deliver.frames import IN_LINE, Carry, Refused, Start, pack
from mta.deliver.workers import HELD_UP, INLINE, Job, Workers
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
    assert isinstance(received.message, Carry)
    octets = received.message.parcel or parcels.open_sealed(received.fds[0])
    parcel = parcels.decode(octets, received.fds[-1])
    received.close()
    return parcel


def say(channel: socket.socket, parcel: Parcel, *outcomes: Outcome) -> None:
    """Report all outcomes of a parcel as a worker does."""
    for left, outcome in zip(range(len(outcomes) - 1, -1, -1), outcomes, strict=True):
        frames.send(channel, pack(parcel.message_id, left, outcome))


def carry_all(channel: socket.socket, number: int) -> None:
    """A good worker; its number is in what it says."""
    while (parcel := receive(channel)) is not None:
        done = replace(DONE, text=f"worker {number}")
        say(channel, parcel, *(done.about(each.address) for each in parcel.recipients))


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


def carry(workers: Workers, *jobs: Job) -> list[list[Outcome]]:
    """The outcomes of jobs that are all given away at once, in their order."""
    for job in jobs:
        workers.submit(job)
    said: dict[int, list[Outcome]] = {}
    while len(said) < len(jobs):
        ended = workers.wait()
        assert ended
        said.update((id(job), outcomes) for job, outcomes in ended)
    return [said[id(job)] for job in jobs]


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
        say(channel, parcel, replace(DONE, text=f"worker {number}"))

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
        frames.send(channel, pack(parcel.message_id, 1, DONE))

    workers = Workers(launcher.start(half))
    ((first, second),) = carry(workers, Job(replace(parcel, recipients=two)))
    assert first == DONE
    assert (second.address, second.result) == ("b@x.example", Result.DEFER)


def test_outcomes_for_strangers_are_ignored(launcher: Launcher, parcel: Parcel) -> None:
    def other(channel: socket.socket, number: int) -> None:
        receive(channel)
        say(channel, parcel, replace(DONE, address="z@x.example"))

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
    for jobs in ([Job(parcel)], [Job(parcel), Job(parcel)]):
        for (outcome,) in carry(Workers(channel, patience=0.05), *jobs):
            assert outcome.text == "the delivery process did not answer in time"


def test_without_a_launcher_everything_is_deferred(parcel: Parcel) -> None:
    ours, theirs = frames.pair()
    theirs.close()
    ((outcome,),) = carry(Workers(ours), Job(parcel))
    assert outcome.result is Result.DEFER
    assert outcome.text.startswith("cannot start a delivery process: ")


def test_several_are_carried_at_a_time(launcher: Launcher, parcel: Parcel) -> None:
    reader, writer = os.pipe()

    def together(channel: socket.socket, number: int) -> None:
        # The first waits for the second, so both must be under way at once.
        while (taken := receive(channel)) is not None:
            if number == 1:
                os.read(reader, 1)
            else:
                os.write(writer, b"x")
            say(channel, taken, replace(DONE, text=f"worker {number}"))

    workers = Workers(launcher.start(together))
    said = [texts[0].text for texts in carry(workers, Job(parcel), Job(parcel))]
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
        say(channel, taken, replace(DONE, text=f"worker {number}"))
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


def brief(parcel: Parcel, number: int) -> Job:
    """A job that may stand in line."""
    return Job(replace(parcel, message_id=f"{parcel.message_id[:-1]}{number}"), is_brief=True)


def test_brief_jobs_stand_in_line_for_one_worker(launcher: Launcher, parcel: Parcel) -> None:
    workers = Workers(launcher.start(carry_all))
    said = carry(workers, *(brief(parcel, number) for number in range(8)))
    assert said == [[replace(DONE, text="worker 1")]] * 8
    workers.close()


def test_the_line_has_a_length(launcher: Launcher, parcel: Parcel) -> None:
    workers = Workers(launcher.start(carry_all))
    said = carry(workers, *(brief(parcel, number) for number in range(IN_LINE + 1)))
    assert said[IN_LINE] == [replace(DONE, text="worker 2")]
    workers.close()


def test_nobody_stands_in_line_behind_one_that_is_held_up(
    launcher: Launcher, parcel: Parcel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wait_first(channel: socket.socket, number: int) -> None:
        if number == 1:
            receive(channel)
            channel.recv(1)
        carry_all(channel, number)

    workers = Workers(launcher.start(wait_first))
    workers.submit(brief(parcel, 0))
    now = clock.monotonic() + HELD_UP + 1
    monkeypatch.setattr("mta.base.clock.monotonic", lambda: now)
    assert carry(workers, brief(parcel, 1)) == [[replace(DONE, text="worker 2")]]
    workers.close()


def test_a_line_ends_where_a_worker_has_done_enough(
    launcher: Launcher, parcel: Parcel
) -> None:
    workers = Workers(launcher.start(carry_all), max_use=2)
    said = carry(workers, *(brief(parcel, number) for number in range(3)))
    assert [each[0].text for each in said] == ["worker 1", "worker 1", "worker 2"]
    workers.close()


def test_a_worker_that_dies_has_deferred_the_whole_line(
    launcher: Launcher, parcel: Parcel
) -> None:
    def one(channel: socket.socket, number: int) -> None:
        taken = receive(channel)
        assert taken is not None
        receive(channel)
        say(channel, taken, replace(DONE, text=f"worker {number}"))

    workers = Workers(launcher.start(one))
    first, *others = carry(workers, *(brief(parcel, number) for number in range(3)))
    assert first == [replace(DONE, text="worker 1")]
    for (outcome,) in others:
        assert (outcome.result, outcome.text) == (
            Result.DEFER,
            "the delivery process ended unexpectedly",
        )


def test_a_refusal_is_for_the_whole_line(launcher: Launcher, parcel: Parcel) -> None:
    def refuse(channel: socket.socket, number: int) -> None:
        frames.send(channel, Refused("no such user", 0))

    workers = Workers(launcher.start(refuse))
    for (outcome,) in carry(workers, *(brief(parcel, number) for number in range(3))):
        assert (outcome.text, outcome.code) == ("no such user", -29)


def test_outcomes_of_another_message_are_not_believed(
    launcher: Launcher, parcel: Parcel
) -> None:
    def confuse(channel: socket.socket, number: int) -> None:
        receive(channel)
        say(channel, replace(parcel, message_id="1xVWXv-000000006iH-0QlX"), DONE)

    ((outcome,),) = carry(Workers(launcher.start(confuse)), Job(parcel))
    assert (outcome.result, outcome.text) == (
        Result.DEFER,
        "the delivery process speaks of another message",
    )


def test_a_large_parcel_comes_in_a_memory_file(launcher: Launcher, parcel: Parcel) -> None:
    workers = Workers(launcher.start(carry_all))
    for size in (INLINE - 1000, INLINE, 4 * INLINE):
        large = replace(parcel, headers=b"X: \0\x01" + b"x" * size)
        assert carry(workers, Job(large)) == [[replace(DONE, text="worker 1")]]
    workers.close()


def test_waiting_ends_when_something_else_comes(launcher: Launcher, parcel: Parcel) -> None:
    def say_nothing(channel: socket.socket, number: int) -> None:
        receive(channel)
        channel.recv(1)

    workers = Workers(launcher.start(say_nothing))
    reader, writer = os.pipe()
    os.write(writer, b"x")
    assert workers.wait(reader) == []
    workers.submit(Job(parcel))
    assert workers.wait(reader) == []
    workers.close()
    os.close(reader)
    os.close(writer)


def test_without_work_there_is_nothing_to_wait_for(launcher: Launcher) -> None:
    assert Workers(launcher.start(carry_all)).wait() == []


def test_a_lack_of_descriptors_defers_the_job_and_no_other(
    launcher: Launcher, parcel: Parcel, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = Workers(launcher.start(carry_all))
    workers.submit(Job(parcel, "alice"))

    def none_left() -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(frames, "pair", none_left)
    workers.submit(Job(parcel, "bob"))
    said = {}
    while len(said) < 2:
        said.update((job.user, outcome.text) for job, (outcome,) in workers.wait())
    assert said == {
        "alice": "worker 1",
        "bob": "cannot start a delivery process: Too many open files",
    }
    workers.close()
