"""A worker: the process that becomes a user and runs one transport for him.

    uid           the recipient for local transports, the network user for remote ones
    descriptors   one channel to the delivery process that asked for it; the logs
    in            carry(transport, id, parcel) + the -D file; a large parcel is a memory file
    out           outcome for each recipient
    neighbours    the delivery process gone: leave; whatever was not reported is tried again

A worker whose transport runs commands of its user keeps what the kernel would take away for
good, or set-id programs would not work for them.  An answer that a transport makes is handed
in as sendmail does it.

It is started for one transport and takes parcels for no other; where the transport is brief,
it takes those that stand in line together.  It leaves when the channel is
closed, never by itself: a parcel may be on its way.  An error of ours ends it, but first the
other parcels of the round come to their end and are reported.  Connections that were kept for
further mail are closed after some idle seconds.  The -D descriptor carries the
message's lock, so a message stays locked while its worker lives.
"""

from __future__ import annotations

import os
import select
import signal
import socket
from collections import deque
from functools import partial

from mta.base.errors import ProtocolError, TempFail, describe
from mta.deliver.codes import UNKNOWN
from mta.deliver.frames import ENDED, IN_LINE, Carry, pack
from mta.expand.context import Context
from mta.lookup.api import Tables
from mta.proc import confirming, roles
from mta.proc.handing import hand_in
from mta.route.router import Router
from mta.transport import parcel as parcels
from mta.transport.api import Outcome, Parcel, Result
from mta.transport.context import context_for
from mta.transport.engine import Transport, carry, for_all
from mta.unix import frames, privilege, process
from mta.unix.frames import Received


