"""A worker: the process that becomes a user and runs one transport for him.

    uid           the recipient for local transports, the network user for remote ones
    descriptors   one channel to the delivery process that asked for it; the logs
    in            carry(transport, id) + the parcel (sealed memory file) and the -D file
    out           outcome for each recipient, then carried
    neighbours    the delivery process gone: leave; whatever was not reported is tried again

It is started for one transport and takes parcels for no other.  It leaves when the channel is
closed, never by itself: a parcel may be on its way.  Connections that were kept for further
mail are closed after some idle seconds.  The -D descriptor carries the
message's lock, so a message stays locked while its worker lives.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket

from mta.base.errors import ProtocolError
from mta.deliver.frames import Carried, Carry, pack
from mta.lookup.api import Tables
from mta.proc import roles
from mta.transport import parcel as parcels
from mta.transport.context import context_for
from mta.transport.engine import Transport, carry
from mta.unix import frames, privilege, process


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
        """Carry one parcel; False when there will be no other."""
        try:
            received = frames.receive(self.channel, (Carry,))
        except TimeoutError:
            # Nobody needs our connections now; we stay, as leaving is the other side's word.
            self.transport.close()
            return True
        except ConnectionError:
            return False
        if received is None or not isinstance(received.message, Carry):
            return False
        try:
            return self.carry(received.message, received.fds)
        finally:
            received.close()

    def carry(self, order: Carry, fds: list[int]) -> bool:
        """Run the transport and report.  Raises ProtocolError for what was not agreed."""
        if len(fds) != 2 or order.transport != self.transport.name:
            raise ProtocolError(f"a parcel for {order.transport!r} with {len(fds)} files")
        sealed, body = fds
        parcel = parcels.decode(parcels.open_sealed(sealed), body)
        if parcel.transport != self.transport.name:
            raise ProtocolError(f"a parcel for {parcel.transport!r}")
        context = context_for(self.inherited.conf, self.tables, parcel, parcel.recipients[0])
        outcomes = carry(self.transport, context, parcel)
        with contextlib.suppress(BrokenPipeError, ConnectionError):
            for outcome in outcomes:
                frames.send(self.channel, pack(outcome))
            frames.send(self.channel, Carried(order.message_id))
            return True
        return False
