"""Who is to be told what of which recipient: NOTIFY=, ORCPT= and RET= obeyed.  RFC 3461 5.2.

What the sender of a message wished for is kept with the recipients of the envelope.  Once they
are routed it becomes what holds for each final address:

    an alias for one address       passes the wishes on                     5.2.7.2
    an alias for several           passes them on without SUCCESS, which is
                                   answered by one "expanded"               5.2.7.3 (c)
    a list, where errors go to     passes none on: the message has come to
    somebody else than the sender  its end, and that is "delivered"         5.2.7.1

Where one of several is the recipient itself - he keeps a copy, or a router is `unseen` - that
one has the wishes, as if the others were not (5.2.7.3 (b)).

So at most one report of success goes out for a recipient.  Where one has been made and part of
the recipient still waits, SUCCESS is taken from it in -H.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from mta.base.text import lower
from mta.deliver.batch import sender_of
from mta.deliver.item import Item, State
from mta.deliver.routing import Routing
from mta.spool.envelope import (
    DSN_DELAY,
    DSN_FAILURE,
    DSN_LAST_HOP,
    DSN_NEVER,
    DSN_SUCCESS,
    DSN_WISHES,
    Envelope,
    Recipient,
)

DELIVERED = "delivered"
RELAYED = "relayed"
EXPANDED = "expanded"


@dataclass(frozen=True, slots=True)
class Success:
    """A recipient of whose success the sender wants to hear: what became of it, and the item
    that it was found by."""

    recipient: Recipient
    action: str
    item: Item


def wants_failure(item: Item) -> bool:
    """True if a failure of this address is to be reported; without NOTIFY= it is."""
    return not item.wishes or bool(item.wishes & DSN_FAILURE)


class Wishes:
    """The wishes for one message, on their way through one attempt."""

    __slots__ = ("_ends", "_first", "_sender")

    def __init__(self, routing: Routing, sender: str) -> None:
        """Say of each address that was found what holds for it."""
        self._sender = sender
        # What each recipient has come to, by its address.
        self._ends: dict[str, list[Item]] = {}
        # For an item that shares the fate of another: that one.
        self._first = {
            twin: first for first, others in routing.twins.items() for twin in others
        }
        if not any(
            item.recipient.dsn_flags or item.recipient.orcpt for item in all_of(routing)
        ):
            return
        for item in all_of(routing):
            self._ends.setdefault(item.recipient.address, []).append(item)
        for items in self._ends.values():
            self._settle(items)
        for first, others in routing.twins.items():
            # One delivery for several: the next host is asked for all that any of them wants.
            last_hop = first.address.dsn_flags & DSN_LAST_HOP
            first.address.dsn_flags = last_hop | _merged([first, *others])

    def _settle(self, items: list[Item]) -> None:
        heir = _heir(items)
        for item in items:
            address = item.address
            if self._is_of_list(item):
                address.dsn_flags &= DSN_LAST_HOP
                address.orcpt = ""
            elif item is not heir:
                address.dsn_flags = without_success(address.dsn_flags)
            item.wishes = address.dsn_flags & DSN_WISHES

    def _is_of_list(self, item: Item) -> bool:
        return sender_of(item, self._sender) != self._sender

    @property
    def has_success(self) -> bool:
        """True if there may be a success to report."""
        return bool(self._sender) and any(
            items[0].recipient.dsn_flags & DSN_SUCCESS for items in self._ends.values()
        )

    def successes(self) -> list[Success]:
        """What there is to report at the end of an attempt, in the order in which it happens:
        routing, local deliveries, remote ones.  RFC 3461 5.2.2 and 5.2.3"""
        found = []
        if self.has_success:
            for items in self._ends.values():
                recipient = items[0].recipient
                if recipient.dsn_flags & DSN_SUCCESS and (said := self._said(items)):
                    found.append(Success(recipient, *said))
        return sorted(found, key=_when)

    def _said(self, items: list[Item]) -> tuple[str, Item] | None:
        """What is said of a recipient that came to these, and by which of them."""
        routed = next((item for item in items if item.transport or self._is_done(item)), None)
        if routed is None:
            return None
        heir = _heir(items)
        if self._is_of_list(routed):
            return DELIVERED, routed
        if heir is None:
            return EXPANDED, routed
        end = self._first.get(heir, heir)
        is_last_hop = end.address.dsn_flags & DSN_LAST_HOP
        if end.state is not State.DONE or (end.is_dsn_relayed and not is_last_hop):
            return None
        return (DELIVERED if end.is_local else RELAYED), end

    def _is_done(self, item: Item) -> bool:
        return self._first.get(item, item).state is State.DONE


def _when(success: Success) -> int:
    return (EXPANDED, DELIVERED, RELAYED).index(success.action)


def _heir(items: list[Item]) -> Item | None:
    """The one that has all wishes of the recipient that came to these; None for none."""
    if len(items) == 1:
        return items[0]
    named = lower(items[0].recipient.address)
    for item in items:
        if item.address.kind == "address" and lower(item.address.text) == named:
            return item
    return None


def all_of(routing: Routing) -> list[Item]:
    """All items with their twins."""
    if not routing.twins:
        return routing.items
    return [each for item in routing.items for each in routing.with_twins(item)]


def without_success(flags: int) -> int:
    """The wishes less SUCCESS; who wished for nothing else wished to hear nothing else."""
    if not flags & DSN_SUCCESS:
        return flags
    flags &= ~DSN_SUCCESS
    return flags if flags & DSN_WISHES else flags | DSN_NEVER


def reported(envelope: Envelope, successes: list[Success]) -> Envelope:
    """The envelope once these have been reported."""
    done = {success.recipient.address for success in successes}
    return replace(
        envelope,
        recipients=tuple(
            replace(each, dsn_flags=without_success(each.dsn_flags))
            if each.address in done
            else each
            for each in envelope.recipients
        ),
    )


def _merged(items: list[Item]) -> int:
    """All that is wished for by any of these; nothing said stands for failures and delays."""
    wishes = {item.wishes for item in items}
    if len(wishes) == 1:
        return wishes.pop()
    merged = 0
    for each in wishes:
        merged |= each or DSN_FAILURE | DSN_DELAY
    return (merged & ~DSN_NEVER) or DSN_NEVER
