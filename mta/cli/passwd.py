"""`mta passwd`: a line for the file of people who may log in, with the password encrypted."""

from __future__ import annotations

import os
import re
import sys

import click

from mta.base.errors import ExpansionFail
from mta.cli import output
from mta.lookup import crypt

# What the key of a line in a table may be without quotes.
_NAME = re.compile(r"[^\s:#\"\x00-\x1f\x7f][^\s:\"\x00-\x1f\x7f]*")


@click.command(short_help="Make a line with a password for a file of users.")
@click.argument("name")
def passwd(name: str) -> None:
    """Print a line for /etc/mta/passwd: a name, and a password so that nobody can read it.

    The password is asked for twice; from something else than a terminal it is read as one
    line.  It is kept in the best form that the system's crypt(3) has.

    \b
    Example:
      mta passwd alice >> /etc/mta/passwd
    """
    if not _NAME.fullmatch(name):
        raise output.failure(f"{name!r} cannot be the name of a user in a table", os.EX_USAGE)
    if sys.stdin.isatty():
        # The prompt goes to standard error: the answer may go into a file.
        word = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        word = sys.stdin.readline().rstrip("\r\n")
    try:
        click.echo(line_for(name, word))
    except ValueError as error:
        raise output.failure(str(error), os.EX_USAGE) from error
    except ExpansionFail as error:
        raise output.failure(str(error), os.EX_UNAVAILABLE) from error


def line_for(name: str, word: str) -> str:
    """The line of one user.  Raises ValueError, ExpansionFail."""
    return f"{name}: {crypt.make(word)}"
