"""`mta install --users`: the two system users, the first configuration, aliases, the spool.

What is there already is left as it is, so it can be run again at any time.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

import click

from mta.cli import output, place
from mta.config import load
from mta.config.model import Configuration
from mta.proc import directories, roles
from mta.unix import users

NO_SHELL = "/usr/sbin/nologin"
NO_HOME = "/nonexistent"
ALIASES = "/etc/aliases"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to be done: as it is shown, and what does it."""

    text: str
    act: Callable[[], None]


@click.command()
@output.placed
@click.option(
    "--users",
    "users_",
    is_flag=True,
    help="Make the users, a first configuration, aliases, the spool.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
def install(config: str, macros: tuple[str, ...], users_: bool, dry_run: bool) -> None:
    """Make what the daemon needs when root starts it.

    \b
    Example:
      mta install --users --dry-run
    """
    if not users_:
        raise output.failure("say what to make: mta install --users", os.EX_USAGE)
    if os.geteuid() != 0 and not dry_run:
        raise output.failure(
            "only root can make users; --dry-run shows what would be done", os.EX_NOPERM
        )
    default = place.shipped("mta.conf")
    known = config or os.path.exists(place.SYSTEM_CONFIG)
    if not known and not os.path.exists(default):
        raise place.Unplaced(f"there is no {place.SYSTEM_CONFIG}: put one there first")
    file = os.path.abspath(config or place.SYSTEM_CONFIG) if known else default
    conf = load.load(file, place.parse_macros(list(macros)))
    count = 0
    for make in (_users, _configuration, _aliases, _spool):
        for step in make(conf):
            click.echo(f"would {step.text}" if dry_run else step.text)
            count += 1
            if not dry_run:
                step.act()
    if not count:
        click.echo("Everything is there already.")
    elif not dry_run:
        click.echo(
            f"Done. Now look through {file if known else place.SYSTEM_CONFIG}, and name the"
            f" person who reads root's mail in {ALIASES}."
        )
        click.echo("Then check the configuration with: mta check; start with: mta run")


def _users(conf: Configuration) -> list[Step]:
    steps = []
    for name, comment in (
        (str(conf.own.mail_user), "Owner of the mail queue"),
        (str(conf.own.network_user), "Mail, talking to the network"),
    ):
        if users.group_id(name) is None:
            steps.append(_command(f"make the group {name}", ["groupadd", "--system", name]))
        if users.by_name(name) is None:
            words = ["useradd", "--system", "--gid", name, "--home-dir", NO_HOME]
            words += ["--no-create-home", "--shell", NO_SHELL, "--comment", comment, name]
            steps.append(_command(f"make the user {name}", words))
    return steps


def _command(text: str, words: list[str]) -> Step:
    def act() -> None:
        # useradd lives where only root's PATH leads.
        path = shutil.which(words[0], path="/usr/sbin:/sbin:/usr/bin:/bin")
        if path is None:
            raise output.failure(
                f"{words[0]} was not found; on Debian: apt-get install passwd", os.EX_OSFILE
            )
        ended = subprocess.run([path, *words[1:]], check=False)
        if ended.returncode != 0:
            raise output.failure(f"could not {text}", os.EX_OSERR)

    return Step(f"{text}: {' '.join(words)}", act)


def _configuration(conf: Configuration) -> list[Step]:
    """Without a configuration, the commented default of the source tree is a beginning."""
    source = place.shipped("mta.conf")
    if os.path.exists(place.SYSTEM_CONFIG) or conf.file != source:
        return []
    return [_copy(source, place.SYSTEM_CONFIG)]


def _aliases(conf: Configuration) -> list[Step]:
    """Without aliases the mail of root and of postmaster has nowhere to go."""
    source = place.shipped("aliases")
    return [] if os.path.exists(ALIASES) else [_copy(source, ALIASES)]


def _copy(source: str, target: str) -> Step:
    def act() -> None:
        os.makedirs(os.path.dirname(target), 0o755, exist_ok=True)
        shutil.copyfile(source, target)
        os.chmod(target, 0o644)

    return Step(f"copy {source} to {target}", act)


def _spool(conf: Configuration) -> list[Step]:
    """The daemon makes its spool itself, too; here it is made for those who want to look."""
    path = str(conf.queue.spool_directory)
    if os.path.isdir(os.path.join(path, "input")):
        return []

    def act() -> None:
        directories.prepare(conf, roles.identities(conf))

    return [Step(f"make the spool in {path}", act)]
