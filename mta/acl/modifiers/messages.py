"""Modifiers that talk, wait, or do nothing: logwrite, log_reject_target, delay, continue."""

from __future__ import annotations

from mta.acl.phase import Phase
from mta.acl.registry import acl_modifier
from mta.acl.situation import AclError, Situation
from mta.base.errors import ConfigError, Where
from mta.base.text import trim
from mta.config.kinds import parse_time
from mta.config.template import Template
from mta.expand.run import expand
from mta.log import events

_LOGS = frozenset({"main", "reject", "panic"})


@acl_modifier("logwrite", Phase.ANY)
def logwrite(situation: Situation, argument: Template) -> None:
    """Write a line to the main log at once; `:reject:` or `:panic,main:` names other logs."""
    text = expand(situation.ctx, argument)
    targets = {"main"}
    if text.startswith(":"):
        names, colon, rest = text[1:].partition(":")
        chosen = {trim(name) for name in names.split(",")}
        if colon and chosen <= _LOGS:
            targets, text = chosen, trim(rest)
    if "main" in targets and "panic" not in targets:
        events.acl_warning(situation.log, "", text, situation.ctx.message.message_id)
    if "reject" in targets:
        situation.log.reject(text)
    if "panic" in targets:
        situation.log.panic(text)


def _check_targets(text: str, where: Where) -> None:
    for name in text.split(":"):
        if trim(name) and trim(name) not in _LOGS:
            raise ConfigError(where, f'unknown log "{trim(name)}"', "main, reject, panic")


@acl_modifier("log_reject_target", Phase.ANY, check=_check_targets)
def log_reject_target(situation: Situation, argument: Template) -> None:
    """Which logs a rejection goes to, as a list of main, reject and panic; empty for none."""
    situation.log_reject_target = expand(situation.ctx, argument)


def _check_time(text: str, where: Where) -> None:
    parse_time(trim(text), where)


@acl_modifier("delay", Phase.ANY, check=_check_time)
def delay(situation: Situation, argument: Template) -> None:
    """Wait this long before going on; a client that leaves is not waited for."""
    text = trim(expand(situation.ctx, argument))
    try:
        seconds = parse_time(text, argument.where)
    except ConfigError as error:
        raise AclError(error.reason) from None
    situation.wait(float(seconds))


@acl_modifier("continue", Phase.ANY)
def continue_(situation: Situation, argument: Template) -> None:
    """Expand the text and forget the result: for what the expansion does on the way."""
    expand(situation.ctx, argument)
