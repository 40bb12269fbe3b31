"""Giving up privileges: the only way, and only one way.

Groups before gid before uid, all three of real, effective and saved, verified afterwards.
There is no way back, and nobody switches the effective uid to and fro.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass

from mta.unix import users

_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAPBSET_DROP = 24
_LAST_CAPABILITY = 63


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom to become.  `groups` is complete: nothing is inherited."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...] = ()


def identity_of(
    user: users.User, *, gid: int | None = None, supplement: bool = False
) -> Identity:
    """The identity of a user: the own group or `gid`, and with `supplement` all groups."""
    own = user.gid if gid is None else gid
    groups = users.groups_of(user) if supplement else (own,)
    return Identity(user.name, user.uid, own, groups)


def myself() -> Identity:
    """Who this process is."""
    uid = os.geteuid()
    return Identity(users.name_of(uid), uid, os.getegid(), tuple(os.getgroups()))


def become(who: Identity) -> None:
    """Turn this process into `who`, or raise PermissionError; never anything in between.

    Started by somebody other than root nothing can change; then it is only verified that the
    process already is `who`.
    """
    if who.uid == 0 or who.gid == 0:
        raise PermissionError(f"refusing to run as {who.name}: uid or gid is 0")
    if os.geteuid() == 0:
        # Groups first: after setresuid we would no longer be allowed to.
        os.setgroups(who.groups)
        os.setresgid(who.gid, who.gid, who.gid)
        os.setresuid(who.uid, who.uid, who.uid)
        if set(os.getgroups()) != set(who.groups):
            raise PermissionError(f"could not leave the groups {os.getgroups()}")
        ids = (*os.getresuid(), *os.getresgid())
        if ids != (who.uid,) * 3 + (who.gid,) * 3:
            raise PermissionError(f"could not become {who.name}: still {ids}")
    elif os.getresuid() != (who.uid,) * 3:
        raise PermissionError(f"could not become {who.name}: not started by root")
    try:
        os.setuid(0)
    except PermissionError:
        return
    os._exit(70)  # root again: trust nothing, not even our own cleanup handlers


def seal() -> None:
    """Make this process undumpable and unable to gain anything by exec.

    Called after `become`, as a change of uid resets what the kernel allows to be dumped.
    Where the kernel lacks something nothing is lost but depth.
    """
    hide()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def hide() -> None:
    """Make this process undumpable.

    All that can be done to one whose children may run set-id programs: what takes that away is
    inherited, and nobody gets it back.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def drop_capabilities() -> None:
    """Empty the bounding set as far as this process may; called just before `become`."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in range(_LAST_CAPABILITY + 1):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
