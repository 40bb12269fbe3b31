"""Send messages to other hosts over SMTP, host after host until one takes them.

Runs as the network user.  Here is the policy: which hosts and addresses are tried in which
order, how many recipients and messages go over one connection, and when a connection is kept
for the next message.  The conversation itself is smtp_session's.

A kept connection that turns out to be dead costs nothing: as long as the server cannot have
taken the message, it is sent again over a fresh one and nobody hears of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from mta.auth.api import Authenticator
from mta.auth.engine import clients, load_authenticators
from mta.base import clock
from mta.base.errors import ConfigError, PermFail, TempFail
from mta.base.text import lower, trim, upper
from mta.config.model import Block, Configuration
from mta.config.template import Template
from mta.expand.context import Context
from mta.log.selector import selected
from mta.mail import xtext
from mta.match.check import GRAMMARS
from mta.net import interfaces
from mta.net.secrecy import Secrecy
from mta.net.socket import family_of
from mta.route.api import Host
from mta.route.host_list import parse_hosts
from mta.spool.envelope import DSN_LAST_HOP, DSN_NEVER, DSN_WISHES
from mta.transport import smtp_tls
from mta.transport.api import Outcome, Parcel, ParcelRecipient, Result
from mta.transport.engine import transport
from mta.transport.smtp_auth import AUTH_FAIL, Wish, identity, wish_for
from mta.transport.smtp_options import SmtpOptions
from mta.transport.smtp_session import (
    DATA_4XX,
    Mail,
    Place,
    Session,
    Stopped,
    Timeouts,
    is_one_word,
)
from mta.transport.smtp_tls import TLS_FAILURE

# What finds hosts asks lists of the configuration.
assert GRAMMARS

# The numbers that Exim's retry records have for these.
UNKNOWN_HOST = -32
HOST_IS_LOCAL = -50

ENDLESS = 3600.0  # seconds; what "no limit" means
IDLE = 5.0  # seconds for which a connection is kept
LMTP_PORT = "24"  # /etc/services does not have it everywhere


@transport("smtp")
class Smtp(SmtpOptions):
    """Send messages to other hosts over SMTP."""

    is_local = False
    patience = IDLE

    kept: Session | None = None
    authenticators: tuple[Authenticator, ...] = ()

    def __init__(self, block: Block) -> None:
        super().__init__(block)
        self.is_lmtp = self.protocol == "lmtp"
        self.secrecy = Secrecy()
        # Without any option of TLS nothing need be worked out for each server.
        self.speaks_usual = not smtp_tls.OPTIONS & self.where.keys()

    def use(self, conf: Configuration) -> None:
        """Take the authenticators, if a server could be told who we are."""
        if self.hosts_try_auth is not None or self.hosts_require_auth is not None:
            self.authenticators = clients(load_authenticators(conf))

    def deliver(self, ctx: Context, parcel: Parcel) -> list[Outcome]:
        """Try host after host until each recipient has been taken or refused."""
        return _Delivery(self, ctx, parcel).run()

    def close(self) -> None:
        """Leave the server that we are still connected to."""
        kept, self.kept = self.kept, None
        if kept is not None:
            kept.leave()

    def session(self, place: Place, wish: Wish | None = None) -> Session:
        """The kept connection if it goes there and is alive, else a new one.

        Raises Stopped.
        """
        kept = self.kept
        if kept is not None:
            if kept.place == place and kept.is_fresh(clock.monotonic(), IDLE):
                self.kept = None
                return kept
            self.close()
        return Session(
            place, self.timeouts(), self.secrecy, keepalive=self.keepalive, wish=wish
        )

    def keep(self, session: Session) -> None:
        """Keep a connection for the next message, unless it has carried enough."""
        if self.has_carried_enough(session):
            session.leave()
        else:
            session.idle_since = clock.monotonic()
            self.kept = session

    def has_carried_enough(self, session: Session) -> bool:
        """True if a connection should carry no more messages."""
        return 0 < self.connection_max_messages <= session.carried

    def timeouts(self) -> Timeouts:
        """How long to wait for what; no wait is endless."""
        return Timeouts(
            self.connect_timeout or ENDLESS,
            self.command_timeout or ENDLESS,
            self.data_timeout or ENDLESS,
            self.final_timeout or ENDLESS,
        )

    def find(
        self, ctx: Context, name: str, *, may_be_ours: bool
    ) -> tuple[list[str], str, bool]:
        """The addresses of a host that no router has looked up; see addresses_for.

        Raises TempFail.
        """
        # Most hosts come with their addresses, and what asks the DNS takes long to load.
        from mta.match import search
        from mta.net.exchangers import Way, nowhere

        rules = replace(
            search.rules(ctx),
            qualify=self.dns_qualify_single,
            search=self.dns_search_parents,
            dnssec=partial(search.in_domains, ctx, self.dnssec_request_domains),
            secure_only=partial(search.in_domains, ctx, self.dnssec_require_domains),
        )
        if may_be_ours:
            rules = replace(rules, ours=nowhere, ours_by_name=nowhere)
        way = Way.NAME if self.gethostbyname else Way.EITHER
        return search.addresses_for(ctx, name, rules, way)


class _Delivery:
    """One parcel, host after host, until nobody is left or no host."""

    __slots__ = (
        "ctx",
        "deferred",
        "deferred_here",
        "final",
        "has_own",
        "helo",
        "interfaces",
        "left",
        "mail",
        "notes",
        "parcel",
        "port",
        "smtp",
        "targets",
        "unsaid",
    )

    def __init__(self, smtp: Smtp, ctx: Context, parcel: Parcel) -> None:
        self.smtp = smtp
        self.ctx = ctx
        self.parcel = parcel
        self.notes: list[Outcome] = []
        self.unsaid: Outcome | None = None  # a note for the case that another host is tried
        self.final: dict[str, Outcome] = {}
        self.deferred: dict[str, Outcome] = {}
        self.deferred_here: set[str] = set()
        self.left = self._addressed()
        self.helo = self._text(ctx, smtp.helo_data, "helo_data")
        port = self._text(ctx, smtp.port, "port")
        if smtp.is_lmtp and "port" not in smtp.where:
            port = LMTP_PORT
        elif smtp.protocol == "smtps" and "port" not in smtp.where:
            port = "smtps"
        self.port = self._port(port)
        self.interfaces = interfaces.split(self._text(ctx, smtp.interface, "interface"))
        self.ctx = ctx
        self.has_own = not parcel.hosts or (smtp.hosts_override and smtp.hosts is not None)
        self.targets = self._own_hosts(ctx) if self.has_own else list(parcel.hosts)
        sender = smtp.sender(ctx, parcel)
        if not is_one_word(sender):
            raise PermFail("the sender's address has characters that SMTP cannot carry")
        stream = smtp.stream(ctx, parcel, sender)
        size = None if smtp.size_addition < 0 else stream.wire_size() + smtp.size_addition
        author, force = self._author(ctx), smtp.authenticated_sender_force
        quota = smtp.is_lmtp and smtp.lmtp_ignore_quota
        wishes = wishes_of(parcel)
        self.mail = Mail(
            sender, (), stream, size, parcel.is_8bit, wishes, author, force, quota
        )

    def run(self) -> list[Outcome]:
        """The outcomes: notes about hosts first, then one for each recipient."""
        goes_on = bool(self.left)
        if goes_on:
            for place in self._limited(self._places()):
                goes_on = self._try(place)
                if not goes_on:
                    break
        outcomes = [
            self.final.get(recipient.address) or self._given_up(recipient.address)
            for recipient in self.parcel.recipients
        ]
        return self.notes + outcomes

    def _limited(self, places: Iterator[tuple[Place, Host]]) -> Iterator[Place]:
        """As many places as may be tried: hosts_max_try, and hosts_max_try_hardlimit.

        Expired hosts are not counted.  One at which the limit is reached is tried, not
        counted, and followed by the first of another preference, if there is one.
        """
        smtp, counted, tried = self.smtp, 0, 0
        passing: Host | None = None
        for place, host in places:
            if passing is not None and host.preference == passing.preference:
                continue
            passing = None
            if not host.expired:
                counted += 1
                if counted >= smtp.hosts_max_try:
                    counted, passing = counted - 1, host
            tried += 1
            yield place
            if tried >= max(1, smtp.hosts_max_try_hardlimit):
                return

    def _given_up(self, address: str) -> Outcome:
        nowhere = Outcome("", Result.DEFER, "no host could be tried", "4.4.0")
        return self.deferred.get(address, nowhere).about(address)

    # What is said, and where.

    def _addressed(self) -> dict[str, str]:
        """What to say after RCPT TO for each recipient that can be said at all."""
        left = {}
        for recipient in self.parcel.recipients:
            text = self.smtp.recipient_text(recipient)
            if is_one_word(text):
                left[recipient.address] = text
            else:
                reason = "the address has characters that SMTP cannot carry"
                self.final[recipient.address] = Outcome(
                    recipient.address, Result.FAIL, reason, "5.1.3"
                )
        return left

    def _text(self, ctx: Context, option: Template | None, name: str) -> str:
        text = trim(self.smtp.value(ctx, option, name) or "")
        if any(character in text for character in "\r\n\0"):
            raise TempFail(f"{name} of {self.smtp.name} transport is not one line")
        return text

    def _author(self, ctx: Context) -> str:
        """For AUTH=: what the option says, or what came with the message."""
        said = self.smtp.value(ctx, self.smtp.authenticated_sender, "authenticated_sender")
        return said or ctx.connection.authenticated_sender

    def _port(self, text: str) -> int:
        try:
            (port,) = interfaces.read_ports(text, self.smtp.where.get("port"))
        except (ConfigError, ValueError):
            raise TempFail(f'invalid port "{text}" for {self.smtp.name} transport') from None
        return port

    def _own_hosts(self, ctx: Context) -> list[Host]:
        """The hosts of the transport's own option."""
        text = self._text(ctx, self.smtp.hosts, "hosts")
        hosts = list(parse_hosts(text, shuffle=self.smtp.hosts_randomize))
        if not hosts:
            raise TempFail(f"{self.smtp.name} transport called with no hosts set")
        return hosts

    def _places(self) -> Iterator[tuple[Place, Host]]:
        """Where to go, one after the other; where we are connected comes first."""
        seen: set[Place] = set()
        kept = self.smtp.kept
        if kept is not None and self._leads_to(kept.place):
            seen.add(kept.place)
            yield kept.place, Host(kept.place.name)
        for host in self.targets:
            for address in self._addresses(host):
                place = self._place(host, address)
                if place not in seen:
                    seen.add(place)
                    yield place, host

    def _place(self, host: Host, address: str) -> Place:
        family = family_of(address)
        own = [each for each in self.interfaces if family_of(each) == family]
        port = host.port or self.port
        terms = smtp_tls.USUAL
        if not self.smtp.speaks_usual:
            terms = smtp_tls.terms_for(self.smtp, self.ctx, host.name, address)
        place = Place(
            host.name,
            address,
            port,
            own[0] if own else "",
            self.helo,
            is_lmtp=self.smtp.is_lmtp,
            tls=terms,
        )
        wish = self._wish(place)
        return replace(place, identity=_identity(wish)) if wish else place

    def _wish(self, place: Place) -> Wish | None:
        """Whether this server is to be told who we are.  Raises TempFail."""
        smtp = self.smtp
        if smtp.hosts_try_auth is None and smtp.hosts_require_auth is None:
            return None
        there = replace(self.ctx.place, host=place.name, host_address=place.address)
        ctx = replace(self.ctx, place=there, values=dict(self.ctx.values), tls_out=None)
        return wish_for(ctx, smtp.authenticators, smtp.hosts_try_auth, smtp.hosts_require_auth)

    def _leads_to(self, place: Place) -> bool:
        """True if one of our hosts is this one, without asking for its address."""
        return any(
            host.name == place.name
            and host.address in ("", place.address)
            and self._place(host, place.address) == place
            for host in self.targets
        )

    def _addresses(self, host: Host) -> list[str]:
        """The addresses of a host; without any the recipients are deferred."""
        if host.address and not self.has_own:
            return [host.address]
        reason, code = f"failed to lookup IP address for {host.name}", UNKNOWN_HOST
        may_be_ours = self.smtp.allow_localhost or not self.has_own
        try:
            found, why, only_ours = self.smtp.find(
                self.ctx, host.name, may_be_ours=may_be_ours
            )
        except TempFail as failure:
            found, why, only_ours = [], failure.text, False
        if only_ours:
            reason = f"{self.smtp.name} transport found host {host.name} to be local"
            code = HOST_IS_LOCAL
        elif why:
            reason = f"{reason}: {why}"
        if not found:
            self._defer(
                Outcome("", Result.DEFER, reason, "4.4.4", code, host.name, host_error=True)
            )
        return found

    # One host.

    def _try(self, place: Place) -> bool:
        """Offer this host what is left; False if nothing is, or nobody else may be asked."""
        self.deferred_here.clear()
        if self.unsaid is not None:
            self.notes.append(self.unsaid)
            self.unsaid = None
        before = len(self.final)
        try:
            session = self._converse(place)
        except Stopped as stopped:
            self._remark(stopped.remarks)
            self._defer(stopped.outcome)
            return bool(self.left) and not stopped.in_doubt
        self.smtp.keep(session)
        if self.left and len(self.final) == before:
            # Nobody got anything from this host.  That is worth a line if another is tried.
            key = next(iter(self.deferred_here))
            self.unsaid = self.deferred[key].about("")
        return bool(self.left)

    def _converse(self, place: Place) -> Session:
        """Send transactions until this host has answered for all; the connection."""
        session = self._session(place)
        try:
            while batch := self._batch():
                if self.smtp.has_carried_enough(session):
                    session.leave()
                    session = self._session(place)
                try:
                    self._transact(session, batch)
                except Stopped as stopped:
                    if not _is_stale(session, stopped):
                        self._end(session, stopped)
                        raise
                    session.drop()
                    session = self._session(place)
        except Stopped:
            raise
        except BaseException:
            session.drop()
            raise
        return session

    def _session(self, place: Place) -> Session:
        """A connection, in the clear where TLS fails and that is allowed.  Raises Stopped."""
        try:
            session = self.smtp.session(place, self._wish(place))
        except Stopped as stopped:
            terms, outcome = place.tls, stopped.outcome
            if outcome.code != TLS_FAILURE or terms.required or not terms.try_clear:
                raise
            where = f"H={place.name} [{place.address}]"
            text = f"{outcome.text}: delivering unencrypted to {where}"
            self._remark([f"{text} (not in hosts_require_tls)"])
            place = replace(place, tls=smtp_tls.CLEAR)
            session = self.smtp.session(place, self._wish(place))
        self.ctx.tls_out = session.facts
        self._remark(session.remarks)
        session.remarks = []
        return session

    def _remark(self, texts: Sequence[str]) -> None:
        self.notes += [Outcome("", Result.DONE, text) for text in texts]

    def _end(self, session: Session, stopped: Stopped) -> None:
        if stopped.usable:
            self.smtp.keep(session)
        else:
            session.drop()

    def _batch(self) -> tuple[tuple[str, str], ...]:
        most = self.smtp.max_rcpt or len(self.left)
        here = [item for item in self.left.items() if item[0] not in self.deferred_here]
        return tuple(here[:most])

    def _transact(self, session: Session, batch: tuple[tuple[str, str], ...]) -> None:
        done: dict[str, Outcome] = {}
        try:
            session.carry(replace(self.mail, recipients=batch), done)
        except Stopped as stopped:
            if _is_stale(session, stopped):
                # What was said in it will be said again.
                done = {key: each for key, each in done.items() if each.result is Result.FAIL}
            raise
        finally:
            for key, outcome in done.items():
                self._settle(key, self._with_author(outcome))
        session.carried += 1

    def _with_author(self, outcome: Outcome) -> Outcome:
        """The outcome with AUTH= in A=, if the log is to show that."""
        who, author = outcome.authenticated, self.mail.author
        if not who or not author:
            return outcome
        if not selected(self.ctx.conf.logging.log_selector, "smtp_mailauth"):
            return outcome
        return replace(outcome, authenticated=f"{who}:{author}")

    def _settle(self, key: str, outcome: Outcome) -> None:
        if outcome.result is Result.DEFER:
            self.deferred[key] = outcome
            self.deferred_here.add(key)
        else:
            self.final[key] = outcome
            del self.left[key]

    def _defer(self, outcome: Outcome) -> None:
        """This is true of all whom this host has not answered for; it may be a failure."""
        note = replace(outcome, result=Result.DEFER)
        if outcome.host_error or (outcome.message_error and outcome.result is Result.DEFER):
            self.notes.append(note)
        elif outcome.result is Result.DEFER:
            self.unsaid = note
        if outcome.code == AUTH_FAIL:
            # It is about us as much as about the host: Exim's line for it names none.
            outcome = replace(outcome, host="", host_address="", port=0)
        for key in [key for key in self.left if key not in self.deferred_here]:
            self._settle(key, outcome.about(key))


