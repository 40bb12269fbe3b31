"""AUTH: the exchange by which a client says who it is.  RFC 4954.

What the client sends here is never logged, nor kept when the exchange is over.  A client that
guesses passwords waits for each answer and is left after a few.
"""

from __future__ import annotations

import binascii
import re

from mta.acl import engine
from mta.acl.phase import Phase
from mta.acl.program import Action
from mta.auth.api import (
    Authenticator,
    Denied,
    cancelled,
    decode,
    forgotten,
    holds,
    not_base64,
    too_long,
)
from mta.base.errors import ExpansionFail, Reject, TempFail
from mta.base.text import lower, one_line, to_text
from mta.config.template import Template
from mta.expand.run import expand
from mta.expand.trust import keep
from mta.match.host import in_hosts
from mta.smtp import author
from mta.smtp.reply import Reply, reply
from mta.smtp.wire import TOO_LONG, BadLine
from mta.smtpd import record
from mta.smtpd.dispatch import SyntaxReject, command, refused
from mta.smtpd.state import AUTH_LIMIT, LINE_LIMIT, Login, Session, Stage

SUCCEEDED = reply(235, "2.7.0", "Authentication succeeded")
TOO_MANY = "Too many failed authentications"
_ARGUMENTS = re.compile(rb"([^ \t]+)(?:[ \t]+(.*?))?[ \t]*", re.DOTALL)
_LONGEST_NAME = 64


@command(b"AUTH", Stage.ANY, ends_group=True, counts=True, first_free=True)
def auth(session: Session, rest: bytes) -> Reply:
    """AUTH MECHANISM [DATA]: say who you are."""
    connection, login = session.ctx.connection, session.login
    connection.authentication_failed = True
    usable = login.advertised
    if session.situation.connection.auth_unadvertised:
        usable = session.service.servers
    if not usable:
        raise SyntaxReject(503, "5.5.1", "AUTH command used when not advertised")
    if connection.host_auth:
        raise SyntaxReject(503, "5.5.1", "already authenticated")
    if session.stage & Stage.TRANSACTION:
        raise SyntaxReject(503, "5.5.1", "not permitted in mail transaction")
    found = _ARGUMENTS.fullmatch(rest.lstrip(b" \t"))
    name = to_text(found[1][:_LONGEST_NAME]) if found else ""
    session.is_blank = False
    verdict = engine.check(session.service.acls, session.situation, Phase.AUTH)
    if verdict.action not in (Action.ACCEPT, Action.DISCARD):
        return refused(session, verdict, f"AUTH {name}", denied=503)
    chosen = next((each for each in usable if lower(each.mechanism) == lower(name)), None)
    if chosen is None or found is None:
        text = f"{name} authentication mechanism not supported"
        raise SyntaxReject(504, "5.5.4", text)
    return _exchange(session, chosen, found[2])


def _exchange(session: Session, chosen: Authenticator, data: bytes | None) -> Reply:
    """Have the client asked, and believe it or not."""
    with forgotten(session.ctx):
        try:
            given = _decoded(data) if data else None
            chosen.serve(session.ctx, given, lambda prompt: _ask(session, prompt))
        except Denied as denied:
            return _failed(session, chosen, denied)
        _succeeded(session, chosen, _id(session, chosen))
    return SUCCEEDED


def _decoded(octets: bytes) -> bytes:
    """What base 64 says; "=" is the empty string.  Raises Denied."""
    if octets == b"=":
        return b""
    if (decoded := decode(octets)) is None:
        raise not_base64()
    return decoded


def _ask(session: Session, prompt: bytes) -> bytes:
    """Send a prompt and read the answer.  Raises Denied, ConnectionError, Stopped."""
    wire, ending = session.wire, session.service.ending
    wire.send(b"334 " + binascii.b2a_base64(prompt, newline=False) + b"\r\n")
    wire.flush()
    ending.wait()
    try:
        line = wire.line(AUTH_LIMIT)
    except BadLine as error:
        raise (too_long() if error.reason == TOO_LONG else not_base64()) from None
    finally:
        ending.waiting = False
    if line is None:
        raise ConnectionError("the client went away")
    answer = line.strip(b" \t")
    if answer == b"*":
        raise cancelled()
    return _decoded(answer)


