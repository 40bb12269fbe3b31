"""From routed addresses to parcels: what goes to one place goes there together.

Local deliveries are one to a parcel, as each runs as its own user, unless the transport takes
more at a time.  Remote ones share a parcel when transport, hosts, sender and header changes
are the same, up to the transport's limit.
"""

from __future__ import annotations

import os

from mta.base.errors import ConfigError, ExpansionFail, TempFail
from mta.base.values import value
from mta.config.template import Template
from mta.deliver.codes import EXPAND_FAIL
from mta.deliver.context import place_of, values_with
from mta.deliver.item import Item, State
from mta.deliver.workers import Job
from mta.expand.context import Context
from mta.expand.run import expand, expand_int
from mta.mail.address import quote
from mta.route.api import Address, Host
from mta.spool.reader import Message
from mta.transport.api import Parcel, ParcelRecipient
from mta.transport.engine import Transport

_CHUNK = 1 << 18
MOST_RECIPIENTS = 1000  # of a parcel whatever the transport says
_Owner = tuple[str, str, bool]  # user, group, and whether all his groups


@value
class Whole:
    """What all parcels of a message have in common."""

    message_id: str
    sender: str
    headers: bytes
    body: int
    body_offset: int
    body_size: int
    received_time: float
    is_8bit: bool
    dsn_envid: str
    dsn_ret: str
    values: dict[str, str]


@value
class Batch:
    """A job and the items it carries, in the order of its recipients."""

    job: Job
    items: tuple[Item, ...]


def sender_of(item: Item, sender: str) -> str:
    """The return path of an address: the message's sender, or what a router put there."""
    return sender if item.address.errors_to is None else item.address.errors_to


def local_batches(
    ctx: Context, whole: Whole, transports: dict[str, Transport], items: list[Item]
) -> list[Batch]:
    """The batches of local deliveries, in the order in which the first of each stands."""
    groups: dict[object, tuple[_Owner, list[Item]]] = {}
    for item in items:
        transport = transports[item.transport]
        ctx.place = place_of(item.address, item.router, item.transport)
        try:
            owner = _owner(ctx, transport, item.address)
        except ExpansionFail as error:
            item.set(State.DEFERRED, error.text, EXPAND_FAIL)
        except TempFail as error:
            item.set(State.DEFERRED, error.text, error.code)
        else:
            shared = _shared(ctx, transport, item, whole.sender)
            key = item if shared is None else (owner, shared)
            groups.setdefault(key, (owner, []))[1].append(item)
    batches: list[Batch] = []
    for owner, group in groups.values():
        transport = transports[group[0].transport]
        most = transport.most_in_batch
        for start in range(0, len(group), most):
            some = group[start : start + most]
            parcel = _parcel(whole, some, some[0].hosts)
            batches.append(Batch(Job(parcel, *owner, transport.is_brief), tuple(some)))
    return batches


def _shared(ctx: Context, transport: Transport, item: Item, sender: str) -> object:
    """What local deliveries must have in common to go together; None for one that goes alone.

    As Exim has it: nothing goes together where an option speaks of the local part, nor where
    batch_id cannot be expanded.
    """
    if transport.most_in_batch <= 1 or transport.speaks_of("local_part"):
        return None
    try:
        batch_id = expand(ctx, transport.batch_id) if transport.batch_id is not None else ""
    except (ExpansionFail, TempFail):
        return None
    address = item.address
    return (
        item.transport,
        sender_of(item, sender),
        address.headers_add,
        address.headers_remove,
        item.hosts[:1],
        (item.file, item.pipe),
        address.domain if transport.speaks_of("domain") else "",
        batch_id,
    )


def _owner(ctx: Context, transport: Transport, address: Address) -> _Owner:
    """User, group and whether all his groups: the transport's word counts before the
    router's.  Raises ExpansionFail, TempFail."""
    owner = address.owner
    user, group, initgroups = owner.user, owner.group, owner.initgroups
    if transport.user is not None:
        user, group, initgroups = expand(ctx, transport.user), "", transport.initgroups
    if transport.group is not None:
        group = expand(ctx, transport.group)
    return user, group, initgroups or transport.initgroups


