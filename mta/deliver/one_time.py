"""The option one_time of a redirection: who is still to be delivered to becomes a recipient.

The list is then not read again, and whoever has come to stand in it since gets no old mail.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from mta.deliver.item import Item
from mta.route.api import Address
from mta.spool.envelope import Envelope, Recipient


def settle(envelope: Envelope, left: Iterable[Item]) -> Envelope:
    """The envelope with the addresses that such lists made of its recipients, as far as they
    are left, in the place of these."""
    recipients = list(envelope.recipients)
    known = {recipient.address for recipient in recipients}
    done: set[str] = set()
    for item in left:
        made = _made_by_list(item.address)
        if made is None or made.parent is None:
            continue
        done.add(made.parent.text)
        if made.parent.parent is None:
            done.add(item.recipient.address)
        if made.text in known:
            continue
        known.add(made.text)
        recipients.append(
            Recipient(
                made.text,
                made.errors_to or "",
                item.recipient.dsn_flags,
                item.recipient.orcpt,
                _number_of(envelope, item.recipient.address),
            )
        )
    if not done:
        return envelope
    return replace(
        envelope,
        recipients=tuple(recipients),
        nonrecipients=envelope.nonrecipients.union(done - {each.text for each in _of(left)}),
    )


def _of(left: Iterable[Item]) -> list[Address]:
    return [made for item in left if (made := _made_by_list(item.address)) is not None]


def _made_by_list(address: Address | None) -> Address | None:
    """The address itself, or the nearest that it came from, which such a list made."""
    while address is not None and not address.is_one_time:
        address = address.parent
    return address


def _number_of(envelope: Envelope, address: str) -> int:
    for number, recipient in enumerate(envelope.recipients):
        if recipient.address == address:
            return number
    return -1
