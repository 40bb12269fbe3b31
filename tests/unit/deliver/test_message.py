"""An attempt at a message: what is delivered, noted, logged, bounced and kept."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace

import pytest

from mta.base.errors import TempFail
from mta.deliver import message as message_module
from mta.deliver import outcome as outcome_module
from mta.deliver.report import Report
from mta.spool.envelope import DSN_NEVER, Recipient
from mta.spool.reader import Message
from mta.transport.api import Outcome, Parcel, Result
from tests.harness import dns
from tests.unit.deliver.conftest import CONFIGURATION, NOW, House, configuration

REFUSED = Outcome(
    "",
    Result.DEFER,
    "Connection refused",
    "4.4.1",
    errno.ECONNREFUSED,
    "192.0.2.3",
    "192.0.2.3",
    25,
    host_error=True,
)
REJECTED = Outcome(
    "",
    Result.FAIL,
    "SMTP error from remote mail server after RCPT TO:<x@a.far.example>: 550 no",
    "5.1.1",
    -44,
    "mx.far.example",
    "192.0.2.1",
    25,
    remote_text="550 no",
)
FULL = Outcome("", Result.DEFER, "mailbox is full", "4.2.2", -22)


def test_a_local_delivery_is_logged_and_the_message_is_gone(house: House) -> None:
    message = house.put("Joe@local.example")
    assert house.attempt(message) == Report(message, "done")
    assert house.left() == []
    assert house.lines() == [
        f"{message} => joe <Joe@local.example> R=local T=box",
        f"{message} Completed",
    ]
    (parcel,) = house.workers.parcels
    assert parcel.sender == "s@sender.example"
    assert parcel.headers.startswith(b"Received: by mx.example\nFrom: ")
    assert parcel.recipients[0].local_part == "joe"
    assert parcel.recipients[0].origin == "Joe@local.example"


def test_remote_recipients_share_a_parcel(house: House) -> None:
    message = house.put("x@a.far.example", "Y@b.far.example")
    host = Outcome("", Result.DONE, "250 OK", host="mx", host_address="192.0.2.1", port=25)
    house.workers.answers = {"x@a.far.example": host, "Y@b.far.example": host}
    assert house.attempt(message) == Report(message, "done")
    assert len(house.workers.parcels) == 1
    assert house.lines() == [
        f'{message} => x@a.far.example R=remote T=smtp H=mx [192.0.2.1] C="250 OK"',
        f'{message} -> Y@b.far.example R=remote T=smtp H=mx [192.0.2.1] C="250 OK"',
        f"{message} Completed",
    ]
    assert [to.local_part for to in house.workers.parcels[0].recipients] == ["x", "Y"]


def test_as_whom_a_host_knew_us_is_logged_with_what_was_tried_before(house: House) -> None:
    message = house.put("x@a.far.example")
    text = "plain authenticator failed H=mx [192.0.2.1] 535 no"
    house.workers.notes = [Outcome("", Result.DONE, text)]
    known = Outcome("", Result.DONE, "250 OK", host="mx", host_address="192.0.2.1", port=25)
    house.workers.answers = {"x@a.far.example": replace(known, authenticated="login:ann")}
    assert house.attempt(message) == Report(message, "done")
    where = "R=remote T=smtp H=mx [192.0.2.1] A=login:ann"
    assert house.lines() == [
        f"{message} {text}",
        f'{message} => x@a.far.example {where} C="250 OK"',
        f"{message} Completed",
    ]
    assert list(house.hints.everything()) == []


def test_a_login_that_no_host_takes_is_what_a_retry_rule_says(house: House) -> None:
    message = house.put("x@a.far.example")
    text = "authentication required but authentication attempt(s) failed"
    failed = Outcome("", Result.DEFER, text, code=-42)
    there = replace(failed, host="mx", host_address="192.0.2.1", port=25, host_error=True)
    house.workers.notes = [there]
    house.workers.answers = {"x@a.far.example": failed}
    assert house.attempt(message).state == "deferred"
    assert house.lines() == [
        f"{message} H=mx [192.0.2.1]: {text}",
        f"{message} == x@a.far.example R=remote T=smtp defer (-42): {text}",
    ]
    assert [record.key for record in house.hints.everything()] == ["T:mx:192.0.2.1"]
    rule = "* auth_failed\n* * F,1h,10m"
    house.conf = configuration(CONFIGURATION.replace("* * F,1h,10m", rule))
    other = house.put("y@a.far.example")
    house.workers.answers = {"y@a.far.example": failed}
    house.attempt(other)
    assert f"{other} ** y@a.far.example: retry timeout exceeded" in house.lines()


def test_the_same_address_is_delivered_to_once(house: House) -> None:
    message = house.put("two@special.example", "one@local.example", "two@LOCAL.example")
    assert house.attempt(message).state == "done"
    assert [parcel.recipients[0].address for parcel in house.workers.parcels] == [
        "one@local.example",
        "two@local.example",
    ]


def test_what_is_done_is_in_the_journal_before_the_next_is_tried(house: House) -> None:
    message = house.put("a@local.example", "b@local.example")
    seen: list[frozenset[str]] = []
    house.workers.before = lambda parcel: seen.append(house.envelope(message).nonrecipients)
    house.attempt(message)
    assert seen == [frozenset(), frozenset({"a@local.example"})]


def test_a_crash_between_deliveries_repeats_none_of_them(house: House) -> None:
    message = house.put("a@local.example", "b@local.example")

    def crash(parcel: Parcel) -> None:
        if parcel.recipients[0].address == "b@local.example":
            raise KeyboardInterrupt

    house.workers.before = crash
    with pytest.raises(KeyboardInterrupt):
        house.attempt(message)
    house.workers.before = lambda parcel: None
    house.workers.parcels.clear()
    assert house.attempt(message).state == "done"
    assert [parcel.recipients[0].address for parcel in house.workers.parcels] == [
        "b@local.example"
    ]


def test_a_delivery_is_noted_before_it_is_logged(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = house.put("a@local.example", "b@local.example")
    order: list[str] = []
    journal, remove = Message.journal, Message.remove

    def note(self: Message, addresses: object, *, sync: bool) -> None:
        order.append(f"journal sync={sync}")
        journal(self, addresses, sync=sync)  # type: ignore[arg-type]

    def gone(self: Message) -> None:
        order.append("remove")
        remove(self)

    monkeypatch.setattr(Message, "journal", note)
    monkeypatch.setattr(Message, "remove", gone)
    monkeypatch.setattr(
        "mta.deliver.outcome.events.delivered", lambda *a, **k: order.append("log")
    )
    house.attempt(message)
    assert order == ["journal sync=True", "log", "remove", "log"]


def test_a_failure_is_bounced_to_the_sender(house: House) -> None:
    message = house.put("bad@special.example", "a@local.example")
    report = house.attempt(message)
    (bounce,) = report.bounces
    assert report == Report(message, "done", bounces=(bounce,))
    assert house.left() == [bounce]
    envelope = house.envelope(bounce)
    assert envelope.sender == ""
    assert envelope.recipients == (Recipient("s@sender.example"),)
    text = house.body(bounce)
    assert "  bad@special.example\n    no such person\n" in text
    assert "Final-Recipient: rfc822;bad@special.example\nStatus: 5.0.0\n" in text
    assert "the body\n" in text
    lines = house.lines()
    assert lines[0] == f"{message} ** bad@special.example R=special: no such person"
    assert lines[1] == f"{message} => a <a@local.example> R=local T=box"
    assert lines[2].startswith(f"{bounce} <= <> R={message} U=")
    assert lines[3] == f"{message} Completed"


def test_a_bounce_has_a_received_line_and_refers_to_the_message(house: House) -> None:
    (bounce,) = house.attempt(house.put("bad@special.example")).bounces
    headers = b"".join(each.text for each in house.envelope(bounce).headers)
    assert b"by mx.example with local" in headers
    assert b"\n\tfor s@sender.example;\n\t" in headers
    assert b"\nReferences: <m1@x>\n" in headers
    assert b"\nTo: s@sender.example\n" in headers


def test_the_words_of_a_remote_host_are_in_the_bounce(house: House) -> None:
    message = house.put("x@a.far.example")
    house.workers.answers = {"x@a.far.example": REJECTED}
    (bounce,) = house.attempt(message).bounces
    text = house.body(bounce)
    assert "  x@a.far.example\n    host mx.far.example [192.0.2.1]\n" in text
    assert "Status: 5.0.0\nRemote-MTA: dns; mx.far.example\n" in text
    assert "Diagnostic-Code: smtp; 550 no\n" in text
    assert house.lines()[0] == (
        f"{message} ** x@a.far.example R=remote T=smtp H=mx.far.example [192.0.2.1]: "
        "SMTP error from remote mail server after RCPT TO:<x@a.far.example>: 550 no"
    )


def test_the_bounce_is_durable_before_the_address_is_given_up(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = house.put("bad@special.example")

    def full(*_: object) -> None:
        raise TempFail("no space", status="4.3.1")

    monkeypatch.setattr("mta.deliver.bounce.writer.begin", full)
    report = house.attempt(message)
    assert report.state == "deferred"
    assert house.left() == [message]
    assert house.envelope(message).nonrecipients == frozenset()
    assert f"{message} cannot write a bounce: no space" in house.lines()


def test_a_bounce_that_fails_is_frozen(house: House) -> None:
    message = house.put("bad@special.example", sender="")
    assert house.attempt(message).state == "frozen"
    assert house.envelope(message).frozen_at == int(NOW) + 1
    assert house.lines() == [
        f"{message} ** bad@special.example R=special: no such person",
        f"{message} Frozen (delivery error message)",
    ]
    weeks = 10 * 7 * 86400
    assert house.attempt(message) == Report(message, "frozen", NOW + weeks)


def test_an_old_bounce_that_fails_is_given_up(
    house: House, clock: Callable[[float], None]
) -> None:
    message = house.put("bad@special.example", sender="")
    clock(71 * 86400)
    assert house.attempt(message) == Report(message, "done")
    assert house.lines()[1:] == [
        f"{message} bad@special.example: error ignored",
        f"{message} Completed",
    ]


def test_who_asked_for_no_bounce_gets_none(house: House) -> None:
    message = house.put(
        "bad@special.example",
        recipients=(Recipient("bad@special.example", dsn_flags=DSN_NEVER),),
    )
    assert house.attempt(message) == Report(message, "done")


def test_errors_to_gets_the_bounce(house: House) -> None:
    message = house.put(
        "bad@special.example",
        recipients=(Recipient("bad@special.example", errors_to="owner@local.example"),),
    )
    (bounce,) = house.attempt(message).bounces
    assert house.envelope(bounce).recipients == (Recipient("owner@local.example"),)


def test_a_discarded_recipient_is_done(house: House) -> None:
    message = house.put("hole@special.example")
    assert house.attempt(message) == Report(message, "done")
    assert house.lines() == [
        f"{message} => :blackhole: <hole@special.example> R=special",
        f"{message} Completed",
    ]


def test_a_deferral_keeps_the_message_with_what_is_left(house: House) -> None:
    message = house.put("wait@special.example", "a@local.example")
    report = house.attempt(message)
    assert report == Report(message, "deferred", NOW + 1 + 600, "special.example")
    envelope = house.envelope(message)
    assert envelope.nonrecipients == {"a@local.example"}
    assert not envelope.deliver_firsttime
    assert house.lines() == [
        f"{message} == wait@special.example R=special defer (-1): try later",
        f"{message} => a <a@local.example> R=local T=box",
    ]


def test_a_queue_run_waits_for_the_time_of_a_retry(
    house: House, clock: Callable[[float], None]
) -> None:
    message = house.put("wait@special.example")
    house.attempt(message)
    clock(120)
    report = house.attempt(message, queue_run=True)
    assert report.next_try == NOW + 1 + 600
    assert house.lines()[-1] == (
        f"{message} == wait@special.example routing defer (-52): retry time not reached"
    )
    clock(700)
    house.attempt(message, queue_run=True)
    assert house.lines()[-1].endswith("R=special defer (-1): try later")


def test_after_the_last_rule_the_message_fails(
    house: House, clock: Callable[[float], None]
) -> None:
    message = house.put("wait@special.example")
    house.attempt(message)
    clock(2 * 3600)
    (bounce,) = house.attempt(message, queue_run=True).bounces
    assert house.lines()[2] == f"{message} ** wait@special.example: retry timeout exceeded"
    assert "    try later: retry timeout exceeded\n" in house.body(bounce)


def test_a_local_deferral_is_remembered_for_the_address(
    house: House, clock: Callable[[float], None]
) -> None:
    message = house.put("a@local.example", "b@local.example")
    house.workers.answers = {"a@local.example": FULL}
    assert house.attempt(message).next_try == NOW + 1 + 600
    assert [record.key for record in house.hints.everything()] == ["T:a@local.example"]
    assert house.lines()[0] == (
        f"{message} == a@local.example R=local T=box defer (-22): mailbox is full"
    )
    clock(120)
    house.workers.parcels.clear()
    house.attempt(message, queue_run=True)
    assert house.workers.parcels == []
    house.workers.answers.clear()
    clock(700)
    assert house.attempt(message, queue_run=True).state == "done"
    assert house.hints.everything() == []


def test_new_mail_tries_a_mailbox_at_once_whatever_is_remembered(house: House) -> None:
    house.workers.answers = {"a@local.example": FULL}
    house.attempt(house.put("a@local.example"))
    house.workers.answers.clear()
    assert house.attempt(house.put("a@local.example")).state == "done"


def test_a_host_that_is_away_is_left_alone_by_new_mail_too(
    house: House, clock: Callable[[float], None]
) -> None:
    house.workers.answers = {"x@a.far.example": REFUSED}
    house.workers.notes = [
        replace(REFUSED, host="192.0.2.1", host_address="192.0.2.1"),
        REFUSED,
    ]
    first = house.put("x@a.far.example")
    assert house.attempt(first).next_try == NOW + 1 + 600
    assert house.lines()[:2] == [
        f"{first} H=192.0.2.1 [192.0.2.1] Connection refused",
        f"{first} H=192.0.2.3 [192.0.2.3] Connection refused",
    ]
    assert [record.key for record in house.hints.everything()] == [
        "T:192.0.2.1:192.0.2.1",
        "T:192.0.2.3:192.0.2.3",
    ]
    house.workers.parcels.clear()
    second = house.put("y@b.far.example")
    report = house.attempt(second)
    assert report == Report(second, "deferred", NOW + 1 + 600, "b.far.example")
    assert house.workers.parcels == []
    assert house.lines()[-1] == (
        f"{second} == y@b.far.example R=remote T=smtp defer (-54): "
        "retry time not reached for any host for 'b.far.example'"
    )
    house.workers.answers.clear()
    house.workers.notes.clear()
    assert house.attempt(second, force=True).state == "done"


def test_only_the_hosts_that_are_due_are_tried(house: House) -> None:
    house.workers.notes = [replace(REFUSED, host="192.0.2.1", host_address="192.0.2.1")]
    house.attempt(house.put("x@a.far.example"))
    house.workers.notes.clear()
    house.attempt(house.put("x@a.far.example"))
    hosts = [[host.name for host in parcel.hosts] for parcel in house.workers.parcels]
    assert hosts == [["192.0.2.1", "192.0.2.3"], ["192.0.2.3"]]


def test_hosts_that_are_long_gone_fail_new_mail_at_once(
    house: House, clock: Callable[[float], None]
) -> None:
    house.workers.answers = {"x@a.far.example": REFUSED}
    house.workers.notes = [
        replace(REFUSED, host="192.0.2.1", host_address="192.0.2.1"),
        REFUSED,
    ]
    first = house.put("x@a.far.example")
    house.attempt(first)
    clock(2 * 3600)
    assert len(house.attempt(first).bounces) == 1
    second = house.put("y@b.far.example", received_time=NOW + 7200)
    assert len(house.attempt(second).bounces) == 1
    assert (
        f"{second} ** y@b.far.example R=remote T=smtp: "
        "retry time not reached for any host after a long failure period"
    ) in house.lines()
    why = next(line for line in house.lines() if f"{second} not tried" in line)
    assert 'Connection refused), and the retry rule "* * F,1h,10m" (mta.conf:28)' in why
    assert "no_delay_after_cutoff" in why


TWO_REFUSALS = [replace(REFUSED, host="192.0.2.1", host_address="192.0.2.1"), REFUSED]


def transport_with(house: House, option: str) -> None:
    house.conf = configuration(
        CONFIGURATION.replace("driver = smtp", f"driver = smtp\n{option}")
    )


def test_without_delay_after_cutoff_new_mail_is_tried_once_and_fails(
    house: House, clock: Callable[[float], None]
) -> None:
    transport_with(house, "no_delay_after_cutoff")
    house.workers.answers = {"x@a.far.example": REFUSED, "y@b.far.example": REFUSED}
    house.workers.notes = TWO_REFUSALS
    first = house.put("x@a.far.example")
    house.attempt(first)
    clock(2 * 3600)
    assert len(house.attempt(first).bounces) == 1
    house.workers.parcels.clear()
    clock(2 * 3600 + 60)
    second = house.put("y@b.far.example", received_time=NOW + 7200 + 60)
    assert len(house.attempt(second).bounces) == 1
    assert len(house.workers.parcels) == 1
    assert f"{second} ** y@b.far.example: retry timeout exceeded" in house.lines()


def test_a_host_may_be_remembered_without_its_address(house: House) -> None:
    transport_with(house, "no_retry_include_ip_address")
    house.workers.answers = {"x@a.far.example": REFUSED}
    house.workers.notes = TWO_REFUSALS
    house.attempt(house.put("x@a.far.example"))
    assert [record.key for record in house.hints.everything()] == [
        "T:192.0.2.1:",
        "T:192.0.2.3:",
    ]
    house.workers.parcels.clear()
    house.attempt(house.put("y@b.far.example"))
    assert house.workers.parcels == []


def test_a_message_that_has_had_its_time_is_tried_once_more_before_it_fails(
    house: House, clock: Callable[[float], None]
) -> None:
    house.workers.answers = {"x@a.far.example": REFUSED}
    house.workers.notes = TWO_REFUSALS
    message = house.put("x@a.far.example")
    clock(3500)
    house.attempt(message)  # the hosts fail since then, and will be due in 10 minutes
    house.workers.parcels.clear()
    clock(3601)
    assert len(house.attempt(message, queue_run=True).bounces) == 1
    assert len(house.workers.parcels) == 1


def test_a_mailbox_that_has_expired_gets_one_delivery_of_each_message(
    house: House, clock: Callable[[float], None]
) -> None:
    house.workers.answers = {"a@local.example": FULL}
    first = house.put("a@local.example")
    house.attempt(first)
    clock(2 * 3600)
    assert len(house.attempt(first, queue_run=True).bounces) == 1
    house.workers.parcels.clear()
    second = house.put("a@local.example", received_time=NOW + 7200)
    assert len(house.attempt(second, queue_run=True).bounces) == 1
    assert len(house.workers.parcels) == 1


def test_a_recipient_deferred_by_a_host_does_not_stop_other_mail_to_it(
    house: House,
) -> None:
    busy = Outcome(
        "",
        Result.DEFER,
        "SMTP error … 450 later",
        "4.2.1",
        -44,
        "192.0.2.1",
        "192.0.2.1",
        25,
        remote_text="450 later",
    )
    house.workers.answers = {"x@a.far.example": busy}
    house.attempt(house.put("x@a.far.example"))
    assert [record.key for record in house.hints.everything()] == [
        "R:x@a.far.example:<s@sender.example>"
    ]
    assert house.hints.everything()[0].detail == "450"
    assert house.attempt(house.put("y@a.far.example")).state == "done"


def test_a_recipient_deferred_by_a_host_may_be_remembered_for_all_senders(
    house: House,
) -> None:
    transport_with(house, "no_address_retry_include_sender")
    house.workers.answers = {
        "x@a.far.example": Outcome(
            "", Result.DEFER, "later", "", -44, "h", "192.0.2.1", remote_text="450 no"
        )
    }
    house.attempt(house.put("x@a.far.example"))
    assert [record.key for record in house.hints.everything()] == ["R:x@a.far.example"]


def test_a_list_whose_other_half_failed_is_not_sent_to_again(house: House) -> None:
    message = house.put("two@special.example")
    house.workers.answers = {"two@local.example": FULL}
    house.attempt(message)
    house.workers.answers.clear()
    house.workers.parcels.clear()
    assert house.attempt(message, force=True).state == "done"
    assert [parcel.recipients[0].address for parcel in house.workers.parcels] == [
        "two@local.example"
    ]


def test_a_frozen_message_is_left_alone_until_it_is_forced(house: House) -> None:
    message = house.put("a@local.example", frozen_at=int(NOW))
    assert house.attempt(message, queue_run=True) == Report(message, "frozen")
    assert house.workers.parcels == []
    assert house.attempt(message, thaw=True) == Report(message, "done")


def test_a_message_in_other_hands_is_left_alone(house: House) -> None:
    message = house.put("a@local.example")
    held = Message.open(house.spool, message)
    assert held is not None
    with held:
        assert house.attempt(message).state == "locked"
    assert house.lines()[0] == (
        f"{message} Spool file for {message} is locked"
        " (another process is handling this message)"
    )


def test_a_message_that_is_gone_is_no_trouble(house: House) -> None:
    message = house.put("a@local.example")
    house.attempt(message)
    assert house.attempt(message) == Report(message, "gone")


def test_a_damaged_message_is_set_aside_once(house: House) -> None:
    message = house.put("a@local.example")
    (directory,) = [
        fd for fd in house.spool.places(message) if f"{message}-H" in os.listdir(fd)
    ]
    fd = os.open(f"{message}-H", os.O_WRONLY | os.O_TRUNC, dir_fd=directory)
    os.close(fd)
    assert house.attempt(message) == Report(message, "damaged")
    assert house.attempt(message) == Report(message, "gone")
    assert f"{message} Format error in spool file" in house.lines("panic")[0]


def test_a_delivery_that_cannot_be_noted_is_the_last(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = house.put("a@local.example", "b@local.example", "c@local.example")

    def full(*_: object, **__: object) -> None:
        raise TempFail("no space", status="4.3.1")

    monkeypatch.setattr(Message, "journal", full)
    report = house.attempt(message)
    assert report.state == "deferred"
    assert len(house.workers.parcels) == 1
    # The new -H, which could be written, knows of it all the same.
    assert house.envelope(message).nonrecipients == {"a@local.example"}


def test_the_message_has_a_log_of_its_own_while_it_waits(house: House) -> None:
    message = house.put("wait@special.example")
    house.attempt(message)
    (directory,) = [
        fd for fd in house.spool.msglog_places(message) if message in os.listdir(fd)
    ]
    fd = os.open(message, os.O_RDONLY, dir_fd=directory)
    lines = os.read(fd, 10_000).decode().split("\n")
    os.close(fd)
    assert " Received from s@sender.example U=alice P=local" in lines[0]
    assert lines[1].endswith(" wait@special.example R=special defer (-1): try later")


def test_header_changes_and_users_of_routers_travel_with_the_parcel(house: House) -> None:
    message = house.put("a@local.example")
    text = "headers_add = X-A: 1\nheaders_remove = X-B : X-C\nuser = bob\n"

    house.conf = configuration(
        CONFIGURATION.replace("transport = box\n", "transport = box\n" + text, 1)
    )
    house.attempt(message)
    (job,) = house.workers.jobs
    assert (job.user, job.group) == ("bob", "")
    assert job.parcel.headers_add == ("X-A: 1",)
    assert job.parcel.headers_remove == ("X-B", "X-C")


def test_two_deliveries_to_one_address_are_told_apart(house: House) -> None:
    twice = "both:\ndriver = accept\nunseen\ndomains = local.example\ntransport = smtp\n"
    house.conf = configuration(CONFIGURATION.replace("local:\n", twice + "local:\n", 1))
    message = house.put("a@local.example")

    def only_remote(parcel: Parcel) -> None:
        answer = FULL if parcel.transport == "box" else Outcome("", Result.DONE)
        house.workers.answers = {"a@local.example": answer}

    house.workers.before = only_remote
    house.attempt(message)
    assert house.envelope(message).nonrecipients == {"a@local.example/smtp"}
    house.workers.parcels.clear()
    house.workers.before = lambda parcel: None
    house.workers.answers.clear()
    assert house.attempt(message).state == "done"
    assert [parcel.transport for parcel in house.workers.parcels] == ["box"]


def test_a_file_is_told_apart_by_the_address_that_named_it(house: House) -> None:
    text = CONFIGURATION.replace("two@local.example}", "/var/mail/saved}")
    text = text.replace("allow_fail\n", "allow_fail\nfile_transport = box\n", 1)
    house.conf = configuration(text)
    message = house.put("two@special.example")
    house.workers.answers = {"one@local.example": FULL}
    house.attempt(message)
    assert house.envelope(message).nonrecipients == {"/var/mail/saved:two@special.example"}
    assert house.lines()[0] == (
        f"{message} => /var/mail/saved <two@special.example> R=special T=box"
    )
    house.workers.parcels.clear()
    house.attempt(message, force=True)
    assert [parcel.file for parcel in house.workers.parcels] == [""]


def test_many_recipients_are_dealt_with_in_linear_time(house: House) -> None:
    message = house.put(*[f"user{number}@a.far.example" for number in range(3000)])
    assert house.attempt(message) == Report(message, "done")
    assert [len(parcel.recipients) for parcel in house.workers.parcels] == [100] * 30


def test_several_messages_are_under_way_at_a_time(house: House) -> None:
    deliverer = house.deliverer()
    messages = [house.put("a@local.example") for _ in range(3)]
    for message in messages:
        deliverer.begin(message)
    assert house.workers.jobs == []  # all are given away at once
    assert [report.message_id for report in deliverer.wait()] == messages
    assert deliverer.under_way == {}
    assert house.left() == []


def test_the_recipients_of_one_message_are_delivered_to_one_after_the_other(
    house: House,
) -> None:
    deliverer = house.deliverer()
    deliverer.begin(house.put("a@local.example", "b@local.example"))
    deliverer.begin(house.put("c@local.example"))
    while deliverer.under_way:
        deliverer.wait()
    assert [each.recipients[0].address[0] for each in house.workers.parcels] == list("acb")


def break_the_log_of(bad: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an error of ours end the attempt of this message when it has delivered."""
    real = outcome_module.events.delivered

    def fail(log: object, message_id: str, *more: object, **named: object) -> None:
        if message_id == bad:
            raise RuntimeError("a bug")
        real(log, message_id, *more, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(outcome_module.events, "delivered", fail)


def test_an_error_of_ours_in_one_attempt_spares_the_others(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliverer = house.deliverer()
    bad, good = house.put("bad@local.example"), house.put("good@local.example")
    break_the_log_of(bad, monkeypatch)
    deliverer.begin(bad)
    deliverer.begin(good)
    with pytest.raises(RuntimeError):
        deliverer.wait()
    (report,) = deliverer.wait()
    assert report == Report(good, "done")
    assert deliverer.under_way == {}


def test_what_comes_late_for_an_attempt_that_ended_in_an_error_harms_nobody(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliverer = house.deliverer()
    bad = house.put("x@a.far.example", "y@b.far.example")
    good = house.put("good@local.example")
    break_the_log_of(bad, monkeypatch)
    house.workers.answers = {}
    deliverer.begin(bad)
    deliverer.begin(good)
    with pytest.raises(RuntimeError):
        deliverer.wait()
    reports = deliverer.wait()
    assert reports == [Report(good, "done")]
    assert deliverer.under_way == {}


def test_an_error_in_giving_a_job_away_ends_its_own_attempt_only(house: House) -> None:
    deliverer = house.deliverer()
    first, bad, last = (house.put(f"{name}@local.example") for name in ("a", "bad", "b"))

    def fail(parcel: Parcel) -> None:
        if parcel.message_id == bad:
            raise RuntimeError("a bug")

    house.workers.before = fail
    for message in (first, bad, last):
        deliverer.begin(message)
    with pytest.raises(RuntimeError):
        deliverer.wait()
    assert deliverer.wait() == [Report(first, "done"), Report(last, "done")]
    assert deliverer.under_way == {}
    house.workers.before = lambda parcel: None
    assert house.attempt(bad) == Report(bad, "done")  # nobody holds its lock


def test_nothing_more_is_given_away_of_an_attempt_that_ended_in_an_error(
    house: House,
) -> None:
    deliverer = house.deliverer()
    bad = house.put(*[f"user{number}@a.far.example" for number in range(200)])
    good = house.put("a@local.example")

    def fail(parcel: Parcel) -> None:
        if parcel.message_id == bad:
            raise RuntimeError("a bug")

    house.workers.before = fail
    deliverer.begin(bad)
    deliverer.begin(good)
    with pytest.raises(RuntimeError):
        deliverer.wait()
    house.workers.before = lambda parcel: None
    assert deliverer.wait() == [Report(good, "done")]
    assert [parcel.message_id for parcel in house.workers.parcels] == [good]


def test_what_an_attempt_wanted_carried_before_its_error_is_not_carried(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliverer = house.deliverer()
    bad = house.put(*[f"user{number}@a.far.example" for number in range(500)])
    good = house.put("a@local.example", "b@local.example")
    real, logged = outcome_module.events.delivered, []

    def fail(log: object, message_id: str, *more: object, **named: object) -> None:
        logged.append(message_id)
        if (
            message_id == bad and logged.count(bad) > 100
        ):  # the second of four parcels, when the fifth is wanted
            raise RuntimeError("a bug")
        real(log, message_id, *more, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(outcome_module.events, "delivered", fail)
    deliverer.begin(bad)
    deliverer.begin(good)
    with pytest.raises(RuntimeError):
        deliverer.wait()
    assert deliverer.wait() == [Report(good, "done")]
    assert [parcel.message_id for parcel in house.workers.parcels] == [*[bad] * 4, good, good]


def test_several_errors_in_giving_jobs_away_end_no_other_attempt(house: House) -> None:
    deliverer = house.deliverer()
    good = house.put("a@local.example")

    def fail(parcel: Parcel) -> None:
        if parcel.message_id != good:
            raise RuntimeError("a bug")

    house.workers.before = fail
    for message in (house.put("b@local.example"), house.put("c@local.example"), good):
        deliverer.begin(message)
    for _ in range(2):
        with pytest.raises(RuntimeError):
            deliverer.wait()
    assert deliverer.wait() == [Report(good, "done")]


SLOWLY = """
begin routers
d:
driver = dnslookup
transport = smtp
begin transports
smtp:
driver = smtp
begin retry
* * F,1h,10m
"""
NAMES = """
    slow.example.  SILENT
    fast.example.  A  203.0.113.5
    null.example.  MX 0 .
"""


def test_slow_name_servers_hold_up_no_other_message(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_module, "HURRY", 0.1)
    with dns.serving(NAMES) as server:
        house.conf = configuration(
            CONFIGURATION.partition("begin")[0] + server.options + SLOWLY
        )
        deliverer = house.deliverer()
        slow, fast = house.put("x@slow.example"), house.put("x@fast.example")
        deliverer.begin(slow)
        assert house.workers.jobs == []
        deliverer.begin(fast)
        assert [each.message_id for each in deliverer.wait()] == [fast]
        (report,) = deliverer.wait()
    assert (report.message_id, report.state) == (slow, "deferred")
    why = "lookup of MX for slow.example: the name servers did not answer in time"
    assert house.lines()[-1] == (
        f"{slow} == x@slow.example R=d defer (-1): host lookup did not complete ({why})"
    )


def test_a_message_that_was_set_aside_lets_new_ones_in_first(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_module, "HURRY", 0.1)
    here, there = os.pipe()
    with dns.serving(NAMES) as server:
        house.conf = configuration(
            CONFIGURATION.partition("begin")[0] + server.options + SLOWLY
        )
        deliverer = house.deliverer()
        deliverer.begin(house.put("x@slow.example"))
        os.write(there, b"more")
        assert deliverer.wait(here) == []
        monkeypatch.setattr(message_module, "PUT_OFF", 0.0)
        assert [each.state for each in deliverer.wait(here)] == ["deferred"]
    os.close(here)
    os.close(there)


def test_a_domain_that_takes_no_mail_says_so_in_the_bounce(house: House) -> None:
    with dns.serving(NAMES) as server:
        house.conf = configuration(
            CONFIGURATION.partition("begin")[0] + server.options + SLOWLY
        )
        report = house.attempt(house.put("x@null.example"))
    (bounce,) = report.bounces
    assert "Status: 5.1.10\n" in house.body(bounce)