def _id(session: Session, chosen: Authenticator) -> str:
    """What server_set_id makes of the exchange, in one line; "" if it cannot be expanded."""
    option: Template | None = chosen.server_set_id
    if option is None:
        return ""
    try:
        text = expand(session.ctx, option)
    except (ExpansionFail, TempFail):
        return ""
    return keep(text, one_line(text))


def _succeeded(session: Session, chosen: Authenticator, who: str) -> None:
    connection = session.ctx.connection
    connection.host_auth = chosen.name
    connection.host_auth_pubname = chosen.mechanism
    connection.authenticated_id = who
    connection.authentication_failed = False
    connection.authenticated_fail_id = ""
    connection.protocol = session.protocol()
    session.login.by = chosen


def _failed(session: Session, chosen: Authenticator, denied: Denied) -> Reply:
    """Log it, have the client wait, and count; too many failures end the connection."""
    service, login = session.service, session.login
    who = _id(session, chosen) if denied.code in (535, 435) else ""
    session.ctx.connection.authenticated_fail_id = who
    said = denied.text.partition(":")[0]
    shown = f" (set_id={who})" if who else ""
    detail = f": {denied.detail}" if denied.detail else ""
    record.refused(
        service.log,
        f"{chosen.name} authenticator failed for {session.described()}: "
        f"{denied.code} {said}{shown}{detail}",
    )
    if denied.code == 535 and (delay := service.conf.own.auth_failure_delay):
        session.pause(float(delay))
    login.failures += 1
    most = service.conf.own.auth_max_failures
    if not most or login.failures < most:
        return reply(denied.code, denied.status, denied.text)
    record.left_alone(service.log, session.described())
    session.closing = True
    return reply(denied.code, denied.status, f"{denied.text}\n{TOO_MANY}")


def offered_to(session: Session) -> str | None:
    """The line of EHLO's reply that offers AUTH, None where nothing is offered."""
    session.login.advertised = ()
    servers, hosts = session.service.servers, session.service.conf.smtp_in.auth_advertise_hosts
    if not servers or session.ctx.connection.host_auth:
        return None
    if not in_hosts(session.ctx, hosts):
        return None
    session.login.advertised = tuple(each for each in servers if _is_offered(session, each))
    names = [each.mechanism for each in session.login.advertised]
    session.longest_line = AUTH_LIMIT if names else LINE_LIMIT
    return f"AUTH {' '.join(names)}" if names else None


def _is_offered(session: Session, each: Authenticator) -> bool:
    try:
        return holds(session.ctx, each.server_advertise_condition)
    except ExpansionFail as error:
        text = f"server_advertise_condition of {each.name} authenticator: {error.text}"
        session.service.log.panic(text)
    except TempFail:
        pass
    return False


def forget(session: Session) -> None:
    """The client is nobody any more, as after STARTTLS.  RFC 3207 4.2"""
    session.login = Login()
    connection = session.ctx.connection
    connection.host_auth = connection.host_auth_pubname = ""
    connection.authenticated_id = connection.authenticated_fail_id = ""
    connection.authentication_failed = False
    connection.protocol = session.protocol()


def believe_author(session: Session, value: str) -> None:
    """AUTH= of MAIL: for whom the client, if we know it, forwards the message.  RFC 4954 5

    Raises Reject if an ACL cannot tell now.
    """
    connection = session.ctx.connection
    if value == "<>":
        return
    connection.authenticated_sender = author.decode(value) or ""
    why = _disbelief(session)
    if why:
        connection.authenticated_sender = ""
        record.ignored_author(session.service.log, value, session.who(), why)


def _disbelief(session: Session) -> str:
    """Why AUTH= of MAIL does not count, "" if it does."""
    service, connection = session.service, session.ctx.connection
    if Phase.MAILAUTH in service.acls.entries:
        verdict = engine.check(service.acls, session.situation, Phase.MAILAUTH)
        if verdict.action is Action.DEFER:
            connection.authenticated_sender = ""
            answer = refused(session, verdict, "AUTH= parameter of MAIL")
            raise Reject(answer.code, answer.status, answer.text)
        if verdict.action is not Action.ACCEPT:
            return "rejected by ACL"
    elif not connection.host_auth:
        return "client not authenticated"
    by = session.login.by
    if by is None:
        return ""
    try:
        if holds(session.ctx, by.server_mail_auth_condition):
            return ""
    except (ExpansionFail, TempFail):
        pass
    who = connection.authenticated_id
    shown = f': authenticated ID="{who}"' if who else ""
    return f"server_mail_auth_condition failed{shown}"
