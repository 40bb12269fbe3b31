"""What people have done with a message that waits: freeze, thaw, give up, edit, remove.

Each takes the message, locked, and the name of who asked; what it changes is durable before
it is logged.  A crash in between leaves the message as it was or as it was to be.

Runs as:  the mail user, in a child of the runner or a delivery process.
Raises:   TempFail when the disk fails; nothing was changed then.  Unwilling for what cannot be
          done with this message.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from mta.base import clock
from mta.base.errors import MtaError
from mta.base.text import BLANKS
from mta.deliver.bounce import Bouncer
from mta.deliver.item import Item, State
from mta.log import events
from mta.log.sink import Log
from mta.mail import address as syntax
from mta.route.api import address_of
from mta.spool.envelope import DSN_NEVER, Recipient
from mta.spool.reader import Message


class Unwilling(MtaError):
    """It cannot be done; the text follows "Message ID", as in Exim."""


@dataclass(frozen=True, slots=True)
class Steering:
    """What steering needs beside the message."""

    log: Log
    bouncer: Bouncer
    by: str  # who asks


def freeze(steering: Steering, message: Message, words: Sequence[str]) -> str:
    """Try it no more until somebody thaws it (-Mf)."""
    if message.envelope.is_frozen:
        raise Unwilling(" is already frozen")
    message.rewrite(replace(message.envelope, frozen_at=int(clock.now()), manual_thaw=False))
    events.steered(steering.log, message.id, f"frozen by {steering.by}")
    return " is now frozen"


def thaw(steering: Steering, message: Message, words: Sequence[str]) -> str:
    """Let it be tried again (-Mt)."""
    if not message.envelope.is_frozen:
        raise Unwilling(" is not frozen")
    message.rewrite(replace(message.envelope, frozen_at=0, manual_thaw=True))
    events.steered(steering.log, message.id, f"unfrozen by {steering.by}")
    return " is no longer frozen"


def remove(steering: Steering, message: Message, words: Sequence[str]) -> str:
    """Remove it; nobody is told (-Mrm)."""
    message.remove()
    events.steered(steering.log, message.id, f"removed by {steering.by}")
    events.completed(steering.log, message.id)
    return " has been removed"


def give_up(steering: Steering, message: Message, words: Sequence[str]) -> str:
    """Bounce what is left of it (-Mg)."""
    cancel(steering, message)
    return ""


def cancel(steering: Steering, message: Message) -> list[str]:
    """Bounce what is left of a message without a reason; gives the ids of the bounces."""
    envelope = message.envelope
    groups: dict[str, list[Item]] = {}
    for recipient in envelope.remaining:
        item = Item(address_of(recipient.address), recipient)
        item.set(State.FAILED)
        groups.setdefault(recipient.errors_to or envelope.sender, []).append(item)
    bounces: list[str] = []
    for to, items in groups.items():
        told = [item for item in items if not item.recipient.dsn_flags & DSN_NEVER]
        if to and envelope.sender and told:
            bounces.append(steering.bouncer.send(message, to, told))
    message.remove()
    events.steered(steering.log, message.id, f"cancelled by {steering.by}")
    events.completed(steering.log, message.id)
    return bounces


def mark_delivered(steering: Steering, message: Message, words: Sequence[str]) -> str:
    """Let these recipients count as delivered (-Mmd)."""
    error = " - error while marking as delivered:"
    if not words:
        raise Unwilling(f"{error} no address given")
    known = {recipient.address for recipient in message.envelope.recipients}
    for word in words:
        if word not in known:
            raise Unwilling(f"{error}\n  {word} is not a recipient: message not updated")
    return _mark(steering, message, words)


def mark_all(steering: Steering, message: Message, words: Sequence[str]) -> str:
    """Let all recipients count as delivered (-Mmad)."""
    everyone = [recipient.address for recipient in message.envelope.recipients]
    return _mark(steering, message, everyone)


def _mark(steering: Steering, message: Message, addresses: Sequence[str]) -> str:
    done = message.envelope.nonrecipients.union(addresses)
    message.rewrite(replace(message.envelope, nonrecipients=done))
    for each in addresses:
        text = f"address <{each}> marked delivered by {steering.by}"
        events.steered(steering.log, message.id, text)
    return " has been modified"


def add_recipients(steering: Steering, message: Message, words: Sequence[str]) -> str:
    """Send it to these addresses, too (-Mar)."""
    error = " - error while adding recipient:"
    if not words:
        raise Unwilling(f"{error} no address given")
    added = tuple([Recipient(_address(word, error)) for word in words])
    envelope = message.envelope
    message.rewrite(replace(envelope, recipients=envelope.recipients + added))
    for each in added:
        text = f"recipient <{each.address}> added by {steering.by}"
        events.steered(steering.log, message.id, text)
    return " has been modified"


def change_sender(steering: Steering, message: Message, words: Sequence[str]) -> str:
    """Give it another sender (-Mes)."""
    error = " - error while editing sender:"
    if not words:
        raise Unwilling(f"{error} no address given")
    if len(words) > 1:
        raise Unwilling(" - only one sender address can be specified")
    sender = "" if words[0] in ("", "<>") else _address(words[0], error)
    message.rewrite(replace(message.envelope, sender=sender))
    text = f"sender address changed to <{sender}> by {steering.by}"
    events.steered(steering.log, message.id, text)
    return " has been modified"


def _address(word: str, error: str) -> str:
    try:
        found, rest = syntax.parse_path(
            word, null_ok=False, allow_literal=True, allow_unqualified=True, allow_utf8=True
        )
    except syntax.AddressError as bad:
        raise Unwilling(f"{error}\n  bad address {word}: {bad}") from bad
    if rest.strip(BLANKS):
        raise Unwilling(f"{error}\n  bad address {word}: more than an address")
    if not syntax.split(found)[1]:
        raise Unwilling(f"{error}\n  bad address {word}: domain missing")
    return found


Action = Callable[[Steering, Message, Sequence[str]], str]
ACTIONS: dict[str, Action] = {
    "freeze": freeze,
    "thaw": thaw,
    "remove": remove,
    "give_up": give_up,
    "mark_delivered": mark_delivered,
    "mark_all": mark_all,
    "add_recipients": add_recipients,
    "change_sender": change_sender,
}
