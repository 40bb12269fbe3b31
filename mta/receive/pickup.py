"""Takes over what local programs left in the drop-box while no daemon answered.

Who left a file is its owner; what it says is hostile.  A message that is taken is first made
durable, then its file is removed: a crash between the two delivers it twice, never not at all.
A file that nobody's sendmail made is removed and logged.  One that will never be taken, being
too large, say, or without recipients, is kept in SPOOL/corrupt with the reason: its sender has
gone, believing that it was dealt with.  What cannot be taken now, or not be set aside, stays
for the next time; the log says so once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mta.base import clock
from mta.base.errors import TempFail, describe
from mta.base.text import is_number
from mta.expand.context import Context
from mta.log import events
from mta.receive.frames import Accepted, Rejected, Submit
from mta.receive.local import READ_SIZE, TEMPORARY, caller_of, submit
from mta.receive.service import Service
from mta.receive.sizes import size_limit
from mta.spool.drops import Box, Dropped, TooLarge, Waiting
from mta.spool.errors import SpoolError
from mta.spool.layout import Spool

LARGEST = 1 << 30


def waiting(spool: Spool) -> list[Waiting]:
    """What there is in the drop-box, the oldest first."""
    try:
        box = Box(spool.root)
    except OSError:
        return []
    try:
        return box.waiting()
    except OSError:
        return []
    finally:
        box.close()


def empty(
    service: Service, spool: Spool, names: Sequence[str], known: frozenset[str] = frozenset()
) -> int:
    """Take over these files, and return how many of them have become messages.

    Of those that are known to stay it is not said again.
    """
    try:
        box = Box(spool.root)
    except OSError as error:
        events.note(service.log, "", f"cannot open the drop-box: {describe(error)}")
        return 0
    taken = 0
    try:
        if not box.lock():
            return 0
        for name in names:
            try:
                taken += _one(service, spool, box, name)
            except (OSError, TempFail) as error:
                if name not in known:
                    events.note(service.log, "", f"drop/{name} stays: {error}")
        for name in box.sweep(clock.now()):
            events.note(service.log, "", f"removed drop/{name}: it was never completed")
    except OSError as error:
        events.note(service.log, "", f"cannot read the drop-box: {describe(error)}")
    finally:
        box.close()
    return taken


def _one(service: Service, spool: Spool, box: Box, name: str) -> int:
    """Take over one file; 1 if it has become a message.

    Raises OSError or TempFail if it stays for the next time.
    """
    limit = size_limit(Context(service.conf, service.tables)) or LARGEST
    try:
        with box.open(name, limit=limit) as dropped:
            answer = _submit(service, dropped)
    except FileNotFoundError:
        return 0
    except TooLarge as error:
        _set_aside(service, spool, box, name, str(error))
        return 0
    except SpoolError as error:
        events.note(service.log, "", f"removed from the drop-box: {error}")
        box.remove(name)
        return 0
    if isinstance(answer, Accepted):
        box.remove(name)
        return 1
    if answer.code == TEMPORARY:
        raise TempFail(answer.text)
    _set_aside(service, spool, box, name, answer.text)
    return 0


def _set_aside(service: Service, spool: Spool, box: Box, name: str, reason: str) -> None:
    try:
        box.set_aside(name, spool.corrupt_place(), reason)
    except TempFail as error:
        raise TempFail(f"{reason}; {error.text}") from error
    events.set_aside(service.log, f"drop/{name}", reason, f"{spool.path}/corrupt")


def _submit(service: Service, dropped: Dropped) -> Accepted | Rejected:
    caller = caller_of(service.conf, dropped.uid)
    request, recipients = _request(dropped.records)

    def source() -> Iterator[bytes]:
        while octets := dropped.read(READ_SIZE):
            yield octets

    return submit(service, caller, request, recipients, source)


def _request(records: list[tuple[str, str]]) -> tuple[Submit, tuple[str, ...]]:
    """What the file asks for: the fields of a submit frame.  Raises SpoolError."""
    values: dict[str, str] = {}
    recipients: list[str] = []
    for key, value in records:
        if key == "recipients":
            recipients.append(value)
        elif key in values or key not in Submit.__dataclass_fields__:
            raise SpoolError(f"a file in the drop-box has a wrong record {key!r}")
        else:
            values[key] = value

    if not recipients and values.get("from_headers", "0") == "0":
        raise SpoolError("a file in the drop-box names nobody")

    def number(name: str) -> int:
        text = values.get(name, "0")
        if not is_number(text) or len(text) > 3:
            raise SpoolError(f"a file in the drop-box has a wrong number {name}")
        return int(text)

    request = Submit(
        has_sender=number("has_sender"),
        sender=values.get("sender", ""),
        full_name=values.get("full_name", ""),
        recipients=(),
        from_headers=number("from_headers"),
        dot_ends=number("dot_ends"),
        delivery=values.get("delivery", ""),
        fixups=number("fixups"),
        dsn_ret=values.get("dsn_ret", ""),
        dsn_notify=values.get("dsn_notify", ""),
        dsn_envid=values.get("dsn_envid", ""),
    )
    return request, tuple(recipients)
