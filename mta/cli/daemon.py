"""`mta run`: the daemon itself, in the foreground."""

from __future__ import annotations

import click

from mta.cli import output, place


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
