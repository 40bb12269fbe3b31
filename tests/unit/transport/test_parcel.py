"""Tests of parcels on their way: nothing is lost, nothing foreign is taken."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from mta.base.errors import ProtocolError
from mta.base.trust import Trusted
from mta.route.api import Host
from mta.transport import parcel as parcels
from mta.transport.api import Parcel, ParcelRecipient

ALICE = ParcelRecipient(
    "alice@example.org",
    "postmaster@example.org",
    "alice",
    "example.org",
    suffix="+lists",
    local_part_data=Trusted("alice"),
    home=Trusted("/home/alice"),
    address_data="a\nb=c",
    dsn_flags=3,
)
FULL = Parcel(
    message_id="1vNcbb-000000000Ab-1234",
    transport="local",
    router="users",
    sender="bob@example.com",
    recipients=(ALICE, ParcelRecipient("b@x", "b@x", "b", "x")),
    headers=b"Subject: \xff\x00\n\tfolded\nX: 1\n",
    body=9,
    body_offset=24,
    body_size=0,
    headers_add=("X-One: 1\n",),
    headers_remove=("Bcc", "X-*"),
    hosts=(Host("mx.example.org", "::1", 2525, 0), Host("b")),
    received_time=1763910421.25,
    is_8bit=True,
    values={
        "acl_m_x": "a=b\n",
        "acl_c0": Trusted("yes"),
        "acl_c1": Trusted(""),
        "acl_m_y": "a\0b=c",
        "acl_m_z": "",
    },
)


def test_a_parcel_arrives_as_it_was_sent() -> None:
    assert parcels.decode(parcels.encode(FULL), 9) == FULL


@pytest.mark.parametrize(
    "time", [0.0, 0.00001, 0.000001, 5.0, 1763910421.123457, 999999999999.5]
)
def test_a_time_of_arrival_that_the_spool_can_hold_arrives(time: float) -> None:
    late = replace(FULL, received_time=time)
    assert parcels.decode(parcels.encode(late), 9) == late


def test_trust_marks_survive_and_none_is_added() -> None:
    got = parcels.decode(parcels.encode(FULL), 9)
    assert type(got.recipients[0].local_part_data) is Trusted
    assert type(got.recipients[0].home) is Trusted
    assert type(got.values["acl_c0"]) is Trusted
    assert type(got.values["acl_m_x"]) is str
    assert type(got.recipients[0].local_part) is str
    assert type(got.recipients[0].address_data) is str


def test_the_null_sender_arrives() -> None:
    bounce = Parcel("id", "t", "r", "", (ALICE,), b"", 3, 24, 100)
    assert parcels.decode(parcels.encode(bounce), 3) == bounce


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"message_id:s:2\nx", "cut short"),
        (b"message_id:s:99999999\nx", "cut short"),
        (b"message_id:s:1\nxy", "more than its contents"),
        (b"message_id:s:-1\nx", "not a field"),
        (b"message_id:s:\xc2\xb2\nx", "not a field"),
        (b"message_id:s:1:1\nx", "not a field"),
        (b"\n", "not a field"),
        (b"x" * 200, "not the contents"),
        (b"", "not the contents"),
        (b"command:s:1\nx", "no field 'command'"),
        (b"body:i:1\n1", "no field 'body'"),
        (b"message_id:s:1 message_id:s:1\nxy", "two of them"),
        (b"message_id:b:1\nx", "is no text"),
        (b"headers:s:1\nx", "is marked"),
        (b"body_size:i:2\n1x", "no number"),
        (b"body_size:i:2\n-9", "no number"),
        (b"body_size:i:3\n1_0", "no number"),
        (b"body_size:i:2\n+5", "no number"),
        (b"body_size:i:2\n 5", "no number"),
        (b"body_size:i:2\n-0", "no number"),
        (b"body_size:i:0\n", "no number"),
        (b"body_size:i:2\n\xd9\xa1", "no number"),
        (b"body_size:i:19\n" + b"1" * 19, "no number"),
        (b"received_time:f:5\n1_0.5", "no number"),
        (b"received_time:f:3\n1e3", "no number"),
        (b"received_time:f:2\n+5", "no number"),
        (b"received_time:f:2\n5.", "no number"),
        (b"received_time:f:2\n.5", "no number"),
        (b"received_time:f:20\n" + b"1" * 20, "no number"),
        (b"received_time:f:3\nnan", "no number"),
        (b"received_time:f:3\ninf", "no number"),
        (b"value:s:1\nx", "malformed"),
        (b"values:s:7\na=1\0a=2", "repeated"),
        (b"values:s:5\na=1\0b", "malformed"),
        (b"values:b:3\na=1", "is no text"),
        (b"host:s:0 name:s:1\nx", "without recipients"),
        (b"recipient:s:0 body_offset:i:1\n1", "no field 'body_offset' here"),
        (b"recipient:s:0\n", "lacks message_id"),
        (b" ".join([b"recipient:s:0"] * 20_001) + b"\n", "more than 20000"),
    ],
)
def test_what_is_no_parcel_is_refused(octets: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        parcels.decode(octets, 3)


def test_a_sealed_parcel_can_be_read_and_not_changed() -> None:
    fd = parcels.seal(b"octets")
    try:
        assert parcels.open_sealed(fd) == b"octets"
        with pytest.raises(PermissionError):
            os.write(fd, b"more")
    finally:
        os.close(fd)


def test_a_memory_file_without_seals_is_refused() -> None:
    fd = os.memfd_create("parcel", os.MFD_ALLOW_SEALING)
    try:
        with pytest.raises(ProtocolError, match="not sealed"):
            parcels.open_sealed(fd)
    finally:
        os.close(fd)


def test_a_file_on_disk_is_refused(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "parcel", os.O_RDWR | os.O_CREAT)
    try:
        with pytest.raises(ProtocolError, match=r"no memory file|not sealed"):
            parcels.open_sealed(fd)
    finally:
        os.close(fd)
