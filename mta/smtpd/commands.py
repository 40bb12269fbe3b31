"""The commands of SMTP, each a function that answers one line.  RFC 5321 4.1."""

from __future__ import annotations

from mta.acl import engine
from mta.acl.answer import acceptance
from mta.acl.phase import Phase
from mta.acl.program import Action, Verdict
from mta.base.errors import Reject, TempFail
from mta.base.text import lower, to_text, trim
from mta.expand.client import Named, look_up_name, verify_helo
from mta.expand.context import Place
from mta.log import events
from mta.mail.address import split
from mta.match.domain import match_domain
from mta.match.host import in_hosts
from mta.receive.local import believed_sender
from mta.receive.room import check_room
from mta.smtp.parse import helo_name, mail_from, rcpt_to
from mta.smtp.reply import Reply, reply, usual
from mta.smtpd import record, tls
from mta.smtpd.auth import believe_author
from mta.smtpd.dispatch import SyntaxReject, command, refused, spoken
from mta.smtpd.extensions import offered
from mta.smtpd.message import receive
from mta.smtpd.state import Session, Stage
from mta.spool.envelope import Recipient

OK = reply(250, "2.0.0", "OK")
SENDER_OK = reply(250, "2.1.0", "OK")
RECIPIENT_OK = reply(250, "2.1.5", "Accepted")
RESET = reply(250, "2.0.0", "Reset OK")
ALREADY = reply(503, "5.5.1", "sender already given")
NO_SENDER = reply(503, "5.5.1", "sender not yet given")
NO_RECIPIENT = reply(503, "5.5.1", "valid RCPT command must precede DATA")
TOO_MANY_MESSAGES = reply(421, "4.7.0", "too many messages in this connection")
TOO_BIG = reply(552, "5.3.4", "Message size exceeds maximum permitted")
NO_ROOM = reply(452, "4.3.1", "Space shortage, please try later")
TOO_MANY_NOW = reply(452, "4.5.3", "too many recipients")
TOO_MANY_EVER = reply(552, "5.5.3", "too many recipients")
TOO_MANY_AT_ALL = reply(554, "5.5.3", "Too many recipients")
HELP_TEXT = reply(
    214,
    "2.0.0",
    "Commands supported:\n"
    "AUTH HELO EHLO STARTTLS MAIL RCPT DATA NOOP QUIT RSET HELP VRFY EXPN",
)
CANNOT_VERIFY = reply(252, "2.5.0", "Administrative prohibition")
CANNOT_EXPAND = reply(550, "5.7.1", "Administrative prohibition")
GO_AHEAD = reply(354, "", 'Enter message, ending with "." on a line by itself')


@command(b"HELO", Stage.ANY, ends_group=True, counts=True, first_free=True)
def helo(session: Session, rest: bytes) -> Reply:
    """HELO name: begin without extensions."""
    if (answer := _greet(session, rest, "HELO")) is not None:
        return answer
    session.login.advertised = ()
    session.esmtp = session.enhanced = session.pipelining = session.dsn = False
    session.stage = Stage.READY
    session.ctx.connection.protocol = session.protocol()
    return usual(250, "", _hello(session))


@command(b"EHLO", Stage.ANY, ends_group=True, counts=True, first_free=True)
def ehlo(session: Session, rest: bytes) -> Reply:
    """EHLO name: begin with extensions."""
    if (answer := _greet(session, rest, "EHLO")) is not None:
        return answer
    session.esmtp = True
    session.stage = Stage.READY
    session.ctx.connection.protocol = session.protocol()
    # RFC 2034 4: the reply to EHLO itself carries no enhanced status code.
    return usual(250, "", "\n".join([_hello(session), *offered(session)]))


