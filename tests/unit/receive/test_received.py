"""The Received: header: the code that writes it, and the option that says the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mta.base.version import VERSION
from mta.expand.client import received_host
from mta.expand.context import Connection, Context, Message
from mta.expand.run import expand
from mta.expand.trust import trusted
from mta.receive.received import received_header, usual_text
from tests.unit.receive.conftest import Post

Maker = Callable[..., Post]
SMTP = Connection(host_address="192.0.2.7", helo_name="c.example", protocol="esmtp")
MESSAGE = Message(
    message_id="1xVWVR-0000000065U-27V5", sender="a@b.example", recipients=["u@local.example"]
)
CASES = [
    (SMTP, MESSAGE),
    (
        Connection(
            host_address="2001:db8::1", host_name="h.example", helo_name="x", ident="joe"
        ),
        MESSAGE,
    ),
    (Connection(ident=trusted("alice"), protocol="local"), MESSAGE),
    (Connection(ident=trusted("a b"), helo_name="x", protocol="local-smtp"), MESSAGE),
    (SMTP, Message(message_id="1xVWVR-0000000065U-27V5", recipients=["a@b", "c@d"])),
]


@pytest.mark.parametrize(("connection", "message"), CASES)
def test_the_code_says_what_the_option_says(
    post: Maker, connection: Connection, message: Message
) -> None:
    service = post().service
    ctx = Context(service.conf, service.tables, connection=connection, message=message)
    template = service.conf.fields.received_header_text
    assert template is not None
    assert usual_text(ctx) == expand(ctx, template)


def test_the_text_is_exims(post: Maker) -> None:
    service = post().service
    ctx = Context(service.conf, service.tables, connection=SMTP, message=MESSAGE)
    assert usual_text(ctx) == (
        "Received: from [192.0.2.7] (helo=c.example)\n"
        f"\tby mx.example with esmtp (mta {VERSION})\n"
        "\t(envelope-from <a@b.example>)\n"
        "\tid 1xVWVR-0000000065U-27V5\n"
        "\tfor u@local.example"
    )


@pytest.mark.parametrize(
    ("connection", "shown"),
    [
        (Connection(host_address="192.0.2.7"), "[192.0.2.7]"),
        (Connection(host_address="192.0.2.7", helo_name="[192.0.2.7]"), "[192.0.2.7]"),
        (
            Connection(host_address="192.0.2.7", host_name="H.example", helo_name="h.EXAMPLE"),
            "H.example ([192.0.2.7])",
        ),
        (
            Connection(host_address="192.0.2.7", host_name="h.example", helo_name="x"),
            "h.example ([192.0.2.7] helo=x)",
        ),
    ],
)
def test_a_name_that_says_nothing_new_is_left_out(connection: Connection, shown: str) -> None:
    assert received_host(connection) == shown


def test_an_option_of_the_administrators_is_used(post: Maker) -> None:
    service = post("received_header_text = Received: by $primary_hostname for me\n").service
    ctx = Context(service.conf, service.tables, message=Message(received_time=0.0))
    header = received_header(ctx)
    assert header is not None
    assert header.text.startswith(b"Received: by mx.example for me;\n\tThu, 01 Jan 1970 ")


def test_an_empty_option_adds_nothing(post: Maker) -> None:
    service = post("received_header_text =\n").service
    assert received_header(Context(service.conf, service.tables)) is None
