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
import select
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import replace

from mta.base import clock
from mta.base.errors import MtaError, Slow, TempFail
from mta.config.model import Configuration
from mta.deliver import batch, notify, one_time, routing, thawing
from mta.deliver.batch import Batch, Whole
from mta.deliver.bounce import Bouncer
from mta.deliver.codes import BAD_TRANSPORT, LOCAL_ONLY, UNKNOWN
from mta.deliver.context import RETURNS, context_of, values_of
from mta.deliver.item import Item, State
from mta.deliver.letters import Letters
from mta.deliver.outcome import Progress
from mta.deliver.report import (
    DAMAGED,
    DEFERRED,
    DONE,
    FROZEN,
    GONE,
    LOCKED,
    SKIPPED,
    USUALLY,
    How,
    Report,
)
from mta.deliver.retry import Retry, manners_of
from mta.deliver.steer import Steering, cancel
from mta.deliver.workers import Job, Workers
from mta.hints.retry import RetryHints
from mta.log import events
from mta.log.sink import Log
from mta.lookup.api import Tables
from mta.mail import header
from mta.route.engine import Routers
from mta.route.retry_rules import load_retry_rules
from mta.spool.errors import SpoolError
from mta.spool.layout import Spool
from mta.spool.reader import Message, set_aside
from mta.transport.api import Outcome, Parcel, Result
from mta.transport.engine import Transport

# When no retry rule says when to try again: trouble of our own, which passes.
SOON = 300


# Name servers that answer later than this are waited for when nothing else is to be done, or
# when the message has been set aside for so long.
HURRY = 1.0
PUT_OFF = 30.0

Ended = tuple[Job, list[Outcome]]


