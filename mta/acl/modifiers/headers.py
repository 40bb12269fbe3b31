"""Modifiers that change the header of the message once it has come in."""

from __future__ import annotations

from mta.acl.headers import headers_of, lines_of
from mta.acl.phase import Phase
from mta.acl.registry import acl_modifier
from mta.acl.situation import Situation
from mta.base.text import trim
from mta.config.template import Template
from mta.expand.run import expand, expand_text
from mta.expand.trust import keep


@acl_modifier("add_header", Phase.MESSAGE)
def add_header(situation: Situation, argument: Template) -> None:
    """Add header lines when the message has come; the same line is added only once.

    They go behind the others, or where :at_start:, :after_received: or :at_start_rfc: says.
    """
    parts = [keep(argument.text, part) for part in lines_of(argument.text)]
    lines = [expand_text(situation.ctx, part, argument.where) for part in parts]
    added = situation.message.add_headers
    added += [each for each in headers_of(lines) if each not in added]


@acl_modifier("remove_header", Phase.MESSAGE)
def remove_header(situation: Situation, argument: Template) -> None:
    """Remove all header lines of these names, a list, when the message has come.

    A name may end in * for all that begin so.
    """
    names = expand(situation.ctx, argument)
    situation.message.remove_headers += [trim(name) for name in names.split(":") if trim(name)]
