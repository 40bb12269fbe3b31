"""When to try again: what hints and rules say before an attempt, and what they learn from it.

At once on arrival a message is routed and delivered locally whatever is remembered; hosts that
are known to be away are left alone even then.  In a queue run all times are kept.  A forced
attempt keeps none.  A message that has waited longer than its rule goes on gets one more try
before it fails.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, replace

from mta.base.text import is_number
from mta.deliver.codes import HOST_RETRY, LOCAL_RETRY, NO_USER, UNKNOWN
from mta.deliver.item import Item, State
from mta.expand.context import Context
from mta.hints.retry import Record, RetryHints
from mta.mail import date
from mta.route.api import Address, Host
from mta.route.retry_rules import (
    CONNECT_TIMEOUT,
    DNS_DEFER,
    RCPT_4XX,
    Failure,
    RetryRules,
    failure_of,
)
from mta.spool.ids import is_id
from mta.transport.api import Outcome

NOT_REACHED = "retry time not reached"
EXCEEDED = "retry timeout exceeded"
LONG_FAILURE = "retry time not reached for any host after a long failure period"


@dataclass(frozen=True, slots=True)
class Lesson:
    """One thing that failed in this attempt, to be remembered under its key."""

    subject: str  # the address or host for which a rule is sought
    alternative: str
    failure: Failure
    text: str
    is_host: bool = False  # the host is to blame, whatever the message


@dataclass(frozen=True, slots=True)
class Manners:
    """What a transport says of retries: Exim's options of the smtp transport."""

    delay_after_cutoff: bool = True
    include_ip: bool = True
    include_sender: bool = True


USUAL = Manners()


def manners_of(transport: object) -> Manners:
    """The manners of a transport; of one without such options the usual ones."""
    return Manners(
        getattr(transport, "delay_after_cutoff", True) is True,
        getattr(transport, "retry_include_ip_address", True) is True,
        getattr(transport, "address_retry_include_sender", True) is True,
    )


