"""The listener: owns the listening sockets and the pools of receivers; reads no SMTP.

    uid           the network user
    descriptors   control; arrived (receivers inherit it); submit; the listening sockets
    in            connections; free from receivers
    out           serve + the connection, to receivers
    neighbours    a receiver dies: its client sees the connection end, the next gets another;
                  the master gone: drain

It counts connections, in all and by address, and turns away those over the limits with 421.
Mail from the network and mail from local programs have pools of their own.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections import Counter
from collections.abc import Sequence
from functools import partial

from mta.base.errors import ExpansionFail, MtaError
from mta.config.kinds import parse_integer
from mta.expand.compile import compiled
from mta.expand.context import Connection, Context
from mta.expand.run import expand
from mta.log import events
from mta.lookup.api import Tables
from mta.net import secrecy
from mta.net.socket import plain_address
from mta.proc import receiver, roles
from mta.proc.control import Serve
from mta.proc.pool import Pool
from mta.smtpd import tls
from mta.unix import process, users
from mta.unix.loop import Loop

PRUNE_SECONDS = 10.0
LOCAL_MOST = 100
# A user who keeps local receivers busy leaves some for others; root has no such limit.
LOCAL_MOST_OF_ONE = 20
FULL = b"421 Too many concurrent SMTP connections; please try again later.\r\n"


class Listener:
    """Connections come in, receivers take them."""

    def __init__(self, inherited: roles.Inherited) -> None:
        self.inherited = inherited
        self.log = inherited.log
        self.smtp = inherited.conf.smtp_in
        self.loop = Loop()
        self.tables = Tables()
        self.clients: Counter[str] = Counter()
        self.connected = 0  # of all clients
        self.programs: Counter[str] = Counter()  # by who runs them
        self.draining = False
        self.prepared = receiver.prepare(inherited)
        max_use = inherited.conf.own.receiver_max_use
        shape = partial(Pool, self.loop, max_use=max_use, panic=inherited.log.panic_fd)
        self.network = shape(
            partial(receiver.run, self.prepared), self.over, most=self.smtp.smtp_accept_max
        )
        self.network.on_tls = self.load_tls
        self.local = shape(
            partial(receiver.run_local, self.prepared), self.local_over, most=LOCAL_MOST
        )

    def run(self) -> None:
        """Serve until told to drain and the last conversation is over."""
        for each in self.inherited.sockets:
            each.setblocking(False)
            self.loop.watch(each.fileno(), partial(self.connection, each))
        submit = self.inherited.channels["submit"]
        submit.setblocking(False)
        self.loop.watch(submit.fileno(), self.submissions)
        self.loop.watch(self.inherited.control.fileno(), self.master)
        self.loop.on_signal(signal.SIGCHLD, self.reap)
        self.loop.on_signal(signal.SIGTERM, lambda: self.drain(0))
        self.network.grow()
        self.local.grow()
        self.prune()
        self.inherited.announce()
        self.loop.run()

    # ---- connections

    def connection(self, listening: socket.socket) -> None:
        """A client has connected; there is a call for each, so that others have their turn."""
        try:
            connection, peer = listening.accept()
        except OSError as error:
            if not isinstance(error, (BlockingIOError, ConnectionError)):
                self.out_of(error)
            return
        with connection:
            self.client(connection, peer[0], peer[1])

    def client(self, connection: socket.socket, address: str, port: int) -> None:
        """One client: turn it away, or give it to a receiver."""
        address = plain_address(address)
        if (why := self.refusal(address, connection)) is not None:
            self.turn_away(connection, address, why)
            return
        self.clients[address] += 1
        self.connected += 1
        if not self.given(connection, Serve(address, port)):
            self.over(address)
            self.turn_away(connection, address, "too many connections")

    def given(self, connection: socket.socket, order: Serve) -> bool:
        """True if a receiver has the connection now."""
        try:
            return self.network.hand(connection, order)
        except OSError as error:
            self.out_of(error)
            return False

    def refusal(self, address: str, connection: socket.socket) -> str | None:
        """Why a client is turned away before a word is said, or None."""
        if self.smtp.smtp_accept_max and self.connected >= self.smtp.smtp_accept_max:
            return "too many connections"
        limit = self.per_host(address, connection)
        if limit and self.clients[address] >= limit:
            return "too many connections from that IP address"
        return None

    def per_host(self, address: str, connection: socket.socket) -> int:
        """The limit for one address; 0 for none.  Evaluated without any look-up by name."""
        template = self.smtp.smtp_accept_max_per_host
        if template is None:
            return 0
        try:
            text: str | None = compiled(template).constant
            if text is None:
                here = plain_address(connection.getsockname()[0])
                who = Connection(host_address=address, interface_address=here)
                text = expand(Context(self.inherited.conf, self.tables, who), template)
            return parse_integer(text.strip(" "), template.where)
        except OSError:
            pass  # the client has gone
        except ExpansionFail as error:
            if not error.forced:
                events.role(self.log, "listener", f"smtp_accept_max_per_host: {error}")
        except MtaError as error:
            events.role(self.log, "listener", f"smtp_accept_max_per_host: {error}")
        return 0

    def turn_away(self, connection: socket.socket, address: str, why: str) -> None:
        """Say 421 as far as the kernel takes it at once, and close."""
        who = events.client("", "", address)
        events.connection(self.log, "", f"Connection from {who} refused: {why}")
        with contextlib.suppress(OSError):
            connection.setblocking(False)
            connection.send(FULL)

    def submissions(self) -> None:
        """Local programs have connected."""
        try:
            connection, _ = self.inherited.channels["submit"].accept()
        except OSError:
            return
        # If there are too many the connection is closed: the program uses the drop-box.
        with connection, contextlib.suppress(OSError):
            uid = users.peer_of(connection).uid
            who = f"uid {uid}"
            if uid and self.programs[who] >= LOCAL_MOST_OF_ONE:
                return
            if self.local.hand(connection, Serve(who, 0)):
                self.programs[who] += 1

    def local_over(self, who: str) -> None:
        """A local program has gone."""
        self.programs[who] -= 1
        if self.programs[who] <= 0:
            del self.programs[who]

    def out_of(self, error: OSError) -> None:
        """The system has no descriptors or processes left: rest a moment, do not spin."""
        events.role(self.log, "listener", f"cannot take connections: {error.strerror}")
        for each in self.inherited.sockets:
            self.loop.unwatch(each.fileno())
        self.loop.after(1.0, self.listen_again)

    def listen_again(self) -> None:
        """Watch the sockets again after a rest."""
        if self.draining:
            return
        for each in self.inherited.sockets:
            if not self.loop.watches(each.fileno()):
                self.loop.watch(each.fileno(), partial(self.connection, each))

    def over(self, address: str) -> None:
        """A client has gone."""
        self.connected -= 1
        self.clients[address] -= 1
        if self.clients[address] <= 0:
            del self.clients[address]

    # ---- the life of the pools

    def master(self) -> None:
        """The master speaks, or has gone."""
        heeded = roles.heed_master(self.inherited, self.drain, self.renew, self.new_files)
        if not heeded:
            self.loop.unwatch(self.inherited.control.fileno())
            self.drain(0)

    def renew(self) -> None:
        """The logs were moved: receivers that have the old files open are replaced."""
        self.network.renew()
        self.local.renew()

    def load_tls(self) -> None:
        """A client wants TLS: what that takes is shared by all receivers from now on."""
        ours = self.prepared.service.secrecy
        if not ours.is_loaded and not self.draining:
            tls.warm(self.inherited.conf, ours, Context(self.inherited.conf, self.tables))
            process.settle()
            self.network.renew()

    def new_files(self, files: dict[str, bytes]) -> None:
        """Certificate or key was replaced: receivers that have the old ones are, too."""
        ours = self.prepared.service.secrecy
        if files == ours.files or self.draining:
            return
        problems = tls.check(self.inherited.conf, files)
        if problems and ours.files:
            events.role(self.log, "listener", f"{problems[0]}; the old files stay in use")
            return
        was_loaded = ours.is_loaded
        ours.renew(files)
        if was_loaded:
            self.load_tls()
        else:
            self.network.renew()

    def drain(self, grace: float) -> None:
        """Take no more connections; leave when the last conversation is over."""
        if not self.draining:
            self.draining = True
            for each in (*self.inherited.sockets, self.inherited.channels["submit"]):
                self.loop.unwatch(each.fileno())
                each.close()
            self.network.close()
            self.local.close()
            if grace:
                # Conversations that wait for a command end now, with 421; a message that is
                # on its way may still arrive until the time is up.
                self.network.hurry(signal.SIGTERM)
                self.loop.after(grace, partial(self.network.hurry, signal.SIGKILL))
                self.loop.after(grace, partial(self.local.hurry, signal.SIGKILL))
        self.leave_if_done()

    def leave_if_done(self) -> None:
        """Stop when the last receiver has gone."""
        if self.draining and not self.network.receivers and not self.local.receivers:
            self.loop.stop()

    def prune(self) -> None:
        """Let receivers go that are not needed."""
        self.network.prune()
        self.local.prune()
        self.loop.after(PRUNE_SECONDS, self.prune)

    def reap(self) -> None:
        """Receivers that have ended."""
        for pid, code in process.reap():
            if code == process.EXIT_BUG:
                events.bug(self.log, "receiver", f"process {pid} ended in an error")
            if not self.network.ended(pid):
                self.local.ended(pid)
        self.leave_if_done()


def first_files(inherited: roles.Inherited) -> dict[str, bytes]:
    """The files that the master sends before anything else, where there are any."""
    found: dict[str, bytes] = {}
    if secrecy.files_of(inherited.conf):
        roles.heed_master(inherited, lambda grace: None, lambda: None, found.update)
    return found


def main(arguments: Sequence[str]) -> int:
    """Run the listener with the descriptors that the master left."""
    process.set_title("mta: listener")
    roles.ignore_terminal()
    inherited = roles.inherit(arguments)
    roles.drop(inherited.identities.network)
    first = first_files(inherited)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    os.umask(0o007)
    listener = Listener(inherited)
    listener.prepared.service.secrecy.files = first
    process.settle()
    listener.run()
    return 0
