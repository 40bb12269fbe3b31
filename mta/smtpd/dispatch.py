"""From a command line to the function that answers it.

The table says when a command is allowed and what is said when it is not; handlers never ask.
A handler returns the reply or raises Reject.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mta.acl.answer import Answer, refusal
from mta.acl.program import Action, Verdict
from mta.base.errors import PermFail, Reject, TempFail
from mta.base.registry import Registry
from mta.log import events
from mta.match.host import in_hosts
from mta.smtp.reply import Reply, reply
from mta.smtp.wire import TOO_LONG, BadLine
from mta.smtpd import record
from mta.smtpd.state import LINE_LIMIT, Session

Handler = Callable[[Session, bytes], Reply]


@dataclass(frozen=True, slots=True)
class Command:
    """A command: when it is allowed, what is said otherwise, how it counts.

    `ends_group`: nothing may follow it before its reply (RFC 2920), not even with PIPELINING;
    `pipelined`: others may follow it, if PIPELINING was offered; with neither set they always
    may.  `counts`: it delivers no mail and there may be only so many, the first being free
    where `first_free`.
    """

    verb: bytes
    allowed: int  # stages
    otherwise: Reply
    run: Handler
    ends_group: bool = False
    pipelined: bool = False
    counts: bool = False
    first_free: bool = False


COMMANDS: Registry[Command] = Registry("SMTP command")
_BY_VERB: dict[bytes, Command] = {}


def command(
    verb: bytes,
    allowed: int,
    otherwise: Reply | None = None,
    *,
    ends_group: bool = False,
    pipelined: bool = False,
    counts: bool = False,
    first_free: bool = False,
) -> Callable[[Handler], Handler]:
    """Declare a command."""

    def declare(run: Handler) -> Handler:
        not_now = otherwise or BAD_SEQUENCE
        made = Command(verb, allowed, not_now, run, ends_group, pipelined, counts, first_free)
        COMMANDS.add(verb.decode(), made, run.__doc__)
        _BY_VERB[verb] = made
        return run

    return declare


BAD_SEQUENCE = reply(503, "5.5.1", "bad sequence of commands")
UNKNOWN = reply(500, "5.5.1", "unrecognized command")
TOO_MANY_UNKNOWN = reply(500, "5.5.1", "Too many unrecognized commands")
TOO_MANY_NONMAIL = reply(554, "5.5.1", "Too many nonmail commands")
NO_NULS = reply(501, "5.5.2", "NUL characters are not allowed in SMTP commands")
TOO_SOON = reply(554, "5.5.0", "SMTP synchronization error")
TOO_MANY_ERRORS = "Too many syntax or protocol errors"
_AUTH = b"AUTH"


class SyntaxReject(Reject):
    """A refusal that counts as an error of the client's program."""


def answer(session: Session, line: bytes) -> Reply:
    """The reply to one command line."""
    verb, _, rest = line.partition(b" ")
    found = _BY_VERB.get(verb.upper())  # ascii: bytes
    session.last_command = line if found else _guess(session, line)
    if b"\0" in line:
        return fault(session, NO_NULS)
    if len(line) > LINE_LIMIT and (found is None or found.verb != _AUTH):
        return fault(session, reply(500, "5.5.2", TOO_LONG))
    if found is None or (found.verb in _WITH_COLON and not _has_colon(found.verb, rest)):
        return _unknown(session)
    if found.counts and _is_one_too_many(session, found):
        return _too_many_nonmail(session)
    if _is_too_soon(session, found):
        return _too_soon(session, found)
    if not session.stage & found.allowed:
        return fault(session, found.otherwise)
    try:
        return found.run(session, rest)
    except SyntaxReject as error:
        return fault(session, reply(error.code, error.status, error.text))
    except Reject as error:
        return reply(error.code, error.status, error.text)
    except TempFail as error:
        record.refused(session.service.log, f"{session.who()} temporary failure: {error.text}")
        return reply(451, error.status, "Temporary local problem - please try later")
    except PermFail as error:
        record.refused(session.service.log, f"{session.who()} failure: {error.text}")
        return reply(550, error.status, "Administrative prohibition")
    finally:
        session.last_verb = found.verb


