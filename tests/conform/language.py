"""A small world in which strings are expanded and lists are matched, and tables of them."""

from __future__ import annotations

from pathlib import Path

from mta.base.errors import ExpansionFail, TempFail, Where
from mta.base.trust import Trusted
from mta.config import load
from mta.config.model import Configuration
from mta.config.template import Template, template
from mta.expand.context import Context
from mta.expand.run import expand_text
from mta.lookup.api import Tables
from mta.match.check import GRAMMARS

HERE = Path(__file__).parent
PLACE = Where("mta.conf", 12)
NAMES = "primary_hostname = oracle.example\nqualify_domain = oracle.example\n"

# The conditions match_domain and its relatives are declared where lists are.
assert GRAMMARS


def configuration(directory: Path, text: str = "") -> Configuration:
    """A configuration that was read from a file."""
    file = directory / "mta.conf"
    file.write_text(NAMES + text)
    return load.load(str(file))


def context(conf: Configuration) -> Context:
    """Nothing is known yet of a client, a message or an address."""
    return Context(conf, Tables())


def expanded(ctx: Context, text: str) -> str:
    """The result, or Exim's words for the failure."""
    try:
        return str(expand_text(ctx, Trusted(text), PLACE))
    except (ExpansionFail, TempFail) as error:
        return f"Failed: {error.text}"


def as_template(text: str) -> Template:
    """Text as it stands in a configuration."""
    return template(text, PLACE)


def table(name: str) -> list[tuple[str, str]]:
    """The rows of a table: what stands on the left of the arrow, and on the right."""
    rows = []
    for line in (HERE / name).read_text().split("\n"):
        if line and not line.startswith("#"):
            left, _, right = line.partition(" →")
            rows.append((left, right.removeprefix(" ").replace("⏎", "\n")))
    return rows
