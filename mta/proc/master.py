"""The master: binds the ports, starts the roles, watches them, re-reads the configuration.

    uid           root, or whoever started us
    descriptors   the listening sockets, the logs, a control channel to each role
    signals       TERM, INT: drain and stop.  HUP: re-read the configuration.
                  USR1: open the log files again.  CHLD: a role ended
    neighbours    a role dies: it is started again, later and later if it keeps dying

It opens no mail and reads nothing that came from mail.  On HUP the new configuration is
compiled by the checker first: a bad one is logged with file and line and the old one stays at
work; a good one starts new roles on the same listening sockets, and when they are ready the
old ones finish what they are at and leave.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from mta.base import clock
from mta.base.errors import ConfigError, MtaError, ProtocolError
from mta.base.version import VERSION
from mta.config import load, snapshot
from mta.config.model import Configuration
from mta.config.quick import DEFAULT_FILE
from mta.log import events
from mta.log.sink import open_log
from mta.net import interfaces, secrecy
from mta.net.tls_terms import stamp
from mta.proc import directories, roles
from mta.proc.control import Checked, Drain, Faulty, Files, Ready, ReopenLogs
from mta.unix import files, frames, locks, process
from mta.unix.loop import Loop

START_SECONDS = 20.0
CHECK_SECONDS = 60.0
RENEW_SECONDS = 5.0
BACKOFF_FIRST, BACKOFF_MOST = 0.2, 30.0
STEADY_SECONDS = 60.0
LEAVE_MS = 1000  # for workers whose askers have gone


@dataclass(slots=True)
class Running:
    """A role at work, or between two lives."""

    role: roles.Role
    generation: Generation
    pid: int = 0
    control: socket.socket | None = None
    born: float = 0.0
    backoff: float = BACKOFF_FIRST
    ready: bool = False


@dataclass(slots=True)
class Generation:
    """The roles that work with one snapshot of the configuration."""

    conf: Configuration
    snapshot: int
    running: dict[str, Running] = field(default_factory=dict)
    start: tuple[socket.socket, socket.socket] = field(default_factory=frames.pair)
    draining: bool = False
    when_ready: Callable[[], None] | None = None  # called once, when all roles are at work


@dataclass(frozen=True, slots=True)
class Order:
    """What the command line asks of the master."""

    file: str
    macros: dict[str, str]
    ready_fd: int = -1
    grace: float = 10.0
    once: int = -1  # a channel: while it is open the tree serves one command, then it ends
    submit: int = -1  # the socket for local programs, when that command has made it

    @property
    def alone(self) -> bool:
        """True for a tree that serves one command and opens no ports."""
        return self.once >= 0


class Master:
    """The tree of processes."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.loop = Loop()
        self.conf, sealed, warnings = check(order.file, order.macros)
        self.who = roles.identities(self.conf)
        self.spool = str(self.conf.queue.spool_directory)
        directories.prepare(self.conf, self.who)
        self.log = open_log(log_pattern(self.conf))
        self.warn(warnings)
        self.endpoints: dict[interfaces.Endpoint, socket.socket] = {}
        self.channels = {"once": order.once, "submit": order.submit}
        if not order.alone:
            self.open_to_others()
        self.arrived = frames.pair()
        self.generation = Generation(self.conf, sealed)
        self.old: list[Generation] = []
        self.stopping = False
        self.failed = ""
        self.stamps: dict[str, tuple[int, int, int]] = {}  # of files handed over
        self.announced = False  # once ready it never gives up

    # ---- at the start

    def open_to_others(self) -> None:
        """Take the spool's lock, the ports and the sockets for local programs."""
        self.lock = take_lock(self.spool)
        self.bind(self.conf)
        self.local = [self.local_socket(name) for name in ("submit", "control")]
        self.channels = dict(
            zip(("submit", "commands"), (each.fileno() for each in self.local), strict=True)
        )

    def bind(self, conf: Configuration) -> None:
        """Open the listening sockets that are not open yet; close those no longer wanted."""
        wanted = interfaces.listen_addresses(conf)
        backlog = conf.smtp_in.smtp_connect_backlog
        missing = [each for each in wanted if each not in self.endpoints]
        opened = dict(zip(missing, interfaces.bind_all(missing, backlog), strict=True))
        for endpoint in [each for each in self.endpoints if each not in wanted]:
            self.endpoints.pop(endpoint).close()
        self.endpoints.update(opened)

    def local_socket(self, name: str) -> socket.socket:
        """A socket in SPOOL/run that every local user may connect to.

        Who may do what is decided by the kernel's word on who connected.  The path may be
        longer than a socket's address can be, so it is named through the directory.
        """
        at = files.open_dir(f"{self.spool}/run")
        try:
            files.unlink_quietly(at, name)
            listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            listening.bind(f"/proc/self/fd/{at}/{name}")
            os.chmod(name, 0o666, dir_fd=at)
            listening.listen(128)
        finally:
            os.close(at)
        return listening

    # ---- the loop

    def run(self) -> int:
        """Work until stopped; the exit code."""
        process.set_title("mta: master")
        for number, act in (
            (signal.SIGCHLD, self.reap),
            (signal.SIGTERM, self.stop),
            (signal.SIGINT, self.stop),
            (signal.SIGHUP, self.reload),
            (signal.SIGUSR1, self.reopen_logs),
        ):
            self.loop.on_signal(number, act)
        self.start(self.generation, self.announce)
        self.look_at_files()
        self.loop.run()
        if not self.order.alone:
            self.close_to_others()
        if self.failed:
            print(f"mta: {self.failed}", file=sys.stderr)
            return 1
        return 0

    def close_to_others(self) -> None:
        """Take away the names that others found us by."""
        for path in (
            pid_file(self.conf),
            *(f"{self.spool}/run/{name}" for name in ("submit", "control")),
        ):
            with contextlib.suppress(OSError):
                os.unlink(path)
        events.role(self.log, "master", "stopped")

    def start(self, generation: Generation, ready: Callable[[], None]) -> None:
        """Start all roles of a generation; call back when the last of them is at work."""
        generation.when_ready = ready
        for role in roles.ROLES:
            running = generation.running[role.name] = Running(role, generation)
            self.spawn(running)

    def spawn(self, running: Running) -> None:
        """Execute one role in a fresh interpreter, with its descriptors from 3 on."""
        ours, theirs = frames.pair()
        names, fds = self.descriptors(running, theirs)
        arguments = [running.generation.conf.file, *names]
        command = process.interpreter(process.tree_root(), running.role.module, arguments)

        def become_role() -> int:
            process.leave_input()
            process.place_descriptors(fds, roles.FIRST)
            process.keep_descriptors(range(roles.FIRST + len(fds)))
            os.chdir("/")
            os.execv(command[0], command)
            return 127

        running.pid = process.run_child(become_role, panic=self.log.panic_fd)
        if running.role.name == "listener":
            self.hand_over(running.generation, ours)
        running.control, running.born, running.ready = ours, clock.monotonic(), False
        theirs.close()
        ours.setblocking(False)  # a role that does not listen must not hold us
        self.loop.watch(ours.fileno(), partial(self.heard, running))
        self.loop.after(START_SECONDS, partial(self.too_slow, running, running.pid))

    def hand_over(self, generation: Generation, control: socket.socket) -> None:
        """Give the listener the files that only root may read; they are opened, not read."""
        names = secrecy.files_of(generation.conf)
        opened = {name: fd for name in names if (fd := secrecy.open_file(name)) is not None}
        if names:
            with contextlib.suppress(OSError):
                frames.send(control, Files(tuple(opened)), list(opened.values()))
        for fd in opened.values():
            os.close(fd)

    def look_at_files(self) -> None:
        """Hand over what was replaced: a certificate that was renewed is used at once."""
        self.loop.after(RENEW_SECONDS, self.look_at_files)
        if self.stopping:
            return
        generation = self.generation
        now = {name: stamp(name) for name in secrecy.files_of(generation.conf)}
        changed, self.stamps = now != self.stamps, now
        running = generation.running.get("listener")
        if changed and running is not None and running.control is not None and running.ready:
            self.hand_over(generation, running.control)

    def descriptors(
        self, running: Running, control: socket.socket
    ) -> tuple[list[str], list[int]]:
        """What a role inherits, by name."""
        generation = running.generation
        known = {
            "arrived": self.arrived[0].fileno(),
            "arrivals": self.arrived[1].fileno(),
            "start": generation.start[0].fileno(),
            "start-requests": generation.start[1].fileno(),
            **self.channels,
        }
        wanted = [name for name in running.role.channels if known.get(name, -1) >= 0]
        names = [*roles.COMMON, *wanted]
        fds = [control.fileno(), generation.snapshot, *self.log.fds()]
        fds += [known[name] for name in wanted]
        if running.role.name == "listener":
            for number, listening in enumerate(self.endpoints.values()):
                names.append(f"smtp-{number}")
                fds.append(listening.fileno())
        return names, fds

    def heard(self, running: Running) -> None:
        """A role is at work, or its end of the channel has gone.

        It says so once: one that talks more, or sends files, is not heard any longer.
        """
        assert running.control is not None
        try:
            received = frames.receive(running.control, (Ready,))
        except BlockingIOError:
            return
        except (OSError, ProtocolError):
            received = None
        if received is None or received.fds or running.ready:
            if received is not None:
                received.close()
            self.hang_up(running)
            return
        running.ready = True
        generation = running.generation
        if all(each.ready for each in generation.running.values()):
            ready, generation.when_ready = generation.when_ready, None
            if ready is not None:
                ready()

    def hang_up(self, running: Running) -> None:
        """Close the channel to a role; one that lives takes it as the end of the master."""
        if running.control is not None:
            self.loop.unwatch(running.control.fileno())
            running.control.close()
            running.control = None

    def announce(self) -> None:
        """All roles of the first generation are at work."""
        self.announced = True
        if not self.order.alone:
            write_pid(pid_file(self.conf))
            shown = [str(each) for each in self.endpoints]
            events.started(self.log, VERSION, os.getpid(), shown)
        if self.order.ready_fd >= 0:
            with contextlib.suppress(OSError):
                os.write(self.order.ready_fd, b"ready\n")
                os.close(self.order.ready_fd)

    def too_slow(self, running: Running, pid: int) -> None:
        """A role that has not reported after all this time is taken to hang."""
        if running.pid == pid and not running.ready and not self.stopping:
            events.role(self.log, running.role.name, "does not get ready; ended")
            os.kill(pid, signal.SIGKILL)

    def reap(self) -> None:
        """Roles that have ended."""
        for pid, code in process.reap():
            for generation in (self.generation, *self.old):
                for running in generation.running.values():
                    if running.pid == pid:
                        self.ended(running, code)
        self.finish_generations()
        if self.stopping and not any(
            self.alive(each) for each in (self.generation, *self.old)
        ):
            self.loop.stop()

    def ended(self, running: Running, code: int) -> None:
        """A role has ended: start it again unless that was meant."""
        running.pid = 0
        # A child that it left behind may still hold the other end.
        self.hang_up(running)
        if self.stopping or running.generation.draining:
            return
        if self.order.alone and self.announced and running.role.name == "runner":
            self.stop()
            return
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        events.role(self.log, running.role.name, f"ended ({how})")
        lived = clock.monotonic() - running.born
        if not running.ready and running.generation is self.generation and not self.announced:
            self.failed = f"the {running.role.name} could not start ({how}): see {self.logs()}"
            self.stop()
            return
        if lived > STEADY_SECONDS:
            running.backoff = BACKOFF_FIRST
        self.loop.after(running.backoff, partial(self.revive, running))
        running.backoff = min(BACKOFF_MOST, 2 * running.backoff)

    def revive(self, running: Running) -> None:
        """Start a role again after its pause."""
        if not self.stopping and not running.generation.draining:
            events.role(self.log, running.role.name, "is started again")
            self.spawn(running)

    def alive(self, generation: Generation) -> bool:
        """True while any role of a generation runs."""
        return any(running.pid for running in generation.running.values())

    # ---- signals

    def reload(self) -> None:
        """HUP: check the configuration; start a new generation if it is good."""
        if self.stopping:
            return
        try:
            conf, sealed, warnings = check(self.order.file, self.order.macros)
            if str(conf.queue.spool_directory) != self.spool:
                raise ConfigError(None, "spool_directory cannot change while mail is handled")
            self.bind(conf)
        except (MtaError, OSError) as error:
            events.role(self.log, "configuration refused, the old one stays", str(error))
            return
        self.warn(warnings)
        before, self.generation = self.generation, Generation(conf, sealed)
        self.old.append(before)
        self.conf = conf
        self.start(self.generation, partial(self.retire, before))

    def warn(self, warnings: Sequence[str]) -> None:
        """Say what will fail when it is used."""
        for warning in warnings:
            events.role(self.log, "configuration", warning)

    def retire(self, generation: Generation) -> None:
        """The new roles are at work; the old ones finish what they are at."""
        if not generation.draining:
            generation.draining = True
            events.role(self.log, "configuration", f"{self.conf.file} was read again")
            # The launcher stays until nobody can ask it for anything any more.
            self.tell(generation, Drain(0), ("listener", "runner"))
        self.finish_generations()

    def finish_generations(self) -> None:
        """Let launchers go whose askers have gone; forget generations that are over."""
        for generation in [self.generation, *self.old]:
            askers = [generation.running.get(name) for name in ("listener", "runner")]
            if generation.draining and not any(each and each.pid for each in askers):
                # What its workers are still at, nobody waits for: they may leave at once.
                self.tell(generation, Drain(LEAVE_MS), ("launcher",))
        for generation in [each for each in self.old if not self.alive(each)]:
            self.old.remove(generation)
            os.close(generation.snapshot)
            for end in generation.start:
                end.close()

    def tell(self, generation: Generation, message: Drain, names: Sequence[str]) -> None:
        """Send a frame to roles of a generation."""
        for name in names:
            running = generation.running.get(name)
            if running is not None and running.control is not None and running.pid:
                with contextlib.suppress(OSError):
                    frames.send(running.control, message)

    def reopen_logs(self) -> None:
        """USR1: the log files were moved; open new ones and hand them out."""
        try:
            new = open_log(log_pattern(self.conf))
        except OSError as error:
            events.role(self.log, "master", f"cannot open the logs: {error}")
            return
        for generation in (self.generation, *self.old):
            for running in generation.running.values():
                if running.control is not None:
                    with contextlib.suppress(OSError):
                        frames.send(running.control, ReopenLogs(), new.fds())
        for old, fd in zip(self.log.fds(), new.fds(), strict=True):
            os.dup2(fd, old, inheritable=False)
            os.close(fd)

    def stop(self) -> None:
        """TERM: drain all roles, then leave; after the grace they are ended."""
        if self.stopping:
            return
        self.stopping = True
        grace = Drain(max(1, int(self.order.grace * 1000)))
        for generation in (self.generation, *self.old):
            generation.draining = True
            self.tell(generation, grace, ("listener", "runner"))
        self.finish_generations()
        self.loop.after(self.order.grace + 1.0, partial(self.end_all, signal.SIGKILL))
        if not any(self.alive(each) for each in (self.generation, *self.old)):
            self.loop.stop()

    def end_all(self, number: int) -> None:
        """Time is up."""
        for generation in (self.generation, *self.old):
            for running in generation.running.values():
                if running.pid:
                    os.kill(running.pid, number)

    def logs(self) -> str:
        """Where the logs are, for messages."""
        return log_pattern(self.conf).replace("%s", "panic")


