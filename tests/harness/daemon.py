"""The real process tree, started from the source tree without privileges, on free ports.

    with daemon.running() as mta:
        clients.send(mta.address, "a@sender.test", ["alice@local.test"])
        (message,) = mailbox.await_messages(mta.maildir("alice"), 1)

The configuration is a test's own text or `BASIC`; it finds the macros SPOOL, MAIL (a directory
for mailboxes), PORT and SINK (ports) defined. Everything lives in a directory of its own with
a short name. When the tests run as root the tree runs as `nobody`, which is what a test of
unprivileged work is about; what root is needed for is tested in tests/privilege.
"""

from __future__ import annotations

import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

import pytest

from tests.harness import ports
from tests.harness.source import TREE
from tests.harness.wait import until

READY_SECONDS = 30.0
STOP_SECONDS = 15.0
BASIC = """\
primary_hostname = mx.test
domainlist local_domains = local.test
domainlist relay_domains = relay.test
spool_directory = SPOOL
log_file_path = SPOOL/log/%slog
local_interfaces = 127.0.0.1
daemon_smtp_ports = PORT
split_spool_directory = true
acl_smtp_rcpt = check_rcpt
begin acl
check_rcpt:
  accept domains = +local_domains : +relay_domains
  deny   message = relay not permitted
begin routers
relay:
  driver = manualroute
  domains = +relay_domains
  transport = smtp
  route_list = * 127.0.0.1::SINK
  self = send
  no_more
local:
  driver = accept
  domains = +local_domains
  local_parts = alice : bob : carol
  transport = maildir
begin transports
smtp:
  driver = smtp
  allow_localhost
maildir:
  driver = appendfile
  directory = MAIL/$local_part_data
  maildir_format
  create_directory
  delivery_date_add
  envelope_to_add
  return_path_add
begin retry
* * F,1h,1s
"""
START = (
    "import sys; sys.path.insert(0, sys.argv.pop(1))\n"
    "from mta.proc.master import main; sys.exit(main(sys.argv[1:]))"
)


@dataclass(slots=True)
class Running:
    """A tree of processes and where it keeps its things."""

    place: Path
    config: Path
    macros: dict[str, str]
    who: pwd.struct_passwd | None = None
    inside: tuple[str, ...] = ()
    grace: float = 5.0
    process: subprocess.Popen[bytes] | None = None
    boot: str = START  # how the master is started
    output: Path = field(init=False)

    def __post_init__(self) -> None:
        self.output = self.place / "output"

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", int(self.macros["PORT"]))

    @property
    def spool(self) -> Path:
        return Path(self.macros["SPOOL"])

    def maildir(self, user: str) -> Path:
        return Path(self.macros["MAIL"]) / user

    def log(self, name: str = "main") -> str:
        """The text of a log; empty when nothing was ever written to it."""
        try:
            return (self.spool / "log" / f"{name}log").read_text("utf-8", "surrogateescape")
        except FileNotFoundError:
            return ""

    def await_log(self, text: str, seconds: float = 10.0, name: str = "main") -> str:
        """The first line of the log that holds the text."""
        until(lambda: text in self.log(name), seconds, f"{text!r} in the {name} log")
        return next(line for line in self.log(name).split("\n") if text in line)

    def messages(self) -> list[str]:
        """The ids of the messages in the spool."""
        return sorted(file.name[:-2] for file in (self.spool / "input").rglob("*-H"))

    def await_empty(self, seconds: float = 15.0) -> None:
        until(lambda: not self.messages(), seconds, "an empty queue")

    def arguments(self) -> list[str]:
        """How every command of the project is told about this configuration."""
        defined = [f"-D{name}={value}" for name, value in self.macros.items()]
        return ["-C", str(self.config), *defined]

    def run(self, program: str, *arguments: str, message: bytes = b"") -> Finished:
        """Run a command of bin/ (sendmail, mailq, mta …) as the user of the tree."""
        return subprocess.run(
            [TREE / "bin" / program, *arguments],
            input=message,
            capture_output=True,
            timeout=60,
            check=False,
            cwd="/",
            **identity(self.who),
        )

    def start(self) -> None:
        """Start the master and return when every role is at work."""
        reader, writer = os.pipe()
        command = [sys.executable, "-I", "-c", self.boot, str(TREE), *self.arguments()]
        command += ["--ready-fd", str(writer), "--grace", str(self.grace)]
        whose = identity(self.who)
        if self.inside:
            # Only root may enter a network.
            command, whose = [*self.inside, *becoming(self.who), *command], {}
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(writer,),
                cwd="/",
                start_new_session=True,
                **whose,
            )
        os.close(writer)
        waiting = select.poll()
        waiting.register(reader, select.POLLIN)
        said = os.read(reader, 100) if waiting.poll(READY_SECONDS * 1000) else b""
        os.close(reader)
        if said != b"ready\n":
            self.kill()
            raise AssertionError(f"the daemon did not start:\n{self.everything_said()}")

    def everything_said(self) -> str:
        """What the processes printed and logged, for the message of a failure."""
        parts = [self.output.read_text("utf-8", "replace")]
        parts += [f"-- {name}log\n{self.log(name)}" for name in ("main", "panic", "reject")]
        return "\n".join(parts)[-8000:]

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> int:
        """TERM, and the exit code; the tree must drain within its grace."""
        assert self.process is not None
        self.signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"did not stop:\n{self.everything_said()}") from None

    def kill(self) -> None:
        """KILL every process of the tree at once, as a crash of the machine would."""
        if self.process is None:
            return
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        until(lambda: not self.processes(), 10.0, "the end of all processes")

    def processes(self) -> list[int]:
        """The processes of the tree that live: those whose session the master began."""
        assert self.process is not None
        found = []
        for entry in os.listdir("/proc"):
            with suppress(OSError, ValueError):
                fields = (
                    Path(f"/proc/{int(entry)}/stat").read_text().rpartition(")")[2].split()
                )
                if int(fields[3]) == self.process.pid and fields[0] != "Z":
                    found.append(int(entry))
        return found


