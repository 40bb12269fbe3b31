"""Modifiers that change the header of the message once it has come in."""

from __future__ import annotations

from mta.acl.phase import Phase
from mta.acl.registry import acl_modifier
from mta.acl.situation import Situation
from mta.base.text import trim
from mta.config.template import Template
from mta.expand.run import expand


@acl_modifier("add_header", Phase.MESSAGE)
def add_header(situation: Situation, argument: Template) -> None:
    """Add header lines when the message has come; the same text is added only once.

    They go behind the others, or where :at_start:, :after_received: or :at_start_rfc: says.
    """
    text = trim(expand(situation.ctx, argument))
    added = situation.message.add_headers
    if text and text not in added:
        added.append(text)


@acl_modifier("remove_header", Phase.MESSAGE)
def remove_header(situation: Situation, argument: Template) -> None:
    """Remove all header lines of these names, a list, when the message has come."""
    names = expand(situation.ctx, argument)
    situation.message.remove_headers += [trim(name) for name in names.split(":") if trim(name)]