def _identity(wish: Wish) -> bytes:
    """Whom we say that we are, in the clear and in secret: only then may a server be told."""
    in_clear = identity(wish)
    wish.ctx.tls_out = smtp_tls.EXPECTED
    return in_clear + identity(wish)


def _is_stale(session: Session, stopped: Stopped) -> bool:
    """True if a connection that was used before is no good any more, and no harm is done."""
    return (
        session.carried > 0
        and not stopped.in_doubt
        and stopped.outcome.result is Result.DEFER
        and stopped.outcome.code != DATA_4XX
    )


def wishes_of(parcel: Parcel) -> dict[str, str]:
    """The parameters for a server that knows DSN, as `Mail` has them.  RFC 3461 5.2.1

    They come from a file that a process which talked to strangers has written: what is no
    value of its parameter is left out.
    """
    wishes: dict[str, str] = {}
    relayed = [each for each in parcel.recipients if not each.dsn_flags & DSN_LAST_HOP]
    for recipient in relayed:
        if words := _wishes_for(recipient):
            wishes[recipient.address] = words
    words = f" RET={upper(parcel.dsn_ret)}" if parcel.dsn_ret in ("full", "hdrs") else ""
    if parcel.dsn_envid and xtext.is_envelope_id(parcel.dsn_envid):
        words += f" ENVID={parcel.dsn_envid}"
    if words and relayed:
        wishes[""] = words
    return wishes


def _wishes_for(recipient: ParcelRecipient) -> str:
    """NOTIFY and ORCPT.  One whose address we have changed gets an ORCPT if it has none and
    the sender cares for reports."""
    flags, original = recipient.dsn_flags, recipient.orcpt
    words = f" NOTIFY={xtext.notify_words(flags)}" if flags & DSN_WISHES else ""
    cares = flags & DSN_WISHES & ~DSN_NEVER
    if cares and not original and lower(recipient.address) != lower(recipient.origin):
        original = xtext.original_recipient(recipient.origin)
    if original and xtext.is_original_recipient(original):
        words += f" ORCPT={original}"
    return words
