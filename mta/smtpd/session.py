"""One SMTP conversation from the banner to the end.

`serve` talks to a client over a socket, `converse` to a local program over two descriptors.

The end comes by QUIT, by a client that leaves, breaks the rules or says nothing for too long,
or when this process is asked to end (SIGTERM): then with 421, at once if it waits for a
command, after the message if one is on its way.  What was answered with 250 is in the spool
whatever happens.
"""

from __future__ import annotations

import contextlib
import socket
from functools import partial

import mta.smtpd.auth
import mta.smtpd.commands
from mta.acl import engine
from mta.acl.answer import refusal
from mta.acl.phase import Phase
from mta.acl.program import Action
from mta.acl.situation import ConnectionEffects, Situation
from mta.base.errors import ExpansionFail, TempFail
from mta.expand.client import look_up_name
from mta.expand.context import Connection, Context
from mta.expand.run import expand
from mta.log import events
from mta.match.host import in_hosts
from mta.receive.ending import Stopped
from mta.receive.service import Caller, Service
from mta.receive.sizes import size_limit
from mta.smtp.parse import Manner
from mta.smtp.reply import reply, usual
from mta.smtp.stream import FileStream, SocketStream, Stream
from mta.smtp.wire import BadLine, Wire
from mta.smtpd import dispatch, record, tls
from mta.smtpd.dispatch import spoken
from mta.smtpd.state import Session

assert mta.smtpd.auth, mta.smtpd.commands  # importing them declares them


def serve(
    service: Service,
    sock: socket.socket,
    peer: tuple[str, int],
    local: tuple[str, int] = ("", 0),
) -> None:
    """Hold a conversation with a client; `peer` and `local` are addresses with ports."""
    connection = Connection(
        host_address=peer[0],
        host_port=peer[1],
        interface_address=local[0],
        interface_port=local[1],
    )
    session = _session(service, SocketStream(sock), connection, None)
    _hold(session)


def converse(
    service: Service, reader: int, writer: int, caller: Caller, queue_only: bool
) -> None:
    """Hold a conversation with a local program: -bs.  The descriptors stay open."""
    connection = Connection(ident=caller.login, local_uid=caller.uid)
    session = _session(service, FileStream(reader, writer), connection, caller)
    session.queue_only = queue_only
    _hold(session)


def _session(
    service: Service, stream: Stream, connection: Connection, caller: Caller | None
) -> Session:
    conf = service.conf
    ctx = Context(conf, service.tables, connection=connection)
    wire = Wire(stream, float(conf.smtp_in.smtp_receive_timeout), lenient=caller is not None)
    situation = Situation(
        ctx,
        service.log,
        connection=ConnectionEffects(enforce_sync=conf.smtp_in.smtp_enforce_sync),
        verifier=service.verifier,
    )
    session = Session(service, wire, situation, caller)
    situation.who = session.who
    situation.wait = session.pause
    connection.active_hostname = conf.naming.primary_hostname
    connection.protocol = session.protocol()
    connection.log_line = partial(events.note, service.log, "")
    return session


def _prepare(session: Session) -> None:
    """Work out what depends on the client.  Raises ExpansionFail, ConfigError, TempFail."""
    ctx, smtp = session.ctx, session.service.conf.smtp_in
    if smtp.smtp_active_hostname is not None:
        with contextlib.suppress(ExpansionFail):
            name = expand(ctx, smtp.smtp_active_hostname)
            ctx.connection.active_hostname = name or ctx.connection.active_hostname
    if in_hosts(ctx, smtp.host_lookup):
        look_up_name(ctx)
    session.helo_must_be_true = in_hosts(ctx, smtp.helo_verify_hosts)
    session.helo_is_checked = session.helo_must_be_true or in_hosts(
        ctx, smtp.helo_try_verify_hosts
    )
    session.size_limit = size_limit(ctx)
    naming = session.service.conf.naming
    unqualified = session.caller is not None
    session.manner = Manner(
        sender_domain=naming.qualify_domain
        if unqualified or in_hosts(ctx, smtp.sender_unqualified_hosts)
        else "",
        recipient_domain=naming.qualify_recipient
        if unqualified or in_hosts(ctx, smtp.recipient_unqualified_hosts)
        else "",
        postmaster=naming.qualify_recipient,
        allow_literal=smtp.allow_domain_literals,
    )


