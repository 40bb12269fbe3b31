"""Text of the configuration that is expanded when it is used, and the place it stands at."""

from __future__ import annotations

from dataclasses import dataclass, field

from mta.base.errors import Where
from mta.base.trust import Trusted


@dataclass(slots=True, eq=False)
class Template:
    """Unexpanded text.  `program` is what `expand` compiled it to, before the first fork."""

    text: Trusted
    where: Where
    program: object = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Unexpanded:
    """Text that is split first and whose parts are then expanded, and the place of it."""

    text: Trusted
    where: Where


def template(text: str, where: Where) -> Template:
    """The administrator's text as a template; what he wrote is trusted."""
    return Template(Trusted(text), where)
