"""What processes tell each other and what lies in the spool, damaged in every way."""

from __future__ import annotations

import contextlib
import os

from hypothesis import given, strategies

from mta.base.errors import MtaError, ProtocolError
from mta.base.trust import Trusted
from mta.deliver.frames import Carry, OutcomeFrame, Refused, Start, unpack
from mta.lookup.api import Tables
from mta.mail.header import join, make, parse_block
from mta.proc import control
from mta.receive import frames as local
from mta.receive.lines import LocalText
from mta.route.api import Host
from mta.spool.envelope import Envelope, Recipient
from mta.spool.errors import SpoolError
from mta.spool.header_file import addresses_in_journal, decode, encode
from mta.transport import parcel as parcels
from mta.transport.api import Parcel, ParcelRecipient
from mta.transport.context import context_for
from mta.unix import frames
from tests.fuzz.given import damaged, few, octets, seeds

ID = "1xVVri-000000006jT-11t8"
ALL = (
    *(Start, Refused, Carry, OutcomeFrame),
    *(local.More, local.Submit, local.Session, local.Accepted, local.Rejected, local.Finished),
    *(control.Ready, control.Drain, control.Arrived, control.Attempted, control.Serve),
    *control.COMMANDS,
    *control.ANSWERS,
)
FRAMES = [
    Start("maildir", "alice", "mail", 1),
    OutcomeFrame(
        ID, 0, "a@x", "done", "text", "2.0.0", 5, "h", "192.0.2.1", 25, 0, 1, "250", 0, ""
    ),
    Carry("maildir", ID, b"message_id:s:1\n\0\x01"),
    control.Attempted(ID, "done", 17, "x.example", (ID, ID)),
    local.Submit(1, "a@x", "A", ("b@x", "c@x"), 0, 1, "", 1, "full", "never"),
    control.Serve("192.0.2.1", 25),
]


@few
@given(octets | strategies.tuples(strategies.sampled_from(FRAMES), seeds))
def test_a_frame_is_a_frame_or_a_protocol_error(what: object) -> None:
    if isinstance(what, tuple):
        what = damaged(frames.encode(what[0]), what[1])
    assert isinstance(what, bytes)
    with contextlib.suppress(ProtocolError):
        message = frames.decode(what, ALL)
        assert type(message) in ALL
        assert frames.decode(frames.encode(message), ALL) == message
        if isinstance(message, OutcomeFrame):
            unpack(message)


@few
@given(seeds)
def test_a_frame_of_the_largest_size_takes_no_time(seed: int) -> None:
    frame = b"more\0" + b"recipients=\0" * 5400
    with contextlib.suppress(ProtocolError):
        frames.decode(damaged(frame, seed), ALL)


ENVELOPE = encode(
    Envelope(
        ID,
        "alice",
        1001,
        1001,
        "sender@x.example",
        1795447318.5,
        acl_c={"0": "value", "name": "two\nlines"},
        recipients=(
            Recipient("one@x.example"),
            Recipient("two@x.example", dsn_flags=4),
        ),
        nonrecipients=frozenset({"one@x.example", "three@x.example"}),
        headers=(make("Subject", "hello"), make("To", "one@x.example,\n two@x.example")),
    )
)


@few
@given(octets | seeds)
def test_an_envelope_is_an_envelope_or_a_spool_error(what: bytes | int) -> None:
    whole = damaged(ENVELOPE, what) if isinstance(what, int) else what
    with contextlib.suppress(SpoolError):
        envelope = decode(whole, ID)
        with contextlib.suppress(SpoolError):
            again = decode(encode(envelope), ID)
            # Characters that would break a line become blanks when it is written; once.
            assert decode(encode(again), ID) == again
            assert again.headers == envelope.headers
            assert len(again.recipients) == len(envelope.recipients)


@few
@given(octets)
def test_a_journal_is_lines_whatever_is_in_it(journal: bytes) -> None:
    with contextlib.suppress(SpoolError):
        assert all(list(addresses_in_journal(journal)))


PARCEL = Parcel(
    ID,
    "maildir",
    "local",
    "s@x.example",
    (ParcelRecipient("a@x.example", "a@x.example", "a", "x.example"),) * 2,
    b"Subject: x\n",
    0,
    0,
    1,
    hosts=(Host("mx.example", "192.0.2.1", 25),),
    values={"sender_host_address": "192.0.2.1", "acl_c0": Trusted("x"), "received_port": "25"},
)


@few
@given(octets | seeds)
def test_a_parcel_is_a_parcel_or_a_protocol_error(what: bytes | int) -> None:
    whole = damaged(parcels.encode(PARCEL), what) if isinstance(what, int) else what
    with contextlib.suppress(ProtocolError):
        parcel = parcels.decode(whole, 0)
        assert parcel.recipients
        again = parcels.decode(parcels.encode(parcel), 0)
        assert again == parcel


@few
@given(octets)
def test_a_header_block_loses_nothing(block: bytes) -> None:
    headers, body = parse_block(block)
    assert len(join(headers)) + len(body) >= len(block) - 1
    assert parse_block(join(headers))[0] == headers


@few
@given(strategies.lists(strategies.sampled_from([b".", b"\r", b"\n", b"a"]), max_size=12))
def test_local_text_is_the_same_however_it_is_cut(pieces: list[bytes]) -> None:
    for dot_ends in (False, True):
        whole, cut = (LocalText(dot_ends=dot_ends) for _ in range(2))
        expected = whole.feed(b"".join(pieces)) + whole.end()
        assert b"".join([cut.feed(each) for each in pieces]) + cut.end() == expected


@few
@given(octets | seeds)
def test_a_worker_makes_a_context_of_any_parcel(what: bytes | int) -> None:
    whole = damaged(parcels.encode(PARCEL), what) if isinstance(what, int) else what
    body = os.open(os.devnull, os.O_RDONLY)
    try:
        parcel = parcels.decode(whole, body)
        with contextlib.suppress(MtaError):
            context_for(None, Tables(), parcel, parcel.recipients[0])  # type: ignore[arg-type]
    except ProtocolError:
        return
    finally:
        os.close(body)
