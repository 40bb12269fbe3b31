"""`mta check`, `mta config` and `mta expand`: a configuration under the eyes of its author."""

from __future__ import annotations

import sys

import click

from mta.base.text import one_line, to_text
from mta.cli import output, place
from mta.cli.inspection import examine, expanded, shown
from mta.config import load


@click.command(short_help="Say what is wrong with a configuration.")
@output.placed
@output.with_json
def check(config: str, macros: tuple[str, ...], json_: bool) -> None:
    """Read and compile a configuration, as the daemon does before it uses it.

    \b
    Exit code:  0  it is good
                1  it can be used; something in it deserves a look
                2  the daemon would refuse it

    \b
    Example:
      mta check -C /etc/mta/mta.conf.new
    """
    file, values = place.configuration(config, list(macros))
    problem, remarks = examine(file, values)
    code = 2 if problem else min(1, len(remarks))
    if json_:
        output.as_json(
            {"file": file, "usable": not problem, "error": problem, "remarks": remarks}
        )
    else:
        for remark in remarks:
            output.note(remark)
        if problem:
            raise output.failure(problem, code)
        click.echo(f"{file} is good." if not remarks else f"{file} can be used.")
    raise click.exceptions.Exit(code)


@click.group(cls=output.Group)
def config() -> None:
    """Look at the configuration."""


@config.command()
@output.placed
@output.with_json
@click.argument("names", nargs=-1, metavar="[NAME]...")
def show(config: str, macros: tuple[str, ...], json_: bool, names: tuple[str, ...]) -> None:
    """Print settings with their values, all or the ones named.

    \b
    Example:
      mta config show qualify_domain message_size_limit
    """
    conf = load.load(*place.configuration(config, list(macros)))
    lines = list(shown(conf, names))
    if json_:
        pairs = (line.partition(" = ") for line in lines)
        output.as_json({name: value for name, _, value in pairs})
        return
    for line in lines:
        click.echo(line)


@click.command(name="expand", short_help="Show what strings of the configuration become.")
@output.placed
@output.with_json
@click.argument("texts", nargs=-1, metavar="TEXT...")
def expand_(config: str, macros: tuple[str, ...], json_: bool, texts: tuple[str, ...]) -> None:
    """Show what strings of the configuration's language become; see mta-expand(5).

    \b
    Example:
      mta expand '${uc:$primary_hostname}'
    """
    conf = load.load(*place.configuration(config, list(macros)))
    source = texts or tuple(to_text(line).rstrip("\n") for line in sys.stdin.buffer)
    results = {text: expanded(conf, text) for text in source}
    if json_:
        output.as_json(results)
        return
    for text in source:
        click.echo(one_line(results[text]))
    if any(result.startswith("Failed: ") for result in results.values()):
        raise click.exceptions.Exit(1)
