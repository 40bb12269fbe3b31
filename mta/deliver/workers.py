"""Channels to the processes that run transports: started on request, kept, used again.

A worker is asked for at the launcher with one end of a fresh channel; what happens after that
is between it and us.  It gets a parcel and the -D file, answers with outcomes, and then waits
for the next parcel of its transport and user.  We keep the channels of a few idle workers.
Where the transport is brief, a few parcels may stand in line for a worker that is busy: it
takes them together, which saves forks, changes of process and syncs.

Everything has a deadline.  A worker that goes away before it has given the last outcome of a
parcel has deferred whatever it had not reported: we cannot know.  There is one exception that
is certain: when the kernel says that our only parcel was still unread, a fresh worker gets it.
"""

from __future__ import annotations

import os
import select
import socket
from collections import deque
from dataclasses import dataclass, field

from mta.base import clock
from mta.base.errors import ProtocolError, describe
from mta.base.values import value
from mta.deliver.codes import NO_USER, UNKNOWN
from mta.deliver.frames import ENDED, IN_LINE, Carry, OutcomeFrame, Refused, Start, unpack
from mta.transport import parcel as parcels
from mta.transport.api import Outcome, Parcel, Result
from mta.unix import frames

MOST_IDLE = 8
START_SECONDS = 60.0
# How long a worker may take without a word.  A slow host has its own, much shorter, limits in
# the transport; this one is for what nobody thought of.
PATIENCE = 3600.0
HELD_UP = 5.0  # seconds in which one that is brief has always done
MOST_NOTES = 1000  # outcomes beyond one for each recipient
INLINE = 48 << 10  # octets of a parcel that travel in the frame

_ANSWERS = (OutcomeFrame, Refused)


@value
class Job:
    """A parcel, and as whom it is to be carried ("" leaves that to the launcher)."""

    parcel: Parcel
    user: str = ""
    group: str = ""
    initgroups: bool = False
    is_brief: bool = False  # it may stand in line behind others of its kind

    @property
    def kind(self) -> tuple[str, str, str, bool]:
        """Jobs of one kind may be carried by the same worker."""
        return self.parcel.transport, self.user, self.group, self.initgroups


@dataclass(slots=True, eq=False)
class _Load:
    """A job that a worker has, and what it has said of it."""

    job: Job
    outcomes: list[Outcome] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _Worker:
    """One worker: our end of the channel, and what it is at."""

    kind: tuple[str, str, str, bool]
    channel: socket.socket
    is_fresh: bool = True
    has_unread: bool = False  # it has gone, and not read all that we sent
    loads: deque[_Load] = field(default_factory=deque)
    deadline: float = 0.0
    trouble: str = ""
    code: int = UNKNOWN
    uses: int = 0

    def close(self) -> None:
        """Let it go; it leaves when its channel ends."""
        self.channel.close()