def _hold(session: Session) -> None:
    """The conversation, and how it ends when it does not end by itself."""
    try:
        if tls.begin_at_once(session):
            _greet(session)
        while not session.closing:
            _one_command(session)
        session.wire.flush()
    except TimeoutError:
        record.timed_out(session.service.log, session.described(), session.duration())
        _farewell(session, "4.4.2", "SMTP command timeout - closing connection")
    except Stopped:
        _farewell(session, "4.3.2", "Service not available - closing connection")
    except OSError:
        # If it was over anyhow, the end has been logged.
        if not session.closing:
            record.left(session.service.log, session.described(), session.duration())
    except BaseException:
        # A bug of ours: the client may try again, and this process ends.
        _farewell(session, "4.3.0", "Internal error - closing connection")
        raise
    finally:
        session.service.ending.waiting = False
        if session.ctx.connection.tls is not None:
            # The client can tell an end that we meant from one that somebody else made.
            with contextlib.suppress(OSError):
                session.wire.close()


def _greet(session: Session) -> None:
    """Ask who may come, and say hello."""
    smtp, ctx = session.service.conf.smtp_in, session.ctx
    try:
        _prepare(session)
        if in_hosts(ctx, smtp.host_reject_connection):
            text = f"refused connection from {session.described()} (host_reject_connection)"
            record.refused(session.service.log, text)
            _turn_away(session, 554, "5.7.1", "SMTP service not available")
            return
        verdict = engine.check(session.service.acls, session.situation, Phase.CONNECT)
        banner = "" if smtp.smtp_banner is None else expand(ctx, smtp.smtp_banner)
    except (ExpansionFail, TempFail) as error:
        events.note(session.service.log, "", f"{session.who()} cannot be served: {error}")
        _turn_away(session, 421, "4.3.0", f"{session.host_name} Service not available")
        return
    if verdict.action not in (Action.ACCEPT, Action.DISCARD):
        answer = refusal(verdict)
        events.rejected(
            session.service.log,
            session.who(),
            'connection in "connect" ACL',
            temporary=verdict.action is Action.DEFER,
            text=answer.log,
        )
        session.send(spoken(answer, session))
        session.closing = True
        return
    strict = session.caller is None and session.situation.connection.enforce_sync
    if strict and session.wire.pending and (seen := session.wire.peek(64)):
        record.impatient(session.service.log, session.described(), record.shown(seen))
        _turn_away(session, 554, "5.5.0", "SMTP synchronization error")
        return
    session.send(usual(220, "", banner))


def _turn_away(session: Session, code: int, status: str, text: str) -> None:
    session.send(reply(code, status, text))
    session.closing = True


def _one_command(session: Session) -> None:
    """Read one command line and answer it."""
    # A request to end is heeded here, and only here.
    ending = session.service.ending
    if not session.wire.has_line():
        # No answer may be lost by that: a client would send its message again.
        session.wire.flush()
    ending.wait()
    try:
        # What is too long for a command of its kind is found when it is known which.
        line = session.wire.line(session.longest_line)
    except BadLine as error:
        ending.waiting = False
        session.send(dispatch.bad_line(session, error))
        return
    ending.waiting = False
    if line is None:
        raise ConnectionError("the client went away")
    session.send(dispatch.answer(session, line))


def _farewell(session: Session, status: str, text: str) -> None:
    """A last word, if the client can still be reached."""
    with contextlib.suppress(OSError):
        # Whoever does not listen is not waited for again.
        session.wire.set_timeout(1.0)
        session.send(reply(421, status, f"{session.host_name}: {text}"))
        session.wire.flush()