def remote_batches(
    ctx: Context,
    whole: Whole,
    transports: dict[str, Transport],
    groups: list[tuple[list[Item], tuple[Host, ...]]],
) -> list[Batch]:
    """The batches of remote deliveries, for groups whose hosts have been looked at."""
    batches: list[Batch] = []
    for items, hosts in groups:
        transport = transports[items[0].transport]
        ctx.place = place_of(items[0].address, items[0].router, items[0].transport)
        most = _limit(ctx, transport)
        for start in range(0, len(items), most):
            some = items[start : start + most]
            batches.append(Batch(Job(_parcel(whole, some, hosts)), tuple(some)))
    return batches


def remote_groups(
    transports: dict[str, Transport], items: list[Item], sender: str
) -> list[list[Item]]:
    """Items that may share a parcel, in the order in which the first of each stands."""
    groups: dict[tuple[object, ...], list[Item]] = {}
    for item in items:
        address = item.address
        same_domain = "" if _is_multi_domain(transports[item.transport]) else address.domain
        key = (
            item.transport,
            item.hosts,
            sender_of(item, sender),
            address.headers_add,
            address.headers_remove,
            tuple(address.variables.items()),
            same_domain,
        )
        groups.setdefault(key, []).append(item)
    return list(groups.values())


def _is_multi_domain(transport: Transport) -> bool:
    return getattr(transport, "multi_domain", True) is True


def _limit(ctx: Context, transport: Transport) -> int:
    """max_rcpt of the transport; 0 means no limit, for which ours stands."""
    option: object = getattr(transport, "max_rcpt", 100)
    number = 100
    if isinstance(option, Template):
        try:
            number = expand_int(ctx, option)
        except (ExpansionFail, TempFail, ConfigError):
            number = 100
    elif isinstance(option, int):
        number = option
    return min(number, MOST_RECIPIENTS) if number > 0 else MOST_RECIPIENTS


def _parcel(whole: Whole, items: list[Item], hosts: tuple[Host, ...]) -> Parcel:
    first = items[0]
    sender = sender_of(first, whole.sender)
    # What the sender wished for does not bind who gets the message from a list.
    is_own = sender == whole.sender  # RFC 3461 5.2.7.1
    return Parcel(
        message_id=whole.message_id,
        transport=first.transport,
        router=first.router,
        sender=sender,
        recipients=tuple(_recipient(item) for item in items),
        headers=whole.headers,
        body=whole.body,
        body_offset=whole.body_offset,
        body_size=whole.body_size,
        headers_add=first.address.headers_add,
        headers_remove=first.address.headers_remove,
        hosts=hosts,
        file=first.file,
        pipe=first.pipe,
        received_time=whole.received_time,
        is_8bit=whole.is_8bit,
        dsn_envid=whole.dsn_envid if is_own else "",
        dsn_ret=whole.dsn_ret if is_own else "",
        values=values_with(first.address, whole.values),
    )


def _recipient(item: Item) -> ParcelRecipient:
    address = item.address
    local_part = address.local_part
    if not item.is_local:
        # The next host may care for the case of the letters; only we do not.
        whole = address.whole
        local_part = quote(whole[len(address.prefix) : len(whole) - len(address.suffix)])
    return ParcelRecipient(
        address.text if address.kind == "address" else item.name,
        item.recipient.address,
        local_part,
        address.domain,
        address.prefix,
        address.suffix,
        address.local_part_data,
        address.domain_data,
        address.home,
        address.address_data,
        address.dsn_flags,
        address.orcpt,
    )


def has_8bit(message: Message) -> bool:
    """True if the message has octets above 127, which the next host has to be told of."""
    if any(not each.text.isascii() for each in message.envelope.headers):
        return True
    offset, end = message.body_offset, message.body_offset + message.body_size
    while offset < end:
        chunk = os.pread(message.data_fd, min(_CHUNK, end - offset), offset)
        if not chunk:
            return False
        if not chunk.isascii():
            return True
        offset += len(chunk)
    return False


def by_sender(items: list[Item], sender: str) -> list[tuple[str, list[Item]]]:
    """The items by whom their failures are told."""
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(sender_of(item, sender), []).append(item)
    return list(groups.items())
