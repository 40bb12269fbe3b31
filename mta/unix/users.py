"""Users and groups of the system, and who is at the other end of a local socket."""

from __future__ import annotations

import grp
import os
import pwd
import socket
import struct
from dataclasses import dataclass

from mta.base.trust import Trusted

_CREDENTIALS = struct.Struct("3i")


@dataclass(frozen=True, slots=True)
class User:
    """An entry of the password database.  All text in it is trusted."""

    name: Trusted
    uid: int
    gid: int
    gecos: Trusted
    home: Trusted
    shell: Trusted


@dataclass(frozen=True, slots=True)
class Peer:
    """The process at the other end of a UNIX socket, as the kernel knows it."""

    pid: int
    uid: int
    gid: int


def _user(entry: pwd.struct_passwd) -> User:
    return User(
        Trusted(entry.pw_name),
        entry.pw_uid,
        entry.pw_gid,
        Trusted(entry.pw_gecos),
        Trusted(entry.pw_dir),
        Trusted(entry.pw_shell),
    )


def by_name(name: str) -> User | None:
    """The user of this name, or None."""
    if "\0" in name:
        return None
    try:
        return _user(pwd.getpwnam(name))
    except (KeyError, UnicodeEncodeError):
        return None


def by_uid(uid: int) -> User | None:
    """The user of this number, or None."""
    try:
        return _user(pwd.getpwuid(uid))
    except KeyError:
        return None


def name_of(uid: int) -> str:
    """The user's name, or "uid-N" where the system has none."""
    user = by_uid(uid)
    return user.name if user else f"uid-{uid}"


def of_group(gid: int) -> frozenset[int]:
    """The numbers of the users whose first group this is."""
    return frozenset(entry.pw_uid for entry in pwd.getpwall() if entry.pw_gid == gid)


def group_id(name: str) -> int | None:
    """The number of a group, or None."""
    try:
        return grp.getgrnam(name).gr_gid
    except (KeyError, UnicodeEncodeError):
        return None


def groups_of(user: User) -> tuple[int, ...]:
    """All groups that a login of this user would have."""
    return tuple(os.getgrouplist(user.name, user.gid))


def peer_of(connection: socket.socket) -> Peer:
    """Who connected, by SO_PEERCRED; the caller has no say in it.  Raises OSError."""
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return Peer(*_CREDENTIALS.unpack(packed))


def is_in(uid: int, groups: str) -> bool:
    """True if a user is in one of these groups, names with colons between."""
    user = by_uid(uid)
    if user is None or not groups:
        return False
    own = groups_of(user)
    return any(group_id(name.strip(" \t")) in own for name in groups.split(":"))
