"""Channels to the processes that run transports: started on request, kept, used again.

A worker is asked for at the launcher with one end of a fresh channel; what happens after that
is between it and us.  It gets a parcel and the -D file, answers with outcomes, and then waits
for the next parcel of its transport and user.  We keep the channels of a few idle workers.

Everything has a deadline.  A worker that goes away before it has said `carried` has deferred
whatever it had not reported: we cannot know.  There is one exception that is certain: when the
kernel says that our parcel was still unread, a fresh worker gets it.
"""

from __future__ import annotations

import os
import selectors
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mta.base import clock
from mta.base.errors import ProtocolError, describe
from mta.deliver.codes import NO_USER, UNKNOWN
from mta.deliver.frames import Carried, Carry, OutcomeFrame, Refused, Start, unpack
from mta.transport import parcel as parcels
from mta.transport.api import Outcome, Parcel, Result
from mta.unix import frames

MOST_IDLE = 8
START_SECONDS = 60.0
# How long a worker may take without a word.  A slow host has its own, much shorter, limits in
# the transport; this one is for what nobody thought of.
PATIENCE = 3600.0
MOST_NOTES = 1000  # outcomes beyond one for each recipient

_ANSWERS = (OutcomeFrame, Carried, Refused)


@dataclass(frozen=True, slots=True)
class Job:
    """A parcel, and as whom it is to be carried ("" leaves that to the launcher)."""

    parcel: Parcel
    user: str = ""
    group: str = ""
    initgroups: bool = False

    @property
    def kind(self) -> tuple[str, str, str, bool]:
        """Jobs of one kind may be carried by the same worker."""
        return self.parcel.transport, self.user, self.group, self.initgroups


@dataclass(slots=True, eq=False)
class _Worker:
    """One worker: our end of the channel, and what it is at."""

    kind: tuple[str, str, str, bool]
    channel: socket.socket
    is_fresh: bool = True
    job: Job | None = None
    deadline: float = 0.0
    outcomes: list[Outcome] = field(default_factory=list)
    trouble: str = ""
    code: int = UNKNOWN
    is_done: bool = False
    uses: int = 0

    def close(self) -> None:
        """Let it go; it leaves when its channel ends."""
        self.channel.close()


