"""Debian systems in directories (see `debroot`), and copies of the source tree."""

from __future__ import annotations

import os
import shutil
import subprocess
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
