"""One attempt at one message, from lock to clean-up.

    1  lock -D, read -H and -J; frozen messages are left alone
    2  route what is not done; log what fails or has to wait
    3  local deliveries, one after another; remote ones, several at a time
       each: journal first, log second
    4  remember what failed; what has waited too long fails now
    5  bounce what failed: the bounce is durable before the failed address is given up
    6  rewrite -H with what is left, or remove -H and then the rest

A crash anywhere repeats at most what was under way.

An attempt is a generator: it gives away the jobs that it wants carried now and goes on when it
is handed one that has ended.  So one process has several attempts under way and is never idle
for want of a worker's answer, while each of them is told from start to end.

Runs as:  the mail user, in a delivery process; workers run the transports.
Raises:   nothing that belongs to a message: what goes wrong defers it.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from mta.base import clock
from mta.base.errors import MtaError, TempFail
from mta.config.model import Configuration
from mta.deliver import batch, notify, one_time, routing, skipped
from mta.deliver.batch import Batch, Whole
from mta.deliver.bounce import Bouncer
from mta.deliver.codes import BAD_TRANSPORT, UNKNOWN
from mta.deliver.context import RETURNS, context_of, values_of
from mta.deliver.item import Item, State
from mta.deliver.outcome import Progress
from mta.deliver.retry import Retry
from mta.deliver.workers import Job, Workers
from mta.hints.retry import RetryHints
from mta.log import events
from mta.log.sink import Log
from mta.lookup.api import Tables
from mta.mail import header
from mta.mail.address import AddressError, parse_list
from mta.route.api import Remark
from mta.route.engine import Routers
from mta.route.retry_rules import load_retry_rules
from mta.spool.errors import SpoolError
from mta.spool.layout import Spool
from mta.spool.reader import Message, set_aside
from mta.transport.api import Outcome, Parcel, Result
from mta.transport.engine import Transport

GONE = "gone"  # there is no such message, or no more
DONE = "done"
DEFERRED = "deferred"
FROZEN = "frozen"
LOCKED = "locked"
DAMAGED = "damaged"

# In the log, of a failure that the sender asked not to be told of.
_NOT_WANTED = "error ignored: RFC 3461 DSN, failure notify not requested"
# When no retry rule says when to try again: trouble of our own, which passes.
SOON = 300
_CHUNK = 1 << 18


Ended = tuple[Job, list[Outcome]]


@dataclass(frozen=True, slots=True)
class Report:
    """What came of an attempt: when to try again (0: never, or nobody knows), where to, and
    the ids of bounces that wait for delivery now."""

    message_id: str
    state: str
    next_try: float = 0.0
    destination: str = ""
    bounces: tuple[str, ...] = ()


Attempt = Generator[list[Job], Ended, Report]
Part = Generator[list[Job], Ended, None]


class Deliverer:
    """All that deliveries need, and those under way; one for each process, made after the
    fork.

    `begin` takes on a message and `wait` gives back what came of those that have ended.
    """

    def __init__(
        self,
        conf: Configuration,
        spool: Spool,
        log: Log,
        routers: Routers,
        transports: dict[str, Transport],
        tables: Tables,
        workers: Workers,
        *,
        hints: RetryHints | None = None,
    ) -> None:
        self.conf = conf
        self.spool = spool
        self.log = log
        self.routers = routers
        self.transports = transports
        self.tables = tables
        self.workers = workers
        self.hints = hints or RetryHints(f"{spool.path}/db/retry.sqlite")
        self.rules = load_retry_rules(conf)
        self.bouncer = Bouncer(conf, spool, log, tables)
        self.under_way: dict[str, Attempt] = {}
        self._jobs: deque[Job] = deque()  # not given away yet
        self._by_job: dict[int, str] = {}
        self._back: deque[Ended] = deque()  # ended, and not yet told to their attempts
        self._ended: list[Report] = []

    def begin(self, message_id: str, *, force: bool = False, queue_run: bool = False) -> None:
        """Try to deliver a message.  `force` ignores retry times and thaws it."""
        attempt = self._attempt(message_id, force=force, queue_run=queue_run)
        self.under_way[message_id] = attempt
        self._go_on(message_id, None)

    @property
    def is_busy(self) -> bool:
        """True while an attempt is under way or its report has not been taken."""
        return bool(self.under_way or self._ended)

    def wait(self, also: int = -1) -> list[Report]:
        """What came of the attempts that have ended, as soon as there is one, or as the
        descriptor `also` can be read; nothing where nothing is under way."""
        while not self._ended and self.under_way:
            if not self._back:
                self._give_away()
                self._back.extend(self.workers.wait(also))
                if not self._back:
                    assert also >= 0, "attempts are under way, but no jobs"
                    break
            while self._back:
                job, outcomes = self._back.popleft()
                self._go_on(self._by_job.pop(id(job)), (job, outcomes))
        reports, self._ended = self._ended, []
        return reports

    def _give_away(self) -> None:
        """Submit all jobs at once: so a worker that wakes up finds them all."""
        while self._jobs:
            job = self._jobs.popleft()
            message_id = self._by_job[id(job)]
            if message_id not in self.under_way:
                continue  # it ended in an error, and nobody would note what was delivered
            try:
                self.workers.submit(job)
            except BaseException:
                # Whether it is under way is not known: the next attempt will find out.
                self.under_way.pop(message_id).close()
                raise

    def _go_on(self, message_id: str, ended: Ended | None) -> None:
        """Take an attempt as far as it comes."""
        # One that ends in an error of ours is no longer under way; the others can go on, and
        # what else was carried for it concerns nobody any more.
        attempt = self.under_way.pop(message_id, None)
        if attempt is None:
            return
        try:
            for job in next(attempt) if ended is None else attempt.send(ended):
                self._by_job[id(job)] = message_id
                self._jobs.append(job)
        except StopIteration as end:
            self._ended.append(end.value)
        else:
            self.under_way[message_id] = attempt

    def _attempt(self, message_id: str, *, force: bool, queue_run: bool) -> Attempt:
        try:
            message = Message.open(self.spool, message_id)
        except SpoolError as error:
            return self._damaged(message_id, str(error))
        except TempFail as error:
            events.note(self.log, message_id, str(error))
            return Report(message_id, DEFERRED, clock.now() + SOON)
        if message is None:
            return self._not_ours(message_id)
        with message:
            attempt = _Attempt(self, message, force=force, queue_run=queue_run)
            return (yield from attempt.run())

    def _damaged(self, message_id: str, reason: str) -> Report:
        """A message that cannot be read is put where nobody trips over it again."""
        try:
            set_aside(self.spool, message_id, reason)
        except TempFail as error:
            events.damaged(self.log, message_id, reason, f"could not set it aside: {error}")
        else:
            kept = f"kept in {self.spool.path}/corrupt"
            events.damaged(self.log, message_id, reason, kept)
        return Report(message_id, DAMAGED)

    def _not_ours(self, message_id: str) -> Report:
        for directory in self.spool.places(message_id):
            with suppress(OSError):
                os.stat(f"{message_id}-H", dir_fd=directory, follow_symlinks=False)
                events.locked(self.log, message_id)
                return Report(message_id, LOCKED, clock.now() + SOON)
        return Report(message_id, GONE)


class _Attempt:
    """One attempt."""

    def __init__(
        self, deliverer: Deliverer, message: Message, *, force: bool, queue_run: bool
    ) -> None:
        self.deliverer = deliverer
        self.message = message
        self.envelope = message.envelope
        self.force = force
        self.queue_run = queue_run
        self.now = clock.now()
        self.ctx = context_of(deliverer.conf, deliverer.tables, message)
        self.retry = Retry(
            self.ctx,
            deliverer.rules,
            deliverer.hints,
            self.now,
            force=force,
            queue_run=queue_run,
        )
        self.bounces: list[str] = []
        self.reported: list[notify.Success] = []
        self.freeze = ""  # why the message is frozen now
        self.is_frozen = False

    def run(self) -> Attempt:
        """Do it."""
        if self.envelope.is_frozen and not self._may_thaw():
            return Report(self.message.id, FROZEN)
        recipients = routing.remaining(self.envelope)
        done = self.envelope.nonrecipients
        self.routing = routing.route_all(
            self.deliverer.routers, self.ctx, recipients, self.retry, done
        )
        self.wishes = notify.Wishes(self.routing, self.envelope.sender)
        self.progress = Progress(
            self.message,
            self.routing,
            self.deliverer.log,
            self.deliverer.conf.logging.log_selector,
        )
        self.progress.is_kept = self.wishes.has_success
        self._routed()
        waiting = [item for item in self.routing.items if item.state is State.WAITING]
        yield from self._local([item for item in waiting if item.is_local])
        yield from self._remote([item for item in waiting if not item.is_local])
        return self._finish()

    # ---- 1: frozen messages

    def _may_thaw(self) -> bool:
        options = self.deliverer.conf.delivery
        age = self.now - self.envelope.frozen_at
        return self.force or 0 < options.auto_thaw < age

    # ---- 2: what routing decided

    def _routed(self) -> None:
        for remark in self.routing.remarks:
            for line in remark.lines:
                events.note(self.deliverer.log, self.message.id, line)
            self._tell(remark)
        for item in self.routing.items:
            if item.state is State.WAITING:
                transport = self.deliverer.transports.get(item.transport)
                if transport is None:
                    text = f'transport "{item.transport}" is not configured'
                    item.set(State.DEFERRED, text, BAD_TRANSPORT)
                else:
                    item.is_local = transport.is_local
        for item in self.routing.items:
            if item.state is State.DONE:
                self.retry.works(item)
                self.progress.done([item])
                bypassed = Outcome(item.address.text, Result.DONE) if item.transport else None
                self.progress.log_done(item, bypassed, along=False)
            elif item.state is State.FAILED:
                self.progress.log_failed(item)
            elif item.state is State.DEFERRED:
                if item.note:
                    events.note(self.deliverer.log, self.message.id, item.note)
                self.progress.log_deferred(item)
                if not item.next_try:
                    self.retry.routing_failed(item)
                self.is_frozen = self.is_frozen or item.freeze

    def _tell(self, remark: Remark) -> None:
        """Tell by mail what was left out of a list, if somebody wants to know."""
        if not remark.to:
            return
        try:
            found = parse_list(remark.to)
            text = skipped.letter(remark, self.routing.items)
            if len(found) == 1 and "@" in found[0]:
                bouncer = self.deliverer.bouncer
                notice = bouncer.tell(self.envelope, found[0], skipped.SUBJECT, text)
                self.bounces.append(notice)
        except (AddressError, TempFail) as error:
            note = f"cannot tell {remark.to} of errors in a list: {error}"
            events.note(self.deliverer.log, self.message.id, note)

    # ---- 3: deliveries

    def _local(self, items: list[Item]) -> Part:
        if not items:
            return
        self.retry.local_waits(items)
        ready = [item for item in items if item.state is State.WAITING]
        batches = batch.local_batches(self.ctx, self.whole(), self.deliverer.transports, ready)
        for item in items:
            if item.state is State.DEFERRED:
                self.progress.log_deferred(item)
                if not item.next_try:
                    self.retry.not_started(item)
        for each in batches:
            yield from self._carry([each], 1)

    def _remote(self, items: list[Item]) -> Part:
        if not items:
            return
        transports = self.deliverer.transports
        groups = []
        for group in batch.remote_groups(transports, items, self.envelope.sender):
            hosts = self.retry.hosts_left(group, group[0].hosts)
            if group[0].state is State.WAITING:
                groups.append((group, hosts))
                continue
            for item in group:
                if item.state is State.FAILED:
                    self.progress.log_failed(item)
                else:
                    self.progress.log_deferred(item)
        whole = replace(self.whole(), is_8bit=_has_8bit(self.message))
        batches = batch.remote_batches(self.ctx, whole, transports, groups)
        most = max(1, self.deliverer.conf.queue.remote_max_parallel)
        yield from self._carry(batches, most)

    def whole(self) -> Whole:
        """What all parcels share."""
        envelope, message = self.envelope, self.message
        return Whole(
            message.id,
            envelope.sender,
            header.join(envelope.headers),
            message.data_fd,
            message.body_offset,
            message.body_size,
            envelope.received_time,
            False,
            envelope.dsn_envid,
            RETURNS.get(envelope.dsn_ret, ""),
            values_of(envelope),
        )

    def _carry(self, batches: list[Batch], most: int) -> Part:
        """Have parcels carried, at most so many at a time."""
        if self.progress.trouble:
            for each in batches:
                for item in each.items:
                    item.set(State.DEFERRED, self.progress.trouble, UNKNOWN)
                    self.progress.log_deferred(item)
            return
        waiting = deque(batches)
        under_way: dict[int, Batch] = {}
        while waiting or under_way:
            jobs: list[Job] = []
            while waiting and len(under_way) < most:
                each = waiting.popleft()
                under_way[id(each.job)] = each
                jobs.append(each.job)
            job, outcomes = yield jobs
            self._fold(under_way.pop(id(job)), job.parcel, outcomes)

    def _fold(self, each: Batch, parcel: Parcel, outcomes: list[Outcome]) -> None:
        """Take in the outcomes of a parcel: hosts first, then what is done, then the rest."""
        notes = outcomes[: len(outcomes) - len(each.items)]
        domain = each.items[0].address.domain
        hosts: list[str] = []
        for note in notes:
            if note.result is Result.DONE:
                self.progress.log_remark(note.text)
                continue
            hosts.append(self.retry.host_failed(note, domain))
            self.progress.log_host(note)
        pairs = list(zip(each.items, outcomes[len(notes) :], strict=True))
        done: list[Item] = []
        for item, outcome in pairs:
            item.host, item.host_address = outcome.host, outcome.host_address
            item.port, item.reply = outcome.port, outcome.remote_text
            item.is_dsn_relayed = outcome.is_dsn_relayed
            if outcome.result is Result.DONE:
                item.set(State.DONE, outcome.text)
                self.retry.works(item)
                self.retry.host_works(outcome)
                done.append(item)
            elif outcome.result is Result.FAIL:
                item.set(State.FAILED, outcome.text, outcome.code, outcome.status)
            else:
                item.set(State.DEFERRED, outcome.text, outcome.code, outcome.status)
                self.retry.delivery_failed(item, outcome, hosts)
        self.progress.done(done)
        for item, outcome in pairs:
            if item.state is State.DONE:
                self.progress.log_done(item, outcome, along=item is not done[0])
            elif item.state is State.FAILED:
                self.progress.log_failed(item)
            else:
                self.progress.log_deferred(item)

    # ---- 4 to 6: the end

    def _finish(self) -> Report:
        before = {item for item in self.routing.items if item.state is State.FAILED}
        self.retry.conclude(self.routing.items)
        for item in self.routing.items:
            if item.state is State.FAILED and item not in before:
                self.progress.log_failed(item)
        self._report_success()
        self._bounce([item for item in self.routing.items if item.state is State.FAILED])
        if self.progress.is_removed or self._is_complete():
            if not self.progress.is_removed:
                self.progress.remove()
            if self.progress.is_removed:
                events.completed(self.deliverer.log, self.message.id)
                return Report(self.message.id, DONE, bounces=tuple(self.bounces))
        return self._keep()

    def _is_complete(self) -> bool:
        return all(item.state is State.DONE for item in self.routing.items)

    def _report_success(self) -> None:
        """Tell the sender what went well, where he wants to know."""
        successes = self.wishes.successes()
        if not successes:
            return
        try:
            self.bounces.append(self.deliverer.bouncer.send_success(self.message, successes))
        except TempFail as error:
            text = f"cannot write a report: {error}"
            events.note(self.deliverer.log, self.message.id, text)
        else:
            self.reported = successes

    def _bounce(self, items: list[Item]) -> None:
        """Tell the senders; what they cannot be told of stays, frozen.

        Recipients that came to the same address may have different senders to tell.
        """
        lines: list[str] = []
        failed = [each for item in items for each in self.routing.with_twins(item)]
        for item in items:
            for twin in self.routing.twins.get(item, ()):
                twin.share_fate(item)
        for to, some in _by_sender(failed, self.envelope.sender):
            if to:
                lines += self._bounce_to(to, some)
            elif self.envelope.sender or self._is_old_bounce():
                # Nobody wants to know: errors_to is empty, or it has been tried long enough.
                lines += _give_up(some, "error ignored")
            else:
                self.freeze, self.is_frozen = "delivery error message", True
                for item in some:
                    item.state = State.DEFERRED
        told = []
        for item in items:
            if all(each.state is State.DONE for each in self.routing.with_twins(item)):
                told.append(item)
            else:
                item.state = State.DEFERRED
        self.progress.done(told)
        for line in lines:
            events.note(self.deliverer.log, self.message.id, line)

    def _bounce_to(self, to: str, items: list[Item]) -> list[str]:
        """Tell one sender; the lines for the log about what he does not want to know."""
        told = [item for item in items if notify.wants_failure(item)]
        try:
            if told:
                self.bounces.append(self.deliverer.bouncer.send(self.message, to, told))
        except TempFail as error:
            events.note(self.deliverer.log, self.message.id, f"cannot write a bounce: {error}")
            for item in items:
                item.state = State.DEFERRED
            return []
        _give_up(told, "")
        unwanted = [item for item in items if not notify.wants_failure(item)]
        return _give_up(unwanted, _NOT_WANTED)

    def _is_old_bounce(self) -> bool:
        age = self.now - self.envelope.received_time
        return age >= self.deliverer.conf.delivery.ignore_bounce_errors_after

    def _keep(self) -> Report:
        """Write down what is left, and say when to try it again."""
        envelope = replace(
            notify.reported(self.envelope, self.reported),
            nonrecipients=self.envelope.nonrecipients.union(self.progress.names),
            deliver_firsttime=False,
            frozen_at=int(self.now) if self.is_frozen else 0,
            manual_thaw=self.envelope.manual_thaw or (self.envelope.is_frozen and self.force),
        )
        left = [item for item in self.routing.items if item.state is not State.DONE]
        envelope = one_time.settle(envelope, left)
        next_try = min(self._next_tries(left), default=self.now + SOON)
        try:
            if envelope != self.envelope or self.message.has_journal:
                self.message.rewrite(envelope)
            # Last: `remove` looks for this log only if -H says that there was an attempt.
            if self.deliverer.conf.queue.message_logs:
                self.progress.write_msglog(self.deliverer.spool)
        except MtaError as error:
            # The old -H and the journal still say the same together.
            events.note(self.deliverer.log, self.message.id, str(error))
            next_try = max(next_try, self.now + SOON)
        destination = left[0].address.domain if left else ""
        state = DEFERRED
        if self.is_frozen:
            events.frozen(self.deliverer.log, self.message.id, self.freeze)
            state, next_try = FROZEN, 0.0
        return Report(self.message.id, state, next_try, destination, tuple(self.bounces))

    def _next_tries(self, items: list[Item]) -> Iterator[float]:
        for item in items:
            yield float(item.next_try) if item.next_try > self.now else self.now + SOON


def _give_up(items: list[Item], why: str) -> list[str]:
    """These are done without success; the lines for the log that say why."""
    lines = []
    for item in items:
        item.state = State.DONE
        parent = item.address.parent
        shown = item.address.text + (f" <{parent.text}>" if parent else "")
        lines.append(f"{shown}: {why}")
    return lines


def _by_sender(items: list[Item], sender: str) -> list[tuple[str, list[Item]]]:
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(batch.sender_of(item, sender), []).append(item)
    return list(groups.items())


def _has_8bit(message: Message) -> bool:
    """True if the message has octets above 127, which the next host has to be told of."""
    if any(not each.text.isascii() for each in message.envelope.headers):
        return True
    offset, end = message.body_offset, message.body_offset + message.body_size
    while offset < end:
        chunk = os.pread(message.data_fd, min(_CHUNK, end - offset), offset)
        if not chunk:
            return False
        if not chunk.isascii():
            return True
        offset += len(chunk)
    return False
