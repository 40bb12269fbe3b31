"""The condition verify: whether addresses and header lines are what they should be."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from mta.acl import later
from mta.acl.phase import Phase
from mta.acl.registry import acl_condition
from mta.acl.situation import AclError, Situation
from mta.acl.verifier import Result, Verification
from mta.base.errors import ConfigError, TempFail, Where
from mta.base.registry import suggestion
from mta.base.text import lower, to_text, trim
from mta.config.template import Template
from mta.expand.client import Named, look_up_name, verify_helo
from mta.expand.context import Connection
from mta.expand.run import expand
from mta.mail.address import AddressError, parse_list
from mta.mail.header import DELETED, Header

# What is verified, as a function of the value behind its name and of the options.
Kind = Callable[[Situation, str, tuple[str, ...]], bool]

_ADDRESS_HEADERS = "BCFRST"
_NOWHERE = Where("verify", 0)
_LATER_OPTIONS = frozenset({"callout", "pass_only", "quota"})


def check_argument(text: str, where: Where) -> None:
    """Refuse what cannot be verified.  Raises ConfigError."""
    what, *options = [lower(trim(part)) for part in text.split("/")]
    name = trim(what.partition("=")[0])
    if name in later.VERIFICATIONS:
        raise ConfigError(where, f'"verify = {name}" is not supported yet')
    if name not in _KINDS:
        known = list(_KINDS)
        raise ConfigError(where, f'unknown "verify = {name}"', suggestion(name, known))
    for option in options:
        if trim(option.partition("=")[0]) in _LATER_OPTIONS:
            raise ConfigError(where, f'"{option}" in verify is not supported yet')
        if option not in _OPTIONS:
            raise ConfigError(where, f'unknown option "{option}" in verify')


@acl_condition("verify", Phase.ANY, check=check_argument)
def verify(situation: Situation, argument: Template) -> bool:
    """True if the address can be delivered to, or the headers are good.

    verify = recipient, verify = sender or sender=ADDRESS; /defer_ok takes an address for good
    that cannot be verified now.  verify = header_syntax, verify = not_blind,
    verify = header_names_ascii, verify = certificate.
    verify = helo, verify = reverse_host_lookup: the client is what it called itself, and has a
    name that leads back to its address.
    """
    try:
        kind, value, options = _request(expand(situation.ctx, argument))
    except ConfigError as error:
        raise AclError(error.reason) from None
    return kind(situation, value, options)


@lru_cache(100)
def _request(text: str) -> tuple[Kind, str, tuple[str, ...]]:
    """What is verified, a value behind it, and the options.  Raises ConfigError."""
    check_argument(text, _NOWHERE)
    what, *options = [trim(part) for part in text.split("/")]
    name, _, value = what.partition("=")
    return _KINDS[lower(trim(name))], trim(value), tuple(lower(each) for each in options)


def _recipient(situation: Situation, value: str, options: tuple[str, ...]) -> bool:
    if not situation.recipient:
        raise AclError("cannot verify a recipient here")
    answer = situation.verify(situation.recipient, "recipient")
    return _judge(situation, answer, options, answer.text, answer.log or answer.text)


def _sender(situation: Situation, value: str, options: tuple[str, ...]) -> bool:
    address = value or situation.ctx.message.sender
    if not address:
        return True
    answer = situation.verify(address, "sender")
    if answer.result is Result.UNKNOWN:
        said = logged = "Could not complete sender verify"
    else:
        said = f"Verification failed for <{address}>\n{answer.text}\nSender verify failed"
        logged = "Sender verify failed"
    return _judge(situation, answer, options, said, logged)


def _judge(
    situation: Situation,
    answer: Verification,
    options: tuple[str, ...],
    said: str,
    logged: str,
) -> bool:
    if answer.result is Result.GOOD:
        return True
    if answer.result is Result.UNKNOWN and "defer_ok" in options:
        return True
    situation.said, situation.logged, situation.status = said, logged, answer.status
    if answer.result is Result.UNKNOWN:
        raise TempFail(logged)
    return False


def _header_syntax(situation: Situation, value: str, options: tuple[str, ...]) -> bool:
    """All header lines that hold addresses can be read."""
    _with_headers(situation)
    for header in situation.ctx.message.headers:
        if header.kind in _ADDRESS_HEADERS and (reason := _fault(header)):
            situation.logged = reason
            return False
    return True


def _fault(header: Header) -> str:
    errors: list[tuple[str, str]] = []
    try:
        parse_list(to_text(header.body), errors=errors, limit=20_000)
    except AddressError as error:
        errors.append(("", error.reason))
    if not errors:
        return ""
    item, reason = errors[0]
    name = to_text(header.text.partition(b":")[0])
    return f'syntax error in "{name}:" header: {item[:100]}: {reason}'


def _not_blind(situation: Situation, value: str, options: tuple[str, ...]) -> bool:
    """Every recipient stands in To: or Cc:."""
    _with_headers(situation)
    shown: set[str] = set()
    for header in situation.ctx.message.headers:
        if header.kind in "TC":
            found = parse_list(to_text(header.body), errors=[], limit=20_000)
            shown.update(lower(address) for address in found)
    hidden = [to for to in situation.ctx.message.recipients if lower(to) not in shown]
    if hidden:
        situation.logged = f"bcc recipient detected: {hidden[0]}"
    return not hidden


def _header_names_ascii(situation: Situation, value: str, options: tuple[str, ...]) -> bool:
    """The names of all header lines are printable ASCII."""
    _with_headers(situation)
    return all(
        all(33 <= octet <= 126 for octet in header.name)
        for header in situation.ctx.message.headers
        if header.kind != DELETED
    )


def _with_headers(situation: Situation) -> None:
    if not situation.phase & (Phase.DATA | Phase.NOT_SMTP):
        raise AclError("there are no headers to verify yet")


def _certificate(situation: Situation, value: str, options: tuple[str, ...]) -> bool:
    tls = situation.ctx.connection.tls
    if tls is not None and tls.verified:
        return True
    situation.said = situation.logged = "no verified certificate"
    return False


def _helo(situation: Situation, value: str, options: tuple[str, ...]) -> bool:
    """The client is the host that it called itself."""
    seen = situation.ctx.connection
    if not (seen.helo_verified or seen.helo_verify_failed):
        verify_helo(situation.ctx)
    return seen.helo_verified


def _reverse_host_lookup(situation: Situation, value: str, options: tuple[str, ...]) -> bool:
    """The client's address has a name, and that name has the address."""
    seen = situation.ctx.connection
    if not seen.host_address or seen.host_name:
        return True
    if seen.host_lookup_failed:
        situation.logged = f"host lookup failed{_why(seen)}"
        return False
    named = look_up_name(situation.ctx)
    if named is Named.AGAIN and "defer_ok" not in options:
        situation.logged = "host lookup deferred for reverse lookup check"
        raise TempFail(situation.logged)
    if named is Named.UNKNOWN:
        situation.logged = f"host lookup failed for reverse lookup check{_why(seen)}"
    return named is not Named.UNKNOWN


def _why(seen: Connection) -> str:
    return f" ({seen.host_lookup_why})" if seen.host_lookup_why else ""


_OPTIONS = frozenset({"defer_ok", "success_on_redirect", "no_details", "case_insensitive"})
_KINDS: dict[str, Kind] = {
    "recipient": _recipient,
    "sender": _sender,
    "header_syntax": _header_syntax,
    "not_blind": _not_blind,
    "header_names_ascii": _header_names_ascii,
    "certificate": _certificate,
    "helo": _helo,
    "reverse_host_lookup": _reverse_host_lookup,
}