class Worker:
    """One worker, from birth to leaving."""

    def __init__(
        self,
        inherited: roles.Inherited,
        transport: Transport,
        channel: socket.socket,
        who: privilege.Identity,
        *,
        routers: dict[str, Router],
        submit_address: str | bytes = b"",
    ) -> None:
        """`routers` are those that name files, by their names."""
        self.routers = routers
        self.unconfirmed: dict[int, TempFail] = {}
        self.current = ""
        self.inherited = inherited
        self.transport = transport
        self.channel = channel
        self.who = who
        self.tables = Tables()
        spool = str(inherited.conf.queue.spool_directory)
        transport.submit = partial(hand_in, spool, submit_address)
        self.waiting = select.poll()
        self.waiting.register(channel, select.POLLIN)

    def run(self) -> int:
        """Become the user, then carry parcels until there are no more."""
        if self.transport.runs_commands:
            roles.drop_to_user(self.who)
        else:
            roles.drop(self.who)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        kind = "user" if self.transport.is_local else "remote"
        process.set_title(f"mta: {kind} {self.who.name}")
        os.umask(0o077)
        self.channel.settimeout(self.transport.patience or None)
        try:
            while self.next():
                pass
        finally:
            self.transport.close()
        return 0

    def next(self) -> bool:
        """Carry what has come; False when there will be no more."""
        try:
            first = self.take()
        except TimeoutError:
            # Nobody needs our connections now; we stay, as leaving is the other side's word.
            self.transport.close()
            return True
        if first is None:
            return False
        taken: list[Received | None] = [first]
        while (
            self.transport.is_brief
            and taken[-1] is not None
            and len(taken) < IN_LINE
            and self.waiting.poll(0)
        ):
            taken.append(self.take())
        here = [each for each in taken if each is not None]
        try:
            return self.carry(here) and len(here) == len(taken)
        finally:
            for each in here:
                each.close()

    def take(self) -> Received | None:
        """The next parcel as it comes; None at the end.  Raises TimeoutError."""
        try:
            return frames.receive(self.channel, (Carry,))
        except ConnectionError:
            return None

    def carry(self, taken: list[Received]) -> bool:
        """Run the transport and report; False if nobody hears it any more.

        Raises ProtocolError for what was not agreed.  An error of ours in one parcel goes on
        when the others have been reported.
        """
        given = [self.confirmed(self.read(each)) for each in taken]
        results: dict[int, list[Outcome]] = {}
        try:
            carry(self.transport, given, self.context, results)
        finally:
            is_heard = self.report(given, results)
            self.unconfirmed.clear()
        return is_heard

    def context(self, parcel: Parcel) -> Context:
        """What the options of the transport may speak of, in the directory that the router
        wants a delivery to run in.  Raises TempFail."""
        if (trouble := self.unconfirmed.get(id(parcel))) is not None:
            raise trouble
        self.go_to(parcel.values.get("current_directory", ""))
        return context_for(self.inherited.conf, self.tables, parcel, parcel.recipients[0])

    def go_to(self, directory: str) -> None:
        """Run in this directory; "" is the root, as at the start.  Raises TempFail."""
        if directory == self.current:
            return
        try:
            os.chdir(directory or "/")
        except (OSError, ValueError) as error:
            why = describe(error) if isinstance(error, OSError) else "not a directory name"
            text = f"unable to chdir to {directory}: {why}"
            code = error.errno if isinstance(error, OSError) else None
            raise TempFail(text, code=code or 0) from error
        self.current = directory

    def confirmed(self, parcel: Parcel) -> Parcel:
        """A parcel whose file or pipe is what its router says here, too.

        Whoever asks chooses no path and no command: the list is read again, by us who are the
        user, and only what stands in it is done.
        """
        if not (parcel.file or parcel.pipe):
            return parcel
        conf = self.inherited.conf
        ctx = context_for(conf, self.tables, parcel, parcel.recipients[0])
        by_router = self.inherited.identities.separated and self.transport.user is None
        try:
            return confirming.confirm(self.routers, ctx, parcel, by_router=by_router)
        except TempFail as error:
            self.unconfirmed[id(parcel)] = error
            return parcel

    def read(self, received: Received) -> Parcel:
        """The parcel of a frame.  Raises ProtocolError."""
        order, fds = received.message, received.fds
        assert isinstance(order, Carry)
        if order.transport != self.transport.name or len(fds) != (1 if order.parcel else 2):
            raise ProtocolError(f"a parcel for {order.transport!r} with {len(fds)} files")
        octets = order.parcel or parcels.open_sealed(fds[0])
        parcel = parcels.decode(octets, fds[-1])
        if (parcel.transport, parcel.message_id) != (order.transport, order.message_id):
            raise ProtocolError(f"a parcel of {parcel.message_id!r} for {parcel.transport!r}")
        return parcel

    def report(self, given: list[Parcel], results: dict[int, list[Outcome]]) -> bool:
        """Say what became of parcels in their order; False if nobody hears it any more."""
        left = deque(
            (parcel, results[number] if number in results else _lost(parcel))
            for number, parcel in enumerate(given)
        )
        try:
            self.say_all(left)
        except (BrokenPipeError, ConnectionError):
            return False
        return True

    def say_all(self, left: deque[tuple[Parcel, list[Outcome]]]) -> None:
        """Say what became of parcels.

        Raises OSError; ProtocolError for one that cannot be said, when the others were.
        """
        while left:
            parcel, outcomes = left.popleft()
            try:
                self.say(parcel, outcomes)
            except ProtocolError:
                # The recipients of whom it was said before keep what was said.
                self.say(parcel, _lost(parcel))
                self.say_all(left)
                raise

    def say(self, parcel: Parcel, outcomes: list[Outcome]) -> None:
        """Say what became of a parcel.  Raises OSError, ProtocolError."""
        said = outcomes or for_all(parcel, Outcome("", Result.DEFER, "nothing was tried"))
        for left, outcome in zip(range(len(said) - 1, -1, -1), said, strict=True):
            frames.send(self.channel, pack(parcel.message_id, left, outcome))


def _lost(parcel: Parcel) -> list[Outcome]:
    """What is said of a parcel of which nobody knows what became."""
    return for_all(parcel, Outcome("", Result.DEFER, ENDED, code=UNKNOWN))
