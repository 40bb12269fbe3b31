"""The arguments of SMTP commands: paths, parameters of MAIL and RCPT, the name after EHLO.

What Exim takes is taken and what it refuses is refused with its words.  Where DSN was not
offered, RET and ENVID are allowed and mean nothing, and NOTIFY and ORCPT are not known.  Where
it was, values are held to RFC 3461 more strictly than by Exim, as they go into spool and
reports.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mta.base.errors import Reject
from mta.base.text import is_number, lower, trim, upper
from mta.mail import xtext
from mta.mail.address import AddressError, is_ip, parse_path, plain_path, split
from mta.smtp import author

_HELO = re.compile(r"[A-Za-z0-9.-]+")
_DSN_WORDS = ("RET", "ENVID", "NOTIFY", "ORCPT")
_MOST_DIGITS = 18


@dataclass(frozen=True, slots=True)
class MailFrom:
    """MAIL FROM: the sender, "" for the null sender, and the parameters."""

    sender: str
    size: int = -1
    is_8bit: bool = False
    ret: int = 0  # as in Envelope.dsn_ret
    envid: str = ""
    auth: str = ""  # AUTH=, as it came


@dataclass(frozen=True, slots=True)
class RcptTo:
    """RCPT TO: the recipient and the parameters."""

    recipient: str
    dsn_flags: int = 0  # as in Recipient.dsn_flags
    orcpt: str = ""


@dataclass(frozen=True, slots=True)
class Manner:
    """How this session reads addresses.

    The domains are added to bare local parts, where that is allowed ("" where it is not);
    `postmaster` to the bare recipient postmaster, always.
    """

    sender_domain: str = ""
    recipient_domain: str = ""
    postmaster: str = ""
    allow_literal: bool = False


def helo_name(argument: str) -> str | None:
    """The name a client gives itself, or None if it cannot be one."""
    name = trim(argument)
    if _HELO.fullmatch(name):
        return name
    if name.startswith("[") and name.endswith("]"):
        literal = name[1:-1]
        if lower(literal).startswith("ipv6:"):
            literal = literal[5:]
        if is_ip(literal):
            return name
    return None


def mail_from(argument: str, manner: Manner, *, esmtp: bool, dsn: bool = False) -> MailFrom:
    """Read what follows MAIL FROM:.  Raises Reject."""
    sender, rest = _path(argument, "MAIL", "sender", manner, null_ok=True)
    if not rest:
        return MailFrom(sender)
    values: dict[str, str] = _parameters(argument, rest, dsn=dsn)
    size, is_8bit, ret, envid, auth = -1, False, 0, "", ""
    for name, value in values.items():
        if name == "SIZE" and is_number(value) and len(value) <= _MOST_DIGITS:
            size = int(value)
        elif name == "BODY" and esmtp and upper(value) in ("7BIT", "8BITMIME"):
            is_8bit = upper(value) == "8BITMIME"
        elif name == "RET" and esmtp:
            ret = _ret(value) if dsn else 0
        elif name == "ENVID" and esmtp:
            envid = _envid(value) if dsn else ""
        elif name == "AUTH" and esmtp:
            if author.decode(value) is None:
                raise Reject(501, "5.5.4", "invalid data for AUTH")
            auth = value
        else:
            raise _unknown(argument, rest)
    return MailFrom(sender, size, is_8bit, ret, envid, auth)


def rcpt_to(argument: str, manner: Manner, *, dsn: bool) -> RcptTo:
    """Read what follows RCPT TO:.  Raises Reject."""
    recipient, rest = _path(argument, "RCPT", "recipient", manner, null_ok=False)
    if not rest:
        return RcptTo(recipient)
    flags, orcpt = 0, ""
    for name, value in _parameters(argument, rest, dsn=dsn).items():
        if name == "NOTIFY" and dsn:
            flags = _notify(value)
        elif name == "ORCPT" and dsn:
            if not xtext.is_original_recipient(value):
                raise Reject(501, "5.5.4", "Invalid value for ORCPT parameter")
            orcpt = value
        else:
            raise _unknown(argument, rest)
    return RcptTo(recipient, flags, orcpt)


def _path(
    argument: str, verb: str, what: str, manner: Manner, *, null_ok: bool
) -> tuple[str, str]:
    argument = trim(argument)
    if not argument:
        raise Reject(501, "5.5.4", f"{verb} must have an address operand")
    status = "5.1.7" if null_ok else "5.1.3"
    try:
        if plain := plain_path(argument):
            return plain
        address, rest = parse_path(
            argument,
            null_ok=null_ok,
            allow_literal=manner.allow_literal,
            allow_unqualified=True,
            allow_utf8=False,
        )
    except AddressError as error:
        raise Reject(501, status, f"{argument}: {error.reason}") from None
    if address and not split(address)[1]:
        domain = manner.sender_domain if null_ok else manner.recipient_domain
        if not domain and not null_ok and lower(address) == "postmaster":
            domain = manner.postmaster
        if not domain:
            text = f"{argument}: {what} address must contain a domain"
            raise Reject(501, status, text)
        address = f"{address}@{domain}"
    return address, rest


def _parameters(argument: str, rest: str, *, dsn: bool) -> dict[str, str]:
    """NAME=value by name in upper case; one that is no such pair or comes twice is refused."""
    own_words = _DSN_WORDS if dsn else ()
    if not rest:
        return {}
    values: dict[str, str] = {}
    for word in rest.split(" "):
        if not (word := trim(word)):
            continue
        name, equals, value = word.partition("=")
        name = upper(name)
        if name in own_words:
            if name in values:
                raise Reject(501, "5.5.4", f"{name} can be specified once only")
        elif not equals or name in values:
            raise _unknown(argument, rest)
        values[name] = value
    return values


def _unknown(argument: str, rest: str) -> Reject:
    """The error for what stands behind an address and is none of the known parameters."""
    whole, extra = trim(argument), trim(rest)
    path = whole.removesuffix(extra)
    text = f"{whole}: malformed address: {extra} may not follow {path}"
    return Reject(501, "5.5.4", text)


def _ret(value: str) -> int:
    ret = {"FULL": 1, "HDRS": 2}.get(upper(value), 0)
    if not ret:
        raise Reject(501, "5.5.4", "Value for RET is invalid")
    return ret


def _envid(value: str) -> str:
    if not xtext.is_envelope_id(value):
        raise Reject(501, "5.5.4", "Value for ENVID is invalid")
    return value


def _notify(value: str) -> int:
    flags = xtext.notify_flags(value)
    if not flags:
        raise Reject(501, "5.5.4", "Invalid value for NOTIFY parameter")
    return flags
