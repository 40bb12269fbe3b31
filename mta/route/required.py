"""The precondition require_files: files that must be there, or must not.

    require_files = $local_part_data:$home/.procmailrc:+/usr/bin/procmail:!/etc/nologin

An item without a slash is a user, perhaps with a comma and a group: he must be able to read
what follows.  An exclamation mark wants the file not to be there; a plus sign before all takes
a file for missing where it may not be looked at.  What cannot be told defers the address.

Without a user we look as who we are, which is not root: a file in a directory that is closed
to us, in the home of the local user above all, is looked for as the local user.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass

from mta.base.errors import ExpansionFail, TempFail
from mta.base.text import is_number
from mta.base.trust import Trusted
from mta.expand.context import Context
from mta.expand.run import expand_text
from mta.expand.split import split_list
from mta.expand.trust import keep, require
from mta.route.api import NOBODY, Address, Owner
from mta.route.files import UNKNOWN, probe
from mta.route.router import Router
from mta.unix import users

_MISSING = (errno.ENOENT,)


@dataclass(frozen=True, slots=True)
class Item:
    """One item, expanded: a user for those behind it, or a path."""

    path: Trusted
    owner: Owner | None = None
    is_wanted: bool = True
    may_be_closed: bool = False


def hold(
    router: Router, ctx: Context, address: Address, complain: Callable[[str], None]
) -> bool:
    """True if all files are there that must be, and none that must not."""
    assert router.require_files is not None
    owner = NOBODY
    for number in range(len(split_list(router.require_files.text))):
        item = item_of(router, ctx, number)
        if item is None:
            continue
        if item.owner is not None:
            owner = item.owner
        elif _is_there(router, ctx, address, item, owner, number) is not item.is_wanted:
            return False
    return True


def item_of(router: Router, ctx: Context, number: int) -> Item | None:
    """An item of the list, expanded; None for one that is empty or does not want to be.

    Raises TempFail.
    """
    option = router.require_files
    assert option is not None
    items = split_list(option.text)
    if number >= len(items):
        return None
    try:
        text = expand_text(ctx, items[number], option.where)
    except ExpansionFail as error:
        if error.forced:
            return None
        raise TempFail(
            f'failed to expand "{items[number]}" for require_files: {error.text}',
            code=UNKNOWN,
        ) from error
    if not text:
        return None
    known = require(text, "require_files", option.where)
    if "/" not in known:
        return Item(known, _owner(known))
    bare = known.removeprefix("+")
    path = require(keep(known, bare.removeprefix("!")), "require_files", option.where)
    if not path.startswith("/"):
        raise TempFail(f'require_files: "{path}" is not absolute', code=UNKNOWN)
    return Item(path, None, not bare.startswith("!"), bare != known)


def _owner(text: str) -> Owner:
    """The user, and perhaps the group, as whom the following is looked at."""
    name, _, group = text.partition(",")
    user = users.by_uid(int(name)) if is_number(name[:10]) else users.by_name(name)
    if user is None:
        raise TempFail(f'user "{name}" for require_files not found', code=UNKNOWN)
    if group and not is_number(group) and users.group_id(group) is None:
        raise TempFail(f'group "{group}" for require_files not found', code=UNKNOWN)
    return Owner(user.name, group)


def _is_there(
    router: Router, ctx: Context, address: Address, item: Item, owner: Owner, number: int
) -> bool:
    """Whether a file is there.  Raises TempFail where that cannot be told."""
    code = probe(item.path, readable=False)
    if code == 0 and owner is NOBODY:
        return True
    if code == errno.EACCES and owner is NOBODY:
        owner = address.owner
    if code not in _MISSING and owner is not NOBODY:
        code = router.files.probe(router, ctx, address, owner, number, item.path)
    if code == 0:
        return True
    if code in _MISSING or (code == errno.EACCES and item.may_be_closed):
        return False
    raise TempFail(f"require_files: error for {item.path}: {os.strerror(code)}", code=UNKNOWN)
