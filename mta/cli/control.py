"""Asking the daemon: the other end of the control socket, which the queue runner owns.

The daemon judges by the caller's user, which the kernel tells it; a request that is not for
everybody is answered with a refusal, not with silence.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from types import TracebackType

from mta.base.errors import MtaError, ProtocolError, describe
from mta.proc.control import (
    ANSWERS,
    AskWhy,
    Denied,
    Done,
    KnownFailure,
    StatusIs,
    Steer,
    Steered,
    Waiting,
)
from mta.unix import frames

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 60.0


class Refused(MtaError):
    """The daemon will not do it; the text is its reason."""


class Unreachable(MtaError):
    """No daemon answers."""


class Control:
    """A conversation with the daemon of one spool."""

    def __init__(self, spool: str) -> None:
        """Connect.  Raises Unreachable."""
        self.spool = spool
        self.channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.channel.settimeout(CONNECT_SECONDS)
        try:
            connect(self.channel, spool, "control")
        except OSError as error:
            self.channel.close()
            raise Unreachable(
                f"no daemon runs with spool {spool}: {describe(error)}"
            ) from error
        self.channel.settimeout(ANSWER_SECONDS)

    def __enter__(self) -> Control:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.channel.close()

    def _answers(self, request: object) -> Iterator[object]:
        """Everything the daemon says to one request.  Raises Refused, Unreachable."""
        try:
            frames.send(self.channel, request)
            while (received := frames.receive(self.channel, ANSWERS)) is not None:
                received.close()
                if isinstance(received.message, Denied):
                    raise Refused(received.message.reason)
                yield received.message
                if isinstance(received.message, Done | StatusIs | Steered):
                    return
        except OSError as error:
            reason = describe(error)
        except ProtocolError as error:
            reason = str(error)
        else:
            reason = "it closed the connection"
        raise Unreachable(f"the daemon did not answer: {reason}")

    def waiting(self, request: object) -> list[Waiting]:
        """The messages that the daemon lists."""
        return [each for each in self._answers(request) if isinstance(each, Waiting)]

    def count(self, request: object) -> int:
        """Have something done; how many messages it concerned."""
        return sum(each.count for each in self._answers(request) if isinstance(each, Done))

    def steered(self, request: Steer) -> Steered:
        """What came of something that was to be done with a message."""
        for each in self._answers(request):
            if isinstance(each, Steered):
                return each
        raise Unreachable("the daemon gave another answer than asked for")

    def failures(self) -> list[KnownFailure]:
        """What the daemon knows of failures."""
        return [each for each in self._answers(AskWhy()) if isinstance(each, KnownFailure)]

    def status(self, request: object) -> StatusIs:
        """How the daemon is."""
        for each in self._answers(request):
            if isinstance(each, StatusIs):
                return each
        raise Unreachable("the daemon gave another answer than asked for")


def connect(channel: socket.socket, spool: str, name: str) -> None:
    """Connect to a socket in SPOOL/run.  Raises OSError.

    An address holds 108 octets and a spool's path may have more: the directory is opened, and
    the address is what the kernel calls that descriptor.
    """
    directory = os.open(os.path.join(spool, "run"), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        channel.connect(f"/proc/self/fd/{directory}/{name}")
    finally:
        os.close(directory)


def try_connect(spool: str) -> Control | None:
    """A conversation with the daemon, or None where none runs."""
    with contextlib.suppress(Unreachable):
        return Control(spool)
    return None
