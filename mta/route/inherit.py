"""What a router leaves with an address that it has taken: owner, headers, error address.

Children of a redirection get the header changes and the error address of their parent.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from mta.base.errors import ExpansionFail
from mta.base.text import trim
from mta.base.trust import Trusted, is_trusted
from mta.config.template import Template
from mta.expand.context import Context
from mta.expand.run import expand, expand_text
from mta.expand.trust import keep, require
from mta.mail.address import AddressError, parse_list
from mta.route.api import Address, Owner
from mta.route.router import Router

_LOOSE_END = re.compile(r"\r?\n(?![ \t])")

# Says whether an address is good enough to send errors to; None where that is not asked.
Verify = Callable[[str], bool]


def inherit(
    router: Router, ctx: Context, address: Address, qualify: str, verify: Verify | None
) -> None:
    """Leave with the address what the router says of its delivery.

    Raises TempFail and ExpansionFail.
    """
    address.as_local = router.log_as_local
    if router.errors_to is not None:
        _errors_to(ctx, router.errors_to, address, qualify, verify)
    if router.headers_add is not None:
        address.headers_add += _lines(ctx, router.headers_add)
    if router.headers_remove is not None:
        address.headers_remove += _names(ctx, router.headers_remove)
    address.owner = owner_of(router, ctx, address)
    _directories(router, ctx, address)


def owner_of(router: Router, ctx: Context, address: Address) -> Owner:
    """As whom a router has local deliveries made and files read: `user` and `group`, or the
    local user.  Raises TempFail, ExpansionFail."""
    if router.user is None and router.group is None:
        return address.owner
    user = expand(ctx, router.user) if router.user else address.owner.user
    group = expand(ctx, router.group) if router.group else ""
    return Owner(user, group, router.initgroups)


def _directories(router: Router, ctx: Context, address: Address) -> None:
    """The home and current directories of a local delivery."""
    found = _directory(ctx, router.transport_home_directory, "transport_home_directory")
    address.current_directory = _directory(
        ctx, router.transport_current_directory, "transport_current_directory"
    )
    if found is None and address.uid is not None:
        # router_home_directory was for the router only.
        found = address.login_home
    address.home = found or address.home


def _directory(ctx: Context, option: Template | None, name: str) -> Trusted | None:
    if option is None:
        return None
    return require(expand(ctx, option), name, option.where) or None


def _errors_to(
    ctx: Context, option: Template, address: Address, qualify: str, verify: Verify | None
) -> None:
    """Where bounces go; an address that is no good itself changes nothing."""
    try:
        text = expand(ctx, option)
    except ExpansionFail as error:
        if error.forced:
            return
        raise
    if text in ("", "<>"):
        address.errors_to = ""
        return
    try:
        found = parse_list(text)
    except AddressError:
        return
    if len(found) != 1:
        return
    wanted = found[0] if "@" in found[0] else f"{found[0]}@{qualify}"
    if verify is None or verify(wanted):
        address.errors_to = wanted


def _lines(ctx: Context, template: Template) -> tuple[str, ...]:
    """The header lines that an option adds, each expanded by itself.

    A line break in what a stranger wrote becomes a fold: it begins no header of its own.
    Raises ExpansionFail.
    """
    lines: list[str] = []
    for line in template.text.split("\n"):
        try:
            text = expand_text(ctx, keep(template.text, line), template.where)
        except ExpansionFail as error:
            if error.forced:
                continue
            raise
        shown = text.strip("\n")
        if not is_trusted(text):
            shown = _LOOSE_END.sub("\n\t", shown)
        if shown:
            lines.append(shown)
    return tuple(lines)


def _names(ctx: Context, template: Template) -> tuple[str, ...]:
    """The names of headers that an option removes.  Raises ExpansionFail."""
    try:
        text = expand(ctx, template)
    except ExpansionFail as error:
        if error.forced:
            return ()
        raise
    names = [trim(name) for name in text.replace("\n", ":").split(":")]
    return tuple(name for name in names if name)
