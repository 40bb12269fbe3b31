"""The router option set: variables $r_NAME that stay with an address and all that comes of it.

set = r_box = $local_part_data ; r_list = <, a,b
"""

from __future__ import annotations

from mta.base.errors import ConfigError, ExpansionFail, TempFail
from mta.base.text import trim
from mta.expand.context import Context
from mta.expand.run import expand_text
from mta.expand.split import split_list
from mta.expand.trust import keep
from mta.route.api import Address
from mta.route.router import Router

_EXPAND_FAIL = -27


def check(router: Router) -> None:
    """Raise ConfigError for a definition that is none."""
    for template in router.set_:
        for item in _items(template.text):
            name, equals, _ = item.partition("=")
            if not equals or not trim(name).startswith("r_"):
                raise ConfigError(
                    template.where,
                    f'{router.name} router: "{item}" is no definition of a variable',
                    "write r_NAME = value",
                )


def _items(text: str) -> list[str]:
    """The definitions; a semicolon divides them, unless the list says otherwise."""
    return split_list(text if text.startswith("<") else keep(text, f"<;{text}"))


def define(router: Router, ctx: Context, address: Address) -> None:
    """Set the variables of a router, one after the other.

    One that forces its own failure is left alone.  Raises TempFail.
    """
    for template in router.set_:
        for item in _items(template.text):
            name, _, text = item.partition("=")
            try:
                value = expand_text(ctx, keep(item, trim(text)), template.where)
            except ExpansionFail as error:
                if error.forced:
                    continue
                raise TempFail(
                    f'failed to expand "{trim(text)}" in "set" of {router.name} router: '
                    f"{error.text}",
                    code=_EXPAND_FAIL,
                ) from error
            # Other addresses may share what was there before.
            address.variables = {**address.variables, trim(name): value}
            ctx.place.router_variables = address.variables
