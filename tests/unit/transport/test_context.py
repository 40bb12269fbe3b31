"""Tests of what the options of a transport may speak of."""

from __future__ import annotations

from collections.abc import Callable

from mta.base.trust import Trusted
from mta.lookup.api import Tables
from mta.route.api import Host
from mta.transport.api import Parcel
from mta.transport.context import context_for
from tests.unit.transport.conftest import configuration


def test_the_context_says_what_the_parcel_says(parcel: Callable[..., Parcel]) -> None:
    given = parcel(
        hosts=(Host("mx", "192.0.2.1", 26),),
        values={
            "acl_c0": "c",
            "acl_m_x": Trusted("m"),
            "sender_address": "orig@example.com",
            "sender_host_address": "192.0.2.9",
            "sender_host_port": "4711",
            "originator_uid": "1000",
            "body_linecount": "not a number",
        },
    )
    ctx = context_for(configuration(""), Tables(), given, given.recipients[0])
    assert ctx.connection.acl_c == {"0": "c"}
    assert ctx.message.acl_m == {"_x": "m"}
    assert type(ctx.message.acl_m["_x"]) is Trusted
    assert (ctx.message.sender, ctx.message.return_path) == (
        "orig@example.com",
        "bob@example.com",
    )
    assert (ctx.connection.host_address, ctx.connection.host_port) == ("192.0.2.9", 4711)
    assert (ctx.message.originator_uid, ctx.message.body_linecount) == (1000, 0)
    assert (ctx.place.local_part_data, ctx.place.domain) == ("alice", "example.org")
    assert (ctx.place.original_local_part, ctx.place.original_domain) == (
        "postmaster",
        "example.org",
    )
    assert (ctx.place.host, ctx.place.host_address, ctx.place.host_port) == (
        "mx",
        "192.0.2.1",
        26,
    )
    assert [header.name for header in ctx.message.headers] == [b"subject", b"bcc"]
    assert ctx.message.body_start(3) == b"hel"
