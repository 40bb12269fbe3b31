"""Whose the file of a redirection may be, and which permissions it may have.

Somebody else who may write to a file must not have mail redirected in the name of its user.
Owner, group and mode are those of the file that was read, as it was when it was read.
"""

from __future__ import annotations

from dataclasses import dataclass

from mta.base.errors import ConfigError
from mta.base.text import is_number
from mta.config.template import Template
from mta.expand.split import split_list
from mta.route.api import Address
from mta.route.files import Seen
from mta.route.router import Router
from mta.unix import users

_GROUP_MAY_WRITE = 0o020


@dataclass(frozen=True, slots=True)
class Permitted:
    """What a file may be; None where an owner or a group is not looked at."""

    owners: frozenset[int] | None
    groups: frozenset[int] | None
    forbidden_mode: int


def permitted(
    router: Router,
    *,
    owners: Template | None,
    groups: Template | None,
    check_owner: bool | None,
    check_group: bool | None,
    forbidden_mode: int,
) -> Permitted:
    """What the options of a router permit; None for those that are not set.

    Raises ConfigError for a user or a group that there is not.
    """
    by_user = router.check_local_user
    if check_owner is None:
        check_owner = by_user or owners is not None
    if check_group is None:
        loose = by_user and not forbidden_mode & _GROUP_MAY_WRITE
        check_group = loose or groups is not None
    return Permitted(
        _numbers(owners, "user") if check_owner else None,
        _numbers(groups, "group") if check_group else None,
        forbidden_mode,
    )


def _numbers(option: Template | None, what: str) -> frozenset[int]:
    if option is None:
        return frozenset()
    found: set[int] = set()
    for name in split_list(option.text):
        number = int(name) if is_number(name) and len(name) < 11 else _of(name, what)
        if number is None:
            raise ConfigError(option.where, f'{what} "{name}" was not found')
        found.add(number)
    return frozenset(found)


def _of(name: str, what: str) -> int | None:
    if what == "group":
        return users.group_id(name)
    user = users.by_name(name)
    return None if user is None else user.uid


def trouble(may_be: Permitted, address: Address, seen: Seen) -> str:
    """What is wrong with a file that was read for an address, in Exim's words."""
    unwanted = seen.mode & may_be.forbidden_mode
    if unwanted:
        return f"bad mode (0{seen.mode:o}) for {seen.path}: 0{unwanted:o} bit(s) unexpected"
    if may_be.owners is not None and seen.uid not in may_be.owners | {address.uid}:
        return f"bad owner for {seen.path}"
    if may_be.groups is not None and seen.gid not in may_be.groups | {address.gid}:
        return f"bad group for {seen.path}"
    return ""