Attempt = Generator[list[Job], Ended, Report]
# What an attempt yields that is to be set aside, and goes on by itself later.
SLOW: list[Job] = []
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
        self.hints = hints or RetryHints(
            f"{spool.path}/db/retry.sqlite", conf.queue.retry_data_expire
        )
        self.rules = load_retry_rules(conf)
        self.bouncer = Bouncer(conf, spool, log, tables)
        self.under_way: dict[str, Attempt] = {}
        self._jobs: deque[Job] = deque()  # not given away yet
        self._by_job: dict[int, str] = {}
        self._back: deque[Ended] = deque()  # ended, and not yet told to their attempts
        self._ended: list[Report] = []
        self._slow: deque[tuple[float, str]] = deque()  # since when, and the message

    def begin(self, message_id: str, how: How = USUALLY) -> None:
        """Try to deliver a message."""
        attempt = self._attempt(message_id, how)
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
                if self._slow and self._may_be_slow(also):
                    self._go_on(self._slow.popleft()[1], None)
                    continue
                if len(self._slow) == len(self.under_way):
                    break
                self._back.extend(self.workers.wait(also))
                if not self._back:
                    assert also >= 0, "attempts are under way, but no jobs"
                    break
            while self._back:
                job, outcomes = self._back.popleft()
                self._go_on(self._by_job.pop(id(job)), (job, outcomes))
        reports, self._ended = self._ended, []
        return reports

    def _may_be_slow(self, also: int) -> bool:
        """True if a message that was set aside may hold up this process now."""
        if clock.monotonic() > self._slow[0][0] + PUT_OFF:
            return True
        if len(self._slow) < len(self.under_way):
            return False
        return also < 0 or not select.select([also], [], [], 0)[0]

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
            jobs = next(attempt) if ended is None else attempt.send(ended)
            if jobs is SLOW:
                self._slow.append((clock.monotonic(), message_id))
            for job in jobs:
                self._by_job[id(job)] = message_id
                self._jobs.append(job)
        except StopIteration as end:
            self._ended.append(end.value)
        else:
            self.under_way[message_id] = attempt

    def _attempt(self, message_id: str, how: How) -> Attempt:
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
            attempt = _Attempt(self, message, how)
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

    def __init__(self, deliverer: Deliverer, message: Message, how: How) -> None:
        self.deliverer = deliverer
        self.message = message
        self.envelope = message.envelope
        self.how = how
        self.now = clock.now()
        self.ctx = context_of(deliverer.conf, deliverer.tables, message)
        self.retry = Retry(
            self.ctx,
            deliverer.rules,
            deliverer.hints,
            self.now,
            force=how.force,
            queue_run=how.queue_run,
        )
        self._options = deliverer.conf.delivery
        self.letters = Letters(
            deliverer.conf, deliverer.log, deliverer.bouncer, message, self.ctx, self.now
        )
        self.freeze = ""  # why the message is frozen now
        self.is_frozen = False

    def run(self) -> Attempt:
        """Do it."""
        if "i" in self.how.only and not self.envelope.deliver_firsttime:
            return Report(self.message.id, SKIPPED)
        if self.envelope.is_frozen and (report := self._frozen()) is not None:
            return report
        recipients = routing.remaining(self.envelope)
        done = self.envelope.nonrecipients
        routers = self.deliverer.routers
        try:
            self.routing = routing.route_all(
                routers, self.ctx, recipients, self.retry, done, HURRY
            )
        except Slow:
            yield SLOW
            self.routing = routing.route_all(routers, self.ctx, recipients, self.retry, done)
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

    def _frozen(self) -> Report | None:
        """What becomes of a frozen message; None if it is thawed now."""
        log, message_id = self.deliverer.log, self.message.id
        if thawing.has_timed_out(self._options, self.envelope, self.now):
            steering = Steering(log, self.deliverer.bouncer, "timeout_frozen_after")
            try:
                bounces = cancel(steering, self.message)
            except TempFail as error:
                events.note(log, message_id, str(error))
                return Report(message_id, FROZEN, self.now + SOON)
            return Report(message_id, DONE, bounces=tuple(bounces))
        if why := thawing.reason(self._options, self.envelope, self.now, forced=self.how.thaw):
            events.note(log, message_id, f"Unfrozen by {why}")
            return None
        events.note(log, message_id, "Message is frozen")
        return Report(message_id, FROZEN, thawing.due(self._options, self.envelope))

    # ---- 2: what routing decided

    def _routed(self) -> None:
        for remark in self.routing.remarks:
            for line in remark.lines:
                events.note(self.deliverer.log, self.message.id, line)
            self.letters.about_list(remark, self.routing.items)
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
        if "l" in self.how.only:
            for item in items:
                item.set(State.DEFERRED, "remote deliveries suppressed", LOCAL_ONLY)
                self.progress.log_deferred(item)
            return
        transports = self.deliverer.transports
        groups = []
        for group in batch.remote_groups(transports, items, self.envelope.sender):
            manners = manners_of(transports[group[0].transport])
            hosts = self.retry.hosts_left(group, group[0].hosts, manners)
            if group[0].state is State.WAITING:
                groups.append((group, hosts))
                continue
            for item in group:
                if item.note:
                    events.note(self.deliverer.log, self.message.id, item.note)
                if item.state is State.FAILED:
                    self.progress.log_failed(item)
                else:
                    self.progress.log_deferred(item)
        whole = replace(self.whole(), is_8bit=batch.has_8bit(self.message))
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
        manners = manners_of(self.deliverer.transports[parcel.transport])
        hosts: list[str] = []
        for note in notes:
            if note.result is Result.DONE:
                self.progress.log_remark(note.text)
                continue
            hosts.append(self.retry.host_failed(note, each.items[0], manners))
            self.progress.log_host(note)
        pairs = list(zip(each.items, outcomes[len(notes) :], strict=True))
        done: list[Item] = []
        for item, outcome in pairs:
            item.host, item.host_address = outcome.host, outcome.host_address
            item.port, item.reply = outcome.port, outcome.remote_text
            item.is_dsn_relayed = outcome.is_dsn_relayed
            item.told, item.output = outcome.told, outcome.output
            if outcome.result is Result.DONE:
                item.set(State.DONE, outcome.text)
                self.retry.works(item)
                self.retry.host_works(outcome)
                done.append(item)
            elif outcome.result is Result.FAIL:
                item.set(State.FAILED, outcome.text, outcome.code, outcome.status)
            else:
                item.set(State.DEFERRED, outcome.text, outcome.code, outcome.status)
                self.retry.delivery_failed(item, outcome, hosts, manners)
                self.is_frozen = self.is_frozen or outcome.freeze
        self.progress.done(done)
        for item, outcome in pairs:
            if outcome.note:
                text = f"<{item.address.text}>: {outcome.note}"
                events.note(self.deliverer.log, self.message.id, text)
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
        self.letters.success(self.wishes)
        failed = [item for item in self.routing.items if item.state is State.FAILED]
        if why := self.letters.bounce(failed, self.routing, self.progress):
            self.freeze, self.is_frozen = why, True
        if self.progress.is_removed or self._is_complete():
            if not self.progress.is_removed:
                self.progress.remove()
            if self.progress.is_removed:
                events.completed(self.deliverer.log, self.message.id)
                return Report(self.message.id, DONE, bounces=tuple(self.letters.ids))
        return self._keep()

    def _is_complete(self) -> bool:
        return all(item.state is State.DONE for item in self.routing.items)

    def _keep(self) -> Report:
        """Write down what is left, and say when to try it again."""
        left = [item for item in self.routing.items if item.state is not State.DONE]
        thawed = self.envelope.is_frozen and self.how.thaw
        warned = self.envelope.warning_count if self.is_frozen else self.letters.warn(left)
        envelope = replace(
            notify.reported(self.envelope, self.letters.reported),
            nonrecipients=self.envelope.nonrecipients.union(self.progress.names),
            deliver_firsttime=False,
            frozen_at=int(self.now) if self.is_frozen else 0,
            manual_thaw=self.envelope.manual_thaw or thawed,
            warning_count=warned,
        )
        envelope = one_time.settle(envelope, left)
        next_try = min(self._next_tries(left), default=self.now + SOON)
        try:
            if envelope != self.envelope or self.message.has_journal:
                self.message.rewrite(envelope)
        except MtaError as error:
            # The old -H and the journal still say the same together.
            events.note(self.deliverer.log, self.message.id, str(error))
            next_try = max(next_try, self.now + SOON)
        destination = left[0].address.domain if left else ""
        state = DEFERRED
        if self.is_frozen:
            self._say_frozen(left)
            state, next_try = FROZEN, thawing.due(self._options, envelope)
        # Last: `remove` looks for this log only if -H says that there was an attempt.
        if self.deliverer.conf.queue.message_logs:
            self.progress.write_msglog(self.deliverer.spool)
        return Report(self.message.id, state, next_try, destination, tuple(self.letters.ids))

    def _say_frozen(self, left: list[Item]) -> None:
        """Log that the message is frozen, and tell those who want to know: freeze_tell."""
        words = events.frozen(self.deliverer.log, self.message.id, self.freeze)
        self.progress.note(f"*** {words}")
        try:
            self.letters.ids += thawing.tell(
                self.deliverer.bouncer, self._options, self.envelope, self.freeze, left
            )
        except TempFail as error:
            events.note(self.deliverer.log, self.message.id, f"cannot tell: {error}")

    def _next_tries(self, items: list[Item]) -> Iterator[float]:
        for item in items:
            yield float(item.next_try) if item.next_try > self.now else self.now + SOON
