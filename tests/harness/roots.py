"""Debian systems in directories (see `debroot`), and copies of the source tree."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.harness.source import TREE

SCRIPT = str(TREE / "tests" / "harness" / "debroot")


def directory() -> Path:
    """Where all roots are kept."""
    return Path(os.environ.get("DEBROOT_DIR", "/var/tmp/mta-testbed"))


def path_of(name: str) -> Path:
    return directory() / name


def make(name: str, *packages: str, suite: str = "bookworm") -> Path:
    """Build the root, or find it built already; its first build takes a minute or two."""
    environment = {**os.environ, "DEBROOT_SUITE": suite, "DEBROOT_DIR": str(directory())}
    made = subprocess.run(
        [SCRIPT, "make", name, *packages],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Path(made.stdout.rstrip("\n").rpartition("\n")[2])


def entering(name: str, user: str, *command: str) -> list[str]:
    """The command line that runs `command` inside the root."""
    return [SCRIPT, "enter", name, user, *command]


@contextmanager
def started(
    command: Sequence[str], *, log: Path | None = None, env: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A command line that enters a root, until it is ended with everything it started."""
    output = os.open(log or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=env,
        start_new_session=True,
    )
    os.close(output)
    try:
        yield process
    finally:
        # unshare passes its end on to everything inside.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def inside(process: subprocess.Popen[bytes]) -> str:
    """The id of the first process in a root that was entered so."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return children.read_text().split()[0]


def why_not() -> str:
    """Why no root can be made or entered here; empty when it can."""
    if os.geteuid() != 0:
        return "needs root"
    for program in ("debootstrap", "unshare", "chroot"):
        if shutil.which(program) is None:
            return f"needs {program}"
    tried = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "true"], capture_output=True, check=False
    )
    return "" if tried.returncode == 0 else "needs the right to make namespaces"


def copy_tree(to: Path) -> None:
    """Copy the source tree as it stands, without what git ignores."""
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={TREE}", "ls-files", "-coz", "--exclude-standard"],
        cwd=TREE,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode().split("\0"):
        source, target = TREE / name, to / name
        if not name or not os.path.lexists(source):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target, follow_symlinks=False)