def check(file: str, macros: dict[str, str]) -> tuple[Configuration, int, tuple[str, ...]]:
    """Have the checker compile a configuration: what it says, its sealed snapshot, warnings.

    Raises ConfigError with what is wrong.
    """
    ours, theirs = frames.pair()
    definitions = [f"{name}={value}" for name, value in macros.items()]
    command = process.interpreter(
        process.tree_root(), "mta.proc.checker", [os.path.abspath(file), *definitions]
    )

    def become_checker() -> int:
        process.place_descriptors([theirs.fileno()], roles.FIRST)
        process.keep_descriptors(range(roles.FIRST + 1))
        os.execv(command[0], command)
        return 127

    with ours:
        pid = process.run_child(become_checker)
        theirs.close()
        ours.settimeout(CHECK_SECONDS)
        try:
            received = frames.receive(ours, (Checked, Faulty))
        except (OSError, ProtocolError) as error:
            os.kill(pid, signal.SIGKILL)
            raise ConfigError(None, f"{file}: cannot be checked: {error}") from error
        finally:
            os.waitpid(pid, 0)
    match received and received.message:
        case Faulty(reason=reason):
            raise ConfigError(None, reason)
        case Checked(warnings=warnings) if received and len(received.fds) == 1:
            sealed = received.fds[0]
            return load.parse(snapshot.read(sealed), file), sealed, warnings
        case _:
            raise ConfigError(None, f"{file}: the checker died")


