"""Messages of local programs: the side of the submit socket that receives.

    in    more*, submit + a descriptor to read the message from;  or session + two descriptors
    out   accepted(id) | rejected(code, text);                    finished(code)

Who calls says the kernel (SO_PEERCRED).  The descriptor comes from the caller: it may be slow,
endless, or no file at all; it is read with a deadline, and what it gives is bounded by
message_size_limit.

A caller is trusted if he is root, the mail user, or among trusted_users or trusted_groups.
Only then is his -f believed; others may give <> and what untrusted_set_sender allows.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from mta.acl.phase import Phase
from mta.acl.situation import Situation
from mta.base import clock
from mta.base.errors import ExpansionFail, ProtocolError, Reject, TempFail
from mta.base.text import trim, words
from mta.config.model import Configuration
from mta.config.template import Template
from mta.expand.context import Connection, Context, Message
from mta.expand.trust import keep_all
from mta.mail import xtext
from mta.mail.address import AddressError, parse_list, parse_path, split
from mta.match.address import match_address
from mta.receive.fixup import Author
from mta.receive.frames import Accepted, Finished, More, Rejected, Session, Submit
from mta.receive.intake import Intake
from mta.receive.lines import LocalText
from mta.receive.protocols import LOCAL
from mta.receive.room import check_room
from mta.receive.service import Caller, Service
from mta.receive.sizes import size_limit
from mta.receive.terms import Terms
from mta.spool.envelope import Recipient
from mta.unix import frames, users

# sysexits.h
UNAVAILABLE = 69
DATA_ERROR = 65
TEMPORARY = 75
USAGE = 64

# How long a caller may take to say what he wants; his message may take longer.
FRAME_DEADLINE = 60.0
# With receive_timeout = 0, as it is by default, a program may be slow, but it must not hold us
# for ever.
BODY_DEADLINE = 3600.0
READ_SIZE = 65536
MOST_RECIPIENTS = 100_000


def serve(service: Service, connection: socket.socket) -> None:
    """Do what the program at the other end of a connection asks for; returns at its end."""
    connection.settimeout(FRAME_DEADLINE)
    caller = caller_of(service.conf, users.peer_of(connection).uid)
    recipients: list[str] = []
    with contextlib.suppress(OSError):
        while (received := _next(connection)) is not None:
            try:
                answer = _answer(service, caller, received, recipients)
                if answer is not None:
                    frames.send(connection, answer)
            finally:
                received.close()


def _next(connection: socket.socket) -> frames.Received | None:
    """The next frame; one that breaks the rules ends the connection."""
    try:
        return frames.receive(connection, (More, Submit, Session))
    except ProtocolError as error:
        with contextlib.suppress(OSError, ProtocolError):
            frames.send(connection, Rejected(USAGE, str(error)[:1000]))
        return None


def _answer(
    service: Service, caller: Caller, received: frames.Received, recipients: list[str]
) -> Accepted | Rejected | Finished | None:
    match received.message:
        case More() as more:
            if len(recipients) + len(more.recipients) > MOST_RECIPIENTS:
                return Rejected(DATA_ERROR, "too many recipients")
            recipients += more.recipients
        case Submit() as request:
            if len(received.fds) != 1:
                return Rejected(USAGE, "there must be one descriptor")
            everybody = (*recipients, *request.recipients)
            recipients.clear()
            return submit(
                service, caller, request, everybody, reader(received.fds[0], service)
            )
        case Session() as session:
            if len(received.fds) != 2:
                return Rejected(USAGE, "there must be two descriptors")
            queue_only = session.delivery == "queue"
            service.converse(service, received.fds[0], received.fds[1], caller, queue_only)
            return Finished(0)
    return None


def caller_of(conf: Configuration, uid: int) -> Caller:
    """What is known of a local user."""
    user = users.by_uid(uid)
    login: str = user.name if user else users.name_of(uid)
    gecos = user.gecos.partition(",")[0] if user else ""
    full_name = gecos.replace("&", login[:1].upper() + login[1:])  # ascii: a login name
    gid = user.gid if user else uid
    return Caller(uid, gid, login, full_name, is_trusted(conf, uid, user))


def is_trusted(conf: Configuration, uid: int, user: users.User | None) -> bool:
    """True for root, the mail user, and whom the configuration names."""
    if uid in (0, os.geteuid()):
        return True
    if user is None:
        return False
    names = {user.name, str(uid)}
    if user.name == conf.own.mail_user or names & set(_items(conf.local.trusted_users)):
        return True
    groups = {users.group_id(name) for name in _items(conf.local.trusted_groups)}
    return bool(groups & set(users.groups_of(user)))


def _items(template: Template | None) -> list[str]:
    if template is None:
        return []
    return [name for item in template.text.split(":") if (name := trim(item))]


def reader(fd: int, service: Service) -> Callable[[], Iterator[bytes]]:
    """Reads the message from a descriptor, each wait with a deadline, the whole too."""
    patience = float(service.conf.smtp_in.receive_timeout) or BODY_DEADLINE

    def pieces() -> Iterator[bytes]:
        poller = select.poll()
        poller.register(fd, select.POLLIN)
        end = clock.monotonic() + BODY_DEADLINE
        while True:
            left = min(patience, end - clock.monotonic())
            if left <= 0 or not poller.poll(left * 1000):
                raise TimeoutError("the message does not come to its end")
            if not (octets := os.read(fd, READ_SIZE)):
                return
            yield octets

    return pieces


def submit(
    service: Service,
    caller: Caller,
    request: Submit,
    recipients: tuple[str, ...],
    source: Callable[[], Iterator[bytes]],
) -> Accepted | Rejected:
    """Take one message, or say why not."""
    try:
        return Accepted(_take(service, caller, request, recipients, source))
    except Reject as error:
        code = DATA_ERROR if error.code == 501 else UNAVAILABLE
        return Rejected(TEMPORARY if error.code < 500 else code, error.text)
    except (AddressError, ExpansionFail) as error:
        return Rejected(DATA_ERROR, str(error))
    except TempFail as error:
        return Rejected(TEMPORARY, error.text)
    except TimeoutError as error:
        return Rejected(TEMPORARY, str(error))
    except OSError as error:
        return Rejected(DATA_ERROR, f"the message cannot be read: {error.strerror}")


def _take(
    service: Service,
    caller: Caller,
    request: Submit,
    recipients: tuple[str, ...],
    source: Callable[[], Iterator[bytes]],
) -> str:
    conf = service.conf
    connection = Connection(
        ident=caller.login,
        local_uid=caller.uid,
        protocol=LOCAL,
        authenticated_id=caller.login,
        active_hostname=conf.naming.primary_hostname,
    )
    ctx = Context(conf, service.tables, connection=connection)
    own = own_address(conf, caller)
    connection.authenticated_sender = own
    ctx.message = Message(originator_uid=caller.uid, originator_gid=caller.gid)
    ctx.message.sender, set_by_other = _sender(ctx, caller, request, own)
    flags = _wishes(request)
    named = [Recipient(each, dsn_flags=flags) for each in _recipients(conf, recipients)]
    if not named and not request.from_headers:
        raise Reject(501, "5.5.4", "no recipients")
    check_room(service.spool, conf.queue, 0)
    situation = Situation(ctx, service.log, Phase.NOT_SMTP, verifier=service.verifier)
    situation.who = lambda: f"U={caller.login}"
    situation.message.local_fixups = bool(request.fixups) or not caller.is_trusted
    terms = _terms(ctx, caller, request, own, set_by_other, flags)
    terms.postmark = partial(_believe_postmark, ctx, caller, terms, bool(request.has_sender))
    intake = Intake(service, situation, terms)
    try:
        _read(intake, LocalText(dot_ends=bool(request.dot_ends)), source())
        return intake.finish(named)
    finally:
        intake.abandon()


def _read(intake: Intake, text: LocalText, source: Iterator[bytes]) -> None:
    for octets in source:
        intake.take(text.feed(octets))
        if text.ended or intake.failed:
            break
    intake.take(text.end())


def _terms(
    ctx: Context,
    caller: Caller,
    request: Submit,
    own: str,
    set_by_other: bool,
    flags: int,
) -> Terms:
    conf = ctx.conf
    # A trusted caller who gives a sender speaks for somebody else: his own name is no help.
    name = caller.full_name if not (caller.is_trusted and request.has_sender) else ""
    author = Author(
        own,
        _one_line(request.full_name) or name,
        must_be_named=not caller.is_trusted and conf.local.local_from_check,
    )
    return Terms(
        protocol="local",
        caller=caller,
        author=author,
        phase=Phase.NOT_SMTP,
        fixups=True,
        from_headers=bool(request.from_headers),
        sender_set_untrusted=set_by_other,
        is_local=ctx.message.sender == own,
        queue_only=request.delivery == "queue" or conf.queue.queue_only,
        size_limit=size_limit(ctx),
        dsn_ret={"full": 1, "hdrs": 2}.get(request.dsn_ret, 0),
        dsn_envid=request.dsn_envid,
        dsn_flags=flags,
    )


def _one_line(text: str) -> str:
    return " ".join(words(text))[:200]


def _sender(ctx: Context, caller: Caller, request: Submit, own: str) -> tuple[str, bool]:
    """The envelope's sender, and whether an untrusted caller was allowed to set it."""
    if not request.has_sender:
        return own, False
    given = trim(request.sender)
    if given in ("", "<>"):
        return believed_sender(ctx, caller, "")
    address, rest = parse_path(
        given, null_ok=True, allow_literal=True, allow_unqualified=True, allow_utf8=True
    )
    if trim(rest):
        raise AddressError(f"malformed address: {rest} may not follow {address}")
    if address and not split(address)[1]:
        address = f"{address}@{ctx.conf.naming.qualify_domain}"
    return believed_sender(ctx, caller, address)


