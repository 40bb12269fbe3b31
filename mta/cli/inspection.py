"""Looking at a configuration: is it right, what does it say, what do its strings become.

Nothing here needs a daemon or privileges beyond reading the file.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence

import click

from mta.base.errors import ConfigError, ExpansionFail, TempFail, Where
from mta.base.text import one_line, to_text
from mta.cli import output, place
from mta.cli.options import Request
from mta.cli.say import complain
from mta.config import load
from mta.config.model import Configuration
from mta.config.template import template
from mta.expand.compile import compile_template, prepare
from mta.expand.context import Context
from mta.expand.run import expand
from mta.lookup.api import Tables

FROM_TERMINAL = Where("command line", 1)


def run(name: str, request: Request) -> int:
    """The modes -bP, -be, -bd and -bdf of the sendmail command; the exit code."""
    try:
        if request.mode == "daemon":
            return _daemon(name, request)
        conf = load.load(*place.configuration(request.config, request.macros))
        if request.mode == "expand":
            return _expand_all(conf, request.operands)
        sys.stdout.writelines(f"{line}\n" for line in shown(conf, request.operands))
    except ConfigError as error:
        return complain(name, str(error), os.EX_CONFIG)
    return os.EX_OK


def _daemon(name: str, request: Request) -> int:
    from mta.cli import daemon
    from mta.proc import master

    file = os.path.abspath(request.config or place.SYSTEM_CONFIG)
    arguments = ["-C", file, *(f"-D{each}" for each in request.macros)]
    if request.background:
        return daemon.start_off(name, arguments)
    return master.main([*arguments, "--foreground"])


def shown(conf: Configuration, names: Sequence[str]) -> Iterable[str]:
    """The settings of these names, or all.  Raises ConfigError for one that is unknown."""
    from mta.config import show

    return show.lines(conf, names)


def _expand_all(conf: Configuration, texts: Sequence[str]) -> int:
    source = texts or (line.rstrip("\n") for line in sys.stdin)
    for text in source:
        sys.stdout.write(f"{one_line(expanded(conf, text))}\n")
    return os.EX_OK


def expanded(conf: Configuration, text: str) -> str:
    """What a string becomes, or "Failed: " and why."""
    unexpanded = template(text, FROM_TERMINAL)
    if (error := compile_template(unexpanded)) is not None:
        return f"Failed: {error.reason}"
    try:
        return expand(Context(conf, Tables()), unexpanded)
    except (ExpansionFail, TempFail) as failed:
        return f"Failed: {failed.text}"


@click.command()
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


def examine(file: str, macros: dict[str, str]) -> tuple[str, list[str]]:
    """What makes a configuration unusable ("" for nothing), and what else is to be said."""
    from mta.proc.checker import compile_all

    try:
        conf = load.load(file, macros)
        compile_all(conf)
    except ConfigError as error:
        return str(error), []
    remarks = [f"{remark.where}: {remark.text}" for remark in conf.remarks]
    # A string that cannot be compiled fails when it is used, as Exim's do; better said now.
    remarks += [str(error) for error in prepare(conf)]
    return "", remarks


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


@click.command(name="expand")
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
    source = texts or tuple(line.rstrip("\n") for line in sys.stdin)
    results = {text: expanded(conf, text) for text in source}
    if json_:
        output.as_json(
            {to_text(text.encode(errors="replace")): results[text] for text in source}
        )
        return
    for text in source:
        click.echo(one_line(results[text]))
    if any(result.startswith("Failed: ") for result in results.values()):
        raise click.exceptions.Exit(1)
