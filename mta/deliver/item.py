"""One address at the end of its route: where it goes, what became of it, how the log shows it.

waiting    it is to be delivered in this attempt
done       delivered, or discarded on purpose; never to be tried again
deferred   to be tried again
failed     never to be delivered; the sender has to be told
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from mta.base.text import lower
from mta.route.api import Address, Host
from mta.spool.envelope import Recipient


class State(Enum):
    """What became of an address."""

    WAITING = "waiting"
    DONE = "done"
    DEFERRED = "deferred"
    FAILED = "failed"


@dataclass(slots=True, eq=False)
class Item:
    """One final address of a message."""

    address: Address
    recipient: Recipient  # of the envelope, from which it came
    router: str = ""
    transport: str = ""
    hosts: tuple[Host, ...] = ()
    file: str = ""
    pipe: str = ""
    state: State = State.WAITING
    is_local: bool = True
    text: str = ""
    status: str = ""
    code: int = 0
    reply: str = ""  # the words of the remote server
    host: str = ""
    host_address: str = ""
    port: int = 0
    wishes: int = 0  # what the sender wants to be told, as in Recipient.dsn_flags
    is_dsn_relayed: bool = False  # the next host makes the reports that the sender wants
    freeze: bool = False
    note: str = ""  # for the log, besides what is said of the address
    told: str | None = None  # what a bounce says, if that is not `text`
    output: str = ""  # what a command said, for the bounce
    # What the failure is remembered under; and when to try again, 0 where no rule says.
    retry_keys: list[str] = field(default_factory=list)
    next_try: int = 0
    # Some hosts were not tried, so this failure is not the last word.
    is_skipped: bool = False

    @property
    def name(self) -> str:
        """Under what it is noted as done."""
        return self.address.name_for(self.transport)

    @property
    def host_shown(self) -> str:
        """The host as in H=."""
        if not self.host_address:
            return self.host
        return f"{self.host} [{self.host_address}]"

    def share_fate(self, first: Item) -> None:
        """Fail as another item has that stands for this one, unless it failed by itself."""
        if self.state is State.FAILED:
            return
        self.set(first.state, first.text, first.code, first.status)
        self.host, self.host_address, self.port = first.host, first.host_address, first.port
        self.reply = first.reply

    def set(self, state: State, text: str = "", code: int = 0, status: str = "") -> None:
        """What became of it, and why."""
        self.state, self.text, self.code, self.status = state, text, code, status


def shown(item: Item, *, success: bool, file: str = "") -> str:
    """An address as the log shows it: the final one, then the recipient in the envelope where
    the two differ.  A successful local delivery is shown by its local part alone, one to a
    file by the `file` that was written."""
    address = item.address
    top = item.recipient.address
    if address.kind != "address":
        parent = address.parent
        between = ""
        if parent is not None and parent.parent is not None:
            between = f" ({parent.text})"
        return f"{file or address.text}{between} <{top}>"
    if success and item.is_local and address.as_local and item.transport:
        return f"{address.local_part} <{top}>"
    text = address.text
    if item.is_local and item.transport:
        text = f"{address.local_part}@{address.domain}"  # without prefix and suffix
    if lower(text) == lower(top) and text.rpartition("@")[0] == top.rpartition("@")[0]:
        return text
    return f"{text} <{top}>"


def ancestors_done(item: Item, done: frozenset[str]) -> bool:
    """True if the address, or one that it came from, has been dealt with before."""
    if item.name in done:
        return True
    address = item.address
    if not address.is_homonym and address.kind == "address" and address.text in done:
        return True
    ancestor = address.parent
    while ancestor is not None:
        if ancestor.text in done and not ancestor.is_homonym:
            return True
        ancestor = ancestor.parent
    return False
