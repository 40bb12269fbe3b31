"""The queue as a list: from the daemon, or from the spool itself; shown as Exim shows it.

Programs read the output of mailq, so every column stands where Exim puts it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from mta.base.errors import MtaError
from mta.base.text import one_line
from mta.proc.control import Waiting
from mta.spool import scan
from mta.spool.layout import Spool
from mta.spool.reader import Message


@dataclass(frozen=True, slots=True)
class Entry:
    """One message that waits."""

    message_id: str
    sender: str
    size: int
    received: int
    next_try: int = 0  # 0: not known
    frozen: bool = False
    running: bool = False
    recipients: tuple[str, ...] = ()  # that must still get it
    delivered: tuple[str, ...] = ()
    generated: tuple[str, ...] = ()  # delivered, and not in the envelope: aliases made them


def from_frames(answers: Iterable[Waiting]) -> list[Entry]:
    """The entries in a daemon's answer; a message with many recipients comes in parts."""
    found: dict[str, Entry] = {}
    for part in answers:
        entry = Entry(
            part.message_id,
            part.sender,
            part.size,
            part.received,
            part.next_try,
            bool(part.frozen),
            bool(part.running),
            part.recipients,
            part.delivered,
            part.generated,
        )
        if (first := found.get(part.message_id)) is not None:
            entry = replace(
                first,
                recipients=first.recipients + entry.recipients,
                delivered=first.delivered + entry.delivered,
                generated=first.generated + entry.generated,
            )
        found[part.message_id] = entry
    return list(found.values())


def from_spool(spool: Spool) -> Iterator[Entry]:
    """The entries that are in the spool, without asking anybody.

    A message that leaves meanwhile is no error, nor is one that cannot be read: the daemon
    sets it aside and says so.  Raises OSError when the spool itself cannot be read.
    """
    for message_id in scan.ids(spool):
        try:
            message = Message.open(spool, message_id, lock=False)
        except MtaError:
            continue
        if message is not None:
            with message:
                yield _entry(message)


def _entry(message: Message) -> Entry:
    envelope = message.envelope
    done = envelope.nonrecipients
    known = {to.address for to in envelope.recipients}
    return Entry(
        message.id,
        envelope.sender,
        message.size,
        int(envelope.received_time),
        frozen=envelope.is_frozen,
        recipients=tuple(to.address for to in envelope.remaining),
        delivered=tuple(to.address for to in envelope.recipients if to.address in done),
        generated=tuple(sorted(done - known)),
    )


def oldest_first(entries: Iterable[Entry]) -> list[Entry]:
    """In the order of arrival."""
    return sorted(entries, key=lambda entry: (entry.received, entry.message_id))


def age(seconds: float) -> str:
    """How long a message has waited, in three columns: minutes, hours or days."""
    minutes = max(0, int(seconds)) // 60
    if minutes <= 90:
        return f"{minutes:2d}m"
    hours = (minutes + 30) // 60
    return f"{hours:2d}h" if hours <= 72 else f"{(hours + 12) // 24:2d}d"


def size(octets: int) -> str:
    """The size of a message in five columns."""
    if octets <= 0:
        return "     "
    if octets < 1024:
        return f"{octets:5d}"
    if octets < 10 << 10:
        return f"{octets / (1 << 10):4.1f}K"
    if octets < 1 << 20:
        return f"{(octets + 512) >> 10:4d}K"
    if octets < 10 << 20:
        return f"{octets / (1 << 20):4.1f}M"
    return f"{(octets + (1 << 19)) >> 20:4d}M"


def lines(
    entry: Entry, now: float, *, delivered: bool = True, generated: bool = False
) -> Iterator[str]:
    """The lines of one message in Exim's listing, with the empty one at the end."""
    frozen = " *** frozen ***" if entry.frozen else ""
    what = f"{age(now - entry.received)} {size(entry.size)} {entry.message_id}"
    yield f"{what} <{one_line(entry.sender)}>{frozen}"
    if delivered:
        yield from (f"        D {one_line(address)}" for address in entry.delivered)
    yield from (f"          {one_line(address)}" for address in entry.recipients)
    if generated:
        yield from (f"       +D {one_line(address)}" for address in entry.generated)
    yield ""
