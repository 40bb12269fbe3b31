"""What becomes of a frozen message: when it is thawed, when it is given up, who is told."""

from __future__ import annotations

from mta.base.text import one_line
from mta.config.main.delivery import Delivery
from mta.deliver.bounce import Bouncer
from mta.deliver.item import Item
from mta.spool.envelope import Envelope


def has_timed_out(options: Delivery, envelope: Envelope, now: float) -> bool:
    """True if a message has been here for too long to stay frozen: timeout_frozen_after."""
    return 0 < options.timeout_frozen_after <= now - envelope.received_time


def reason(options: Delivery, envelope: Envelope, now: float, *, forced: bool) -> str:
    """Why a frozen message is thawed now, in the words of the log; "" if it is not."""
    age = now - envelope.received_time
    if not envelope.sender and age >= options.ignore_bounce_errors_after:
        return "errmsg timer"
    if forced:
        return "forced delivery"
    # A bounce would only freeze again.
    frozen_for = now - envelope.frozen_at
    return "auto-thaw" if envelope.sender and 0 < options.auto_thaw < frozen_for else ""


def due(options: Delivery, envelope: Envelope) -> float:
    """When something is to be done with a message that is frozen; 0 for never."""
    times: list[float] = []
    if options.timeout_frozen_after > 0:
        times.append(envelope.received_time + options.timeout_frozen_after)
    if not envelope.sender:
        times.append(envelope.received_time + options.ignore_bounce_errors_after)
    elif options.auto_thaw > 0:
        times.append(envelope.frozen_at + options.auto_thaw + 1)
    return min(times, default=0.0)


def tell(
    bouncer: Bouncer, options: Delivery, envelope: Envelope, why: str, left: list[Item]
) -> list[str]:
    """Tell those of freeze_tell that a message was frozen; the id of the notice, if any.

    Raises TempFail.
    """
    if not options.freeze_tell:
        return []
    waiting = "".join(f"  {item.address.text}: {one_line(item.text)}\n" for item in left)
    text = (
        f"Message {envelope.id} has been frozen{f' ({why})' if why else ''}.\n"
        f"The sender is <{one_line(envelope.sender)}>.\n\n"
        f"The following address(es) have yet to be delivered:\n{waiting}\n"
    )
    return [bouncer.tell(envelope, options.freeze_tell, "Message frozen", text)]
