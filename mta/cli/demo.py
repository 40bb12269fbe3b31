"""`mta demo`: the real processes on this machine alone, two messages through them, and a look.

Everything is as in production but for its place: the source tree's `etc/mta.demo.conf`, the
spool in the tree's `spool/`, SMTP on port 2525 of the loopback addresses.  Nothing is sent to
the outside unless --really-send names the host to send it to.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import select
import shlex
import signal
import smtplib
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import localtime

import click

from mta.base import clock
from mta.base.errors import ExpansionFail
from mta.base.text import one_line, to_text
from mta.cli import demo_root, output, passwd, place
from mta.unix import locks, process

PORT = 2525
ADDRESSES = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
DOMAIN = "demo.localhost"
READY_SECONDS = 30.0
ARRIVAL_SECONDS = 10.0
DRAIN_SECONDS = 1.5
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the demo plays: the source tree, its configuration, and the macros for it."""

    tree: str
    macros: tuple[str, ...]
    addresses: tuple[str, ...]

    @property
    def config(self) -> str:
        """The configuration of the demo."""
        return os.path.join(self.tree, "etc", "mta.demo.conf")

    @property
    def spool(self) -> str:
        """Where its mail is kept."""
        return os.path.join(self.tree, "spool")

    @property
    def options(self) -> list[str]:
        """The options by which any command finds this demo."""
        return ["-C", self.config, *(f"-D{macro}" for macro in self.macros)]


@click.command(short_help="Run it here, and send two messages through it.")
@click.option(
    "--really-send",
    metavar="HOST[:PORT]",
    default="",
    help="Send mail for other domains, through this host.",
)
@click.option("--once", is_flag=True, help="Stop after the two messages.")
def demo(really_send: str, once: bool) -> None:
    """Start the mail system here, unprivileged, and send two messages through it."""
    began = clock.monotonic()
    if not os.path.exists(os.path.join(place.tree(), "etc", "mta.demo.conf")):
        raise output.failure(
            "the demo plays in the source tree: bin/mta demo there", os.EX_UNAVAILABLE
        )
    if os.geteuid() == 0:
        demo_root.leave_root(place.tree(), sys.argv[1:])
    # Started from a script in the background, Ctrl-C would otherwise be ignored.
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    process.set_title("mta: demo")
    stage = _set(really_send)
    _check_free(stage)
    password = _make_user(stage)
    master = Master(stage)
    if not master.await_ready():
        master.stop()
        raise output.failure("the processes could not start", os.EX_SOFTWARE)
    code = 1
    try:
        _play(stage, began)
        _explain(stage, really_send, password)
        code = 0 if once else _attend(master)
    except KeyboardInterrupt:
        code = 0
    finally:
        took = master.stop()
        click.echo(f"Stopped in {took:.1f} s; what waited is in the spool and is tried again.")
    raise click.exceptions.Exit(code)


def _set(really_send: str) -> Stage:
    """Find out what this machine has."""
    tree = place.tree()
    usable = []
    for family, address in ADDRESSES:
        if _exists(family, address):
            usable.append(address)
        else:
            click.echo(f"This machine has no {address}; the demo does without it.")
    listening = " ; ".join(f"[{address}]:{PORT}" for address in usable)
    macros = [f"SPOOL={os.path.join(tree, 'spool')}", f"INTERFACES=<; {listening}"]
    if really_send:
        # In a list of hosts a colon is written twice.
        macros += ["REALLY_SEND=yes", f"RELAY={really_send.replace(':', '::')}"]
    return Stage(tree, tuple(macros), tuple(usable))


def _exists(family: int, address: str) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.bind((address, 0))
    except OSError:
        return False
    return True


def _check_free(stage: Stage) -> None:
    """Leave with a message if a demo runs already, or another program has the port."""
    if (pid := _running(stage)) is not None:
        raise output.failure(
            f"a demo runs here already, as process {pid}: stop it with Ctrl-C in its terminal,"
            f" or with: kill {pid}",
            os.EX_UNAVAILABLE,
        )
    for address in stage.addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind((address, PORT))
                trial.listen(1)
            except OSError as error:
                holder = _holder(PORT)
                raise output.failure(
                    f"port {PORT} of {address} is taken by {holder}; stop that first",
                    os.EX_UNAVAILABLE,
                ) from error


