"""The runner: knows what waits, decides what is tried when, and hands it to deliverers.

    uid           the mail user
    descriptors   control; arrivals from receivers; start to the launcher; commands
    in            arrived from receivers; attempted from deliverers; commands over the socket
    out           attempt to deliverers
    neighbours    a deliverer dies: its messages wait a little and are tried again, each alone;
                  a receiver's hint is lost: the next scan finds the message

The schedule is in memory; the spool is the truth.  It reads no bodies, and a message that is
not due costs nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

from mta.base import clock
from mta.base.errors import ProtocolError
from mta.deliver import freeze
from mta.log import events
from mta.proc import commands, deliverer, pickup, roles, sweeper
from mta.proc.control import Arrived, Attempt, Attempted, Run, Steer
from mta.proc.queue_runs import QueueRuns
from mta.proc.schedule import Entry, Schedule
from mta.spool import scan
from mta.spool.ids import is_id
from mta.unix import frames, process
from mta.unix.loop import Loop, Timer

SCAN_SECONDS = 300.0
PICKUP_SECONDS = 1.0
SWEEP_SECONDS = 3600.0
FROZEN_SECONDS = 86400.0  # when we look again at what is frozen for good
AFTER_CRASH_SECONDS = 60.0
AFTER_OTHERS_SECONDS = 2.0  # for a message that was not alone: most likely another did it
MOST_CRASHES = 3  # of ours over one message; then it is frozen until somebody looks
IDLE_SECONDS = 20.0
# After a change of generations: what the old runner was told of while it went.
SECOND_SCAN_SECONDS = 10.0
DOUBT = 10_000  # messages known: from here on hints of others are looked into
LONGEST = 320  # octets of an address that are kept
# More deliverers than this are only made beside those that have not been heard of for long:
# messages of a millisecond are not done sooner by more processes than the machine has use for.
EAGER = max(2, min(8, os.cpu_count() or 1))
SLOW_SECONDS = 1.0
HESITATE_SECONDS = 0.1
# A deliverer has several messages under way, as it waits for workers most of the time: a few
# at first, more as long as reports come quickly, fewer when something holds it up: whatever
# else it has in hand waits with that.
FIRST_ROOM = 8
MOST_ROOM = 32
QUICK_SECONDS = 0.2


class Child:
    """A deliverer: its process, our end of its channel, and what it is at."""

    __slots__ = ("alone", "channel", "entries", "left", "pid", "room", "since", "uses")

    def __init__(self, pid: int, channel: socket.socket) -> None:
        self.pid = pid
        self.channel = channel
        self.entries: dict[str, Entry] = {}  # by id
        self.left: list[Entry] = []  # what it had when it went away
        self.alone = False  # it has one that others died with, and gets no more beside it
        self.room = FIRST_ROOM  # how many it may have in hand
        self.uses = 0
        self.since = clock.monotonic()  # when it was given a message, or has reported one

    def has_reported(self, now: float) -> None:
        """One message less, and more or less room, as it was quick or not."""
        if now - self.since < QUICK_SECONDS:
            self.room = min(MOST_ROOM, self.room + 1)
        else:
            self.room = max(1, self.room // 2)
        self.since = now


class Runner:
    """The queue and those who work on it."""

    def __init__(self, inherited: roles.Inherited) -> None:
        self.inherited = inherited
        self.conf = inherited.conf
        self.log = inherited.log
        self.spool = inherited.open_spool()
        self.delivery = deliverer.prepare(inherited, self.spool)
        self.schedule = Schedule()
        self.loop = Loop()
        self.children: dict[int, Child] = {}
        self.idle: list[Child] = []
        self.runs = QueueRuns(self.log)
        self.helpers: dict[int, Callable[[], None]] = {}
        self.askers: Counter[int] = Counter()  # connections for commands, by who asks
        self.leftovers = pickup.Leftovers(self.spool)
        self.draining = False
        # A tree that serves one command: what it is to do comes here, and its end.
        self.once = inherited.channels.get("once")
        self.ending = False
        self.hesitating = False
        self.timer: Timer | None = None
        self.started = int(clock.now())

    # ---- the loop

    def run(self) -> None:
        """Work until told to drain and the last delivery is over."""
        channels = self.inherited.channels
        channels["arrivals"].setblocking(False)
        self.loop.watch(channels["arrivals"].fileno(), self.arrivals)
        self.loop.watch(self.inherited.control.fileno(), self.master)
        if "commands" in channels:
            channels["commands"].setblocking(False)
            self.loop.watch(channels["commands"].fileno(), self.command)
        self.loop.on_signal(signal.SIGCHLD, self.reap)
        self.loop.on_signal(signal.SIGTERM, lambda: self.drain(0))
        self.inherited.announce()
        if self.once is None:
            self.scan()
            self.loop.after(SECOND_SCAN_SECONDS, self.scan_again)
            self.pick_up()
            self.sweep()
        else:
            self.loop.watch(self.once.fileno(), self.told)
        self.prune()
        self.loop.run()

    def told(self) -> None:
        """The command that we serve wants a queue run, or nothing more."""
        assert self.once is not None
        try:
            received = frames.receive(self.once, (Run, Steer))
        except (OSError, ProtocolError):
            received = None
        if received is None:
            self.loop.unwatch(self.once.fileno())
            self.arrivals()  # what it made came before its end
            self.ending = True
            self.end_if_once()
        elif isinstance(received.message, Run):
            self.queue_run(received.message)
        elif isinstance(received.message, Steer):
            commands.steer_once(self, received.message, self.once)

    def master(self) -> None:
        """The master speaks, or has gone."""
        if not roles.heed_master(self.inherited, self.drain, self.renew):
            self.loop.unwatch(self.inherited.control.fileno())
            self.drain(0)

    def renew(self) -> None:
        """The logs were moved: deliverers that have the old files open leave when idle."""
        for child in self.idle:
            self.dismiss(child)
        self.idle.clear()
        for child in self.children.values():
            child.uses = self.conf.own.deliver_max_use

    def drain(self, grace: float) -> None:
        """Begin no delivery; leave when the last is over, or when the time is up."""
        if not self.draining:
            self.draining = True
            self.loop.unwatch(self.inherited.channels["arrivals"].fileno())
            if "commands" in self.inherited.channels:
                self.loop.unwatch(self.inherited.channels["commands"].fileno())
            self.renew()
            if grace:
                self.loop.after(grace, self.hurry)
        self.leave_if_done()

    def hurry(self) -> None:
        """Time is up.  A delivery that is cut off is repeated; nothing is lost."""
        for child in self.children.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGTERM)

    def leave_if_done(self) -> None:
        """Stop when nothing is under way any more."""
        if self.draining and not self.children and not self.helpers:
            self.loop.stop()

    # ---- what is known

    def arrivals(self) -> None:
        """Hints of receivers: messages have come."""
        channel = self.inherited.channels["arrivals"]
        for _ in range(64):
            try:
                received = frames.receive(channel, (Arrived,))
            except BlockingIOError:
                break
            except (OSError, ProtocolError) as error:
                events.role(self.log, "runner", f"bad hint: {error}")
                continue
            if received is None:
                self.loop.unwatch(channel.fileno())
                break
            received.close()
            if isinstance(received.message, Arrived):
                self.arrived(received.message)
        self.dispatch()

    def arrived(self, hint: Arrived) -> None:
        """A message has come, if that is true.

        The network user says so, and may have been taken over: what is no id would lead
        elsewhere, and of a flood of ids only those are kept that have a message.
        """
        message_id = hint.message_id
        if not is_id(message_id):
            events.role(self.log, "runner", f"bad hint: {message_id[:64]!r} is no message id")
            return
        if len(self.schedule.entries) > DOUBT and not scan.exists(self.spool, message_id):
            return
        entry = self.schedule.add(message_id, hint.sender[:LONGEST], hint.domain[:LONGEST])
        if hint.now:
            self.schedule.make_due(entry)
        elif entry.state == "waiting" and not entry.next_try:
            # What is only queued waits for a queue run, and there always is one.
            self.schedule.wait(entry, clock.now() + SCAN_SECONDS)

    def scan(self) -> None:
        """Find in the spool what we were not told of."""
        self.spool_scan(due=True)
        self.loop.after(SCAN_SECONDS, self.scan)
        self.dispatch()

    def scan_again(self) -> None:
        """Once more, soon after the start."""
        if not self.draining:
            self.spool_scan(due=True)
            self.dispatch()

    def spool_scan(self, *, due: bool) -> None:
        """Add what the schedule does not know; `due` at once."""
        for message_id in scan.ids(self.spool):
            if message_id not in self.schedule.entries:
                entry = self.schedule.add(message_id)
                if due:
                    self.schedule.make_due(entry, queue_run=True)

    def queue_run(self, order: Run) -> int:
        """Try everything that waits, or some of it; how many messages that are."""
        self.spool_scan(due=False)
        chosen = self.runs.begin(order, self.schedule)
        self.dispatch()
        return len(chosen)

    # ---- what is done

    def dispatch(self) -> None:
        """Hand out as much as may be under way."""
        self.schedule.advance(clock.now())
        most = max(1, self.conf.own.deliver_max_parallel)
        while not self.draining and self.schedule.due and self.schedule.running < most:
            child = self.ready()
            if child is None:
                break
            entry = self.schedule.take(most)
            if entry is None:
                break
            if entry.crashes and child.entries:
                # It or another was at fault when its deliverer died: alone it will turn out.
                child = self.unoccupied()
            if child is None:
                self.schedule.finish(entry)
                self.schedule.make_due(entry, queue_run=entry.queue_run, only=entry.only)
                break
            self.hand(child, entry)
        self.set_timer()

    def ready(self) -> Child | None:
        """A deliverer for one more message.

        The busiest that can take one more: what it knows is warm, and it does together what
        comes together.  Then one that is idle, then a new one.
        """
        before = clock.monotonic() - SLOW_SECONDS
        able = [
            child
            for child in self.children.values()
            if child.channel.fileno() >= 0
            and child.since > before
            and not child.alone
            and 0 < len(child.entries) < child.room
            and child.uses < self.conf.own.deliver_max_use
        ]
        if able:
            return max(able, key=lambda child: len(child.entries))
        if not self.idle and self.quick() >= EAGER:
            # Those at work can take more in a moment.
            if not self.hesitating:
                self.hesitating = True
                self.loop.after(HESITATE_SECONDS, self.look_again)
            return None
        return self.unoccupied()

    def unoccupied(self) -> Child | None:
        """A deliverer with nothing in hand, made if there is none."""
        if self.idle or self.grow():
            return self.idle[-1]
        return None

    def grow(self) -> bool:
        """Fork another deliverer."""
        ours, theirs = frames.pair()
        keep = [
            theirs.fileno(),
            self.inherited.channels["start"].fileno(),
            *self.log.fds(),
            *self.spool.descriptors(),
        ]
        try:
            pid = process.run_child(
                partial(deliverer.run, self.delivery, theirs, keep), panic=self.log.panic_fd
            )
        except OSError as error:
            events.role(self.log, "runner", f"cannot fork: {error.strerror}")
            ours.close()
            self.loop.after(1.0, self.dispatch)
            return False
        finally:
            theirs.close()
        child = Child(pid, ours)
        self.children[pid] = child
        self.idle.append(child)
        self.loop.watch(ours.fileno(), partial(self.report, child))
        return True

    def quick(self) -> int:
        """How many deliverers that may take more were heard of a moment ago."""
        before = clock.monotonic() - SLOW_SECONDS
        return sum(
            1 for child in self.children.values() if child.since > before and not child.alone
        )

    def look_again(self) -> None:
        """Some deliverers may be taking long, and others are wanted beside them."""
        self.hesitating = False
        self.dispatch()

    def hand(self, child: Child, entry: Entry) -> None:
        """Give a message to a deliverer."""
        if child in self.idle:
            self.idle.remove(child)
        child.entries[entry.message_id] = entry
        child.alone = entry.crashes > 0
        child.uses += 1
        child.since = clock.monotonic()
        order = Attempt(
            entry.message_id,
            int(entry.force),
            int(entry.queue_run),
            int(entry.thaw),
            entry.only,
        )
        try:
            frames.send(child.channel, order)
        except OSError:
            self.lost(child)

    def report(self, child: Child) -> None:
        """A deliverer says what came of a message, or has gone."""
        try:
            try:
                received = frames.receive(child.channel, (Attempted,))
            except ConnectionResetError:
                # It went with something unread; what it said before comes after that news.
                received = frames.receive(child.channel, (Attempted,))
        except (OSError, ProtocolError):
            received = None
        said = None if received is None else received.message
        entry = None
        if isinstance(said, Attempted):
            entry = child.entries.pop(said.message_id, None)
        if received is None or entry is None or not isinstance(said, Attempted):
            self.lost(child)
        else:
            received.close()
            child.has_reported(clock.monotonic())
            self.settle(entry, said)
            self.rest(child)
        self.dispatch()

    def rest(self, child: Child) -> None:
        """A deliverer without work waits for the next message, or has done enough."""
        if child.entries:
            return
        if self.draining or child.uses >= self.conf.own.deliver_max_use:
            self.dismiss(child)
            return
        self.idle.append(child)

    def prune(self) -> None:
        """Let deliverers go that nobody has needed for a while."""
        before = clock.monotonic() - IDLE_SECONDS
        for child in [each for each in self.idle if each.since < before]:
            self.idle.remove(child)
            self.dismiss(child)
        self.loop.after(IDLE_SECONDS, self.prune)

    def settle(self, entry: Entry, report: Attempted) -> None:
        """Decide what becomes of a message after its attempt."""
        self.schedule.finish(entry)
        entry.errors = entry.crashes = 0
        entry.destination = report.destination or entry.destination
        again, entry.again = entry.again, False
        thaw, entry.again_thaw = entry.again_thaw, False
        for bounce in report.bounces:
            self.schedule.make_due(self.schedule.add(bounce))
        if report.state in ("done", "gone", "damaged"):
            self.schedule.forget(entry)
        elif again:
            self.schedule.make_due(entry, force=True, thaw=thaw)
        else:
            self.schedule.wait(entry, report.next_try or self.usual_wait(entry, report.state))
        self.runs.tried(entry.message_id)
        self.end_if_once()

    def usual_wait(self, entry: Entry, state: str) -> float:
        """Until when a message waits for which the attempt named no time."""
        now = clock.now()
        if state == "skipped" and entry.next_try > now:
            return entry.next_try
        return now + (FROZEN_SECONDS if state == "frozen" else SCAN_SECONDS)

    def lost(self, child: Child) -> None:
        """A deliverer has gone.  The messages it had wait before they are tried again."""
        if child in self.idle:
            self.idle.remove(child)
        was_alone = len(child.entries) == 1
        for entry in child.entries.values():
            self.schedule.finish(entry)
            # A message that is too much for every deliverer is tried less and less often.
            entry.crashes += 1
            pause = AFTER_CRASH_SECONDS * 4 ** (min(entry.crashes, 4) - 1)
            self.schedule.wait(
                entry, clock.now() + (pause if was_alone else AFTER_OTHERS_SECONDS)
            )
            self.runs.tried(entry.message_id)
        child.left += child.entries.values()
        child.entries.clear()
        self.dismiss(child)
        self.end_if_once()

    def hear_out(self, child: Child) -> None:
        """Take what a deliverer that has ended said last."""
        while child.entries and child.channel.fileno() >= 0:
            self.report(child)

    def blame(self, entries: list[Entry]) -> None:
        """An error of ours ended a deliverer, and this is what it had not reported.

        One message alone was at fault.  Of several nobody is blamed, as some had perhaps not
        been begun: each is tried alone next.  Nor is anybody by a process that was killed.
        """
        if len(entries) != 1:
            return
        (entry,) = entries
        entry.errors += 1
        if entry.errors >= MOST_CRASHES:
            entry.errors = 0
            work = partial(freeze.run, self.log, self.spool, entry.message_id)
            self.assist(work, lambda: None)

    def dismiss(self, child: Child) -> None:
        """Close a deliverer's channel; it leaves by itself, and `reap` notes it."""
        if child.channel.fileno() >= 0:
            self.loop.unwatch(child.channel.fileno())
            child.channel.close()

    def reap(self) -> None:
        """Processes of ours that have ended."""
        for pid, code in process.reap():
            if (ended := self.helpers.pop(pid, None)) is not None:
                if code == process.EXIT_BUG:
                    events.bug(self.log, "helper", f"process {pid} ended in an error")
                ended()
                self.end_if_once()
            elif (child := self.children.pop(pid, None)) is not None:
                if code == process.EXIT_BUG:
                    events.bug(self.log, "deliverer", f"process {pid} ended in an error")
                self.hear_out(child)
                self.lost(child)
                if code == process.EXIT_BUG:
                    self.blame(child.left)
        self.dispatch()
        self.leave_if_done()

    def set_timer(self) -> None:
        """Wake up when the next message is due."""
        due = self.schedule.next_time()
        if self.timer is not None:
            self.timer.cancel()
        if due is None or self.draining:
            self.timer = None
            return
        self.timer = self.loop.after(max(0.0, due - clock.now()), self.dispatch)

    def end_if_once(self) -> None:
        """A tree that was started for one command ends when everything was tried."""
        if self.ending:
            self.arrivals()  # what deliveries handed in came before their end
        busy = self.schedule.due or self.schedule.running or self.helpers
        if self.ending and not busy:
            self.drain(0)

    # ---- the drop-box and commands

    def pick_up(self) -> None:
        """Look whether somebody left mail in the drop-box; a child of its own reads it."""
        if self.draining:
            return
        turn = self.leftovers.due(clock.monotonic())
        if turn.names:
            work = partial(pickup.run, self.inherited, self.spool, turn)
            self.assist(work, self.picked_up)
        else:
            self.loop.after(PICKUP_SECONDS, self.pick_up)

    def picked_up(self) -> None:
        """What could be taken was taken."""
        self.spool_scan(due=True)
        self.loop.after(PICKUP_SECONDS, self.pick_up)

    def sweep(self) -> None:
        """Have removed what crashes left in the spool, now and then."""
        if not self.draining:
            expire = self.conf.queue.retry_data_expire
            self.assist(partial(sweeper.run, self.log, self.spool, expire), self.swept)

    def swept(self) -> None:
        """The sweeper is done."""
        self.loop.after(SWEEP_SECONDS, self.sweep)

    def command(self) -> None:
        """Somebody asks something; a child of its own answers what takes reading."""
        try:
            connection, _ = self.inherited.channels["commands"].accept()
        except OSError as error:
            if not isinstance(error, (BlockingIOError, ConnectionError)):
                self.rest_from_commands(error)
            return
        commands.answer(self, connection)

    def rest_from_commands(self, error: OSError) -> None:
        """The system has no descriptors left: do not spin."""
        events.role(self.log, "runner", f"cannot take commands: {error.strerror}")
        listening = self.inherited.channels["commands"].fileno()
        self.loop.unwatch(listening)

        def listen_again() -> None:
            if not self.draining:
                self.loop.watch(listening, self.command)

        self.loop.after(1.0, listen_again)

    def deliverers(self) -> int:
        """How many delivery processes there are."""
        return len(self.children)

    def assist(self, work: Callable[[], int | None], ended: Callable[[], None]) -> None:
        """Have a child do something that must not hold the loop."""
        try:
            pid = process.run_child(work, panic=self.log.panic_fd)
        except OSError as error:
            events.role(self.log, "runner", f"cannot fork: {error.strerror}")
            self.loop.after(1.0, ended)
            return
        self.helpers[pid] = ended


def main(arguments: Sequence[str]) -> int:
    """Run the runner with the descriptors that the master left."""
    process.set_title("mta: runner")
    roles.ignore_terminal()
    inherited = roles.inherit(arguments)
    roles.drop(inherited.identities.mail)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    os.umask(0o007)
    runner = Runner(inherited)
    process.settle()
    runner.run()
    return 0
