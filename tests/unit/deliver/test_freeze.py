"""A message over which delivery processes die is frozen, with what was done of it."""

from __future__ import annotations

from mta.deliver import freeze
from mta.deliver.report import Report
from mta.spool.reader import Message
from tests.unit.deliver.conftest import NOW, House


def test_it_is_left_alone_from_then_on(house: House) -> None:
    message = house.put("a@local.example")
    assert freeze.run(house.log, house.spool, message) == 0
    assert house.envelope(message).frozen_at == NOW + 1
    assert house.attempt(message) == Report(message, "frozen")
    assert house.workers.parcels == []
    assert house.lines() == [
        f"{message} Frozen (delivery processes ended in errors over it)",
        f"{message} Message is frozen",
    ]


def test_what_the_journal_says_is_kept(house: House) -> None:
    message_id = house.put("a@local.example", "b@local.example")
    message = Message.open(house.spool, message_id)
    assert message is not None
    with message:
        message.journal(["a@local.example"], sync=False)
    freeze.run(house.log, house.spool, message_id)
    assert house.attempt(message_id, thaw=True).state == "done"
    assert [each.recipients[0].address for each in house.workers.parcels] == [
        "b@local.example"
    ]


def test_one_that_is_gone_or_in_use_is_no_trouble(house: House) -> None:
    freeze.run(house.log, house.spool, "1xVXBP-000000000Od-0MgI")
    message_id = house.put("a@local.example")
    message = Message.open(house.spool, message_id)
    assert message is not None
    with message:
        freeze.run(house.log, house.spool, message_id)
    assert house.envelope(message_id).frozen_at == 0