def _greet(session: Session, rest: bytes, verb: str) -> Reply | None:
    """Check the name and ask the ACL; the refusal, if it is one."""
    text = trim(to_text(rest))
    name = helo_name(text)
    smtp = session.service.conf.smtp_in
    if name is None and text and _is_odd_but_allowed(session, text):
        name = text
    if name is None:
        record.refused(
            session.service.log,
            f"rejected {verb} from {session.described()}: "
            f"syntactically invalid argument(s): {text or '(no argument given)'}",
        )
        raise SyntaxReject(501, "5.5.4", f"Syntactically invalid {verb} argument(s)")
    session.begin_transaction()
    session.is_blank = False
    if (stopped := _identified(session, name, verb)) is not None:
        return stopped
    verdict = engine.check(session.service.acls, session.situation, Phase.HELO)
    session.situation.connection.enforce_sync &= smtp.smtp_enforce_sync
    if verdict.action in (Action.ACCEPT, Action.DISCARD):
        return None
    answer = refused(session, verdict, f"EHLO or HELO {name}")
    session.ctx.connection.helo_name = ""
    return answer


def _identified(session: Session, name: str, verb: str) -> Reply | None:
    """Note what the client calls itself and whether it is that; the refusal if it must be."""
    ctx, seen = session.ctx, session.ctx.connection
    before = seen.helo_verified
    seen.helo_name = name
    seen.helo_verified = seen.helo_verify_failed = False
    if session.caller is not None:
        return None
    if not seen.host_name and _is_worth_a_look(session, name):
        look_up_name(ctx)
    if not session.helo_is_checked:
        return None
    found = verify_helo(ctx)
    if found is Named.KNOWN or not session.helo_must_be_true:
        return None
    kind = "temporarily " if found is Named.AGAIN else ""
    text = f'{kind}rejected "{verb} {name}" from {session.described()}'
    record.refused(session.service.log, text)
    seen.helo_verified = before
    code, status = (451, "4.7.1") if found is Named.AGAIN else (550, "5.7.1")
    return reply(code, status, f"{verb} argument does not match calling host")


def _is_worth_a_look(session: Session, name: str) -> bool:
    """True for names such as our own, which would mislead in the log without the client's."""
    domains = session.service.conf.smtp_in.helo_lookup_domains
    if domains is None:
        return False
    try:
        return match_domain(session.ctx, domains, name) is not None
    except TempFail:
        return False  # it is for the log only


def _is_odd_but_allowed(session: Session, text: str) -> bool:
    smtp = session.service.conf.smtp_in
    if not text.isprintable() or len(text) > 255:
        return False
    allowed = smtp.helo_allow_chars
    if allowed and helo_name("".join(each for each in text if each not in allowed) or "x"):
        return True
    return in_hosts(session.ctx, smtp.helo_accept_junk_hosts)


def _hello(session: Session) -> str:
    connection = session.ctx.connection
    ident = f"{connection.ident} at " if connection.ident else ""
    address = f" [{connection.host_address}]" if connection.host_address else ""
    name = connection.host_name or connection.helo_name
    return f"{session.host_name} Hello {ident}{name}{address}"


@command(b"STARTTLS", Stage.ANY, ends_group=True, counts=True, first_free=True)
def starttls(session: Session, rest: bytes) -> Reply:
    """STARTTLS: go on in secret.  RFC 3207."""
    if rest and trim(to_text(rest)):
        raise SyntaxReject(501, "5.5.4", "unexpected argument data")
    if session.ctx.connection.tls is not None:
        raise SyntaxReject(554, "5.5.1", "Already in TLS")
    if not session.starttls:
        raise SyntaxReject(503, "5.5.1", "STARTTLS command used when not advertised")
    return tls.start(session)


