"""When the sender of a message that waits is told so: delay_warning and its kin."""

from __future__ import annotations

from mta.base.errors import ExpansionFail, TempFail
from mta.config.model import Configuration
from mta.deliver.batch import sender_of
from mta.deliver.item import Item
from mta.expand.context import Context
from mta.expand.run import expand_bool
from mta.spool.envelope import DSN_DELAY, DSN_WISHES


def due(times: tuple[int, ...], age: float) -> tuple[int, int]:
    """How many warnings should have been sent by now, and the time that the last one names.

    After the last time there is another each time that the last gap has passed.
    """
    count = sum(1 for each in times if each <= age)
    if not count:
        return 0, 0
    named = times[count - 1]
    if count == len(times):
        gap = named - times[-2] if count > 1 else named
        extra = int((age - named) // gap)
        return count + extra, named + gap * extra
    return count, named


def in_words(seconds: int, age: float) -> str:
    """A delay as a warning names it."""
    return f"{seconds // 60} minutes" if age < 7200 else f"{seconds // 3600} hours"


def wanted_by(items: list[Item]) -> list[Item]:
    """The addresses of which somebody wants to know that they wait.  RFC 3461 4.1"""
    return [
        item
        for item in items
        if not item.recipient.dsn_flags & DSN_WISHES or item.recipient.dsn_flags & DSN_DELAY
    ]


def recipients(items: list[Item], sender: str) -> list[str]:
    """Whom a warning about these goes to: the sender first, if any of them is his."""
    to = dict.fromkeys(sender_of(item, sender) for item in items)
    return [each for each in dict.fromkeys([sender, *to]) if each and each in to]


def condition_holds(conf: Configuration, ctx: Context) -> str:
    """ "" if delay_warning_condition lets a warning go, else why not."""
    option = conf.delivery.delay_warning_condition
    if option is None:
        return ""
    try:
        return "" if expand_bool(ctx, option) else "no"
    except (ExpansionFail, TempFail) as error:
        return f"cannot expand delay_warning_condition: {error.text}"
