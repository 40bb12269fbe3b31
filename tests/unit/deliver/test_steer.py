"""What people have done with messages that wait, in Exim's words."""

from __future__ import annotations

import pytest

from mta.deliver.bounce import Bouncer
from mta.deliver.steer import ACTIONS, Steering, Unwilling
from mta.lookup.api import Tables
from mta.spool.reader import Message
from tests.unit.deliver.conftest import NOW, House


def steer(house: House, action: str, message_id: str, *words: str) -> str:
    bouncer = Bouncer(house.conf, house.spool, house.log, Tables())
    message = Message.open(house.spool, message_id)
    assert message is not None
    with message:
        return ACTIONS[action](Steering(house.log, bouncer, "root"), message, words)


def refused(house: House, action: str, message_id: str, *words: str) -> str:
    before = house.envelope(message_id)
    with pytest.raises(Unwilling) as caught:
        steer(house, action, message_id, *words)
    assert house.envelope(message_id) == before
    return str(caught.value)


def test_freeze_and_thaw(house: House) -> None:
    message = house.put("a@local.example")
    assert steer(house, "freeze", message) == " is now frozen"
    assert house.envelope(message).frozen_at == NOW + 1
    assert refused(house, "freeze", message) == " is already frozen"
    assert steer(house, "thaw", message) == " is no longer frozen"
    envelope = house.envelope(message)
    assert (envelope.frozen_at, envelope.manual_thaw) == (0, True)
    assert envelope.deliver_firsttime
    assert refused(house, "thaw", message) == " is not frozen"
    assert house.lines() == [f"{message} frozen by root", f"{message} unfrozen by root"]


def test_remove(house: House) -> None:
    message = house.put("a@local.example")
    assert steer(house, "remove", message) == " has been removed"
    assert house.left() == []
    assert house.lines() == [f"{message} removed by root", f"{message} Completed"]


def test_give_up_returns_what_is_left(house: House) -> None:
    message = house.put("a@local.example", "b@local.example")
    steer(house, "mark_delivered", message, "a@local.example")
    assert steer(house, "give_up", message) == ""
    (bounce,) = house.left()
    assert "failed:\n\n  b@local.example\n\n--" in house.body(bounce)
    assert house.lines()[-2:] == [f"{message} cancelled by root", f"{message} Completed"]


def test_giving_up_a_bounce_tells_nobody(house: House) -> None:
    message = house.put("a@local.example", sender="")
    steer(house, "give_up", message)
    assert house.left() == []


def test_mark_as_delivered(house: House) -> None:
    message = house.put("a@local.example", "b@local.example")
    error = " - error while marking as delivered:"
    assert refused(house, "mark_delivered", message) == f"{error} no address given"
    assert refused(house, "mark_delivered", message, "a@local.example", "c@x") == (
        f"{error}\n  c@x is not a recipient: message not updated"
    )
    assert steer(house, "mark_delivered", message, "a@local.example") == " has been modified"
    assert house.envelope(message).nonrecipients == {"a@local.example"}
    assert steer(house, "mark_all", message) == " has been modified"
    assert house.envelope(message).remaining == ()
    assert house.lines()[0] == f"{message} address <a@local.example> marked delivered by root"
    assert house.attempt(message).state == "done"
    assert house.workers.parcels == []


def test_add_recipients(house: House) -> None:
    message = house.put("a@local.example")
    error = " - error while adding recipient:"
    assert refused(house, "add_recipients", message) == f"{error} no address given"
    for word, reason in (
        ("bob", "domain missing"),
        ("<a b", "malformed address: b may not follow <a "),
    ):
        said = refused(house, "add_recipients", message, "c@x.example", word)
        assert said == f"{error}\n  bad address {word}: {reason}"
    added = ("b@local.example", "x@y.example")
    assert steer(house, "add_recipients", message, *added) == " has been modified"
    assert [to.address for to in house.envelope(message).recipients] == [
        "a@local.example",
        *added,
    ]
    assert house.lines()[-1] == f"{message} recipient <x@y.example> added by root"


def test_change_the_sender(house: House) -> None:
    message = house.put("a@local.example")
    error = " - error while editing sender:"
    assert refused(house, "change_sender", message) == f"{error} no address given"
    assert refused(house, "change_sender", message, "bob") == (
        f"{error}\n  bad address bob: domain missing"
    )
    assert refused(house, "change_sender", message, "a@b.c", "d@e.f") == (
        " - only one sender address can be specified"
    )
    assert steer(house, "change_sender", message, "n@x.example") == " has been modified"
    assert house.envelope(message).sender == "n@x.example"
    steer(house, "change_sender", message, "<>")
    assert house.envelope(message).sender == ""
    assert house.lines()[-1] == f"{message} sender address changed to <> by root"


def test_no_word_can_forge_a_line(house: House) -> None:
    message = house.put("a@local.example")
    for action in ("mark_delivered", "add_recipients", "change_sender"):
        refused(house, action, message, "x@y.z\n1aaaaa-00000000000-0000 Completed")
