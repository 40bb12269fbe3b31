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


def made(
    own: tuple[bytes, ...] = (),
    theirs: tuple[bytes, ...] = (),
    values: tuple[bytes, ...] = (),
    changes: bytes = b"0 0",
    **numbers: bytes,
) -> bytes:
    """The octets of a parcel with these texts beside the usual ones, as `decode` gets them."""
    plain = {"time": b"5.25", "offset": b"24", "size": b"1", "is_8bit": b"0", "flags": b"3"}
    given = {**plain, **numbers}
    first = (*[b"x"] * 8, *(given[name] for name in list(plain)[:4]), *own)
    second = (*[b"y"] * 11, given["flags"], *theirs)
    texts = b"\x1f".join((*first, *second, *values))
    marks = b" ".join(b"s" * len(each) for each in (first, second, values))
    return b"%d 2 %b\n%b\n%bh\n" % (len(texts), changes, marks, texts)


def test_what_these_tests_damage_is_a_parcel() -> None:
    parcel = parcels.decode(made((b"add", b"h", b"::1", b"25", b"", b"1"), changes=b"1 0"), 3)
    assert parcel.headers == b"h\n"
    assert parcel.headers_add == ("add",)
    assert parcel.hosts == (Host("h", "::1", 25, expired=True),)
    assert (parcel.body, parcel.body_offset, parcel.body_size) == (3, 24, 1)
    assert parcel.recipients[0].dsn_flags == 3


RECIPIENT = (b"y",) * 11 + (b"0",)


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"", "not the start"),
        (b"x" * 200, "not the start"),
        (b"-1" + made(), "not the start"),
        (b"1_" + made(), "not the start"),
        (b"\xd9\xa1" + made(), "not the start"),
        (b"11111111" + made(), "not the start"),
        (made(changes=b"0"), "not the start"),
        (made(changes=b"0 0 0"), "not the start"),
        (made(changes=b"0 -1"), "not the start"),
        (made().replace(b"ssssssssssss ", b"sssssssssss ", 1), "not the start"),
        (made().replace(b" ssssssssssss ", b"  ", 1), "not the start"),
        (made().replace(b" ssssss", b" nsssss", 1), "not the start"),
        (made().replace(b" ssssss", b" bsssss", 1), "not the start"),
        (made().replace(b"sss \n", b"ssn \n", 1), "not the start"),
        (made(theirs=RECIPIENT[1:]), "not the start"),
        (made()[:-1], "less or more"),
        (made() + b"x", "less or more"),
        (made((b"x",)).replace(b"sx", b"x", 1), "hosts of 1"),
        (made(values=(b"a",)), "nameless"),
        (made(values=(b"a", b"a", b"1", b"2")), "repeated"),
        (made(values=(b"a",) * 10_002), "one too many"),
        (made(values=(b"a\x1fa", b"1")), "27 texts and 26 marks"),
        (made().replace(b"sss \n", b"sss ss\n", 1), "24 texts and 26 marks"),
        (made(values=(b"a\x1b", b"1")), "unknown escape"),
        (made(values=(b"a", b"\x1b3")), "unknown escape"),
        (made(size=b"1x"), "number of a parcel"),
        (made(size=b"-9"), "number of a parcel"),
        (made(size=b"1_0"), "number of a parcel"),
        (made(size=b"+5"), "number of a parcel"),
        (made(size=b" 5"), "number of a parcel"),
        (made(size=b"-0"), "number of a parcel"),
        (made(size=b""), "number of a parcel"),
        (made(size=b"\xd9\xa1"), "number of a parcel"),
        (made(size=b"1" * 19), "number of a parcel"),
        (made(offset=b"1\n"), "number of a parcel"),
        (made(is_8bit=b"yes"), "number of a parcel"),
        (made(flags=b"x"), "number of a parcel"),
        (made((b"h", b"a", b"port", b"", b"")), "number of a parcel"),
        (made((b"h", b"a", b"1", b"x", b"")), "number of a parcel"),
        (made(time=b"1_0.5"), "time of a parcel"),
        (made(time=b"1e3"), "time of a parcel"),
        (made(time=b"+5"), "time of a parcel"),
        (made(time=b"5."), "time of a parcel"),
        (made(time=b".5"), "time of a parcel"),
        (made(time=b"1" * 20), "time of a parcel"),
        (made(time=b"nan"), "time of a parcel"),
        (made(time=b"inf"), "time of a parcel"),
        (made(changes=b"1 0"), "hosts of -1"),
        (made(changes=b"0 99999999"), "hosts of -"),
        (made((b"x",) * 5001, changes=b"5001 0"), "header changes"),
        (made((b"x",) * 5001, changes=b"0 5001"), "header changes"),
        (made((b"h", b"", b"1", b"", b"") * 1001), "hosts of 5005"),
        (made(theirs=RECIPIENT * 20_000), "more than 20000"),
    ],
)
def test_what_is_no_parcel_is_refused(octets: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        parcels.decode(octets, 3)


@pytest.mark.parametrize("text", ["\x1f", "\x1b", "a\x1f\x1b1", "\x1b2\x1f", "\0", "\udcff"])
def test_a_text_may_hold_what_stands_between_texts(text: str) -> None:
    given = replace(FULL, sender=text, values={"a": Trusted(text), f"{text}=": text})
    got = parcels.decode(parcels.encode(given), 9)
    assert got == given
    assert type(got.values["a"]) is Trusted


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