def log_pattern(conf: Configuration) -> str:
    """The path of the logs, with %s for their names."""
    return str(conf.logging.log_file_path)


def pid_file(conf: Configuration) -> str:
    """The file with the master's process id."""
    return str(conf.logging.pid_file_path)


def write_pid(path: str) -> None:
    """Say who we are, replacing what an earlier life left."""
    directory, _, name = path.rpartition("/")
    os.makedirs(directory, 0o755, exist_ok=True)
    at = files.open_dir(directory)
    try:
        files.unlink_quietly(at, name)
        fd = files.open_at(at, name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        files.write_all(fd, b"%d\n" % os.getpid())
        os.close(fd)
    finally:
        os.close(at)


def take_lock(spool: str) -> int:
    """Make sure that this is the only master of the spool.  Raises ConfigError if not."""
    at = files.open_dir(f"{spool}/run")
    try:
        fd = files.open_at(at, "master", os.O_RDWR | os.O_CREAT, 0o644)
    finally:
        os.close(at)
    if not locks.lock(fd, 1):
        pid = os.pread(fd, 32, 0).decode("ascii", "replace").strip("\n")
        raise ConfigError(None, f"another mta (process {pid}) runs on {spool}")
    os.ftruncate(fd, 0)
    os.pwrite(fd, b"%d\n" % os.getpid(), 0)
    return fd


def parse_arguments(arguments: Sequence[str]) -> Order:
    """The command line of the master."""
    parser = argparse.ArgumentParser(prog="mta run", description="Run the mail daemon.")
    parser.add_argument("-C", dest="file", default=DEFAULT_FILE, metavar="FILE")
    parser.add_argument("-D", dest="macros", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--ready-fd", type=int, default=-1)
    parser.add_argument("--grace", type=float, default=10.0)
    given = parser.parse_args(list(arguments))
    macros = dict(each.split("=", 1) if "=" in each else (each, "") for each in given.macros)
    return Order(given.file, macros, given.ready_fd, given.grace)


def main(arguments: Sequence[str]) -> int:
    """Run the daemon until it is stopped; `mta.cli.start` puts it into the background."""
    return work(parse_arguments(arguments))


def work(order: Order) -> int:
    """Be the master.  What keeps it from starting is printed."""
    process.occupy_standard()
    try:
        master = Master(order)
    except (MtaError, OSError) as error:
        print(f"mta: {error}", file=sys.stderr)
        return 1
    return master.run()
