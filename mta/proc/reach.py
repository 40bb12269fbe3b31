"""Whether the users of the processes can read the program: what is in /root is closed to them.

Asked by the checker while it is still root, so that the answer is a sentence and not the death
of a process.
"""

from __future__ import annotations

import os
import sys

from mta.base.errors import ConfigError
from mta.proc.roles import Identities
from mta.unix import process
from mta.unix.privilege import Identity


def require(who: Identities) -> None:
    """Raise ConfigError if the code or the interpreter is closed to one of the users."""
    if not who.separated:
        return
    for user in (who.mail, who.network):
        for needed in (process.tree_root(), sys.prefix, os.path.realpath(sys.executable)):
            if closed := closed_directory(needed, user):
                raise ConfigError(
                    None,
                    f"{closed} is closed to the user {user.name}, who runs the program that is"
                    f" in {needed}",
                    "put it where everybody may read it: /opt/mta, for instance",
                )


def closed_directory(path: str, user: Identity, top: str = "/") -> str:
    """The first directory from the top on that this user may not pass; "" for none."""
    place = os.path.realpath(path)
    if not os.path.isdir(place):
        place = os.path.dirname(place)
    way = [place]
    while way[-1] not in (os.path.realpath(top), "/"):
        way.append(os.path.dirname(way[-1]))
    return next((each for each in reversed(way) if not _may_pass(each, user)), "")


def _may_pass(directory: str, user: Identity) -> bool:
    status = os.stat(directory)
    if status.st_uid == user.uid:
        return bool(status.st_mode & 0o100)
    if status.st_gid in (user.gid, *user.groups):
        return bool(status.st_mode & 0o010)
    return bool(status.st_mode & 0o001)