class Retry:
    """Retry times for one attempt at one message."""

    __slots__ = (
        "_asked",
        "_ctx",
        "_force",
        "_hints",
        "_known",
        "_lessons",
        "_now",
        "_queue_run",
        "_received",
        "_rules",
        "_works",
    )

    def __init__(
        self,
        ctx: Context,
        rules: RetryRules,
        hints: RetryHints,
        now: float,
        *,
        force: bool,
        queue_run: bool,
    ) -> None:
        self._ctx = ctx
        self._rules = rules
        self._hints = hints
        self._now = int(now)
        self._received = int(ctx.message.received_time)
        self._force = force
        self._queue_run = queue_run
        self._asked: set[str] = set()
        self._known: dict[str, Record] = {}
        self._lessons: dict[str, Lesson] = {}
        self._works: set[str] = set()

    # ---- before

    def look_up(self, addresses: list[Address]) -> None:
        """Learn what is known of these recipients."""
        keys = [key for address in addresses for key in self._routing_keys(address)]
        # Most recipients are delivered to as they are: what is known of that comes along.
        keys += [f"T:{address.text}" for address in addresses]
        self._asked.update(keys)
        self._known.update(self._hints.find(keys, self._now))

    def routing_waits(self, address: Address) -> int:
        """When this address may be routed again, if that is not now; else 0."""
        if not self._queue_run or self._force or not self._known:
            return 0
        return self._latest(self._routing_keys(address), address.domain)

    def local_waits(self, items: list[Item]) -> None:
        """Defer the local deliveries whose time has not come."""
        keys = [key for item in items if (key := _local_key(item)) not in self._asked]
        if keys:
            self._known.update(self._hints.find(keys, self._now))
        if not self._queue_run or self._force or not self._known:
            return
        for item in items:
            if when := self._latest([_local_key(item)], item.address.text):
                item.set(State.DEFERRED, NOT_REACHED, LOCAL_RETRY)
                item.next_try = when

    def hosts_left(
        self, items: list[Item], hosts: tuple[Host, ...], manners: Manners = USUAL
    ) -> tuple[Host, ...]:
        """The hosts that may be tried; where none is left, the items are deferred or fail."""
        if not hosts:
            return hosts
        left: list[Host] = []
        waiting: list[Record] = []
        domain = items[0].address.domain
        for host in hosts:
            records = self._records_of(host, manners)
            expired = bool(records) and all(record.expired for record in records)
            due = [each for each in records if self._is_due(each, host.name, domain)]
            if due or not records or self._force:
                left.append(replace(host, expired=True) if expired else host)
            else:
                waiting += records
        if not left and not manners.delay_after_cutoff:
            left = self._untried(hosts, manners)
        if left:
            for item in items:
                item.is_skipped = len(left) < len(hosts)
            return tuple(left)
        self._none_left(items, waiting)
        return ()

    def _untried(self, hosts: tuple[Host, ...], manners: Manners) -> list[Host]:
        """The hosts that were not tried since the message came, if all have expired."""
        left: list[Host] = []
        for host in hosts:
            records = self._records_of(host, manners)
            if not all(record.expired for record in records):
                return []
            if any(record.last_try < self._received for record in records):
                left.append(replace(host, expired=True))
        return left

    def _none_left(self, items: list[Item], waiting: list[Record]) -> None:
        domain = items[0].address.domain
        expired = all(record.expired for record in waiting)
        for item in items:
            if expired:
                item.set(State.FAILED, LONG_FAILURE, HOST_RETRY, "5.4.7")
                continue
            text = f"{NOT_REACHED} for any host for '{domain}'"
            item.set(State.DEFERRED, text, HOST_RETRY)
            item.next_try = min(record.next_try for record in waiting)
        if expired:
            items[0].note = self._why_at_once(waiting, domain)

    def _why_at_once(self, waiting: list[Record], domain: str) -> str:
        """Why a message fails without a try, and what to do about it."""
        record = max(waiting, key=lambda each: each.first_failed)
        name = record.key[2:].partition(":")[0]
        line = self._rules.find(self._ctx, name, failure_of(record), domain)
        rule = "no retry rule is left for it"
        if line is not None:
            rule = f'the retry rule "{line.text}" ({line.where}) tries for no longer than that'
        return (
            f"not tried: {record.key[2:]} fails since {date.log_stamp(record.first_failed)}"
            f" ({record.text}), and {rule}; next try from {date.log_stamp(record.next_try)},"
            " sooner with exim -M or mta queue retry; change it by a longer last rule,"
            " or no_delay_after_cutoff in the transport"
        )

    def _records_of(self, host: Host, manners: Manners) -> list[Record]:
        """The records that speak of this host, and not of another message."""
        found: list[Record] = []
        for record in self._hints.hosts_named(host.name, self._now):
            rest = record.key[len(host.name) + 3 :]
            address, _, last = rest.rpartition(":")
            if is_id(last) and last != self._ctx.message.message_id:
                continue
            if manners.include_ip and host.address:
                bracketed = _bracketed(host.address)
                if rest != bracketed and not rest.startswith(f"{bracketed}:"):
                    continue
            port = (address if is_id(last) else rest).rpartition(":")[2]
            if is_number(port) and host.port and int(port) != host.port:
                continue
            self._known[record.key] = record
            found.append(record)
        return found

    def _latest(self, keys: list[str], subject: str) -> int:
        waiting = [
            record.next_try
            for key in keys
            if (record := self._known.get(key)) is not None
            # What has expired is tried for each message; only hosts wait then.
            and not record.expired
            and not self._is_due(record, subject)
        ]
        return max(waiting, default=0)

    def _is_due(self, record: Record, subject: str, alternative: str = "") -> bool:
        """True if the time has come, or if the message itself has run out of time."""
        if record.next_try <= self._now:
            return True
        if record.expired or self._received >= record.first_failed:
            return False
        line = self._rules.find(self._ctx, subject, failure_of(record), alternative)
        return line is None or self._now - self._received > line.lasts

    def _routing_keys(self, address: Address) -> list[str]:
        return [
            f"R:{address.domain}",
            f"R:{address.text}",
            f"R:{address.text}:<{self._ctx.message.sender}>",
        ]

    # ---- after

    def works(self, item: Item) -> None:
        """An address was delivered to: what was remembered against it is wrong now."""
        if self._known:
            self._works.update(self._routing_keys(item.address))
            self._works.update(self._routing_keys(item.address.origin))
            self._works.add(_local_key(item))

    def host_works(self, outcome: Outcome) -> None:
        """A host took a message; for one that is known by name, all its addresses count."""
        if self._known and outcome.host:
            prefix = f"T:{outcome.host}:"
            self._works.update(key for key in self._known if key.startswith(prefix))

    def routing_failed(self, item: Item) -> None:
        """An address could not be routed now."""
        key = item.address.retry_key or item.address.domain
        self._learn(item, f"R:{key}", key, item.address.domain, Failure(item.code))

    def delivery_failed(
        self, item: Item, outcome: Outcome, hosts: list[str], manners: Manners = USUAL
    ) -> None:
        """A delivery was deferred; `hosts` are the keys of the hosts that were to blame."""
        failure = _failure(outcome, item.hosts)
        address = item.address
        if item.is_local:
            self._learn(item, _local_key(item), address.text, "", failure)
        elif outcome.code == RCPT_4XX:
            key = f"R:{address.text}"
            if manners.include_sender:
                key += f":<{self._ctx.message.sender}>"
            self._learn(item, key, address.text, "", failure)
        elif outcome.host and (outcome.host_error or outcome.message_error):
            own = self.host_failed(outcome, item, manners)
            item.retry_keys += dict.fromkeys([*hosts, own])
        elif hosts:
            item.retry_keys += hosts
        elif outcome.host:
            self._learn(item, _local_key(item), address.text, outcome.host, failure)
        elif outcome.code in (UNKNOWN, NO_USER):
            # Trouble of our own: it says nothing about the domain.
            self._learn(item, _local_key(item), address.text, "", failure)
        else:
            unknown = failure if failure.code else Failure(DNS_DEFER)
            self._learn(item, f"R:{address.domain}", address.domain, "", unknown)

    def not_started(self, item: Item) -> None:
        """A local delivery could not even be begun."""
        self._learn(item, _local_key(item), item.address.text, "", Failure(item.code))

    def host_failed(self, outcome: Outcome, item: Item, manners: Manners = USUAL) -> str:
        """A host could not be used, or not for this message; gives the key."""
        key = f"T:{outcome.host}:"
        if manners.include_ip:
            key += _bracketed(outcome.host_address)
        if outcome.port not in (0, 25):
            key += f":{outcome.port}"
        if outcome.message_error:
            key += f":{self._ctx.message.message_id}"
        failure = _failure(outcome, item.hosts)
        text = outcome.text or outcome.remote_text
        is_host = not outcome.message_error
        lesson = Lesson(outcome.host, item.address.domain, failure, text, is_host)
        self._lessons[key] = lesson
        return key

    def _learn(
        self, item: Item, key: str, subject: str, alternative: str, failure: Failure
    ) -> None:
        self._lessons[key] = Lesson(subject, alternative, failure, item.text)
        item.retry_keys.append(key)

    def conclude(self, items: list[Item]) -> None:
        """Remember what was learnt; set the next try of what is deferred, or let it fail."""
        following = self._remember()
        if self._works:
            self._hints.forget(key for key in self._works if key in self._known)
        for item in items:
            if item.state is not State.DEFERRED or not item.retry_keys:
                continue
            times = [following[key] for key in item.retry_keys if key in following]
            if times and all(out for _, out in times) and not item.is_skipped:
                item.state = State.FAILED
                item.text = f"{item.text}: {EXCEEDED}" if item.text else EXCEEDED
                item.status = "5.4.7"
            elif times:
                item.next_try = min(at for at, _ in times)

    def _remember(self) -> dict[str, tuple[int, bool]]:
        """Write the records; gives for each key the next try and whether time is up."""
        following: dict[str, tuple[int, bool]] = {}
        if not self._lessons:
            return following
        missing = [key for key in self._lessons if key not in self._known]
        self._known.update(self._hints.find(missing, self._now))
        records: list[Record] = []
        for key, lesson in self._lessons.items():
            line = self._rules.find(
                self._ctx, lesson.subject, lesson.failure, lesson.alternative
            )
            old = self._known.get(key)
            when = self._rules.next(
                line, old, self._now, self._received, is_host=lesson.is_host
            )
            following[key] = (when.at, when.timed_out)
            if line is None:
                continue  # no rule, no time to remember
            start = old or Record(key, self._now, self._now, self._now)
            records.append(
                replace(
                    start,
                    last_try=self._now,
                    next_try=when.at,
                    expired=when.expired,
                    code=lesson.failure.code,
                    text=lesson.text,
                    detail=lesson.failure.detail,
                )
            )
        self._hints.save(records)
        return following


def _local_key(item: Item) -> str:
    return f"T:{item.address.text}"


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _failure(outcome: Outcome, hosts: tuple[Host, ...] = ()) -> Failure:
    digits = outcome.remote_text[:3]
    from_mx = any(host.preference is not None for host in hosts if host.name == outcome.host)
    reply = digits if is_number(digits) else ""
    code = outcome.code
    if code == errno.ETIMEDOUT and outcome.host_error and outcome.text == os.strerror(code):
        code = CONNECT_TIMEOUT  # what times out later is said in words
    return Failure(code, reply, from_mx, outcome.unread)