class Workers:
    """All workers that this process knows, and the jobs that they have.

    `submit` gives a job away and `wait` brings it back with its outcomes: exactly one for each
    recipient, perhaps after notes about hosts.
    """

    __slots__ = ("_busy", "_ended", "_idle", "_launcher", "_max_use", "_patience", "_poll")

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
        self._busy: dict[int, _Worker] = {}  # by descriptor
        self._ended: list[tuple[Job, list[Outcome]]] = []
        self._poll = select.poll()

    def submit(self, job: Job) -> None:
        """Have a job carried; it is under way, or has ended, when this returns."""
        while (worker := self._take_idle(job)) is not None:
            if self._hand(worker, job):
                return
            worker.close()
        if not (job.is_brief and self._stand_in_line(job)):
            self._begin_fresh(job)

    def wait(self, also: int = -1) -> list[tuple[Job, list[Outcome]]]:
        """The jobs that have ended, as soon as there is one, or the descriptor `also` can be
        read; nothing where nothing is under way."""
        if also >= 0:
            self._poll.register(also, select.POLLIN)
        try:
            while not self._ended and (self._busy or also >= 0):
                ready = self._poll.poll(self._most_milliseconds())
                for number, _ in ready:
                    if number != also:
                        self._hear(self._busy[number])
                if not ready:
                    self._expire()
                elif any(number == also for number, _ in ready):
                    break
        finally:
            if also >= 0:
                self._poll.unregister(also)
        ended, self._ended = self._ended, []
        return ended

    def close(self) -> None:
        """Let all workers go."""
        for worker in (*self._idle, *self._busy.values()):
            worker.close()
        self._idle.clear()
        self._busy.clear()

    def _most_milliseconds(self) -> int | None:
        if not self._busy:
            return None
        first = min(worker.deadline for worker in self._busy.values())
        return max(0, round((first - clock.monotonic()) * 1000) + 1)

    def _expire(self) -> None:
        """Give up those that did not answer in time."""
        now = clock.monotonic()
        for worker in [each for each in self._busy.values() if each.deadline <= now]:
            worker.trouble = "the delivery process did not answer in time"
            self._settle(worker)

    # ---- giving jobs away

    def _take_idle(self, job: Job) -> _Worker | None:
        for worker in reversed(self._idle):
            if worker.kind != job.kind:
                continue
            self._idle.remove(worker)
            # An idle worker has nothing to say: what can be read is its end.
            try:
                worker.channel.recv(1, socket.MSG_PEEK)
            except BlockingIOError:
                return worker
            except OSError:
                pass
            worker.close()
        return None

    def _stand_in_line(self, job: Job) -> bool:
        """Give a job to a worker that is at another of the same kind, if one takes it."""
        for worker in self._busy.values():
            if worker.kind != job.kind or len(worker.loads) >= IN_LINE:
                continue
            if not self._is_held_up(worker):
                return worker.uses < self._max_use and self._hand(worker, job)
        return False

    def _is_held_up(self, worker: _Worker) -> bool:
        """True if a worker has said nothing for so long that nobody should stand behind it: a
        mailbox is locked, or a disk away."""
        heard = worker.deadline - self._patience
        return clock.monotonic() - heard > HELD_UP

    def _begin_fresh(self, job: Job) -> None:
        try:
            ours, theirs = frames.pair()
        except OSError as error:
            why = f"cannot start a delivery process: {describe(error)}"
            self._ended.append((job, _complete(_Load(job), why, UNKNOWN)))
            return
        ours.setblocking(False)
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
        if worker.trouble:
            worker.loads.append(_Load(job))
            self._settle(worker)
        else:
            self._hand(worker, job)

    def _hand(self, worker: _Worker, job: Job) -> bool:
        """Send the parcel; False, with nothing sent, if the worker cannot take it."""
        try:
            _send(worker.channel, job.parcel)
        except OSError as error:
            if not worker.is_fresh or worker.loads:
                return False
            worker.trouble = f"cannot reach the delivery process: {describe(error)}"
            _last_words(worker)
        except ProtocolError as error:
            # It is the parcel that cannot be sent.  The worker has not heard of it.
            self._ended.append((job, _complete(_Load(job), str(error), UNKNOWN)))
            if not worker.loads:
                self._rest(worker)
            return True
        if not worker.loads:
            self._busy[worker.channel.fileno()] = worker
            self._poll.register(worker.channel, select.POLLIN)
            worker.deadline = clock.monotonic() + self._patience
        worker.loads.append(_Load(job))
        worker.uses += 1
        if worker.trouble:
            self._settle(worker)
        return True

    # ---- hearing what became of them

    def _hear(self, worker: _Worker) -> None:
        """Take what a worker says."""
        while worker.loads and not worker.trouble:
            try:
                received = frames.receive(worker.channel, _ANSWERS)
            except BlockingIOError:
                return
            except ConnectionResetError:
                # It went away with something unread; what it said before is still to come.
                worker.has_unread = True
                continue
            except (OSError, ProtocolError) as error:
                worker.trouble = f"the delivery process answered nonsense: {error}"
                break
            if received is None:
                if worker.has_unread and not worker.is_fresh and _is_untouched(worker.loads):
                    job = worker.loads.pop().job
                    self._leave(worker)
                    self._begin_fresh(job)
                    return
                worker.trouble = ENDED
                break
            received.close()
            self._take(worker, received.message)
        self._settle(worker)

    def _take(self, worker: _Worker, message: object) -> None:
        worker.deadline = clock.monotonic() + self._patience
        load = worker.loads[0]
        match message:
            case OutcomeFrame(message_id, left) as said:
                load.outcomes.append(unpack(said))
                if message_id != load.job.parcel.message_id:
                    load.outcomes.clear()
                    worker.trouble = "the delivery process speaks of another message"
                elif len(load.outcomes) > len(load.job.parcel.recipients) + MOST_NOTES:
                    worker.trouble = "the delivery process does not stop talking"
                elif not left:
                    worker.loads.popleft()
                    worker.is_fresh = False
                    self._ended.append((load.job, _complete(load, SAID_NOTHING, UNKNOWN)))
            case Refused(reason, _):
                worker.trouble, worker.code = reason, NO_USER

    def _settle(self, worker: _Worker) -> None:
        """End what a worker in trouble had; let one without work rest."""
        if worker.trouble:
            for load in worker.loads:
                outcomes = _complete(load, worker.trouble, worker.code)
                self._ended.append((load.job, outcomes))
            worker.loads.clear()
            self._leave(worker)
        elif not worker.loads:
            self._rest(worker)

    def _rest(self, worker: _Worker) -> None:
        """Keep a worker for the next job, or let it go if it has done enough."""
        if worker.uses >= self._max_use:
            self._leave(worker)
            return
        self._forget(worker)
        self._idle.append(worker)
        if len(self._idle) > MOST_IDLE:
            self._idle.pop(0).close()

    def _leave(self, worker: _Worker) -> None:
        self._forget(worker)
        worker.close()

    def _forget(self, worker: _Worker) -> None:
        """It is no longer waited for."""
        if self._busy.pop(worker.channel.fileno(), None) is not None:
            self._poll.unregister(worker.channel)