@command(b"MAIL", Stage.GREETED | Stage.READY, ALREADY, pipelined=True)
def mail(session: Session, rest: bytes) -> Reply:
    """MAIL FROM:<sender> SIZE=n BODY=8BITMIME: begin a message."""
    smtp = session.service.conf.smtp_in
    if session.stage == Stage.GREETED and _must_greet(session):
        raise SyntaxReject(503, "5.5.1", "HELO or EHLO required")
    argument = to_text(rest[5:])
    most = smtp.smtp_accept_max_per_connection
    if most and session.counts.messages >= most:
        return _too_many_messages(session, argument)
    try:
        parsed = mail_from(argument, session.manner, esmtp=session.esmtp, dsn=session.dsn)
    except Reject as error:
        raise SyntaxReject(error.code, error.status, error.text) from None
    session.begin_transaction()
    session.is_blank = False
    if session.size_limit and parsed.size > session.size_limit:
        record.refused(
            session.service.log,
            f"rejected MAIL FROM:<{parsed.sender}> {session.who()}: "
            f"message too big: size={parsed.size} max={session.size_limit}",
        )
        return TOO_BIG
    try:
        check_room(
            session.service.spool,
            session.service.conf.queue,
            parsed.size if smtp.smtp_check_spool_space else 0,
        )
    except TempFail as error:
        events.note(session.service.log, "", f"{error.text} {session.who()}")
        return NO_ROOM
    if parsed.auth:
        believe_author(session, parsed.auth)
    transaction, message = session.transaction, session.ctx.message
    transaction.dsn_ret, transaction.dsn_envid = parsed.ret, parsed.envid
    message.sender, message.size_declared = parsed.sender, parsed.size
    if session.caller is not None:
        message.sender, transaction.sender_set_untrusted = believed_sender(
            session.ctx, session.caller, parsed.sender
        )
    return _mail_acl(session, message.sender)


def _too_many_messages(session: Session, argument: str) -> Reply:
    session.closing = True
    record.refused(
        session.service.log,
        f"rejected MAIL FROM:{trim(argument)} {session.who()}: "
        "too many messages in one connection",
    )
    return TOO_MANY_MESSAGES


def _must_greet(session: Session) -> bool:
    if session.caller is not None:
        return False
    hosts = session.service.conf.smtp_in.hosts_require_helo
    return session.helo_must_be_true or in_hosts(session.ctx, hosts)


def _mail_acl(session: Session, sender: str) -> Reply:
    verdict = engine.check(session.service.acls, session.situation, Phase.MAIL)
    if verdict.action not in (Action.ACCEPT, Action.DISCARD):
        answer = refused(session, verdict, f"MAIL <{sender}>")
        session.begin_transaction()
        return answer
    if verdict.action is Action.DISCARD:
        session.transaction.discard_all = True
        session.transaction.discarded_by = "MAIL ACL"
    session.stage = Stage.MAIL
    return _accepted(session, verdict, SENDER_OK)


@command(b"RCPT", Stage.TRANSACTION, NO_SENDER, pipelined=True)
def rcpt(session: Session, rest: bytes) -> Reply:
    """RCPT TO:<recipient>: one more who is to get the message."""
    message = session.ctx.message
    message.rcpt_count += 1
    try:
        parsed = rcpt_to(to_text(rest[3:]), session.manner, dsn=session.dsn)
    except Reject as error:
        message.rcpt_fail_count += 1
        raise SyntaxReject(error.code, error.status, error.text) from None
    most = session.service.conf.smtp_in.recipients_max
    if most and message.rcpt_count > most:
        return _too_many(session)
    _set_scene(session, parsed.recipient)
    if session.transaction.discard_all:
        _log_discard(session, parsed.recipient, "MAIL", "")
        return RECIPIENT_OK
    verdict = engine.check(session.service.acls, session.situation, Phase.RCPT)
    address = parsed.recipient
    if verdict.action is Action.DISCARD:
        session.transaction.discarded_by = "RCPT ACL"
        _log_discard(session, address, "RCPT", verdict.log)
        return _accepted(session, verdict, RECIPIENT_OK)
    if verdict.action is not Action.ACCEPT:
        return _recipient_refused(session, verdict, address)
    session.transaction.recipients.append(
        Recipient(address, dsn_flags=parsed.dsn_flags, orcpt=parsed.orcpt)
    )
    message.recipients.append(address)
    session.stage = Stage.RCPT
    return _accepted(session, verdict, RECIPIENT_OK)


def _set_scene(session: Session, recipient: str) -> None:
    """Let expansions and conditions see this recipient."""
    local_part, domain = split(recipient)
    session.situation.recipient = recipient
    session.situation.message.caseful_local_part = False
    session.ctx.place = Place(
        local_part=lower(local_part),
        domain=lower(domain),
        original_local_part=local_part,
        original_domain=domain,
    )


