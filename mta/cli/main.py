"""The mta command: run the daemon, look at it, steer it, try it."""

from __future__ import annotations

import click

from mta.base.version import VERSION
from mta.cli import output


class Lazy(output.Group):
    """A group whose commands are imported when they are called: most need little."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the help text."""
        return [*COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name."""
        from importlib import import_module

        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name]
        command = getattr(import_module(f"mta.cli.{module}"), name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is meant; a name that is nearly one is answered with that one."""
        from mta.base.registry import suggestion

        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            meant = suggestion(args[0], [*COMMANDS]) or "mta --help lists what there is"
            ctx.fail(f"no such command {args[0]!r}; {meant}")
        return super().resolve_command(ctx, args)


COMMANDS = {  # name → module of mta.cli, name in it
    "run": ("daemon", "run"),
    "demo": ("demo", "demo"),
    "status": ("status", "status"),
    "queue": ("queue", "queue"),
    "check": ("look", "check"),
    "config": ("look", "config"),
    "expand": ("look", "expand_"),
    "passwd": ("passwd", "passwd"),
    "install": ("install", "install"),
    "test": ("selftest", "test"),
}


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="mta", message="%(prog)s version %(version)s")
def mta() -> None:
    """A mail transfer agent that reads Exim's configuration.

    \b
    Examples:
      mta demo                           see it work, in a minute
      mta check -C /etc/mta/mta.conf     is the configuration right?
      mta run                            start the daemon
      mta queue list                     what waits for delivery

    Programs send mail with sendmail(1); see also mailq(1) and runq(1).
    """


def main() -> None:
    """Run the command line."""
    mta(prog_name="mta")
