"""What one attempt to deliver tells people by mail: failures, delays, success, bad lists.

Each letter is a message of its own, durable before what it tells of is done with.

Raises:   nothing: a letter that cannot be written is noted in the log, and tried again with
          what it tells of.
"""

from __future__ import annotations

from mta.base.errors import TempFail
from mta.config.model import Configuration
from mta.deliver import batch, notify, skipped, warning
from mta.deliver.bounce import Bouncer
from mta.deliver.codes import RETRY_BASE
from mta.deliver.item import Item, State
from mta.deliver.outcome import Progress
from mta.deliver.routing import Routing
from mta.expand.context import Context
from mta.log import events
from mta.log.sink import Log
from mta.mail.address import AddressError, parse_list
from mta.route.api import Remark
from mta.spool.reader import Message

# In the log, of a failure that the sender asked not to be told of.
_NOT_WANTED = "error ignored: RFC 3461 DSN, failure notify not requested"
# Why a message is frozen whose failures nobody can be told of.
UNTOLD = "delivery error message"


class Letters:
    """The letters of one attempt."""

    def __init__(
        self,
        conf: Configuration,
        log: Log,
        bouncer: Bouncer,
        message: Message,
        ctx: Context,
        now: float,
    ) -> None:
        self.conf = conf
        self.log = log
        self.bouncer = bouncer
        self.message = message
        self.envelope = message.envelope
        self.ctx = ctx
        self.now = now
        self.ids: list[str] = []
        self.reported: list[notify.Success] = []

    def note(self, text: str) -> None:
        events.note(self.log, self.message.id, text)

    def about_list(self, remark: Remark, items: list[Item]) -> None:
        """Tell by mail what was left out of a list, if somebody wants to know."""
        if not remark.to:
            return
        try:
            found = parse_list(remark.to)
            text = skipped.letter(remark, items)
            if len(found) == 1 and "@" in found[0]:
                notice = self.bouncer.tell(self.envelope, found[0], skipped.SUBJECT, text)
                self.ids.append(notice)
        except (AddressError, TempFail) as error:
            self.note(f"cannot tell {remark.to} of errors in a list: {error}")

    def success(self, wishes: notify.Wishes) -> None:
        """Tell the sender what went well, where he wants to know."""
        successes = wishes.successes()
        if not successes:
            return
        try:
            self.ids.append(self.bouncer.send_success(self.message, successes))
        except TempFail as error:
            self.note(f"cannot write a report: {error}")
        else:
            self.reported = successes

    def warn(self, items: list[Item]) -> int:
        """Tell the sender that these wait, if it is time; how often he has been told."""
        told = self.envelope.warning_count
        age = self.now - self.envelope.received_time
        count, delay = warning.due(self.conf.delivery.delay_warning, age)
        late = warning.wanted_by(items)
        if not self.envelope.sender or count <= told or not late:
            return told
        if all(item.code <= RETRY_BASE for item in items):
            return told  # nothing was tried
        if why_not := warning.condition_holds(self.conf, self.ctx):
            if why_not != "no":
                self.note(why_not)
            return told
        to = warning.recipients(late, self.envelope.sender)
        words = warning.in_words(delay, age)
        try:
            if to:
                self.ids.append(self.bouncer.warn(self.message, to, late, words))
        except TempFail as error:
            self.note(f"no warning: {error}")
            return told
        return count

    def bounce(self, items: list[Item], routing: Routing, progress: Progress) -> str:
        """Tell the senders; why what they cannot be told of stays, frozen, or "".

        Recipients that came to the same address may have different senders to tell.
        """
        lines: list[str] = []
        freeze = ""
        failed = [each for item in items for each in routing.with_twins(item)]
        for item in items:
            for twin in routing.twins.get(item, ()):
                twin.share_fate(item)
        for to, some in batch.by_sender(failed, self.envelope.sender):
            if to:
                lines += self._bounce_to(to, some)
            elif self.envelope.sender or self._is_old_bounce():
                # Nobody wants to know: errors_to is empty, or it has been tried long enough.
                lines += _give_up(some, "error ignored")
            else:
                freeze = UNTOLD
                for item in some:
                    item.state = State.DEFERRED
        told = []
        for item in items:
            if all(each.state is State.DONE for each in routing.with_twins(item)):
                told.append(item)
            else:
                item.state = State.DEFERRED
        progress.done(told)
        for line in lines:
            self.note(line)
        return freeze

    def _bounce_to(self, to: str, items: list[Item]) -> list[str]:
        """Tell one sender; the lines for the log about what he does not want to know."""
        told = [item for item in items if notify.wants_failure(item)]
        try:
            if told:
                self.ids.append(self.bouncer.send(self.message, to, told))
        except TempFail as error:
            self.note(f"cannot write a bounce: {error}")
            for item in items:
                item.state = State.DEFERRED
            return []
        _give_up(told, "")
        unwanted = [item for item in items if not notify.wants_failure(item)]
        return _give_up(unwanted, _NOT_WANTED)

    def _is_old_bounce(self) -> bool:
        age = self.now - self.envelope.received_time
        return age >= self.conf.delivery.ignore_bounce_errors_after


def _give_up(items: list[Item], why: str) -> list[str]:
    """These are done without success; the lines for the log that say why."""
    lines = []
    for item in items:
        item.state = State.DONE
        parent = item.address.parent
        shown = item.address.text + (f" <{parent.text}>" if parent else "")
        lines.append(f"{shown}: {why}")
    return lines
