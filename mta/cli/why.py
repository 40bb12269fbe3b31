"""`mta queue why`: why something waits, until when, and what to do about it.

What failed before is the daemon's knowledge; where none runs it is read from the spool.  Which
hosts a domain leads to is asked of the routers, as mta has them, by the user of the mail.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import click

from mta.base import clock
from mta.base.text import lower, one_line
from mta.cli import address_test, control, listing, mailq, output, place
from mta.config import load
from mta.config.model import Configuration
from mta.expand.compile import prepare
from mta.expand.context import Context
from mta.lookup.api import Tables
from mta.mail.address import split
from mta.proc import commands
from mta.proc.control import KnownFailure
from mta.route.api import Delivery, address_of
from mta.route.conditions import Purpose
from mta.route.engine import load_routers
from mta.spool.ids import is_id


@dataclass(frozen=True, slots=True)
class Failure:
    """One thing that failed and why it is not tried now.  Times are seconds since 1970."""

    what: str
    text: str
    failing_since: int
    last_try: int
    next_try: int
    expired: bool
    rule: str
    rule_at: str
    gives_up: int  # 0: at once


@dataclass(frozen=True, slots=True)
class Reason:
    """All that is known of one address or domain."""

    address: str
    hosts: tuple[str, ...]
    failures: tuple[Failure, ...]


@click.command()
@output.placed
@output.with_json
@click.argument("subject", metavar="ID|ADDRESS|DOMAIN")
def why(config: str, macros: tuple[str, ...], json_: bool, subject: str) -> None:
    """Say why a message, or mail for an address or a domain, waits.

    Which retry rule applies and on which line it is, since when it fails, when it is tried
    next, when it is given up, and what to do.
    """
    found = place.find(config, list(macros))
    entry = _entry(found.spool, subject) if is_id(subject) else None
    if is_id(subject) and entry is None:
        raise output.failure(f"{subject} is not in the queue", os.EX_NOINPUT)
    conf = load.load(found.file, found.macros)
    prepare(conf)
    known = _known(found.spool, conf)
    subjects = entry.recipients if entry else (subject,)
    sender = entry.sender if entry else ""
    routes = _Routes(conf)
    reasons = [_reason(each, subject, sender, known, routes) for each in subjects]
    if json_:
        message = asdict(entry) if entry else None
        output.as_json({"message": message, "reasons": [asdict(each) for each in reasons]})
        return
    if entry:
        _print_message(entry)
    for reason in reasons:
        _print(reason)
    _advise(entry, reasons)


def _entry(spool: str, message_id: str) -> listing.Entry | None:
    entries = mailq.entries(spool)
    return next((each for each in entries if each.message_id == message_id), None)


def _known(spool: str, conf: Configuration) -> list[KnownFailure]:
    asked = control.try_connect(spool)
    if asked is not None:
        with asked:
            return asked.failures()
    address_test.become_owner(conf)
    return commands.failures(conf, f"{spool}/db/retry.sqlite")


class _Routes:
    """Where addresses lead, found out once for each domain."""

    def __init__(self, conf: Configuration) -> None:
        self.ctx = Context(conf, Tables())
        self.routers = load_routers(conf)
        self.known: dict[str, tuple[str, ...]] = {}
        self.routers.look_through(address_test.become_owner(conf))

    def hosts(self, address: str) -> tuple[str, ...]:
        """The names of the hosts that mail for an address or a domain goes to."""
        text = address if "@" in address else f"postmaster@{address}"
        domain = lower(split(text)[1])
        if domain not in self.known:
            results = self.routers.route_for(self.ctx, address_of(text), Purpose.TEST)
            names = [
                host.name for way in results if isinstance(way, Delivery) for host in way.hosts
            ]
            self.known[domain] = tuple(dict.fromkeys(names))
        return self.known[domain]


def _reason(
    address: str, subject: str, sender: str, known: Iterable[KnownFailure], routes: _Routes
) -> Reason:
    """What is known against an address; `subject` is the message, if it is about one."""
    hosts = routes.hosts(address)
    domain = lower(address.rpartition("@")[2])
    keys = {f"R:{domain}", f"R:{address}", f"R:{address}:<{sender}>", f"T:{address}"}
    found: list[Failure] = []
    for each in known:
        key = each.key
        host = key[2:].partition(":")[0]
        last = key.rpartition(":")[2]
        is_host = key.startswith("T:") and host in hosts
        if is_host and is_id(last) and is_id(subject) and last != subject:
            continue
        is_of_domain = "@" not in address and key.startswith((f"R:{domain}", f"T:{domain}:"))
        if is_host or key in keys or is_of_domain or _is_at(key, domain, address):
            found.append(_failure(each))
    return Reason(address, hosts, tuple(found))


def _is_at(key: str, domain: str, asked: str) -> bool:
    """True if the record is of an address of the domain that was asked for."""
    return "@" not in asked and key[2:].partition(":<")[0].endswith(f"@{domain}")


def _failure(known: KnownFailure) -> Failure:
    kind = "routing" if known.key.startswith("R:") else "delivery to"
    if known.key.startswith("R:") and ":<" in known.key:
        kind = "recipient refused by its host:"
    return Failure(
        f"{kind} {known.key[2:]}",
        known.text,
        known.first_failed,
        known.last_try,
        known.next_try,
        bool(known.expired),
        known.rule,
        known.where,
        known.first_failed + known.lasts if known.rule else 0,
    )


def _print_message(entry: listing.Entry) -> None:
    now = clock.now()
    waits = listing.age(now - entry.received).strip(" ")
    state = "is being tried now" if entry.running else f"next try {_when(entry.next_try, now)}"
    if entry.frozen:
        state = "is frozen"
    output.heading(f"{entry.message_id} from <{one_line(entry.sender)}>")
    click.echo(f"arrived {_clock(entry.received)} ({waits} ago); {state}")


def _print(reason: Reason) -> None:
    now = clock.now()
    click.echo(f"\n{one_line(reason.address)}")
    if reason.hosts:
        click.echo(f"  hosts: {one_line(', '.join(reason.hosts))}")
    if not reason.failures:
        click.echo("  nothing is known against it")
    for each in reason.failures:
        since = listing.age(now - each.failing_since).strip(" ")
        click.echo(f"  {one_line(each.what)}: {one_line(each.text)}")
        click.echo(
            f"    failing since {_clock(each.failing_since)} ({since}),"
            f" last tried {_clock(each.last_try)}, next try {_when(each.next_try, now)}"
        )
        if not each.rule:
            click.echo("    no retry rule: it is given up at once")
        elif each.expired:
            click.echo(f'    rule "{each.rule}" at {each.rule_at}: its time is over,')
            click.echo("    mail for it is bounced, and one try is made at the next time")
        else:
            click.echo(f'    rule "{each.rule}" at {each.rule_at}:')
            click.echo(f"    mail for it is given up from {_clock(each.gives_up)}")


def _advise(entry: listing.Entry | None, reasons: Sequence[Reason]) -> None:
    click.echo("")
    if entry is not None and entry.frozen:
        click.echo(f"To have it tried again: mta queue thaw {entry.message_id}")
    elif entry is not None:
        click.echo(f"To have it tried now: mta queue retry {entry.message_id}")
    if any(each.expired for reason in reasons for each in reason.failures):
        click.echo("To wait longer, make the last time of the rule longer and reload.")
    if entry is not None:
        click.echo(f"To return it to its sender: mta queue give-up {entry.message_id}")


def _clock(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))


def _when(moment: float, now: float) -> str:
    if not moment:
        return "not known"
    return "is due" if moment <= now else _clock(moment)
