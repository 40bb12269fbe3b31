"""Runs of the queue that somebody asked for: what they try, and when they are over.

The runner tries messages when they are due, and needs no runs of the queue for that; so each
in the log was asked for.
"""

from __future__ import annotations

import os

from mta.log import events
from mta.log.sink import Log
from mta.proc.control import Run
from mta.proc.schedule import Entry, Schedule


class QueueRun:
    """One run, and what it has not tried yet."""

    __slots__ = ("left", "options")

    def __init__(self, options: str, left: set[str]) -> None:
        self.options = options
        self.left = left


class QueueRuns:
    """Those under way."""

    __slots__ = ("_log", "_under_way")

    def __init__(self, log: Log) -> None:
        self._log = log
        self._under_way: list[QueueRun] = []

    def begin(self, order: Run, schedule: Schedule) -> list[Entry]:
        """Make due what a run is to try; the messages that are."""
        entries = schedule.entries
        if order.some:
            chosen = [entries[each] for each in dict.fromkeys(order.ids) if each in entries]
        else:
            chosen = sorted(entries.values(), key=lambda each: each.message_id)
        left = {entry.message_id for entry in chosen}
        self._under_way.append(QueueRun(order.options, left))
        events.queue_run(self._log, "Start", os.getpid(), order.options)
        for number, entry in enumerate(chosen):
            schedule.make_due(
                entry,
                force=order.force == 1 or (order.force == 2 and number == 0),
                queue_run=True,
                thaw=bool(order.thaw),
                only=order.only,
            )
        self.tried("")
        return chosen

    def tried(self, message_id: str) -> None:
        """A message was tried, or is gone: runs that waited for it may be over."""
        for run in list(self._under_way):
            run.left.discard(message_id)
            if not run.left:
                self._under_way.remove(run)
                events.queue_run(self._log, "End", os.getpid(), run.options)
