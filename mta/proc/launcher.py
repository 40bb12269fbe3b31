"""The launcher: root's only busy process, which starts workers as other users on request.

    uid           root (the caller, where not root started us)
    descriptors   control; start-requests from delivery processes
    in            start(transport, user, group, initgroups) + one end of a new channel
    out           refused(reason) on that channel; otherwise a worker that reads from it
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
from collections.abc import Sequence

from mta.base.errors import ProtocolError
from mta.deliver.frames import Refused, Start
from mta.log import events
from mta.proc import roles, userside
from mta.proc.permission import Permission, Refusal
from mta.transport.engine import load_transports
from mta.unix import frames, process
from mta.unix.loop import Loop


class Launcher:
    """Requests come in, workers go out."""

    def __init__(self, inherited: roles.Inherited) -> None:
        self.inherited = inherited
        self.requests = inherited.channels["start-requests"]
        self.requests.setblocking(False)
        self.transports = load_transports(inherited.conf)
        self.permission = Permission(inherited.conf, inherited.identities)
        self.loop = Loop()
        self.workers: set[int] = set()
        self.draining = False

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
            received = frames.receive(self.requests, (Start,))
        except (BlockingIOError, OSError, ProtocolError) as error:
            if not isinstance(error, BlockingIOError):
                events.role(self.inherited.log, "launcher", f"bad request: {error}")
            return
        if received is None:
            self.loop.unwatch(self.requests.fileno())
            self.drain(0)
            return
        if len(received.fds) == 1 and isinstance(received.message, Start):
            with socket.socket(fileno=received.fds.pop()) as channel:
                self.start(received.message, channel)
        received.close()

    def start(self, request: Start, channel: socket.socket) -> None:
        """Judge a request, then fork the worker or say why not."""
        verdict = self.permission.judge(request)
        if isinstance(verdict, Refusal):
            text = f"start {request.transport} as {request.user or '-'}: {verdict.reason}"
            events.role(self.inherited.log, "launcher refused", text)
            with contextlib.suppress(OSError):
                frames.send(channel, Refused(verdict.reason, int(verdict.permanent)))
            return
        transport = self.transports[request.transport]
        keep = [channel.fileno(), *self.inherited.log.fds()]

        def work() -> int:
            # Descriptors first: nothing of root's is open when the user's code runs.
            process.keep_descriptors([0, 1, 2, *keep])
            worker = userside.Worker(self.inherited, transport, channel, verdict)
            return worker.run()

        try:
            pid = process.run_child(work, panic=self.inherited.log.panic_fd)
        except OSError as error:
            with contextlib.suppress(OSError):
                frames.send(channel, Refused(f"fork: {error.strerror}", 0))
            return
        self.workers.add(pid)

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


def main(arguments: Sequence[str]) -> int:
    """Run the launcher with the descriptors that the master left."""
    process.set_title("mta: launcher")
    roles.ignore_terminal()
    inherited = roles.inherit(arguments)
    if not inherited.identities.separated:
        roles.drop(inherited.identities.mail)
    launcher = Launcher(inherited)
    process.settle()
    launcher.run()
    return 0
