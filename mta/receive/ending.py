"""What a request to end (SIGTERM) means to a process that receives mail.

At once only while it waits for somebody: for a conversation, or in one for the next command.
Else it is noted, and whoever comes to such a place asks for it.
"""

from __future__ import annotations

import signal
from types import FrameType

from mta.base.errors import MtaError


class Stopped(MtaError):
    """This process was asked to end while it waited."""


class Ending:
    """One for a process; without `listen` nobody ever asks."""

    __slots__ = ("asked", "waiting")

    def __init__(self) -> None:
        self.asked = False
        self.waiting = False  # now it may end at any time

    def listen(self) -> None:
        """From now on a SIGTERM to this process is a request to end."""
        signal.signal(signal.SIGTERM, self._told)

    def wait(self) -> None:
        """What follows is waiting, until `waiting` is set to False.

        Raises Stopped, here or at any later moment until then.
        """
        self.waiting = True
        if self.asked:
            self._stop()

    def _told(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        if self.waiting:
            self._stop()

    def _stop(self) -> None:
        self.waiting = False
        raise Stopped("asked to end")
