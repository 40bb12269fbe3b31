"""The points of a session, or of a local submission, at which an ACL can run."""

from __future__ import annotations

from enum import Flag, auto


class Phase(Flag):
    """Where an ACL runs."""

    __hash__ = object.__hash__  # members are single; Enum's own hash is slow

    CONNECT = auto()
    HELO = auto()
    MAIL = auto()
    RCPT = auto()
    PREDATA = auto()
    DATA = auto()
    NOT_SMTP = auto()
    AUTH = auto()
    MAILAUTH = auto()

    SMTP = CONNECT | HELO | AUTH | MAILAUTH | MAIL | RCPT | PREDATA | DATA
    TRANSACTION = MAIL | RCPT | PREDATA | DATA
    MESSAGE = TRANSACTION | NOT_SMTP
    ANY = SMTP | NOT_SMTP


# The main option that names the ACL of each phase.
OPTIONS: dict[str, Phase] = {
    "acl_smtp_connect": Phase.CONNECT,
    "acl_smtp_helo": Phase.HELO,
    "acl_smtp_auth": Phase.AUTH,
    "acl_smtp_mailauth": Phase.MAILAUTH,
    "acl_smtp_mail": Phase.MAIL,
    "acl_smtp_rcpt": Phase.RCPT,
    "acl_smtp_predata": Phase.PREDATA,
    "acl_smtp_data": Phase.DATA,
    "acl_not_smtp": Phase.NOT_SMTP,
}


def describe(phase: Phase) -> str:
    """The phase as an administrator knows it: by its option."""
    return next((name for name, each in OPTIONS.items() if each == phase), str(phase))