def _running(stage: Stage) -> str | None:
    """The process id of the master that has this spool, if there is one."""
    try:
        fd = os.open(os.path.join(stage.spool, "run", "master"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if not locks.is_locked(fd, 1):
            return None
        return os.pread(fd, 32, 0).decode("ascii", "replace").strip("\n")
    finally:
        os.close(fd)


def _holder(port: int) -> str:
    """The program that listens on a port, as far as the system tells us."""
    import psutil  # type: ignore[import-untyped]  # it ships no types

    try:
        for each in psutil.net_connections("tcp"):
            if each.status == psutil.CONN_LISTEN and each.laddr.port == port and each.pid:
                return f"{psutil.Process(each.pid).name()} (process {each.pid})"
    except psutil.Error:
        return "a program that only root can name"
    return "a program of another user"


class Master:
    """The master process of the demo and what it says when it is ready."""

    def __init__(self, stage: Stage) -> None:
        """Start it.  It ends when this process does, even by kill -9."""
        self.ready, writer = os.pipe()
        arguments = [*stage.options, "--grace", str(DRAIN_SECONDS)]
        libc = ctypes.CDLL(None)
        self.process = subprocess.Popen(
            process.interpreter(
                stage.tree, "mta.proc.master", [*arguments, "--ready-fd", str(writer)]
            ),
            stdin=subprocess.DEVNULL,
            pass_fds=(writer,),
            # Ctrl-C reaches us alone; the processes are told by us, once.
            start_new_session=True,
            preexec_fn=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0),  # noqa: PLW1509 no threads here
        )
        os.close(writer)

    def await_ready(self) -> bool:
        """True once all processes are at work; False if they could not start."""
        readable, _, _ = select.select([self.ready], [], [], READY_SECONDS)
        return bool(readable) and os.read(self.ready, 64) == b"ready\n"

    def stop(self) -> float:
        """Let it finish what it is at and leave; how long that took."""
        began = clock.monotonic()
        self.process.terminate()
        try:
            self.process.wait(DRAIN_SECONDS + 3.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        return clock.monotonic() - began


def _play(stage: Stage, began: float) -> None:
    """Send the two messages, wait for both, and show them."""
    mark = f"{os.getpid():x}{int(clock.now() * 1000):x}"
    sendmail = os.path.join(stage.tree, "bin", "sendmail")
    click.echo(f"Sending one message through {sendmail} and one by SMTP to port {PORT} ...")
    called = subprocess.run(
        [sendmail, *stage.options, "-oi", f"alice@{DOMAIN}"],
        input=bytes(_message("alice", "through sendmail", mark)),
        timeout=ARRIVAL_SECONDS,
        check=False,
    )
    if called.returncode != 0:
        raise output.failure(
            f"sendmail ended with exit code {called.returncode}", os.EX_SOFTWARE
        )
    with smtplib.SMTP(stage.addresses[0], PORT, timeout=ARRIVAL_SECONDS) as client:
        message = _message("bob", "by SMTP", mark)
        client.send_message(message, f"you@{DOMAIN}", [f"bob@{DOMAIN}"])
    found = [_await_file(stage, name, mark) for name in ("alice", "bob")]
    took = clock.monotonic() - began
    for path in found:
        _show(path)
    click.secho(f"\nBoth messages were delivered, {took:.1f} s after the start.", fg="green")


def _message(name: str, way: str, mark: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = f"you@{DOMAIN}"
    message["To"] = f"{name}@{DOMAIN}"
    message["Date"] = localtime()
    message["Subject"] = f"A message {way}"
    message["X-Demo"] = mark
    message.set_content(f"Hello {name}, this came {way}.\n")
    return message


def _await_file(stage: Stage, name: str, mark: str) -> str:
    """The path of a message that is to arrive in somebody's maildir."""
    directory = os.path.join(stage.spool, "mail", name, "new")
    deadline = clock.monotonic() + ARRIVAL_SECONDS
    seen: set[str] = set()
    while clock.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError):
            for entry in set(os.listdir(directory)) - seen:
                seen.add(entry)
                path = os.path.join(directory, entry)
                with open(path, "rb") as file:
                    if mark.encode() in file.read():
                        return path
        time.sleep(0.01)
    raise output.failure(
        f"nothing arrived in {directory} within {ARRIVAL_SECONDS:.0f} s;"
        f" the reason is in {stage.spool}/log/mainlog",
        os.EX_SOFTWARE,
    )


def _show(path: str) -> None:
    output.heading(f"\n{path}")
    with open(path, "rb") as file:
        for line in to_text(file.read()).rstrip("\n").split("\n"):
            click.echo(f"    {one_line(line.expandtabs())}")


def _make_user(stage: Stage) -> str:
    """Let the user "you" log in with a fresh password, which is returned."""
    made = secrets.token_urlsafe(9)
    path = os.path.join(stage.spool, "demo.passwd")
    os.makedirs(stage.spool, exist_ok=True)
    try:
        line = passwd.line_for("you", made)
    except ExpansionFail as error:
        raise output.failure(str(error), os.EX_UNAVAILABLE) from error
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with open(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
        file.write(f"{line}\n")
    return made


def _explain(stage: Stage, really_send: str, password: str) -> None:
    """What to try next, where things are, and what this is not."""
    command = shlex.quote(os.path.join(stage.tree, "bin", "mta"))
    sendmail = shlex.quote(os.path.join(stage.tree, "bin", "sendmail"))
    # Where the system has a configuration of its own, the demo's has to be named.
    options = ""
    if os.path.exists(place.SYSTEM_CONFIG):
        options = " " + " ".join(shlex.quote(option) for option in stage.options)
    outside = f"is sent on through {really_send}" if really_send else "is held, not sent"
    click.echo(
        f"""
Try next, in another terminal:
    echo hello | {sendmail}{options} bob@{DOMAIN}
    {command} queue list{options}
    swaks --server 127.0.0.1:{PORT} --to 550@{DOMAIN}
    swaks --server 127.0.0.1:{PORT} --to bob@{DOMAIN} -a PLAIN -au you -ap {password}
Addresses to play with, all @{DOMAIN}:
    450     answered with 450, try again       550     refused at once
    slow    taken, but its delivery waits      bounce  taken, then returned to the sender
    alice, bob and you have mailboxes, all others share one: everybody.
    Mail for other domains {outside}.

Mail is in    {stage.spool}/mail
Logs are in   {stage.spool}/log
Configuration {stage.config}

This is not production: everything runs as one user, on this machine alone, on port {PORT},
with a policy for play. For the real thing see etc/mta.conf and `mta install --users`."""
    )


def _attend(master: Master) -> int:
    """Wait until Ctrl-C, or until the processes are gone; the exit code."""
    click.echo(f"\nRunning as process {master.process.pid}. Stop it with Ctrl-C.")
    code = master.process.wait()
    if code != 0:
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        click.secho(f"mta: the master {how}", fg="red", err=True)
    return min(1, abs(code))


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
