"""`mta queue`: what waits, why, and what to do with it."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import asdict

import click

from mta.base import clock
from mta.base.errors import MtaError
from mta.base.text import one_line, to_text
from mta.cli import control, listing, mailq, output, place
from mta.cli.why import why
from mta.proc.control import Retry, Status, Steer
from mta.spool.ids import is_id
from mta.spool.reader import Message


@click.group(cls=output.Group)
def queue() -> None:
    """List and steer the messages that wait.

    \b
    Examples:
      mta queue list                     what waits, and until when
      mta queue show 1xVW5F-000000000tB-2FH8
      mta queue why 1xVW5F-000000000tB-2FH8   until when, and what to do
      mta queue retry --all              try everything now
    """


queue.add_command(why)


@queue.command("list")
@output.placed
@output.with_json
def list_(config: str, macros: tuple[str, ...], json_: bool) -> None:
    """List the messages that wait, oldest first."""
    spool = output.spool_of(config, macros)
    entries = mailq.entries(spool)
    if json_:
        output.as_json([asdict(entry) for entry in entries])
        return
    if not entries:
        click.echo(_nothing(spool))
        return
    now = clock.now()
    titles = ("ID", "AGE", "SIZE", "SENDER", "RECIPIENTS", "NEXT TRY")
    output.table(titles, [_row(entry, now) for entry in entries])
    click.echo(f"{len(entries)} waiting. Say why with: mta queue show ID")


def _nothing(spool: str) -> str:
    """Others than administrators are shown their own messages only."""
    asked = control.try_connect(spool)
    if asked is not None:
        with asked:
            if waiting := asked.status(Status()).waiting:
                return f"None of the messages that wait ({waiting}) is yours to see."
    return "The queue is empty."


def _row(entry: listing.Entry, now: float) -> tuple[str, ...]:
    others = len(entry.recipients) - 1
    recipients = entry.recipients[0] if entry.recipients else ""
    if others > 0:
        recipients += f" and {others} more"
    return (
        entry.message_id,
        listing.age(now - entry.received).lstrip(" "),
        listing.size(entry.size).lstrip(" "),
        f"<{entry.sender}>",
        recipients,
        _next_try(entry, now),
    )


def _next_try(entry: listing.Entry, now: float) -> str:
    if entry.frozen:
        return "frozen"
    if entry.running:
        return "now"
    if entry.next_try == 0:
        return "not known"
    return "due" if entry.next_try <= now else _clock(entry.next_try)


def _clock(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))


@queue.command(short_help="Show one message: envelope, headers, log.")
@output.placed
@output.with_json
@click.option("--body", is_flag=True, help="Show the body, too.")
@click.argument("message_id", metavar="ID")
def show(
    config: str, macros: tuple[str, ...], json_: bool, body: bool, message_id: str
) -> None:
    """Show one message: envelope, headers, and the log of what was tried."""
    _checked([message_id])
    path = output.spool_of(config, macros)
    spool = mailq.open_spool(path)
    message = Message.open(spool, message_id, lock=False)
    if message is None:
        raise output.failure(
            f"{message_id} is not in {path}: it is done or was removed", os.EX_NOINPUT
        )
    with message:
        facts = _facts(message)
        facts["log"] = _text(mailq.content(path, "view-log", message_id))
        if body:
            facts["body"] = _text(mailq.content(path, "body", message_id))
    if json_:
        output.as_json(facts)
    else:
        _print(facts)


def _text(octets: bytes | None) -> str:
    return to_text(octets or b"")


def _facts(message: Message) -> dict[str, object]:
    envelope = message.envelope
    done = envelope.nonrecipients
    return {
        "message_id": message.id,
        "sender": envelope.sender,
        "size": message.size,
        "received": int(envelope.received_time),
        "protocol": envelope.received_protocol,
        "client": envelope.host_address or f"local user {envelope.login}",
        "frozen": envelope.is_frozen,
        "recipients": [to.address for to in envelope.remaining],
        "delivered": [to.address for to in envelope.recipients if to.address in done],
        "headers": "".join(to_text(h.text) for h in envelope.headers if h.kind != "*"),
    }


def _print(facts: dict[str, object]) -> None:
    for name, value in facts.items():
        if name in ("headers", "log", "body"):
            output.heading(f"\n{name.capitalize()}")  # ascii: our own words
            for line in str(value).split("\n"):
                click.echo(one_line(line.expandtabs()))
        elif isinstance(value, list):
            for address in value:
                click.echo(f"{name + ':':<12} {one_line(address)}")
        else:
            click.echo(f"{name.replace('_', ' ') + ':':<12} {one_line(_shown(name, value))}")


def _shown(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "received" and isinstance(value, int):
        return _clock(value)
    return f"<{value}>" if name == "sender" else str(value)


@queue.command()
@output.placed
@click.option("--all", "all_", is_flag=True, help="Everything that waits.")
@click.argument("message_ids", metavar="ID...", nargs=-1)
def retry(
    config: str, macros: tuple[str, ...], all_: bool, message_ids: tuple[str, ...]
) -> None:
    """Try messages now, due or not, frozen or not."""
    spool = output.spool_of(config, macros)
    message_ids = _chosen(spool, message_ids, all_=all_)
    refused = 0
    for message_id in message_ids:
        with control.Control(spool) as asked:
            try:
                asked.count(Retry(message_id))
            except control.Refused as error:
                known = message_id in str(error)
                output.note(str(error) if known else f"{message_id}: {error}")
                refused += 1
    _tell("Trying", len(message_ids), refused)


@queue.command()
@output.placed
@click.option("--all", "all_", is_flag=True, help="Everything that waits.")
@click.option("--yes", is_flag=True, help="With --all: do not ask.")
@click.argument("message_ids", metavar="ID...", nargs=-1)
def remove(
    config: str,
    macros: tuple[str, ...],
    all_: bool,
    yes: bool,
    message_ids: tuple[str, ...],
) -> None:
    """Remove messages for good.  Nobody is told: no bounce is sent."""
    if all_ and not yes:
        click.confirm("Remove every message that waits, without a bounce?", abort=True)
    _steer("remove", "Removed", config, macros, message_ids, all_=all_)


@queue.command()
@output.placed
@click.argument("message_ids", metavar="ID...", nargs=-1)
def freeze(config: str, macros: tuple[str, ...], message_ids: tuple[str, ...]) -> None:
    """Freeze messages: they are not tried until somebody thaws them."""
    _steer("freeze", "Frozen", config, macros, message_ids)


@queue.command()
@output.placed
@click.argument("message_ids", metavar="ID...", nargs=-1)
def thaw(config: str, macros: tuple[str, ...], message_ids: tuple[str, ...]) -> None:
    """Thaw frozen messages: they are tried again."""
    _steer("thaw", "Thawed", config, macros, message_ids)


@queue.command("give-up")
@output.placed
@click.argument("message_ids", metavar="ID...", nargs=-1)
def give_up(config: str, macros: tuple[str, ...], message_ids: tuple[str, ...]) -> None:
    """Give messages up: they are returned to their senders."""
    _steer("give_up", "Given up", config, macros, message_ids)


def _checked(ids: Sequence[str]) -> Sequence[str]:
    """The ids, if each of them is one.  Raises MtaError."""
    if not ids:
        raise MtaError("no message id; mailq shows them")
    for message_id in ids:
        if not is_id(message_id):
            raise MtaError(f"{message_id!r} is not a message id; mailq shows them")
    return ids


def _chosen(spool: str, message_ids: tuple[str, ...], *, all_: bool) -> tuple[str, ...]:
    if all_:
        return tuple(entry.message_id for entry in mailq.entries(spool))
    return tuple(_checked(message_ids))


def _steer(
    action: str,
    done: str,
    config: str,
    macros: tuple[str, ...],
    message_ids: tuple[str, ...],
    *,
    all_: bool = False,
) -> None:
    found = place.find(config, list(macros))
    message_ids = _chosen(found.spool, message_ids, all_=all_)
    orders = [Steer(action, message_id) for message_id in message_ids]
    answers = mailq.steered(found, orders) if orders else []
    for answer in answers:
        if answer.failed:
            output.note(answer.said)
    _tell(done, len(orders), sum(answer.failed for answer in answers))


def _tell(done: str, count: int, refused: int) -> None:
    click.echo(f"{done} {count - refused} of {count}.")
    if refused:
        raise click.exceptions.Exit(1)
