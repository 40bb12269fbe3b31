"""DATA: from 354 to the reply to the message.

Whatever goes wrong while the message comes, it is read to its true end before the reply: what
follows it would otherwise be taken for commands.  A client that goes on and on with a message
that was refused long ago is left.
"""

from __future__ import annotations

from mta.acl.phase import Phase
from mta.base import clock
from mta.base.errors import Reject, TempFail
from mta.receive.fixup import Author
from mta.receive.intake import Intake, Refused
from mta.receive.local import own_address
from mta.receive.terms import Terms
from mta.smtp.reply import Reply, reply
from mta.smtpd import record
from mta.smtpd.data import Lost, pieces
from mta.smtpd.state import Session

FULL = reply(452, "4.3.1", "Space shortage, please try later")
FAILED = reply(451, "4.3.0", "Error while writing spool file")
LOST = reply(421, "4.4.2", "Lost incoming connection")
# How much of a refused message is read before the connection is closed instead.
PATIENCE = 64 << 20


def receive(session: Session, go_ahead: Reply) -> Reply:
    """Take the message that follows DATA."""
    terms = _terms(session)
    try:
        intake = Intake(session.service, session.situation, terms)
    except TempFail as error:
        record.refused(
            session.service.log, f"{session.who()} temporarily rejected DATA: {error.text}"
        )
        return _failed(error)
    try:
        session.send(go_ahead)
        _read(session, intake)
        return _finish(session, intake)
    except ConnectionError:
        record.lost_in_data(
            session.service.log, intake.id, _source(session), in_header=intake.in_header
        )
        session.closing = True
        return LOST
    except TimeoutError:
        sender = session.ctx.message.sender
        record.data_timed_out(session.service.log, intake.id, session.described(), sender)
        session.closing = True
        text = f"{session.host_name}: SMTP incoming data timeout - closing connection."
        return reply(421, "4.4.2", text)
    finally:
        intake.abandon()
        session.begin_transaction()


def _terms(session: Session) -> Terms:
    transaction = session.transaction
    discarded = transaction.discarded_by
    if not transaction.discard_all and transaction.recipients:
        discarded = ""
    session.counts.messages += 1
    most = session.service.conf.smtp_in.smtp_accept_queue_per_connection
    reason = ""
    if most and session.counts.messages > most and session.caller is None:
        reason = f"more than {most} messages received in one connection"
    return Terms(
        protocol=session.protocol(),
        caller=session.caller,
        phase=Phase.DATA,
        author=_author(session),
        sender_set_untrusted=transaction.sender_set_untrusted,
        fixups=not session.ctx.connection.host_address,
        queue_only=bool(reason) or session.queue_only or session.service.conf.queue.queue_only,
        reason=reason,
        size_limit=session.size_limit,
        dsn_ret=transaction.dsn_ret,
        dsn_envid=transaction.dsn_envid,
        discarded_by=discarded,
    )


def _author(session: Session) -> Author | None:
    """The local user behind -bs: unless he is trusted, he is named in the header."""
    caller, conf = session.caller, session.service.conf
    if caller is None or caller.is_trusted:
        return None
    must_be_named = conf.local.local_from_check
    return Author(own_address(conf, caller), caller.full_name, must_be_named=must_be_named)


def _read(session: Session, intake: Intake) -> None:
    """Read the message to its end.  Raises Lost, TimeoutError, Endless."""
    refused = 0
    started = clock.monotonic()
    for piece in pieces(session.wire, lenient=session.caller is not None):
        intake.take(piece)
        if intake.failed:
            refused += len(piece)
            if refused > PATIENCE and clock.monotonic() - started > session.wire.timeout:
                raise Lost("a refused message without end")


def _finish(session: Session, intake: Intake) -> Reply:
    try:
        message_id = intake.finish(session.transaction.recipients)
    except Refused as error:
        session.closing = session.closing or error.drop
        return reply(error.code, error.status, error.text)
    except Reject as error:
        return reply(error.code, error.status, error.text)
    except TempFail as error:
        return _failed(error)
    return reply(250, "2.0.0", f"OK id={message_id}")


def _failed(error: TempFail) -> Reply:
    return FULL if error.status == "4.3.1" else FAILED


def _source(session: Session) -> str:
    """The other side, for a line about a connection that was lost."""
    return session.client()