def _too_many(session: Session) -> Reply:
    """One more than recipients_max: for now, or for ever, as the option says."""
    transaction, message = session.transaction, session.ctx.message
    reject = session.service.conf.smtp_in.recipients_max_reject
    if not transaction.too_many:
        transaction.too_many = True
        done = "message rejected" if reject else "excess temporarily rejected"
        record.refused(
            session.service.log,
            f"too many recipients: {done}: sender=<{message.sender}> {session.who()}",
        )
    if reject:
        message.rcpt_fail_count += 1
        return TOO_MANY_EVER
    message.rcpt_defer_count += 1
    return TOO_MANY_NOW


def _recipient_refused(session: Session, verdict: Verdict, address: str) -> Reply:
    message = session.ctx.message
    if verdict.action is Action.DEFER:
        message.rcpt_defer_count += 1
    else:
        message.rcpt_fail_count += 1
    answer = refused(session, verdict, f"RCPT <{address}>", sender=message.sender)
    # A client may ask for any number of recipients: two different texts are as good as all.
    if len(session.transaction.refusals) < 2:
        session.transaction.refusals.add(answer.text)
    return answer


def _log_discard(session: Session, address: str, acl: str, text: str) -> None:
    record.discarded(
        session.service.log,
        session.who(),
        session.ctx.message.sender,
        address,
        acl=acl,
        text=text,
    )


@command(b"DATA", Stage.TRANSACTION, NO_RECIPIENT, ends_group=True)
def data(session: Session, rest: bytes) -> Reply:
    """DATA: the message itself."""
    transaction = session.transaction
    if rest and trim(to_text(rest)):
        raise SyntaxReject(501, "5.5.4", "DATA takes no arguments")
    if not transaction.recipients and not transaction.discarded_by:
        return _without_recipients(session)
    if transaction.too_many and session.service.conf.smtp_in.recipients_max_reject:
        return TOO_MANY_AT_ALL
    session.situation.recipient = ""
    session.ctx.place = Place()
    verdict = engine.check(session.service.acls, session.situation, Phase.PREDATA)
    if verdict.action not in (Action.ACCEPT, Action.DISCARD):
        return refused(session, verdict, "DATA")
    if verdict.action is Action.DISCARD:
        transaction.discarded_by = "PREDATA ACL"
        transaction.discard_all = True
    return receive(session, GO_AHEAD)


def _without_recipients(session: Session) -> Reply:
    """No recipient was accepted: a client may send DATA all the same when it pipelines."""
    refusals = session.transaction.refusals
    if session.last_verb != b"RCPT":
        raise SyntaxReject(NO_RECIPIENT.code, NO_RECIPIENT.status, NO_RECIPIENT.text)
    text = "Valid RCPT command must precede DATA"
    if len(refusals) == 1:
        (told,) = refusals
        before = f"All RCPT commands were rejected with this error:\n{told}\n"
        return reply(503, "5.5.1", before + text)
    return reply(503, "5.5.1", text)


@command(b"RSET", Stage.ANY, pipelined=True, counts=True, first_free=True)
def rset(session: Session, rest: bytes) -> Reply:
    """RSET: forget the message."""
    session.begin_transaction()
    return RESET


@command(b"NOOP", Stage.ANY, ends_group=True, counts=True)
def noop(session: Session, rest: bytes) -> Reply:
    """NOOP: do nothing."""
    return OK


@command(b"HELP", Stage.ANY, counts=True)
def help_(session: Session, rest: bytes) -> Reply:
    """HELP: the commands."""
    return HELP_TEXT


@command(b"VRFY", Stage.ANY, ends_group=True, counts=True)
def vrfy(session: Session, rest: bytes) -> Reply:
    """VRFY address: who is here is told to nobody."""
    return CANNOT_VERIFY


@command(b"EXPN", Stage.ANY, ends_group=True, counts=True)
def expn(session: Session, rest: bytes) -> Reply:
    """EXPN list: who is on a list is told to nobody."""
    return CANNOT_EXPAND


@command(b"QUIT", Stage.ANY)
def quit_(session: Session, rest: bytes) -> Reply:
    """QUIT: the end."""
    session.closing = True
    return usual(221, "2.0.0", f"{session.host_name} closing connection")


def _accepted(session: Session, verdict: Verdict, usual: Reply) -> Reply:
    if not verdict.message:
        return usual
    return spoken(acceptance(verdict, usual.code, usual.status, usual.text), session)
