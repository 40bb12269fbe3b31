"""A worker: the process that becomes a user and runs one transport for him.

    uid           the recipient for local transports, the network user for remote ones
    descriptors   one channel to the delivery process that asked for it; the logs
    in            carry(transport, id, parcel) + the -D file; a large parcel is a memory file
    out           outcome for each recipient
    neighbours    the delivery process gone: leave; whatever was not reported is tried again

It is started for one transport and takes parcels for no other; where the transport is brief,
it takes those that stand in line together.  It leaves when the channel is
closed, never by itself: a parcel may be on its way.  Connections that were kept for further
mail are closed after some idle seconds.  The -D descriptor carries the
message's lock, so a message stays locked while its worker lives.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket

from mta.base.errors import ProtocolError
from mta.deliver.frames import IN_LINE, Carry, pack
from mta.lookup.api import Tables
from mta.proc import roles
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
    ) -> None:
        self.inherited = inherited
        self.transport = transport
        self.channel = channel
        self.who = who
        self.tables = Tables()
        self.waiting = select.poll()
        self.waiting.register(channel, select.POLLIN)

    def run(self) -> int:
        """Become the user, then carry parcels until there are no more."""
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
        """Run the transport and report.  Raises ProtocolError for what was not agreed."""
        given = [self.read(each) for each in taken]
        conf, tables = self.inherited.conf, self.tables
        work = [(context_for(conf, tables, each, each.recipients[0]), each) for each in given]
        with contextlib.suppress(BrokenPipeError, ConnectionError):
            for parcel, outcomes in zip(given, carry(self.transport, work), strict=True):
                self.report(parcel, outcomes)
            return True
        return False

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

    def report(self, parcel: Parcel, outcomes: list[Outcome]) -> None:
        """Say what became of a parcel.  Raises OSError."""
        said = outcomes or for_all(parcel, Outcome("", Result.DEFER, "nothing was tried"))
        for left, outcome in zip(range(len(said) - 1, -1, -1), said, strict=True):
            frames.send(self.channel, pack(parcel.message_id, left, outcome))