def _believe_postmark(
    ctx: Context, caller: Caller, terms: Terms, has_sender: bool, given: str
) -> None:
    """Take the sender that the message begins with, if the caller may say who that is and has
    not done so with -f.

    One that cannot be read is no reason to refuse the message.
    """
    if has_sender:
        return
    try:
        address, rest = parse_path(
            given, null_ok=True, allow_literal=True, allow_unqualified=True, allow_utf8=True
        )
    except AddressError:
        return
    if rest or not (address or caller.is_trusted):
        return
    if address and not split(address)[1]:
        address = f"{address}@{ctx.conf.naming.qualify_domain}"
    sender, by_other = believed_sender(ctx, caller, address)
    if not (caller.is_trusted or by_other):
        return
    ctx.message.sender, terms.sender_set_untrusted = sender, by_other
    terms.is_local = False
    if caller.is_trusted and terms.author is not None:
        terms.author = replace(terms.author, name="")


def own_address(conf: Configuration, caller: Caller) -> str:
    """The address of a local user; trusted, as the system gave him his name."""
    domain = conf.naming.qualify_domain
    return keep_all((caller.login, domain), f"{caller.login}@{domain}")


def believed_sender(ctx: Context, caller: Caller, address: str) -> tuple[str, bool]:
    """The sender that a local user gets when he asks for one, and whether he may though he is
    not trusted.

    Who may not is not told: the message goes, from himself, as with Exim.
    """
    if caller.is_trusted:
        return address, False
    allowed = ctx.conf.local.untrusted_set_sender
    if not address or (allowed is not None and match_address(ctx, allowed, address)):
        return address, True
    return own_address(ctx.conf, caller), False


def _recipients(conf: Configuration, given: tuple[str, ...]) -> list[str]:
    """The addresses of the command line; one argument may hold several."""
    found: dict[str, None] = {}
    for argument in given:
        for address in parse_list(argument, limit=MOST_RECIPIENTS):
            domain = split(address)[1]
            whole = address if domain else f"{address}@{conf.naming.qualify_recipient}"
            found[whole] = None
            if len(found) > MOST_RECIPIENTS:
                raise Reject(501, "5.5.3", "too many recipients")
    return list(found)


def _wishes(request: Submit) -> int:
    """What -N asks for, as in Recipient.dsn_flags.  Raises Reject for what it cannot."""
    if not xtext.is_envelope_id(request.dsn_envid):
        raise Reject(501, "5.5.4", "an envelope id is up to 100 characters of xtext")
    flags = xtext.notify_flags(request.dsn_notify)
    if request.dsn_notify and not flags:
        raise Reject(501, "5.5.4", "notification is never, or some of success,failure,delay")
    return flags
