"""How commands speak: tables and colour on a terminal, plain text elsewhere, JSON on request.

Every message about something wrong says what to do next, and goes to standard error.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import click

from mta.base.errors import ConfigError, MtaError, describe
from mta.base.text import one_line
from mta.cli import control, place

F = TypeVar("F", bound=Callable[..., object])


class Group(click.Group):
    """Commands whose errors become one line and an exit code of sysexits.h."""

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; what it raises on purpose is said, not traced."""
        try:
            return super().invoke(ctx)
        except control.Unreachable as error:
            raise failure(
                f"{error}; start one with: mta run, or mta demo", os.EX_UNAVAILABLE
            ) from error
        except control.Refused as error:
            raise failure(str(error), os.EX_NOPERM) from error
        except (place.Unplaced, ConfigError) as error:
            raise failure(str(error), os.EX_CONFIG) from error
        except MtaError as error:
            raise failure(str(error), os.EX_DATAERR) from error
        except PermissionError as error:
            raise failure(
                f"{error.filename}: {describe(error)}; try it as root", os.EX_NOPERM
            ) from error
        except OSError as error:
            raise failure(f"{error.filename}: {describe(error)}", os.EX_OSERR) from error


def failure(text: str, code: int) -> click.exceptions.Exit:
    """Say what is wrong; what is to be raised to leave with this exit code."""
    click.secho(f"mta: {text}", fg="red", err=True)
    return click.exceptions.Exit(code)


def note(text: str) -> None:
    """Something worth knowing that is not the answer."""
    click.secho(f"mta: {text}", fg="yellow", err=True)


def heading(text: str) -> None:
    """A line that stands over others."""
    click.secho(text, bold=True)


def as_json(value: object) -> None:
    """The answer for programs."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=True))


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns as wide as what is in them; control characters are shown as escapes."""
    cells = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(titles, *cells, strict=True)]
    heading(_line(titles, widths))
    for row in cells:
        click.echo(_line(row, widths))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
    return "  ".join(padded).rstrip(" ")


def placed(command: F) -> F:
    """Add the options that say which configuration is meant: -C FILE and -D NAME=VALUE."""
    command = click.option(
        "-D",
        "macros",
        multiple=True,
        metavar="NAME=VALUE",
        help="Set a macro of the configuration.",
    )(command)
    return click.option(
        "-C",
        "--config",
        default="",
        metavar="FILE",
        help=f"The configuration; else {place.SYSTEM_CONFIG}, or the demo's for want of it.",
    )(command)


def with_json(command: F) -> F:
    """Add the option --json."""
    return click.option("--json", "json_", is_flag=True, help="Answer in JSON.")(command)


def spool_of(config: str, macros: Sequence[str]) -> str:
    """The spool that a command is about.  Raises Unplaced."""
    return place.find(config, list(macros)).spool


def record(value: Any, names: Sequence[str]) -> dict[str, object]:
    """Some fields of a value, for JSON."""
    return {name: getattr(value, name) for name in names}
