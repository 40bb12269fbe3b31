"""The real tree, started by root from the source tree, with users that exist only for it.

The master sees a password file of its own, mounted over the system's in a mount namespace:
nothing is left behind, and nobody else ever sees these users.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.fault.strace import titled
from tests.harness import daemon
from tests.harness.daemon import Running
from tests.harness.source import TREE
from tests.harness.wait import until

MTA, MTANET, ALICE, BOB = 61000, 61001, 61002, 61003
NAMES = {MTA: "mta", MTANET: "mtanet", ALICE: "alice", BOB: "bob"}
CONFIG = daemon.BASIC.replace(
    "  local_parts = alice : bob : carol\n",
    "  local_parts = alice : bob\n  user = $local_part_data\n",
).replace("begin acl", "never_users = root : daemon\nbegin acl", 1)
_PRELUDE = """\
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
place = os.path.dirname(sys.argv[sys.argv.index("-C") + 1]).encode()
def must(result):
    if result:
        sys.exit("mount namespace: " + os.strerror(ctypes.get_errno()))
must(libc.unshare(0x20000))
must(libc.mount(b"none", b"/", None, 0x44000, None))
for name in (b"passwd", b"group"):
    must(libc.mount(place + b"/" + name, b"/etc/" + name, None, 0x1000, None))
"""
_PIDFD_GETFD = 438


def why_not() -> str:
    """Why this cannot be tried here; empty when it can."""
    if os.geteuid() != 0:
        return "needs root"
    tried = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "needs the right to make mount namespaces"


UNAVAILABLE = why_not()
needs_root = pytest.mark.skipif(bool(UNAVAILABLE), reason=UNAVAILABLE or "-")


@contextmanager
def prepared(config: str = CONFIG) -> Iterator[Running]:
    """A place with users, mailboxes and a configuration; what runs is ended afterwards."""
    daemon.unprivileged()  # skips where others cannot read the tree
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(daemon, "unprivileged", lambda: None)
        with daemon.prepared(config) as mta:
            mta.boot = _PRELUDE + mta.boot
            for name, line in (
                ("passwd", "{name}:x:{number}:{number}:{name}:/nonexistent:/bin/false\n"),
                ("group", "{name}:x:{number}:\n"),
            ):
                lines = [line.format(name=NAMES[each], number=each) for each in NAMES]
                own = Path("/etc", name).read_text()
                (mta.place / name).write_text(own + "".join(lines))
            for uid in (ALICE, BOB):
                mailbox = mta.maildir(NAMES[uid])
                mailbox.mkdir(0o700)
                os.chown(mailbox, uid, uid)
            yield mta


@contextmanager
def running(config: str = CONFIG) -> Iterator[Running]:
    """The tree at work."""
    with prepared(config) as mta:
        mta.start()
        yield mta
        assert mta.stop() == 0
        panic = mta.log("panic")
        assert panic == "", panic


def the_process(mta: Running, title: str) -> int:
    """The oldest process whose title begins so."""
    assert mta.process is not None
    session = mta.process.pid
    return until(lambda: (titled(session, title) or [0])[0], 10.0, title)


def descriptor(pid: int, number: int) -> int:
    """A copy of a descriptor of another process: what somebody who took it over would have."""
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = os.pidfd_open(pid)
    try:
        fd = libc.syscall(_PIDFD_GETFD, pidfd, number, 0)
    finally:
        os.close(pidfd)
    if fd < 0:
        pytest.skip("needs a kernel that hands out descriptors of other processes")
    return int(fd)


def as_user(uid: int, code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python as a user, with our packages; `sys.argv[1:]` are the arguments."""
    start = f"import os, socket, sys; sys.path.insert(0, {str(TREE)!r})\n{code}"
    return subprocess.run(
        [sys.executable, "-I", "-c", start, *map(str, arguments)],
        user=uid,
        group=uid,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def status(pid: int) -> dict[str, str]:
    """What the kernel says of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().split("\n")
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def files(pid: int) -> list[str]:
    """What a process has open, in short: sockets are just sockets."""
    found = []
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            target = os.readlink(file)
            found.append("socket" if target.startswith("socket:") else target)
    return sorted(found)


def nobody() -> int:
    return pwd.getpwnam("nobody").pw_uid


@contextmanager
def held(uid: int, code: str, *arguments: object) -> Iterator[str]:
    """Run Python as a user until the block ends; its first line."""
    start = f"import os, socket, sys; sys.path.insert(0, {str(TREE)!r})\n{code}"
    with subprocess.Popen(
        [sys.executable, "-I", "-c", start, *map(str, arguments)],
        user=uid,
        group=uid,
        extra_groups=[],
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        try:
            yield child.stdout.readline()
        finally:
            child.kill()