class Workers:
    """All workers that this process knows."""

    __slots__ = ("_idle", "_launcher", "_max_use", "_patience")

    def __init__(
        self, launcher: socket.socket, *, patience: float = PATIENCE, max_use: int = 100
    ) -> None:
        """`max_use` is how many parcels a worker carries, 0 or 1 for a worker for each."""
        self._launcher = launcher
        # A launcher that is away is waited for, but not for ever.
        launcher.settimeout(min(START_SECONDS, patience))
        self._patience = patience
        self._max_use = max_use
        self._idle: list[_Worker] = []  # the one that was used last stands last

    def carry(self, jobs: Sequence[Job], most: int = 1) -> Iterator[tuple[Job, list[Outcome]]]:
        """Have all jobs carried, at most so many at a time; gives each as it ends.

        There is exactly one outcome for each recipient, perhaps after notes about hosts.
        """
        waiting = list(reversed(jobs))
        if most == 1 or len(jobs) == 1:
            while waiting:
                yield self._alone(waiting.pop())
            return
        with selectors.DefaultSelector() as selector:
            while waiting or selector.get_map():
                while waiting and len(selector.get_map()) < most:
                    job = waiting.pop()
                    worker = self._begin(job)
                    if worker.trouble:
                        yield job, self._end(worker, job)
                    else:
                        selector.register(worker.channel, selectors.EVENT_READ, worker)
                yield from self._wait(selector)

    def close(self) -> None:
        """Let all workers go."""
        while self._idle:
            self._idle.pop().close()

    def _alone(self, job: Job) -> tuple[Job, list[Outcome]]:
        """One job with nothing beside it: no selector, the socket waits itself."""
        worker = self._begin(job)
        while not worker.trouble and not worker.is_done:
            worker.channel.settimeout(self._patience)
            worker = self._hear(worker, job)
        return job, self._end(worker, job)

    def _wait(self, selector: selectors.BaseSelector) -> Iterator[tuple[Job, list[Outcome]]]:
        if not selector.get_map():
            return
        busy: list[_Worker] = [key.data for key in selector.get_map().values()]
        patience = max(0.0, min(worker.deadline for worker in busy) - clock.monotonic())
        ready: list[_Worker] = [key.data for key, _ in selector.select(patience)]
        for worker in ready or busy:
            job = worker.job
            assert job is not None
            before = worker.channel
            if ready:
                worker = self._hear(worker, job)  # noqa: PLW2901  # a fresh one may take over
            elif worker.deadline <= clock.monotonic():
                worker.trouble = "the delivery process did not answer in time"
            if worker.trouble or worker.is_done or worker.channel is not before:
                selector.unregister(before)
            if worker.trouble or worker.is_done:
                yield job, self._end(worker, job)
            elif worker.channel is not before:
                selector.register(worker.channel, selectors.EVENT_READ, worker)

    def _begin(self, job: Job) -> _Worker:
        """Hand a job to an idle worker of its kind, or to a fresh one."""
        while (worker := self._take_idle(job)) is not None:
            if self._hand(worker, job):
                return worker
            worker.close()
        return self._begin_fresh(job)

    def _begin_fresh(self, job: Job) -> _Worker:
        ours, theirs = frames.pair()
        worker = _Worker(job.kind, ours)
        with theirs:
            transport, user, group, initgroups = job.kind
            try:
                start = Start(transport, user, group, int(initgroups))
                frames.send(self._launcher, start, [theirs.fileno()])
            except (OSError, ProtocolError) as error:
                why = describe(error) if isinstance(error, OSError) else str(error)
                worker.trouble = f"cannot start a delivery process: {why}"
        # With our copy of the other end closed, its process is the only one that holds it.
        if not worker.trouble:
            self._hand(worker, job)
        return worker

    def _take_idle(self, job: Job) -> _Worker | None:
        for worker in reversed(self._idle):
            if worker.kind != job.kind:
                continue
            self._idle.remove(worker)
            # An idle worker has nothing to say: what can be read is its end.
            worker.channel.setblocking(False)
            try:
                worker.channel.recv(1, socket.MSG_PEEK)
            except BlockingIOError:
                worker.channel.setblocking(True)
                return worker
            except OSError:
                pass
            worker.close()
        return None

    def _hand(self, worker: _Worker, job: Job) -> bool:
        """Send the parcel; False, with nothing sent, if the worker is no good any more."""
        worker.job = job
        worker.outcomes = []
        worker.is_done = False
        worker.deadline = clock.monotonic() + self._patience
        worker.channel.settimeout(self._patience)
        parcel = job.parcel
        try:
            sealed = parcels.seal(parcels.encode(parcel))
            try:
                order = Carry(parcel.transport, parcel.message_id)
                frames.send(worker.channel, order, [sealed, parcel.body])
            finally:
                os.close(sealed)
        except ProtocolError as error:
            worker.trouble = str(error)
        except OSError as error:
            if not worker.is_fresh:
                return False
            worker.trouble = f"cannot reach the delivery process: {describe(error)}"
            _last_words(worker)
        return True

    def _hear(self, worker: _Worker, job: Job) -> _Worker:
        """Take one frame from a worker; gives the worker that has the job now."""
        try:
            received = frames.receive(worker.channel, _ANSWERS)
        except TimeoutError:
            worker.trouble = "the delivery process did not answer in time"
            return worker
        except ConnectionResetError:
            # It went away with our parcel unread, as one may that had done its share.
            if not worker.is_fresh and not worker.outcomes:
                worker.close()
                return self._begin_fresh(job)
            worker.trouble = "the delivery process ended unexpectedly"
            _last_words(worker)
            return worker
        except (OSError, ProtocolError) as error:
            worker.trouble = f"the delivery process answered nonsense: {error}"
            return worker
        if received is None:
            worker.trouble = "the delivery process ended unexpectedly"
            return worker
        received.close()
        worker.deadline = clock.monotonic() + self._patience
        match received.message:
            case OutcomeFrame() as said:
                worker.outcomes.append(unpack(said))
                if len(worker.outcomes) > len(job.parcel.recipients) + MOST_NOTES:
                    worker.trouble = "the delivery process does not stop talking"
            case Carried(message_id):
                if message_id == job.parcel.message_id:
                    worker.is_done = True
                else:
                    worker.trouble = "the delivery process speaks of another message"
            case Refused(reason, _):
                worker.trouble, worker.code = reason, NO_USER
        return worker

    def _end(self, worker: _Worker, job: Job) -> list[Outcome]:
        """The outcomes of a job that has ended; the worker is kept or let go."""
        outcomes = _complete(worker, job.parcel)
        worker.job, worker.outcomes = None, []
        worker.uses += 1
        if worker.trouble or worker.uses >= self._max_use:
            worker.close()
        else:
            worker.is_fresh = False
            self._idle.append(worker)
            if len(self._idle) > MOST_IDLE:
                self._idle.pop(0).close()
        return outcomes


def _last_words(worker: _Worker) -> None:
    """Why there is no worker, where the launcher has said so before it closed the channel.

    Our parcel, which nobody will read, may have come between: the kernel reports that first.
    """
    worker.channel.setblocking(False)
    for _ in range(2):
        try:
            received = frames.receive(worker.channel, _ANSWERS)
        except (OSError, ProtocolError):
            continue
        if received is not None:
            received.close()
            if isinstance(received.message, Refused):
                worker.trouble, worker.code = received.message.reason, NO_USER
        return


def _complete(worker: _Worker, parcel: Parcel) -> list[Outcome]:
    """Notes, then one outcome for each recipient; one that has none is deferred."""
    said: dict[str, Outcome] = {}
    notes: list[Outcome] = []
    for outcome in worker.outcomes:
        if outcome.address:
            said.setdefault(outcome.address, outcome)
        else:
            notes.append(outcome)
    text = worker.trouble or "the delivery process did not say what became of it"
    return notes + [
        said.get(recipient.address)
        or Outcome(recipient.address, Result.DEFER, text, code=worker.code)
        for recipient in parcel.recipients
    ]
