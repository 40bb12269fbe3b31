"""What waits, when it is due, and whose turn it is.  In memory only: a scan rebuilds it.

Messages that are not due cost nothing: they lie in a heap by time.  Those that are due stand
in lines by destination, and in each line by sender; turns go round the destinations, and in a
line round the senders, so that neither a slow host nor a busy sender holds up the others.  No
destination may take more than half of the delivery processes while others wait.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from dataclasses import dataclass, field


@dataclass(slots=True)
class Entry:
    """A message as the schedule knows it."""

    message_id: str
    sender: str = ""
    destination: str = ""
    next_try: float = 0.0
    force: bool = False
    thaw: bool = False
    only: str = ""
    queue_run: bool = False
    state: str = "waiting"  # waiting, due, running
    again: bool = False  # asked for once more while it was running
    again_thaw: bool = False  # and to be thawed then
    crashes: int = 0  # of the processes that tried it
    errors: int = 0  # of ours among them


@dataclass(slots=True)
class _Line:
    """Messages to one destination that are due, by sender; and how many are under way."""

    senders: OrderedDict[str, deque[str]] = field(default_factory=OrderedDict)
    running: int = 0


class Schedule:
    """All messages that wait, and the order in which they are tried."""

    __slots__ = ("_crowded", "_heap", "_lines", "due", "entries", "running")

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self._heap: list[tuple[float, str]] = []
        self._lines: OrderedDict[str, _Line] = OrderedDict()
        self._crowded = 0  # lines in which somebody stands
        self.due = 0
        self.running = 0

    def add(self, message_id: str, sender: str = "", destination: str = "") -> Entry:
        """The entry of a message, made if it is new."""
        entry = self.entries.get(message_id)
        if entry is None:
            entry = self.entries[message_id] = Entry(message_id, sender, destination)
        return entry

    def wait(self, entry: Entry, until: float) -> None:
        """It is not to be tried before this time."""
        entry.state, entry.next_try = "waiting", until
        entry.force = entry.queue_run = entry.thaw = False
        entry.only = ""
        heapq.heappush(self._heap, (until, entry.message_id))
        if len(self._heap) > 2 * len(self.entries) + 1000:
            self._clear_out()

    def make_due(
        self,
        entry: Entry,
        *,
        force: bool = False,
        queue_run: bool = False,
        thaw: bool = False,
        only: str = "",
    ) -> None:
        """It is to be tried as soon as its turn comes."""
        if entry.state == "running":
            entry.again = entry.again or force
            entry.again_thaw = entry.again_thaw or thaw
            return
        # Where two ask for it, the one who wants more counts.
        entry.only = only if entry.state == "waiting" else entry.only and only
        entry.force = entry.force or force
        entry.thaw = entry.thaw or thaw
        entry.queue_run = queue_run
        if entry.state == "due":
            return
        entry.state = "due"
        self.due += 1
        line = self._lines.setdefault(entry.destination, _Line())
        self._crowded += not line.senders
        line.senders.setdefault(entry.sender, deque()).append(entry.message_id)

    def advance(self, now: float) -> None:
        """Make due what has waited long enough."""
        while self._heap and self._heap[0][0] <= now:
            when, message_id = heapq.heappop(self._heap)
            entry = self.entries.get(message_id)
            if entry is not None and entry.state == "waiting" and entry.next_try == when:
                self.make_due(entry, queue_run=True)

    def next_time(self) -> float | None:
        """When the next message will be due; None if none waits."""
        return self._heap[0][0] if self._heap else None

    def take(self, most: int) -> Entry | None:
        """The message whose turn it is; None if none may be tried now.

        `most` is the number of delivery processes there may be: one destination gets at most
        half of them, rounded up, unless nothing else is due.
        """
        share = most if self._crowded == 1 else max(1, (most + 1) // 2)
        for destination, line in self._lines.items():
            if not line.senders or line.running >= share:
                continue
            entry = self._first(line)
            self._crowded -= not line.senders
            self._lines.move_to_end(destination)
            line.running += 1
            entry.state = "running"
            self.due -= 1
            self.running += 1
            return entry
        return None

    def finish(self, entry: Entry) -> None:
        """Its attempt is over; what comes next is told by `wait`, `make_due` or `forget`."""
        self.running -= 1
        line = self._lines.get(entry.destination)
        if line is not None:
            line.running -= 1
            if not line.running and not line.senders:
                del self._lines[entry.destination]
        entry.state = "waiting"

    def forget(self, entry: Entry) -> None:
        """It is no longer in the spool."""
        if self.entries.pop(entry.message_id, None) is not None and entry.state == "due":
            self._step_out(entry)
            entry.state = "waiting"

    def _step_out(self, entry: Entry) -> None:
        """Take a message out of the line in which it stands."""
        line = self._lines[entry.destination]
        waiting = line.senders[entry.sender]
        waiting.remove(entry.message_id)
        self.due -= 1
        if not waiting:
            del line.senders[entry.sender]
        self._crowded -= not line.senders
        if not line.running and not line.senders:
            del self._lines[entry.destination]

    def _clear_out(self) -> None:
        """Keep one time for each message that waits: runs of the queue leave many."""
        self._heap = [
            (entry.next_try, entry.message_id)
            for entry in self.entries.values()
            if entry.state == "waiting" and entry.next_try
        ]
        heapq.heapify(self._heap)

    def _first(self, line: _Line) -> Entry:
        sender, waiting = next(iter(line.senders.items()))
        message_id = waiting.popleft()
        if waiting:
            line.senders.move_to_end(sender)
        else:
            del line.senders[sender]
        return self.entries[message_id]
