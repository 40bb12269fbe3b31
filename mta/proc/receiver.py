"""A receiver: holds one conversation at a time, with a client or a local program.

    uid           the network user
    descriptors   one channel to the listener; arrived to the runner; the spool; the logs
    in            serve + the connection
    out           free when the conversation is over; arrived for each message
    neighbours    the listener gone: finish this conversation, then leave;
                  the runner gone: its hints are lost, and the next scan finds the message

On SIGTERM it ends the conversation with 421 when it waits for a command; a message that is on
its way is taken first.
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass

from mta.lookup.api import Tables
from mta.net.socket import plain_address
from mta.proc import roles
from mta.proc.control import Free, Serve
from mta.proc.service import arrival_hints, make_service
from mta.receive import local
from mta.receive.ending import Ending, Stopped
from mta.receive.service import Service
from mta.smtpd import session
from mta.spool.layout import Spool
from mta.unix import frames, process

# What a local program may take in all; then the process ends, and with it the connection.
CONVERSATION_SECONDS = 4 * 3600


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the listener makes once and every receiver has from its birth."""

    inherited: roles.Inherited
    service: Service
    spool: Spool


def prepare(inherited: roles.Inherited) -> Prepared:
    """Compile what receivers need.  Raises ConfigError."""
    spool = inherited.open_spool()
    hints = arrival_hints(inherited.channels["arrived"])
    return Prepared(inherited, make_service(inherited, spool, hints), spool)


def run(prepared: Prepared, channel: socket.socket) -> int:
    """The life of a receiver for clients, from the fork on."""

    def conversation(connection: socket.socket, order: Serve) -> None:
        process.set_title(f"mta: receiver [{order.address}]")
        try:
            here = connection.getsockname()
        except OSError:
            return  # the client has gone
        local = (plain_address(here[0]), here[1])
        session.serve(prepared.service, connection, (order.address, order.port), local)

    return _serve(prepared, channel, "mta: receiver", conversation)


def run_local(prepared: Prepared, channel: socket.socket) -> int:
    """The life of a receiver for local programs, from the fork on."""

    def conversation(connection: socket.socket, order: Serve) -> None:
        # The caller's descriptor may be of a kind that no deadline of ours can interrupt.
        signal.alarm(CONVERSATION_SECONDS)
        local.serve(prepared.service, connection)
        signal.alarm(0)

    return _serve(prepared, channel, "mta: receiver local", conversation)


def _serve(
    prepared: Prepared,
    channel: socket.socket,
    title: str,
    conversation: Callable[[socket.socket, Serve], None],
) -> int:
    process.keep_descriptors(
        [
            *(0, 1, 2),
            channel.fileno(),
            prepared.inherited.channels["arrived"].fileno(),
            *prepared.inherited.log.fds(),
            *prepared.spool.descriptors(),
        ]
    )
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    process.set_title(title)
    # Tables hold open files: each receiver has its own.
    prepared.service.tables = Tables()
    had_tls = prepared.service.secrecy.is_loaded
    ending = prepared.service.ending
    ending.listen()
    try:
        while (given := _next(channel, ending)) is not None:
            order, connection = given
            with connection:
                conversation(connection, order)
            process.set_title(title)
            frames.send(channel, Free(int(prepared.service.secrecy.is_loaded > had_tls)))
    except (ConnectionError, Stopped):
        pass  # the listener has gone, or this process is to go
    return 0


def _next(channel: socket.socket, ending: Ending) -> tuple[Serve, socket.socket] | None:
    """Whom to serve next; None when the listener has gone.  Raises Stopped."""
    ending.wait()
    received = frames.receive(channel, (Serve,))
    ending.waiting = False
    if received is None:
        return None
    order = received.message
    assert isinstance(order, Serve)
    # Of what kind it is need not be asked of the system: only these are handed out.
    kind = socket.SOCK_STREAM
    return order, socket.socket(type=kind, proto=0, fileno=received.fds.pop())
