"""Who may run what: the launcher's judgement of a request, from the configuration alone.

The asker is believed nothing.  A transport must be in the configuration; a remote one runs as
the network user whatever was asked; a local one never runs as root or as one of never_users,
and a user or group that the transport spells out literally must be exactly that one.  A group
that no line of the configuration names must be one that the user is in anyway; all of his
groups he gets only if some line says initgroups.
"""

from __future__ import annotations

from dataclasses import dataclass

from mta.base.text import BLANKS, is_number
from mta.config.model import Block, Configuration
from mta.deliver.frames import Reader, Start
from mta.proc.roles import Identities
from mta.transport.engine import load_transports
from mta.unix import privilege, users

LONGEST_NAME = 256  # of a user, a group; a number with more digits is none


@dataclass(frozen=True, slots=True)
class Refusal:
    """The worker is not started; `permanent` where only a new configuration could help."""

    reason: str
    permanent: bool = False


def _literal(block: Block, name: str) -> str | None:
    """What a block sets an option to, if that can be told without expanding it."""
    for setting in block.settings:
        if setting.name == name and setting.value and "$" not in setting.value:
            return setting.value
    return None


def _find_user(name: str) -> users.User | None:
    if len(name) > LONGEST_NAME:
        return None
    return users.by_uid(int(name)) if is_number(name) else users.by_name(name)


def _find_group(name: str) -> int | None:
    if len(name) > LONGEST_NAME:
        return None
    return int(name) if is_number(name) else users.group_id(name)


class Permission:
    """The rules of one configuration."""

    def __init__(self, conf: Configuration, identities: Identities) -> None:
        self.identities = identities
        self.transports = {block.name: block for block in conf.transports}
        self.local = {name for name, each in load_transports(conf).items() if each.is_local}
        self.groups_named = {
            gid
            for block in (*conf.routers, *conf.transports)
            if (name := _literal(block, "group")) and (gid := _find_group(name)) is not None
        }
        self.may_initgroups = any(
            setting.name == "initgroups"
            for block in (*conf.routers, *conf.transports)
            for setting in block.settings
        )
        never = conf.local.never_users
        self.never = {0} | {
            user.uid
            for name in (never.text.split(":") if never else ())
            if (user := _find_user(name.strip(BLANKS))) is not None
        }

    def judge(self, request: Start) -> privilege.Identity | Refusal:
        """The identity a worker gets, or why it gets none."""
        block = self.transports.get(request.transport)
        if block is None:
            return Refusal(f"there is no transport {request.transport[:64]!r}", permanent=True)
        if request.transport not in self.local:
            return self.identities.network
        literal = _literal(block, "user")
        if literal is not None and literal != request.user:
            return Refusal(f"the transport runs as {literal} only", permanent=True)
        if not request.user:
            return self._nobody_named(request)
        user = _find_user(request.user)
        if user is None:
            return Refusal(f"user {request.user[:64]!r} does not exist")
        if user.uid in self.never:
            return Refusal(f"user {user.name} is one of never_users")
        if not self.identities.separated:
            return self._unseparated(user)
        return self._identity(block, user, request)

    def judge_reader(self, request: Reader) -> privilege.Identity | Refusal:
        """The identity of a process that only looks at files, or why there is none.

        It runs nothing of the user's, so never_users do not count; root is never anybody.
        """
        user = _find_user(request.user)
        if user is None:
            return Refusal(f"user {request.user[:64]!r} does not exist")
        if not self.identities.separated:
            return self.identities.mail
        if user.uid == 0:
            return Refusal("files are never looked at as root")
        return self._identity(None, user, request)

    def _nobody_named(self, request: Start) -> privilege.Identity | Refusal:
        """Where neither router nor transport names a user, the mail user delivers."""
        if request.group or request.initgroups:
            return Refusal("a group is named, but no user", permanent=True)
        return self.identities.mail

    def _unseparated(self, user: users.User) -> privilege.Identity | Refusal:
        if user.uid != self.identities.mail.uid:
            return Refusal(f"cannot become {user.name}: not started by root")
        return self.identities.mail

    def _identity(
        self, block: Block | None, user: users.User, request: Start | Reader
    ) -> privilege.Identity | Refusal:
        gid = user.gid
        if request.group:
            found = _find_group(request.group)
            literal = _literal(block, "group") if block else None
            if found is None:
                return Refusal(f"group {request.group[:64]!r} does not exist")
            if literal is not None and literal != request.group:
                return Refusal(f"the transport runs in group {literal} only", permanent=True)
            if found not in self.groups_named and found not in users.groups_of(user):
                return Refusal(f"{user.name} is not in group {request.group}")
            gid = found
        if gid == 0:
            return Refusal(f"user {user.name} is in group 0")
        supplement = self.may_initgroups and bool(request.initgroups)
        return privilege.identity_of(user, gid=gid, supplement=supplement)
