"""`mta run`: start the daemon, and return when it is at work; or be it."""

from __future__ import annotations

import os

import click

from mta.cli import output, place, start


@click.command()
@output.placed
@click.option("--foreground", is_flag=True, help="Stay, until TERM or Ctrl-C.")
@click.option(
    "--ready-fd",
    type=int,
    default=-1,
    metavar="N",
    help="With --foreground: write ready to this descriptor when at work.",
)
@click.option(
    "--grace",
    type=float,
    default=10.0,
    metavar="SECONDS",
    help="How long TERM lets work in progress go on.",
)
def run(
    config: str, macros: tuple[str, ...], foreground: bool, ready_fd: int, grace: float
) -> None:
    """Start the daemon, and return when it is at work.

    HUP reads the configuration again, TERM finishes what is under way and leaves, USR1 opens
    the logs again.

    \b
    Examples:
      mta run -C /etc/mta/mta.conf
      mta run --foreground               under a supervisor
    """
    if not config and not os.path.exists(place.SYSTEM_CONFIG):
        raise place.Unplaced(
            f"there is no {place.SYSTEM_CONFIG}: make one with mta install --users,"
            " or give a configuration with -C FILE; to see it work: mta demo"
        )
    file = os.path.abspath(config or place.SYSTEM_CONFIG)
    arguments = ["-C", file, *(f"-D{macro}" for macro in macros), "--grace", str(grace)]
    if not foreground:
        raise click.exceptions.Exit(start.start_off("mta", arguments))
    from mta.proc import master

    raise click.exceptions.Exit(master.main([*arguments, "--ready-fd", str(ready_fd)]))
