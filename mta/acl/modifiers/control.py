"""The modifier control: something is switched on or off."""

from __future__ import annotations

from mta.acl import later
from mta.acl.phase import Phase, describe
from mta.acl.registry import CONTROLS, acl_modifier
from mta.acl.situation import AclError, Situation
from mta.base.errors import ConfigError, Where
from mta.base.text import trim
from mta.config.template import Template
from mta.expand.run import expand


def check_control(text: str, where: Where) -> None:
    """Refuse a control that there is not.  Raises ConfigError."""
    name = trim(text.partition("/")[0])
    if name in later.CONTROLS:
        raise ConfigError(where, f'"control = {name}" is not supported yet')
    if name not in CONTROLS:
        reason = f'error in "control={text}": unknown control'
        raise ConfigError(where, reason, CONTROLS.suggest(name))


@acl_modifier("control", Phase.ANY, check=check_control)
def control(situation: Situation, argument: Template) -> None:
    """Switch something on or off for this connection or message; see the controls."""
    name, *options = [trim(part) for part in expand(situation.ctx, argument).split("/")]
    found = CONTROLS.get(name)
    if found is None:
        raise AclError(f'error in "control={name}": unknown control')
    if not situation.phase & found.phases:
        raise AclError(f'cannot use "control={name}" in {describe(situation.phase)} ACL')
    found.switch(situation, options)