SAID_NOTHING = "the delivery process did not say what became of it"


def _send(channel: socket.socket, parcel: Parcel) -> None:
    """Send a parcel and its body.  Raises OSError, ProtocolError."""
    octets = parcels.encode(parcel)
    if len(octets) + octets.count(b"\0") + octets.count(b"\1") <= INLINE:
        order = Carry(parcel.transport, parcel.message_id, octets)
        frames.send(channel, order, [parcel.body])
        return
    sealed = parcels.seal(octets)
    try:
        order = Carry(parcel.transport, parcel.message_id)
        frames.send(channel, order, [sealed, parcel.body])
    finally:
        os.close(sealed)


def _is_untouched(loads: deque[_Load]) -> bool:
    """True for a single job, of which nothing was said."""
    return len(loads) == 1 and not loads[0].outcomes


def _last_words(worker: _Worker) -> None:
    """Why there is no worker, where the launcher has said so before it closed the channel.

    Our parcel, which nobody will read, may have come between: the kernel reports that first.
    """
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


def _complete(load: _Load, trouble: str, code: int) -> list[Outcome]:
    """Notes, then one outcome for each recipient; one that has none is deferred."""
    said: dict[str, Outcome] = {}
    notes: list[Outcome] = []
    for outcome in load.outcomes:
        if outcome.address:
            said.setdefault(outcome.address, outcome)
        else:
            notes.append(outcome)
    return notes + [
        said.get(recipient.address)
        or Outcome(recipient.address, Result.DEFER, trouble, code=code)
        for recipient in load.job.parcel.recipients
    ]
