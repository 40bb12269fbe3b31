"""Who plays the demo when root starts it: the owner of the source tree, or nobody at all.

Root never plays it.  Where the tree belongs to somebody, the demo runs as that user.  Where
it is root's, it runs as a user id that no account has, on a copy of the tree in /var/tmp: the
code there stays root's, only the spool belongs to that id, and a later start finds it again.
"""

from __future__ import annotations

import compileall
import os
import pwd
import shutil
import stat
import subprocess
import sys

import click

from mta.cli import output
from mta.unix import privilege, users

COPY = "/var/tmp/mta-demo"
UNUSED = range(60200, 64000)
PARTS = ("mta", "bin", "etc")
# What only the tests need, and what names the place of the original.
LEFT_OUT = (
    "*.pth",
    "*__mypyc*",
    "_hypothesis*",
    "_pytest*",
    "ast_serialize*",
    "hypothesis*",
    "mypy*",
    "pip*",
    "pkg_resources*",
    "pygments*",
    "pytest*",
    "ruff*",
    "setuptools*",
)
_BOOT = (
    "import sys; sys.path.insert(0, sys.argv[1]); del sys.argv[1]; sys.argv[0] = 'mta'\n"
    "from mta.cli.main import main; sys.exit(main())"
)


def leave_root(tree: str, arguments: list[str]) -> None:
    """Go on as somebody else; this process becomes the demo and does not return."""
    owner = os.stat(tree).st_uid
    if owner != 0:
        who = _identity(owner, os.stat(tree).st_gid)
        click.echo(f"Started by root: the demo runs as {who.name}, the owner of {tree}.")
        python = sys.executable
    else:
        who, python = _copy(tree)
        tree = COPY
        click.echo(f"Started by root: the demo runs as user id {who.uid} on a copy in {COPY}.")
    environment = {"PATH": os.defpath, "HOME": tree, "USER": who.name, "LOGNAME": who.name}
    for name in ("TERM", "LANG", "LC_ALL", "TZ", "NO_COLOR"):
        if name in os.environ:
            environment[name] = os.environ[name]
    privilege.become(who)
    os.chdir("/")
    os.execve(python, [python, "-IB", "-c", _BOOT, tree, *arguments], environment)


def _identity(uid: int, gid: int) -> privilege.Identity:
    user = users.by_uid(uid)
    if user is not None:
        return privilege.identity_of(user, supplement=user.gid != 0)
    return privilege.Identity(f"uid-{uid}", uid, gid or uid, (gid or uid,))


def _copy(tree: str) -> tuple[privilege.Identity, str]:
    """Copy the tree; who is to own the spool there, and the interpreter to use."""
    _make_directory(COPY)
    spool = os.path.join(COPY, "spool")
    uid = _unused(spool)
    who = privilege.Identity(f"uid-{uid}", uid, uid, (uid,))
    for part in PARTS:
        target = os.path.join(COPY, part)
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(os.path.join(tree, part), target)
    # The demo may not write caches of compiled code there, and would be slow without them.
    compileall.compile_dir(os.path.join(COPY, "mta"), quiet=2)
    if not os.path.isdir(spool):
        os.mkdir(spool, 0o755)
        os.chown(spool, uid, uid)
    return who, _environment(tree, who)


def _make_directory(path: str) -> None:
    """A directory that is root's; one that somebody else put there is refused."""
    try:
        os.mkdir(path, 0o755)
    except FileExistsError as error:
        found = os.lstat(path)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or found.st_mode & 0o022:
            raise output.failure(
                f"{path} is there already and is not root's; remove it", os.EX_CANTCREAT
            ) from error


def _unused(spool: str) -> int:
    """The user id that has the spool of an earlier demo, or else one that nobody has."""
    taken = {entry.pw_uid for entry in pwd.getpwall()}
    try:
        earlier = os.lstat(spool)
    except FileNotFoundError:
        return next(uid for uid in UNUSED if uid not in taken)
    if not stat.S_ISDIR(earlier.st_mode) or earlier.st_uid not in UNUSED:
        raise output.failure(f"{spool} is not from a demo; remove it", os.EX_CANTCREAT)
    return earlier.st_uid


def _environment(tree: str, who: privilege.Identity) -> str:
    """Make the copy's own .venv from the packages of the original's; its interpreter."""
    base = _interpreter(who)
    target = os.path.join(COPY, ".venv")
    packages = os.path.join("lib", f"python{sys.version_info[0]}.{sys.version_info[1]}")
    shutil.rmtree(target, ignore_errors=True)
    os.makedirs(os.path.join(target, "bin"))
    os.symlink(base, os.path.join(target, "bin", "python"))
    with open(os.path.join(target, "pyvenv.cfg"), "w", encoding="utf-8") as file:
        file.write(f"home = {os.path.dirname(base)}\ninclude-system-site-packages = false\n")
    shutil.copytree(
        os.path.join(tree, ".venv", packages),
        os.path.join(target, packages),
        ignore=shutil.ignore_patterns(*LEFT_OUT),
    )
    return os.path.join(target, "bin", "python")


def _interpreter(who: privilege.Identity) -> str:
    """A Python of our version that this user may start."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    for path in (os.path.realpath(sys.executable), f"/usr/bin/python{version}"):
        try:
            subprocess.run(
                [path, "-I", "-c", "pass"],
                user=who.uid,
                group=who.gid,
                extra_groups=[],
                cwd="/",
                check=True,
                stderr=subprocess.DEVNULL,
            )
        except (OSError, subprocess.CalledProcessError):
            continue
        return path
    raise output.failure(
        f"no Python {version} that others than root can use; give the tree to an ordinary user"
        " with chown, and start the demo as that user",
        os.EX_UNAVAILABLE,
    )
