"""`mta run`: the daemon itself, in the foreground; and started off, as sendmail -bd does."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Sequence

import click

from mta.cli import output, place
from mta.unix import process

READY_SECONDS = 60.0


@click.command()
@output.placed
@click.option(
    "--foreground", is_flag=True, help="It always stays there; accepted for clarity."
)
@click.option(
    "--ready-fd", type=int, default=-1, metavar="N", help="Write ready to this when at work."
)
@click.option(
    "--grace", type=float, default=10.0, metavar="SECONDS", help="Time to finish at TERM."
)
def run(
    config: str, macros: tuple[str, ...], foreground: bool, ready_fd: int, grace: float
) -> None:
    """Run the daemon.  HUP reads the configuration again, TERM drains, USR1 reopens logs.

    \b
    Example:
      mta run -C /etc/mta/mta.conf
    """
    from mta.proc import master

    arguments = ["-C", config or place.SYSTEM_CONFIG]
    arguments += [f"-D{macro}" for macro in macros]
    arguments += ["--foreground"] * foreground
    arguments += ["--ready-fd", str(ready_fd), "--grace", str(grace)]
    raise click.exceptions.Exit(master.main(arguments))


def start_off(name: str, arguments: Sequence[str]) -> int:
    """Start the daemon and return when it is at work; the exit code."""
    ready, writer = os.pipe()
    command = process.interpreter(
        process.tree_root(), "mta.proc.master", [*arguments, "--ready-fd", str(writer)]
    )
    daemon = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=(writer,),
        start_new_session=True,
        cwd="/",
    )
    os.close(writer)
    readable, _, _ = select.select([ready], [], [], READY_SECONDS)
    if readable and os.read(ready, 64) == b"ready\n":
        return os.EX_OK
    if not readable:
        daemon.terminate()
    sys.stderr.write(f"{name}: the daemon did not start; the reason is above or in its log\n")
    return os.EX_UNAVAILABLE
