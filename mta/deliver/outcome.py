"""What became of each address: noted durably first, logged second.

Before a delivery is logged it is noted, so that a crash repeats no delivery that the log
speaks of.  The note is a line in -J, synced.  Where the deliveries that have just ended were
the last thing to be done, the note is that -H is removed: it says the same as a -J that names
every recipient, is one step as well, and saves making and removing a file, which costs more
than all the rest of a delivery.  Should a power cut bring a removed message back, it is
delivered twice; a -J that is not synced would not prevent that.
"""

from __future__ import annotations

from mta.base import clock
from mta.base.errors import MtaError, TempFail
from mta.deliver.codes import ROUTING_RETRY, TLS_FAILURE
from mta.deliver.item import Item, shown
from mta.deliver.retry import EXCEEDED
from mta.deliver.routing import Routing
from mta.log import events
from mta.log.sink import Log
from mta.route.api import Address
from mta.spool import msglog
from mta.spool.errors import SpoolError
from mta.spool.layout import Spool
from mta.spool.reader import Message
from mta.transport.api import Outcome


class Progress:
    """What is done of a message, in the spool and in the logs."""

    __slots__ = (
        "_left",
        "_lines",
        "_log",
        "_message",
        "_open",
        "_routing",
        "_selector",
        "is_kept",
        "is_removed",
        "names",
        "trouble",
    )

    def __init__(
        self, message: Message, routing: Routing, log: Log, selector: str = ""
    ) -> None:
        self._selector = selector  # log_selector
        self._message = message
        self._routing = routing
        self._log = log
        self._lines: list[str] = []  # of the message's own log
        self.names: set[str] = set()  # everything done in this attempt
        self.is_removed = False
        self.is_kept = False  # the message has to stay after its last address is done
        self.trouble = ""  # why nothing more should be delivered now
        self._left = len(routing.items)  # items that are not done
        # How many addresses that came of each ancestor are not done yet.
        self._open: dict[int, int] = {}
        for first in routing.items:
            for item in routing.with_twins(first):
                for ancestor in _ancestors(item.address):
                    self._open[id(ancestor)] = self._open.get(id(ancestor), 0) + 1

    # ---- durably

    def done(self, items: list[Item]) -> None:
        """These addresses are done, and it is to be remembered before anything else."""
        fresh = [name for item in items for name in self._names(item)]
        if not fresh:
            return
        self.names.update(fresh)
        if not (self._left or self.is_kept) and self.remove():
            return
        try:
            self._message.journal(dict.fromkeys(fresh), sync=True)
        except (TempFail, SpoolError) as error:
            # What was delivered cannot be noted: deliver nothing more, and say so loudly.
            self.trouble = str(error)
            events.bug(self._log, self._message.id, f"delivered, but not noted: {error}")

    def remove(self) -> bool:
        """Remove the message, which is done; False if that fails."""
        try:
            self._message.remove()
        except TempFail as error:
            self.trouble = str(error)
            return False
        self.is_removed = True
        return True

    def _names(self, item: Item) -> list[str]:
        """Under what an item, its twins, and the ancestors that are complete now are noted."""
        self._left -= 1
        names: list[str] = []
        for each in self._routing.with_twins(item):
            names.append(each.name)
            address = each.address
            if address.parent is None:
                names += _top_names(each)
            for ancestor in _ancestors(address):
                self._open[id(ancestor)] -= 1
                if self._open[id(ancestor)]:
                    break
                if not ancestor.is_homonym:
                    names.append(ancestor.text)
                if ancestor.parent is None:
                    names += _top_names(each)
        return names

    # ---- in the logs

    def log_done(self, item: Item, outcome: Outcome | None, *, along: bool) -> None:
        """=> or ->"""
        if item.address.is_silent:
            return
        if outcome is None:
            events.discarded(
                self._log, self._message.id, item.recipient.address, router=item.router
            )
            self._note(f"=> :blackhole: <{item.recipient.address}> R={item.router}")
            return
        address = shown(item, success=True, file=outcome.file)
        host = item.host_shown + ("*" if outcome.reused else "")
        events.delivered(
            self._log,
            self._message.id,
            address,
            router=item.router,
            transport=item.transport,
            host=host,
            authenticated=outcome.authenticated,
            tls=self._encrypted(outcome),
            confirmation=outcome.text,
            along=along,
        )
        self._note(f"{item.name}: {item.transport} transport succeeded")

    def _encrypted(self, outcome: Outcome) -> str:
        """X= and what belongs to it."""
        if not outcome.cipher:
            return ""
        return events.encrypted(
            self._selector, outcome.cipher, verified=outcome.verified, peer=outcome.peer
        )

    def log_deferred(self, item: Item) -> None:
        """=="""
        if item.address.is_silent:
            return
        address = shown(item, success=False)
        if item.code == ROUTING_RETRY:
            # Nothing was tried, so there is no router or transport to name.
            address += " routing"
        text = events.deferral(
            address,
            item.text,
            router=item.router,
            transport=item.transport,
            host=item.host_shown,
            code=item.code,
        )
        events.deferred(self._log, self._message.id, text)
        self._note(text)

    def log_failed(self, item: Item) -> None:
        """**"""
        if item.address.is_silent:
            return
        address = shown(item, success=False)
        if item.text.endswith(EXCEEDED):
            text = events.failure(address, EXCEEDED)
        else:
            text = events.failure(
                address,
                item.text,
                router=item.router,
                transport=item.transport,
                host=item.host_shown,
            )
        events.failed(self._log, self._message.id, text)
        self._note(text)

    def log_host(self, outcome: Outcome) -> None:
        """A host that was tried and failed, whatever became of the recipients.

        Of a handshake that failed the lines of the recipients tell, or nothing does.
        """
        if outcome.code == TLS_FAILURE:
            return
        host = outcome.host
        if outcome.host_address:
            host = f"{host} [{outcome.host_address}]"
        text, code = outcome.text, outcome.code
        events.host_failed(self._log, self._message.id, host, text, code=code)
        self._note(events.failed_host(host, text, code))

    def log_remark(self, text: str) -> None:
        """Something worth knowing that changes nothing."""
        events.note(self._log, self._message.id, text)
        self._note(text)

    def note(self, line: str) -> None:
        """Something else for the message's own log."""
        self._note(line)

    def _note(self, line: str) -> None:
        self._lines.append(line)

    def write_msglog(self, spool: Spool) -> None:
        """Add what happened to the message's own log, if that can be done."""
        now = clock.now()
        try:
            for line in self._lines:
                msglog.append(spool, self._message.envelope, self._message.size, line, now=now)
        except MtaError as error:
            events.note(self._log, self._message.id, str(error))


def _ancestors(address: Address) -> list[Address]:
    """From the parent up to the recipient in the envelope."""
    found: list[Address] = []
    ancestor = address.parent
    while ancestor is not None:
        found.append(ancestor)
        ancestor = ancestor.parent
    return found


def _top_names(item: Item) -> list[str]:
    """A recipient of the envelope, as it stands there and with its domain in lower case."""
    address = item.recipient.address
    lowered = item.address.origin.text
    return [address] if lowered == address else [address, lowered]
