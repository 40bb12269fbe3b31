"""What an administrator may say about bounces: their texts, copies, and what they return."""

from __future__ import annotations

from pathlib import Path

import pytest

from mta.spool.envelope import Recipient
from tests.unit.deliver.conftest import CONFIGURATION, House, configuration


def bounced(house: House, *lines: str, **how: object) -> str:
    """The id of the bounce of a message to nobody, under these options."""
    house.conf = configuration("\n".join(lines) + CONFIGURATION)
    (bounce,) = house.attempt(house.put("bad@special.example", **how)).bounces  # type: ignore[arg-type]
    return bounce


def headers(house: House, bounce: str) -> str:
    return b"".join(each.text for each in house.envelope(bounce).headers).decode()


def test_a_remark_stands_behind_the_first_line_as_it_is(house: House) -> None:
    body = house.body(bounced(house, "bounce_message_text = Ask $you\\n at the desk."))
    assert (
        "created automatically by mail delivery software.\n"
        "Ask $you\\n at the desk.\n\nA message that you sent could not"
    ) in body.replace("desk.\nA message", "desk.\n\nA message")


def test_a_template_gives_headers_and_opening(house: House, tmp_path: Path) -> None:
    file = tmp_path / "bounce"
    file.write_text(
        "Subject: No luck for $bounce_recipient\n****\n"
        "Could not deliver ${bounce_return_size_limit}.\n****\nOutput:\n****\n****\n****\n"
    )
    bounce = bounced(house, f"bounce_message_file = {file}", "errors_reply_to = p@x.example")
    shown = headers(house, bounce)
    assert "Reply-To: p@x.example\nAuto-Submitted: auto-replied\n" in shown
    assert "Subject: No luck for s@sender.example\n" in shown
    assert (
        "\n\nCould not deliver 102400.\n\n  bad@special.example\n    no such person\n\n--"
    ) in house.body(bounce)


def test_a_template_that_cannot_be_expanded_is_not_used(house: House, tmp_path: Path) -> None:
    file = tmp_path / "bounce"
    file.write_text("Subject: ${nosuch}\n****\nmine\n")
    bounce = bounced(house, f"bounce_message_file = {file}")
    assert "Subject: Mail delivery failed: returning message to sender\n" in headers(
        house, bounce
    )
    assert "\n\nmine\n\n  bad@special.example\n" in house.body(bounce)
    assert "Failed to expand an item of bounce_message_file" in "".join(house.lines("panic"))


def test_somebody_else_is_told_whose_message_it_was(house: House) -> None:
    recipients = (Recipient("bad@special.example", errors_to="owner@local.example"),)
    house.conf = configuration(CONFIGURATION)
    (bounce,) = house.attempt(house.put(recipients=recipients)).bounces
    assert "Subject: Mail delivery failed\n" in headers(house, bounce)
    assert (
        "software.\n\nA message sent by\n\n  <s@sender.example>\n\n"
        "could not be delivered to one or more of its recipients. The following\n"
        "address(es) failed:\n\n  bad@special.example\n"
    ) in house.body(bounce)


@pytest.mark.parametrize(
    ("option", "copies"),
    [
        ("s@* one@local.example", ["one@local.example"]),
        ("x@* one@local.example", []),
        (
            '*@* c@x.example : "*@sender.example" a@x.example, b@x.example',
            ["c@x.example", "a@x.example", "b@x.example"],
        ),
        ("*@* s@sender.example", []),
        ("*@* ${nosuch}", []),
    ],
)
def test_copies(house: House, option: str, copies: list[str]) -> None:
    bounce = bounced(house, f"errors_copy = {option}")
    assert [to.address for to in house.envelope(bounce).recipients] == [
        "s@sender.example",
        *copies,
    ]
    assert "To: s@sender.example\n" in headers(house, bounce)


@pytest.mark.parametrize(
    ("option", "kinds"),
    [
        ("bounce_return_message = true", ["message/rfc822"]),
        ("no_bounce_return_message", []),
        ("no_bounce_return_body", ["text/rfc822-headers"]),
    ],
)
def test_what_is_returned(house: House, option: str, kinds: list[str]) -> None:
    body = house.body(bounced(house, option))
    found = [
        line.partition(": ")[2]
        for line in body.split("\n")
        if line.startswith("Content-type: ")
    ]
    assert found[2:] == kinds


def test_the_address_for_auth(house: House) -> None:
    bounce = bounced(house, "bounce_sender_authentication = mailer@mx.example")
    assert house.envelope(bounce).auth_sender == "mailer@mx.example"
