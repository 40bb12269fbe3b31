"""The launcher: root's only busy process, which starts workers as other users on request.

    uid           root (the caller, where not root started us)
    descriptors   control; start-requests from delivery processes
    in            start(transport, user, group, initgroups) + one end of a new channel;
                  reader(user, group, initgroups) with the same
    out           refused(reason) on that channel; otherwise a worker, or a looker, that reads
                  from it
    neighbours    gone: no more requests, so drain; a worker's death is seen by its asker

It opens no mail, resolves no names of hosts, writes no files, and reads no more of a request
than four scalars.  Whoever asks names a transport and a user, never a path or a command: the
transport is looked up in the configuration, and what it may do is judged here again, as the
asker may have been taken over.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Sequence

from mta.base import clock
from mta.base.errors import ProtocolError
from mta.deliver.frames import Reader, Refused, Start
from mta.log import events
from mta.proc import looker, roles, userside
from mta.proc.permission import Permission, Refusal
from mta.transport.engine import load_transports
from mta.unix import frames, privilege, process
from mta.unix.loop import Loop

# What is wrong with requests is logged, but nobody fills the disk by it.
MOST_COMPLAINTS = 60  # in a minute
LONGEST_COMPLAINT = 500


class Launcher:
    """Requests come in, workers go out."""

    def __init__(self, inherited: roles.Inherited) -> None:
        self.inherited = inherited
        self.requests = inherited.channels["start-requests"]
        self.requests.setblocking(False)
        # Workers may hand messages in: they need the address.  Were the socket kept, programs
        # would wait in vain when the listener has gone.
        submit = inherited.channels.pop("submit", None)
        self.submit_address = submit.getsockname() if submit is not None else b""
        if submit is not None:
            submit.close()
        self.transports = load_transports(inherited.conf)
        self.routers = looker.load(inherited.conf)
        self.permission = Permission(inherited.conf, inherited.identities)
        self.loop = Loop()
        self.workers: set[int] = set()
        self.draining = False
        self.minute, self.complaints = 0.0, 0

    def run(self) -> None:
        """Serve until told to drain and the last worker has gone."""
        self.loop.watch(self.requests.fileno(), self.request)
        self.loop.watch(self.inherited.control.fileno(), self.master)
        self.loop.on_signal(signal.SIGCHLD, self.reap)
        self.loop.on_signal(signal.SIGTERM, lambda: self.drain(0))
        self.inherited.announce()
        self.loop.run()

    def request(self) -> None:
        """One request for a worker."""
        try:
            received = frames.receive(self.requests, (Start, Reader))
        except BlockingIOError:
            return
        except (OSError, ProtocolError) as error:
            self.complain("bad request", str(error))
            return
        if received is None:
            self.loop.unwatch(self.requests.fileno())
            self.drain(0)
            return
        try:
            channel = _channel(received.fds)
            if channel is None:
                self.complain("bad request", "there must be one channel with it")
                return
            with channel:
                match received.message:
                    case Start() as request:
                        self.start(request, channel)
                    case Reader() as request:
                        self.read(request, channel)
        finally:
            received.close()

    def start(self, request: Start, channel: socket.socket) -> None:
        """Judge a request, then fork the worker or say why not."""
        verdict = self.permission.judge(request)
        if isinstance(verdict, Refusal):
            text = f"start {request.transport} as {request.user or '-'}: {verdict.reason}"
            self.complain("refused", text)
            _refuse(channel, verdict.reason, verdict.permanent)
            return
        transport = self.transports[request.transport]
        worker = userside.Worker(
            self.inherited,
            transport,
            channel,
            verdict,
            routers=self.routers,
            submit_address=self.submit_address,
        )
        self.fork(worker.run, channel)

    def read(self, request: Reader, channel: socket.socket) -> None:
        """Judge a request for a looker, then fork it or say why not."""
        verdict = self.permission.judge_reader(request)
        if isinstance(verdict, Refusal):
            self.complain("refused", f"look as {request.user or '-'}: {verdict.reason}")
            _refuse(channel, verdict.reason, verdict.permanent)
            return
        made = looker.Looker(
            self.inherited.conf,
            self.routers,
            channel,
            verdict,
            separated=self.inherited.identities.separated,
        )
        self.fork(made.run, channel)

    def fork(self, run: Callable[[], int], channel: socket.socket) -> None:
        """Begin the life of a worker or a looker."""
        keep = [channel.fileno(), self.inherited.log.panic_fd]

        def work() -> int:
            # Descriptors first: nothing of root's is open when the user's code runs.
            process.keep_descriptors([0, 1, 2, *keep])
            return run()

        try:
            pid = process.run_child(work, panic=self.inherited.log.panic_fd)
        except OSError as error:
            _refuse(channel, f"fork: {error.strerror}", False)
            return
        self.workers.add(pid)

    def complain(self, what: str, why: str) -> None:
        """Log a request that is not served; of very many in a minute only the number."""
        now = clock.monotonic()
        if now > self.minute + 60.0:
            if self.complaints > MOST_COMPLAINTS:
                more = self.complaints - MOST_COMPLAINTS
                events.role(self.inherited.log, "launcher", f"{more} more were not served")
            self.minute, self.complaints = now, 0
        self.complaints += 1
        if self.complaints <= MOST_COMPLAINTS:
            events.role(self.inherited.log, f"launcher {what}", why[:LONGEST_COMPLAINT])

    def master(self) -> None:
        """The master speaks, or has gone."""
        if not roles.heed_master(self.inherited, self.drain, lambda: None):
            self.loop.unwatch(self.inherited.control.fileno())
            self.drain(0)

    def drain(self, grace: float) -> None:
        """Leave as soon as the last worker has gone."""
        self.draining = True
        if grace:
            self.loop.after(grace, self.hurry)
        self.reap()

    def hurry(self) -> None:
        """Time is up: what the workers had not finished is tried again another day."""
        for pid in self.workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def reap(self) -> None:
        """Workers that have ended; what they carried is known to who asked for them."""
        for pid, code in process.reap():
            self.workers.discard(pid)
            if code == process.EXIT_BUG:
                events.bug(self.inherited.log, "worker", f"process {pid} ended in an error")
        if self.draining and not self.workers:
            self.loop.stop()


def _channel(fds: list[int]) -> socket.socket | None:
    """The channel that came with a request, taken out of `fds`; None if it is no such thing.

    It does not wait: whoever asks may have filled it before.
    """
    if len(fds) != 1:
        return None
    try:
        channel = socket.socket(fileno=fds[0])
    except OSError:
        return None
    fds.clear()
    if channel.family != socket.AF_UNIX or channel.type != socket.SOCK_SEQPACKET:
        channel.close()
        return None
    channel.setblocking(False)
    return channel


def _refuse(channel: socket.socket, reason: str, permanent: bool) -> None:
    with contextlib.suppress(OSError, ProtocolError):
        frames.send(channel, Refused(reason[:LONGEST_COMPLAINT], int(permanent)))


def main(arguments: Sequence[str]) -> int:
    """Run the launcher with the descriptors that the master left."""
    process.set_title("mta: launcher")
    roles.ignore_terminal()
    inherited = roles.inherit(arguments)
    if not inherited.identities.separated:
        roles.drop(inherited.identities.mail)
    else:
        privilege.hide()
    launcher = Launcher(inherited)
    process.settle()
    launcher.run()
    return 0