def _guess(session: Session, line: bytes) -> bytes:
    """What may be shown of an unknown command: behind a refused AUTH it may be a password."""
    return b"(hidden)" if session.last_verb == _AUTH else line


_WITH_COLON = {b"MAIL": b"FROM:", b"RCPT": b"TO:"}


def _has_colon(verb: bytes, rest: bytes) -> bool:
    mark = _WITH_COLON[verb]
    return rest[: len(mark)].upper() == mark  # ascii: bytes


def bad_line(session: Session, error: BadLine) -> Reply:
    """The reply to a line that cannot be used."""
    session.last_command = _guess(session, error.seen)
    return fault(session, reply(500, "5.5.2", error.reason))


def fault(session: Session, said: Reply) -> Reply:
    """Count an error of the client's; too many end the conversation."""
    session.counts.errors += 1
    if session.counts.errors <= session.service.conf.smtp_in.smtp_max_synprot_errors:
        return said
    record.dropped(
        session.service.log,
        session.described(),
        "too many syntax or protocol errors",
        record.shown(session.last_command),
        "last command",
    )
    session.closing = True
    return reply(said.code, said.status, f"{said.text}\n{TOO_MANY_ERRORS}")


def _unknown(session: Session) -> Reply:
    session.counts.unknown += 1
    if session.counts.unknown <= session.service.conf.smtp_in.smtp_max_unknown_commands:
        return UNKNOWN
    record.dropped(
        session.service.log,
        session.described(),
        "too many unrecognized commands",
        record.shown(session.last_command),
        "last",
    )
    session.closing = True
    return TOO_MANY_UNKNOWN


def _is_one_too_many(session: Session, found: Command) -> bool:
    counts = session.counts
    if found.first_free and found.verb not in counts.free_used:
        counts.free_used.add(found.verb)
        return False
    counts.nonmail += 1
    smtp = session.service.conf.smtp_in
    if counts.nonmail <= smtp.smtp_accept_max_nonmail:
        return False
    return in_hosts(session.ctx, smtp.smtp_accept_max_nonmail_hosts)


def _too_many_nonmail(session: Session) -> Reply:
    record.dropped(
        session.service.log,
        session.described(),
        "too many nonmail commands",
        record.shown(session.last_command),
        "last",
    )
    session.closing = True
    return TOO_MANY_NONMAIL


def _is_too_soon(session: Session, found: Command) -> bool:
    """True if more came behind a command that has to be the last of its group."""
    if not found.ends_group and (session.pipelining or not found.pipelined):
        return False
    if session.caller is not None or not session.situation.connection.enforce_sync:
        return False
    return session.wire.pending


def _next_shown(session: Session, found: Command) -> str:
    """What came too soon; what follows AUTH is none of the log's business."""
    return "(hidden)" if found.verb == _AUTH else record.shown(session.wire.peek(64))


def _too_soon(session: Session, found: Command) -> Reply:
    record.too_soon(
        session.service.log,
        session.who(),
        record.shown(session.last_command),
        _next_shown(session, found),
        pipelining=session.pipelining,
    )
    session.closing = True
    return TOO_SOON


def refused(
    session: Session,
    verdict: Verdict,
    what: str,
    *,
    sender: str | None = None,
    denied: int = 550,
) -> Reply:
    """Log a refusal by an ACL and put it into words; `denied` is the usual code for it."""
    answer = refusal(verdict, denied)
    if verdict.action is Action.DROP:
        session.closing = True
    connection = session.ctx.connection
    events.rejected(
        session.service.log,
        session.who(),
        what,
        temporary=verdict.action is Action.DEFER,
        sender=sender,
        authenticated=events.authenticated(connection.host_auth, connection.authenticated_id),
        text=answer.log,
    )
    return spoken(answer, session)


def spoken(answer: Answer, session: Session) -> Reply:
    """The reply that an ACL's answer makes; a code that does not fit is complained of."""
    if answer.wrong_code:
        session.service.log.panic(
            f"configured error code starts with incorrect digit (expected "
            f'{str(answer.code)[0]}) in "{answer.text}"'
        )
    text = answer.text
    if not session.situation.connection.multiline_responses:
        text = text.replace("\n", " ")
    return reply(answer.code, answer.status, text)
