"""From the recipients of an envelope to items: routed, without duplicates and what is done.

Two recipients that end at the same address get one delivery; both are done with it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from mta.deliver.codes import ROUTING_RETRY, UNKNOWN
from mta.deliver.item import Item, State, ancestors_done
from mta.deliver.retry import NOT_REACHED, Retry
from mta.expand.context import Context
from mta.route.api import (
    Deferred,
    Delivery,
    Discarded,
    Failed,
    Remark,
    Routed,
    address_of,
)
from mta.route.engine import Routers
from mta.spool.envelope import Envelope, Recipient

DISCARDED = ":blackhole:"
BYPASSED = "**bypassed**"  # in the place of a transport


def remaining(envelope: Envelope) -> list[Recipient]:
    """The recipients that are not done, each address once."""
    done = envelope.nonrecipients
    found: dict[str, Recipient] = {}
    for recipient in envelope.recipients:
        if recipient.address not in done:
            found.setdefault(recipient.address, recipient)
    return list(found.values())


class Routing:
    """All items of a message, and which of them stand for others."""

    __slots__ = ("_done", "by_key", "items", "remarks", "twins")

    def __init__(self, done: frozenset[str]) -> None:
        self._done = done
        self.items: list[Item] = []
        self.by_key: dict[str, Item] = {}
        # Further items that end where the first one does: they share its fate.
        self.twins: dict[Item, list[Item]] = {}
        self.remarks: list[Remark] = []

    def add(self, item: Item) -> None:
        """Take an item, unless it was done before or another stands for it."""
        if ancestors_done(item, self._done):
            item.state = State.DONE
            item.text = ""
            return
        first = self.by_key.setdefault(item.name, item)
        if first is item:
            self.items.append(item)
        else:
            self.twins.setdefault(first, []).append(item)

    def with_twins(self, item: Item) -> list[Item]:
        """The item and those that share its fate."""
        return [item, *self.twins.get(item, ())]


def route_all(
    routers: Routers,
    ctx: Context,
    recipients: Iterable[Recipient],
    retry: Retry,
    done: frozenset[str],
    hurry: float | None = None,
) -> Routing:
    """Route all recipients of a message.

    With `hurry`, a question to the DNS that takes more seconds raises Slow; nothing has
    happened then.
    """
    ctx.tables.hurry = hurry
    try:
        return _route_all(routers, ctx, recipients, retry, done)
    finally:
        ctx.tables.hurry = None


def _route_all(
    routers: Routers,
    ctx: Context,
    recipients: Iterable[Recipient],
    retry: Retry,
    done: frozenset[str],
) -> Routing:
    routing = Routing(done)
    addresses = [(recipient, address_of(recipient.address)) for recipient in recipients]
    retry.look_up([address for _, address in addresses])
    for recipient, address in addresses:
        address.dsn_flags, address.orcpt = recipient.dsn_flags, recipient.orcpt
        address.errors_to = recipient.errors_to or None
        if when := retry.routing_waits(address):
            item = Item(address, recipient, next_try=when)
            item.set(State.DEFERRED, NOT_REACHED, ROUTING_RETRY)
            routing.add(item)
            continue
        for result in routers.route(ctx, address):
            item = _item(result, recipient)
            routing.add(item)
        routing.remarks += routers.remarks
    return routing


def _item(result: Routed, recipient: Recipient) -> Item:
    item = Item(result.address, recipient, result.router)
    match result:
        case Delivery():
            item.transport = result.transport
            item.hosts = result.hosts
            item.file, item.pipe = result.file, result.pipe
            if result.file == os.devnull:
                item.transport = BYPASSED
                item.set(State.DONE)
        case Discarded():
            item.set(State.DONE, DISCARDED)
        case _:
            match result.verdict:
                case Failed(text, log, status):
                    item.set(State.FAILED, log or text, 0, status)
                case Deferred(text, freeze, code, note, log):
                    item.set(State.DEFERRED, log or text, code or UNKNOWN)
                    item.freeze, item.note = freeze, note
    return item
