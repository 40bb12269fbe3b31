"""Who is told what of which recipient: NOTIFY=, ORCPT= and ENVID= through an attempt."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mta.base.errors import TempFail
from mta.deliver.report import Report
from mta.spool.envelope import (
    DSN_DELAY,
    DSN_FAILURE,
    DSN_LAST_HOP,
    DSN_NEVER,
    DSN_SUCCESS,
    RET_FULL,
    RET_HEADERS,
    Recipient,
)
from mta.transport.api import Outcome, Result
from tests.unit.deliver.conftest import CONFIGURATION, House, configuration

DONE = Outcome("", Result.DONE, "250 OK id=1", host="mx.far.example", host_address="192.0.2.1")
FULL = Outcome("", Result.DEFER, "mailbox is full", "4.2.2", -22)
REFUSED = Outcome("", Result.FAIL, "no", "5.1.1")
NOT_WANTED = "error ignored: RFC 3461 DSN, failure notify not requested"

LISTS = """
list:
driver = redirect
domains = list.example
errors_to = owner@local.example
data = one@local.example, far@a.far.example
alias:
driver = redirect
domains = alias.example
data = ${if eq{$local_part}{far}{x@a.far.example}{user@local.example}}
copies:
driver = redirect
domains = copy.example
data = $local_part@copy.example, archive@local.example
copied:
driver = accept
domains = copy.example
transport = box
nobody:
driver = redirect
domains = nobody.example
errors_to =
data = bad@special.example
"""


@pytest.fixture
def town(house: House) -> House:
    """The house with aliases and lists."""
    text = CONFIGURATION.replace("begin routers\n", f"begin routers{LISTS}", 1)
    house.conf = configuration(text)
    return house


def wishing(house: House, **wishes: int) -> str:
    """A message for these local parts at special.example, each with its wishes."""
    return put(house, {f"{name}@special.example": flags for name, flags in wishes.items()})


def put(house: House, wishes: dict[str, int], **how: object) -> str:
    recipients = tuple(Recipient(each, dsn_flags=flags) for each, flags in wishes.items())
    return house.put(*wishes, recipients=recipients, **how)


def report_of(house: House, report: Report) -> str:
    """The body of the only report that was made."""
    (name,) = report.bounces
    return house.body(name)


def fields(text: str) -> list[list[str]]:
    """The part for programs, by recipients."""
    part = text.partition("Content-type: message/delivery-status\n\n")[2]
    part = part.partition("\n\n--")[0]
    return [group.split("\n") for group in part.split("\n\n")]


def test_a_local_delivery_is_reported_as_delivered(house: House) -> None:
    message = put(house, {"a@local.example": DSN_SUCCESS}, dsn_envid="e+2B1")
    text = report_of(house, house.attempt(message))
    assert fields(text) == [
        ["Reporting-MTA: dns; mx.example", "Original-Envelope-ID: e+1"],
        [
            "Action: delivered",
            "Final-Recipient: rfc822;a@local.example",
            "Status: 2.0.0",
            "Diagnostic-Code: X-Exim; relayed via non SMTP router",
        ],
    ]
    assert '<a@local.example> (relayed via non "Remote SMTP" router)\n' in text
    assert "Content-type: text/rfc822-headers\n" in text
    assert "the body" not in text


def test_the_report_of_success_goes_to_the_sender_from_nobody(house: House) -> None:
    message = put(house, {"a@local.example": DSN_SUCCESS})
    (name,) = house.attempt(message).bounces
    envelope = house.envelope(name)
    assert (envelope.sender, envelope.recipients) == ("", (Recipient("s@sender.example"),))
    headers = b"".join(each.text for each in envelope.headers)
    assert b"Subject: Delivery Status Notification\n" in headers
    assert b"Auto-Submitted: auto-generated\n" in headers
    assert house.left() == [name]


def test_a_host_that_knows_no_dsn_makes_us_report_that_it_was_relayed(house: House) -> None:
    house.workers.answers = {"x@a.far.example": DONE}
    report = house.attempt(put(house, {"x@a.far.example": DSN_SUCCESS}))
    assert fields(report_of(house, report))[1] == [
        "Action: relayed",
        "Final-Recipient: rfc822;x@a.far.example",
        "Status: 2.0.0",
        "Remote-MTA: dns; mx.far.example",
        "Diagnostic-Code: smtp; 250 OK id=1",
    ]


def test_a_host_that_knows_dsn_makes_the_report_itself(house: House) -> None:
    house.workers.answers = {"x@a.far.example": replace(DONE, is_dsn_relayed=True)}
    message = put(house, {"x@a.far.example": DSN_SUCCESS})
    assert house.attempt(message) == Report(message, "done")
    assert house.workers.parcels[0].recipients[0].dsn_flags == DSN_SUCCESS


def test_behind_the_last_hop_nobody_else_makes_it(house: House) -> None:
    text = CONFIGURATION.replace("route_list =", "dsn_lasthop\nroute_list =", 1)
    house.conf = configuration(text)
    house.workers.answers = {"x@a.far.example": replace(DONE, is_dsn_relayed=True)}
    report = house.attempt(put(house, {"x@a.far.example": DSN_SUCCESS}))
    assert "<x@a.far.example> (relayed via non DSN router)\n" in report_of(house, report)
    assert house.workers.parcels[0].recipients[0].dsn_flags == DSN_SUCCESS | DSN_LAST_HOP


@pytest.mark.parametrize("flags", [0, DSN_NEVER, DSN_FAILURE, DSN_DELAY])
def test_without_the_wish_no_success_is_reported(house: House, flags: int) -> None:
    message = put(house, {"a@local.example": flags})
    assert house.attempt(message) == Report(message, "done")


def test_nobody_is_told_of_a_message_without_sender(house: House) -> None:
    message = put(house, {"a@local.example": DSN_SUCCESS}, sender="")
    assert house.attempt(message) == Report(message, "done")


def test_an_alias_for_one_passes_the_wishes_on(town: House) -> None:
    recipient = Recipient("far@alias.example", dsn_flags=DSN_SUCCESS, orcpt="rfc822;o")
    message = town.put("far@alias.example", recipients=(recipient,))
    town.workers.answers = {"x@a.far.example": replace(DONE, is_dsn_relayed=True)}
    assert town.attempt(message) == Report(message, "done")
    (sent,) = town.workers.parcels[0].recipients
    assert (sent.dsn_flags, sent.orcpt) == (DSN_SUCCESS, "rfc822;o")


def test_what_an_alias_stands_for_is_not_told(town: House) -> None:
    report = town.attempt(put(town, {"u@alias.example": DSN_SUCCESS}))
    assert fields(report_of(town, report))[1][:2] == [
        "Action: delivered",
        "Final-Recipient: rfc822;u@alias.example",
    ]
    assert "user@local.example" not in report_of(town, report)


def test_an_alias_for_several_is_expanded_and_asks_for_no_more_success(house: House) -> None:
    report = house.attempt(wishing(house, two=DSN_SUCCESS | DSN_FAILURE))
    assert fields(report_of(house, report))[1] == [
        "Action: expanded",
        "Final-Recipient: rfc822;two@special.example",
        "Status: 2.0.0",
        "Diagnostic-Code: X-Exim; expanded to several addresses",
    ]
    sent = [parcel.recipients[0].dsn_flags for parcel in house.workers.parcels]
    assert sent == [DSN_FAILURE, DSN_FAILURE]


def test_who_wants_to_hear_of_success_only_hears_no_more_behind_an_expansion(
    house: House,
) -> None:
    house.attempt(wishing(house, two=DSN_SUCCESS))
    sent = [parcel.recipients[0].dsn_flags for parcel in house.workers.parcels]
    assert sent == [DSN_NEVER, DSN_NEVER]


def test_an_expansion_is_reported_once(house: House) -> None:
    message = wishing(house, two=DSN_SUCCESS | DSN_FAILURE)
    house.workers.answers = {"two@local.example": FULL}
    assert len(house.attempt(message).bounces) == 1
    assert house.envelope(message).recipients[0].dsn_flags == DSN_FAILURE
    house.workers.answers = {}
    assert house.attempt(message, force=True) == Report(message, "done")


def test_who_keeps_a_copy_of_what_he_forwards_is_delivered_to(town: House) -> None:
    report = town.attempt(put(town, {"u@copy.example": DSN_SUCCESS}))
    assert [group[0] for group in fields(report_of(town, report))[1:]] == ["Action: delivered"]


def test_a_list_is_the_end_of_the_way(town: House) -> None:
    recipient = Recipient("l@list.example", dsn_flags=DSN_SUCCESS, orcpt="rfc822;o")
    message = town.put("l@list.example", recipients=(recipient,), dsn_envid="e", dsn_ret=1)
    text = report_of(town, town.attempt(message))
    assert fields(text)[1][:3] == [
        "Original-Recipient: rfc822;o",
        "Action: delivered",
        "Final-Recipient: rfc822;l@list.example",
    ]
    for parcel in town.workers.parcels:
        (sent,) = parcel.recipients
        assert (parcel.sender, parcel.dsn_envid, parcel.dsn_ret) == (
            "owner@local.example",
            "",
            "",
        )
        assert (sent.dsn_flags, sent.orcpt) == (0, "")


def test_a_failure_behind_a_list_is_its_owners_whatever_the_sender_wished(town: House) -> None:
    message = put(town, {"l@list.example": DSN_NEVER})
    town.workers.answers = {"one@local.example": REFUSED}
    (bounce,) = town.attempt(message).bounces
    assert town.envelope(bounce).recipients == (Recipient("owner@local.example"),)
    text = town.body(bounce)
    assert "A message sent by\n\n  <s@sender.example>\n\ncould not be delivered" in text
    assert "Final-Recipient: rfc822;l@list.example\n" in text
    assert "Return-path: <s@sender.example>\n" in text
    headers = b"".join(each.text for each in town.envelope(bounce).headers)
    assert b"Subject: Mail delivery failed\n" in headers


def test_what_is_not_delivered_is_not_reported_as_success(house: House) -> None:
    message = put(house, {"a@local.example": DSN_SUCCESS, "b@local.example": DSN_SUCCESS})
    house.workers.answers = {"b@local.example": FULL}
    first = house.attempt(message)
    assert len(fields(report_of(house, first))) == 2
    assert house.envelope(message).recipients[1].dsn_flags == DSN_SUCCESS
    house.workers.answers = {}
    second = house.attempt(message, force=True)
    assert fields(report_of(house, second))[1][1] == "Final-Recipient: rfc822;b@local.example"
    assert second.state == "done"


def test_a_message_stays_until_its_success_is_reported(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = put(house, {"a@local.example": DSN_SUCCESS})
    seen: list[list[str]] = []
    send = house.deliverer().bouncer.send_success

    def watch(self: object, *given: object) -> str:
        seen.append(house.left())
        return send(*given)  # type: ignore[arg-type]

    monkeypatch.setattr("mta.deliver.bounce.Bouncer.send_success", watch)
    (name,) = house.attempt(message).bounces
    assert seen == [[message]]
    assert house.left() == [name]


def test_a_report_that_cannot_be_written_repeats_no_delivery(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = put(house, {"a@local.example": DSN_SUCCESS})

    def full(*_: object) -> None:
        raise TempFail("no space", status="4.3.1")

    monkeypatch.setattr("mta.deliver.bounce.writer.begin", full)
    assert house.attempt(message) == Report(message, "done")
    assert f"{message} cannot write a report: no space" in house.lines()


def test_two_recipients_with_one_mailbox_are_both_reported(town: House) -> None:
    wishes = {"user@local.example": DSN_SUCCESS, "u@alias.example": DSN_SUCCESS}
    report = town.attempt(put(town, wishes))
    assert len(town.workers.parcels) == 1
    assert [group[1] for group in fields(report_of(town, report))[1:]] == [
        "Final-Recipient: rfc822;user@local.example",
        "Final-Recipient: rfc822;u@alias.example",
    ]


@pytest.mark.parametrize(
    ("first", "second", "sent"),
    [
        (DSN_NEVER, DSN_SUCCESS, DSN_SUCCESS),
        (DSN_NEVER, 0, DSN_FAILURE | DSN_DELAY),
        (DSN_SUCCESS, 0, DSN_SUCCESS | DSN_FAILURE | DSN_DELAY),
        (DSN_FAILURE, DSN_FAILURE, DSN_FAILURE),
        (DSN_NEVER, DSN_NEVER, DSN_NEVER),
    ],
)
def test_one_delivery_for_two_asks_for_what_either_wants(
    town: House, first: int, second: int, sent: int
) -> None:
    town.attempt(put(town, {"x@a.far.example": first, "far@alias.example": second}))
    ((recipient,),) = [parcel.recipients for parcel in town.workers.parcels]
    assert recipient.dsn_flags == sent


@pytest.mark.parametrize("flags", [DSN_NEVER, DSN_SUCCESS, DSN_DELAY, DSN_SUCCESS | DSN_DELAY])
def test_a_failure_is_told_to_nobody_who_does_not_want_to_know(
    house: House, flags: int
) -> None:
    message = wishing(house, bad=flags)
    assert house.attempt(message) == Report(message, "done")
    assert house.lines()[1:] == [
        f"{message} bad@special.example: {NOT_WANTED}",
        f"{message} Completed",
    ]


@pytest.mark.parametrize("flags", [0, DSN_FAILURE, DSN_FAILURE | DSN_DELAY])
def test_a_failure_is_told_to_who_wants_to_know(house: House, flags: int) -> None:
    assert len(house.attempt(wishing(house, bad=flags)).bounces) == 1


def test_the_failure_of_one_address_is_told_to_the_senders_of_both(town: House) -> None:
    message = put(town, {"l@list.example": 0, "one@local.example": 0})
    town.workers.answers = {"one@local.example": REFUSED}
    told = [
        town.envelope(each).recipients[0].address for each in town.attempt(message).bounces
    ]
    assert told == ["owner@local.example", "s@sender.example"]


def test_where_only_one_of_two_senders_can_be_told_both_are_told_again(
    town: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = put(town, {"l@list.example": 0, "one@local.example": 0})
    town.workers.answers = {"one@local.example": REFUSED}
    bouncer = town.deliverer().bouncer
    send = bouncer.send

    def sometimes(self: object, message: object, to: str, items: object) -> str:
        if to == "s@sender.example":
            raise TempFail("no space")
        return send(message, to, items)  # type: ignore[arg-type]

    monkeypatch.setattr("mta.deliver.bounce.Bouncer.send", sometimes)
    assert town.attempt(message).state == "deferred"
    assert "one@local.example" not in town.envelope(message).nonrecipients


def test_an_empty_errors_to_tells_nobody(town: House) -> None:
    message = put(town, {"x@nobody.example": 0})
    assert town.attempt(message) == Report(message, "done")
    line = f"{message} bad@special.example <x@nobody.example>: error ignored"
    assert line in town.lines()


def test_failures_stand_in_exims_order(town: House) -> None:
    wishes = {
        "bad@special.example": 0,
        "a@local.example": 0,
        "b@local.example": 0,
        "x@a.far.example": 0,
        "y@a.far.example": 0,
        "bad@nowhere.example": 0,
    }
    at_host = replace(REFUSED, host="mx")
    town.workers.answers = {
        "a@local.example": REFUSED,
        "b@local.example": REFUSED,
        "x@a.far.example": at_host,
        "y@a.far.example": at_host,
    }
    text = report_of(town, town.attempt(put(town, wishes)))
    people = text.partition("failed:\n\n")[2].partition("\n\n")[0]
    told = [line.strip(" ") for line in people.split("\n") if "@" in line]
    assert told == [
        "y@a.far.example",
        "x@a.far.example",
        "a@local.example",
        "b@local.example",
        "bad@special.example",
        "bad@nowhere.example",
    ]
    programs = [group[1].partition(";")[2] for group in fields(text)[1:]]
    assert programs == told[::-1]


def test_a_reply_of_several_lines_has_its_lines_in_the_bounce(house: House) -> None:
    reply = "550-5.1.1 no\n550 5.1.1 user"
    house.workers.answers = {
        "x@a.far.example": Outcome(
            "",
            Result.FAIL,
            "SMTP error from remote mail server after RCPT TO:<x@a.far.example>: "
            "550-5.1.1 no\\n550 5.1.1 user",
            "5.1.1",
            host="mx",
            host_address="192.0.2.1",
            remote_text=reply,
        )
    }
    text = report_of(house, house.attempt(house.put("x@a.far.example")))
    assert "    550-5.1.1 no\n    550 5.1.1 user\n" in text
    assert "Diagnostic-Code: smtp; 550-5.1.1 no\n 550 5.1.1 user\n" in text


def test_details_are_given_where_they_are_asked_for(house: House) -> None:
    house.conf = configuration(f"dsn_details = true\n{CONFIGURATION}")
    house.workers.answers = {"a@local.example": REFUSED}
    text = report_of(house, house.attempt(house.put("a@local.example")))
    head, failed = fields(text)
    assert head[1:] == ["Arrival-Date: Tue, 14 Nov 2023 22:13:20 +0000"]
    assert failed == [
        "Action: failed",
        "Final-Recipient: rfc822;a@local.example",
        "Status: 5.1.1",
        "Last-Attempt-Date: Tue, 14 Nov 2023 22:13:21 +0000",
    ]


# How much of the message comes back.


def returned(house: House, options: str, ret: int, body: bytes = b"the body\n") -> str:
    """The part of a bounce that carries the message."""
    house.conf = configuration(f"{options}\n{CONFIGURATION}")
    message = house.put("bad@special.example", dsn_ret=ret, body=body)
    text = report_of(house, house.attempt(message))
    return text.partition("message/delivery-status")[2].partition("\nContent-type: ")[2]


WHOLE = "message/rfc822\n"
HEADERS = "text/rfc822-headers\n"
DENIED = "X-Exim-DSN-Information: Due to administrative limits only headers are returned\n"


@pytest.mark.parametrize(
    ("options", "ret", "kind", "denied"),
    [
        ("", 0, WHOLE, False),
        ("", RET_FULL, WHOLE, False),
        ("", RET_HEADERS, HEADERS, False),
        ("bounce_return_body = false", 0, HEADERS, False),
        ("bounce_return_body = false", RET_FULL, HEADERS, True),
        ("bounce_return_body = false", RET_HEADERS, HEADERS, False),
        ("bounce_return_linesize_limit = 7", 0, HEADERS, True),
        ("bounce_return_linesize_limit = 8", 0, WHOLE, False),
        ("bounce_return_linesize_limit = 0", 0, WHOLE, False),
    ],
)
def test_the_sender_gets_back_what_both_sides_allow(
    house: House, options: str, ret: int, kind: str, denied: bool
) -> None:
    part = returned(house, options, ret)
    assert part.startswith(kind)
    assert (DENIED in part, "the body\n" in part) == (denied, kind is WHOLE)


@pytest.mark.parametrize(("size", "kind"), [(8166, WHOLE), (8167, HEADERS)])
def test_the_limit_is_as_generous_as_exims(house: House, size: int, kind: str) -> None:
    body = (b"x" * 63 + b"\n") * 200
    part = returned(house, "bounce_return_size_limit = 1K", 0, body[-size:])
    assert part.startswith(kind)
