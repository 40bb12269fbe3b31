"""Seeing the files of users by asking: processes that have become them look for us.

A looker is asked for at the launcher with one end of a fresh channel, as workers are, and then
asked for one router and address after the other; a few are kept for the next address of their
user.  It has a deadline: a file system that does not answer defers an address and holds up
nobody for longer, and for a while nobody waits for that user again.

Nobody becomes root to read.  What is root's own we look at as who we are, and what is closed
to us counts as missing: mail for root belongs into an alias.
"""

from __future__ import annotations

import errno
import socket
from contextlib import suppress
from dataclasses import replace

from mta.base import clock
from mta.base.errors import ExpansionFail, ProtocolError, TempFail, describe
from mta.base.text import is_number
from mta.deliver.frames import Look, Piece, Reader, Refused, Sight, Unseen
from mta.expand.context import Context
from mta.route.api import Address, Owner
from mta.route.files import (
    FILE_LIMIT,
    UNKNOWN,
    Files,
    Gathered,
    Seen,
    Source,
    disagreement,
    probe,
)
from mta.route.forward_list import MOST_INCLUDES
from mta.unix import frames, users

PATIENCE = 20.0
MOST_IDLE = 8
SULK = 300.0  # seconds in which a user whose files did not come is not waited for again
MOST_SLOW = 1000
MOST_OCTETS = 8 << 20  # of all files of one list
_ANSWERS = (Sight, Piece, Unseen, Refused)


class _Gone(Exception):
    """A looker that had been idle is no longer there."""


class AskedFiles(Files):
    """The files of users, as processes see them that have become these users."""

    def __init__(self, launcher: socket.socket, *, patience: float = PATIENCE) -> None:
        self._launcher = launcher
        self._patience = patience
        self._idle: dict[Owner, socket.socket] = {}
        self._slow: dict[Owner, float] = {}  # until when each is not asked

    def gather(self, source: Source, ctx: Context, address: Address, owner: Owner) -> Gathered:
        if _is_root(owner):
            gathered = source.gather(ctx, address)
            seen = gathered.list
            if seen is not None and seen.error == errno.EACCES:
                return replace(gathered, list=Seen(seen.path, errno.ENOENT))
            return gathered
        first, *rest = self._ask(owner, _look(source, ctx, address, -1))
        included = {seen.path: seen for seen in rest}
        return Gathered(first if first.path else None, included, is_own=False)

    def probe(
        self,
        source: Source,
        ctx: Context,
        address: Address,
        owner: Owner,
        number: int,
        path: str,
    ) -> int:
        if _is_root(owner):
            code = probe(path, readable=True)
            return errno.ENOENT if code == errno.EACCES else code
        first, *_ = self._ask(owner, _look(source, ctx, address, number))
        if first.path != path:
            raise disagreement(path, first.path)
        return first.error

    def close(self) -> None:
        """Let all lookers go."""
        while self._idle:
            self._idle.popitem()[1].close()

    def _ask(self, owner: Owner, look: Look) -> list[Seen]:
        """What a looker says.  Raises TempFail, ExpansionFail."""
        if clock.monotonic() < self._slow.get(owner, 0.0):
            raise TempFail(_failed(owner, "they did not come lately"), code=errno.ETIMEDOUT)
        idle = self._idle.pop(owner, None)
        if idle is not None:
            try:
                return self._hear(owner, idle, look)
            except _Gone:
                idle.close()
        try:
            return self._hear(owner, self._begin(owner), look)
        except _Gone:
            raise TempFail(_failed(owner, "it ended unexpectedly"), code=UNKNOWN) from None

    def _begin(self, owner: Owner) -> socket.socket:
        """A channel to a fresh looker.  Raises TempFail."""
        try:
            ours, theirs = frames.pair()
        except OSError as error:
            raise TempFail(_failed(owner, describe(error)), code=UNKNOWN) from error
        with theirs:
            try:
                request = Reader(owner.user, owner.group, int(owner.initgroups))
                frames.send(self._launcher, request, [theirs.fileno()])
            except (OSError, ProtocolError) as error:
                ours.close()
                why = describe(error) if isinstance(error, OSError) else str(error)
                raise TempFail(_failed(owner, why), code=UNKNOWN) from error
        ours.settimeout(self._patience)
        return ours

    def _hear(self, owner: Owner, channel: socket.socket, look: Look) -> list[Seen]:
        """Ask, and take the whole answer; the channel is kept if it was good.

        Raises _Gone, TempFail, ExpansionFail.
        """
        is_good = False
        try:
            _send(channel, look)
            seen = _files(channel)
            is_good = True
        except TimeoutError:
            self._slow.pop(owner, None)
            self._slow[owner] = clock.monotonic() + SULK
            if len(self._slow) > MOST_SLOW:
                del self._slow[next(iter(self._slow))]
            why = f"no answer within {self._patience:.0f} seconds"
            raise TempFail(_failed(owner, why), code=errno.ETIMEDOUT) from None
        except (OSError, ProtocolError) as error:
            raise TempFail(_failed(owner, str(error)), code=UNKNOWN) from error
        finally:
            if not is_good:
                channel.close()
        self._idle[owner] = channel
        if len(self._idle) > MOST_IDLE:
            self._idle.pop(next(iter(self._idle))).close()
        return seen


def _look(source: Source, ctx: Context, address: Address, number: int) -> Look:
    parent = address.parent
    return Look(
        source.name,
        address.text,
        parent.text if parent else "",
        address.origin.text if parent else "",
        ctx.message.sender,
        number,
    )


def _is_root(owner: Owner) -> bool:
    name = owner.user
    user = users.by_uid(int(name)) if is_number(name[:10]) else users.by_name(name)
    return user is not None and user.uid == 0


def _failed(owner: Owner, why: str) -> str:
    return f"could not look at files as {owner.user}: {why}"


def _send(channel: socket.socket, look: Look) -> None:
    # A launcher that refuses says so before it lets go: that is still to be read.
    with suppress(ConnectionError):
        frames.send(channel, look)


def _next(channel: socket.socket) -> object:
    """The next frame.  Raises _Gone at the end, TempFail for a refusal, OSError,
    ProtocolError."""
    try:
        received = frames.receive(channel, _ANSWERS)
        if received is None:
            raise _Gone
    except ConnectionResetError:
        # It went without reading all; the refusal, if it is one, comes behind that.
        received = frames.receive(channel, _ANSWERS)
        if received is None:
            raise _Gone from None
    received.close()
    match received.message:
        case Refused(reason, _):
            raise TempFail(reason, code=UNKNOWN)
        case Unseen(text, code, forced):
            if forced:
                raise ExpansionFail(text, forced=True)
            raise TempFail(text, code=code)
    return received.message


def _files(channel: socket.socket) -> list[Seen]:
    """All files of an answer.  Raises as `_next` does."""
    found: list[Seen] = []
    total = 0
    while True:
        sight = _next(channel)
        if not isinstance(sight, Sight) or len(found) > MOST_INCLUDES:
            raise ProtocolError("an answer out of turn")
        total += sight.size
        if not 0 <= sight.size <= FILE_LIMIT or total > MOST_OCTETS:
            raise ProtocolError("an answer that is too large")
        octets = b""
        while len(octets) < sight.size:
            piece = _next(channel)
            if not isinstance(piece, Piece) or not piece.octets:
                raise ProtocolError("an answer out of turn")
            octets += piece.octets
        found.append(
            Seen(
                sight.path,
                sight.error,
                sight.trouble,
                sight.mode,
                sight.uid,
                sight.gid,
                octets,
            )
        )
        if sight.left <= 0:
            return found
