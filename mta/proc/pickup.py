"""Pick-up: takes what local programs left in the drop-box while no daemon answered.

    uid           the mail user, in a child of the runner
    reads         SPOOL/drop, where anybody may leave files: everything there is hostile
    writes        messages into the spool, through the same intake as all others

Who left a file is what the file system says (st_uid), not what the file says.  A file that
breaks the rules is removed and logged; one that cannot be taken now stays for the next time,
which the runner puts off further and further.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from mta.proc import roles
from mta.proc.service import make_service
from mta.receive import pickup as reading
from mta.spool.layout import Spool
from mta.unix import process

# So many of one user in one go, so that nobody keeps others waiting.
MOST_OF_ONE = 100
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 300.0


@dataclass(frozen=True, slots=True)
class Turn:
    """The files to take over in one go, and those among them that were not taken before."""

    names: list[str]
    known: frozenset[str]


class Leftovers:
    """What lies in the drop-box, as the runner knows it.

    A file that is still there after it was tried is left alone for a while, each time for
    longer, and is not in the way of others.
    """

    __slots__ = ("_pauses", "_spool")

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        # By name, of what was tried: until when it is left alone, and how long that is.
        self._pauses: dict[str, tuple[float, float]] = {}

    def due(self, now: float) -> Turn:
        """What is to be tried now; whoever asks has it tried."""
        waiting = reading.waiting(self._spool)
        there = {file.name for file in waiting}
        before = {name: each for name, each in self._pauses.items() if name in there}
        self._pauses = dict(before)
        of_one: Counter[int] = Counter()
        names: list[str] = []
        for file in waiting:
            until, pause = before.get(file.name, (now, FIRST_PAUSE / 4))
            if until <= now and of_one[file.uid] < MOST_OF_ONE:
                of_one[file.uid] += 1
                names.append(file.name)
                pause = min(LONGEST_PAUSE, 4 * pause)
                self._pauses[file.name] = now + pause, pause
        return Turn(names, frozenset(name for name in names if name in before))


def run(inherited: roles.Inherited, spool: Spool, turn: Turn) -> int:
    """Take over what is due in the drop-box."""
    process.set_title("mta: pickup")
    # The runner scans when we are done, so nobody needs a hint for each message.
    service = make_service(inherited, spool, arrived=None)
    reading.empty(service, spool, turn.names, turn.known)
    return 0