Finished = subprocess.CompletedProcess[bytes]


class Identity(TypedDict, total=False):
    """Popen's arguments that make a child another user."""

    user: int
    group: int
    extra_groups: list[int]


def identity(who: pwd.struct_passwd | None) -> Identity:
    """Popen's arguments that make a child another user."""
    if who is None:
        return {}
    return {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}


def becoming(who: pwd.struct_passwd | None) -> list[str]:
    """What goes before a command line that is to run as another user."""
    if who is None:
        return []
    return ["setpriv", f"--reuid={who.pw_uid}", f"--regid={who.pw_gid}", "--clear-groups"]


def unprivileged() -> pwd.struct_passwd | None:
    """Whom the tree runs as: nobody when we are root, else who we are (None)."""
    if os.geteuid() != 0:
        return None
    who = pwd.getpwnam("nobody")
    reads = [
        sys.executable,
        "-I",
        "-c",
        "import sys; open(sys.argv[1])",
        str(TREE / "bin/mta"),
    ]
    try:
        tried = subprocess.run(
            reads, capture_output=True, check=False, cwd="/", **identity(who)
        )
    except OSError:
        tried = None
    if tried is None or tried.returncode != 0:
        pytest.skip("needs a source tree and a Python that users other than root can read")
    return who


@contextmanager
def prepared(
    config: str = BASIC,
    *,
    sink: int = 9,
    macros: Mapping[str, str] | None = None,
    inside: tuple[str, ...] = (),
) -> Iterator[Running]:
    """A place with a configuration, and nothing running; whatever runs is ended afterwards."""
    who = unprivileged()
    place = Path(tempfile.mkdtemp(prefix="mta-"))
    for name in ("spool", "mail"):
        (place / name).mkdir(mode=0o755)
    file = place / "mta.conf"
    file.write_text(config, "utf-8")
    (place / "output").touch()
    place.chmod(0o755)
    if who is not None:
        for path in (place, *place.iterdir()):
            os.chown(path, who.pw_uid, who.pw_gid)
    known = {
        "SPOOL": str(place / "spool"),
        "MAIL": str(place / "mail"),
        "PORT": str(ports.free()[0]),
        "SINK": str(sink),
    }
    mta = Running(place, file, {**known, **(macros or {})}, who, inside)
    try:
        yield mta
    finally:
        mta.kill()
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def running(
    config: str = BASIC,
    *,
    sink: int = 9,
    macros: Mapping[str, str] | None = None,
    inside: tuple[str, ...] = (),
) -> Iterator[Running]:
    """The tree at work; stopped, and looked over for panics, when the test is done.

    `inside` goes before its command line: what enters a host of a test's own network.
    """
    with prepared(config, sink=sink, macros=macros, inside=inside) as mta:
        mta.start()
        yield mta
        if mta.process is not None and mta.process.poll() is None:
            mta.stop()
        assert mta.log("panic") == ""
