"""-H files: Exim's own are read and written back octet for octet; forged ones do no harm."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from mta.base.trust import Quoted, Trusted
from mta.mail.header import Header
from mta.spool.envelope import Envelope, Recipient
from mta.spool.errors import SpoolError
from mta.spool.header_file import addresses_in_journal, decode, encode

ID = "1xVVri-000000006jT-11t8"

# Written by Exim 4.98.2 for a message that came by ESMTP with DSN parameters.
BY_SMTP = b"""1xVVri-000000006jT-11t8-H
root 0 0
<Sender@remote.example>
1795447318 0
-received_time_usec .245591
-received_time_complete 1795447318.246296
--helo_name c.example
--host_address [192.0.2.7]:4321
--interface_address [192.0.2.99]:25
--ident identy
-received_protocol esmtp
--aclc 0 14
conn c.example
-aclc _trusted 5
fixed
--aclm 0 6
rcpt c
-aclm _multi 11
line1
line2
-body_linecount 1
-max_received_linelength 10
-deliver_firsttime
-tls_resumption A
-dsn_envid abc+2Bdef
-dsn_ret 2
XX
3
a@defer.example rfc822;a+2Bb@defer.example 26,12  0,-1#3
b@defer.example  0,2  0,-1#3
c@defer.example

204P Received: from [192.0.2.7] (helo=c.example ident=identy)
	by oracle.example with esmtp (Exim 4.98.2)
	(envelope-from <Sender@remote.example>)
	id 1xVVri-000000006jT-11t8;
	Mon, 23 Nov 2026 15:21:58 +0000
011  Subject: 8
"""

# The same, after a delivery to nine of twelve recipients.
PARTLY_DONE = b"""1xVVri-000000006jZ-19Nb-H
root 0 0
<s@local.example>
1795447318 0
-received_time_usec .274388
-received_time_complete 1795447318.274962
-ident root
-received_protocol local
-aclm 3 1
x
-body_linecount 1
-max_received_linelength 52
-allow_unqualified_recipient
-allow_unqualified_sender
-tls_resumption A
YY r4@ok.example
YY r2@ok.example
NN r1@ok.example
NN r3@ok.example
YY r8@ok.example
YY r6@ok.example
NN r5@ok.example
NN r7@ok.example
NY r9@ok.example
NN z@bad.example
2
x@defer.example
z@bad.example

022F From: s@local.example
019* Return-Path: <x@y>
"""

PLAIN = Envelope(ID, "root", 0, 0, "a@b", 1795447318.0, recipients=(Recipient("c@d"),))


def test_what_exim_wrote_is_understood() -> None:
    envelope = decode(BY_SMTP, ID)
    assert envelope.sender == "Sender@remote.example"
    assert envelope.received_time == 1795447318.245591
    assert (envelope.host_address, envelope.host_port) == ("192.0.2.7", 4321)
    assert (envelope.interface_address, envelope.interface_port) == ("192.0.2.99", 25)
    assert envelope.acl_c == {"0": "conn c.example", "_trusted": "fixed"}
    assert envelope.acl_m == {"0": "rcpt c", "_multi": "line1\nline2"}
    assert (envelope.dsn_envid, envelope.dsn_ret) == ("abc+2Bdef", 2)
    assert envelope.recipients == (
        Recipient("a@defer.example", "", 12, "rfc822;a+2Bb@defer.example", -1),
        Recipient("b@defer.example", "", 2),
        Recipient("c@defer.example"),
    )
    assert [header.kind for header in envelope.headers] == ["P", " "]
    assert envelope.deliver_firsttime


def test_what_exim_wrote_is_written_back_octet_for_octet() -> None:
    assert encode(decode(BY_SMTP, ID)) == BY_SMTP


def test_one_dash_restores_trust_and_two_do_not() -> None:
    envelope = decode(BY_SMTP, ID)
    assert type(envelope.received_protocol) is Trusted
    assert type(envelope.acl_c["_trusted"]) is Trusted
    assert type(envelope.helo_name) is str
    assert type(envelope.host_address) is str
    assert type(envelope.acl_m["0"]) is str


def test_what_strangers_chose_is_never_trusted_though_exim_writes_one_dash() -> None:
    assert type(decode(BY_SMTP, ID).dsn_envid) is str


def test_a_text_quoted_for_a_lookup_stays_so() -> None:
    quoted = Quoted("it''s")
    quoted.by = "mysql"
    octets = encode(replace(PLAIN, acl_m={"0": quoted}))
    assert b"\n--(mysql)aclm 0 5\nit''s\n" in octets
    restored = decode(octets, ID).acl_m["0"]
    assert type(restored) is Quoted
    assert (restored, restored.by) == ("it''s", "mysql")


def test_the_tree_of_nonrecipients_is_read_in_exims_shape() -> None:
    envelope = decode(PARTLY_DONE, "1xVVri-000000006jZ-19Nb")
    assert envelope.nonrecipients == {f"r{n}@ok.example" for n in range(1, 10)} | {
        "z@bad.example"
    }
    assert [to.address for to in envelope.remaining] == ["x@defer.example"]
    assert envelope.header_size == 22


@pytest.mark.parametrize("count", [0, 1, 2, 3, 10, 1000])
def test_a_tree_of_any_size_comes_back(count: int) -> None:
    names = frozenset(f"user{number}@example.com" for number in range(count))
    assert decode(encode(replace(PLAIN, nonrecipients=names)), ID).nonrecipients == names


def test_the_tree_is_in_the_order_that_exim_searches() -> None:
    octets = encode(replace(PLAIN, nonrecipients=frozenset({"a", "b", "c", "é"})))
    assert "YY c\nYN b\nNN a\nNN é\n".encode() in octets


def test_all_fields_come_back() -> None:
    envelope = replace(
        PLAIN,
        received_complete=1795447318.5,
        warning_count=2,
        helo_name="helo",
        host_address="2001:db8::1",
        host_port=25,
        host_name=Trusted("host.example"),
        host_auth="plain",
        host_auth_pubname="PLAIN",
        active_hostname="mx2",
        auth_id="me",
        auth_sender="me@example.com",
        tls_cipher="TLS1.3:X:256",
        tls_peerdn="CN=x",
        tls_sni="mx",
        tls_ver="TLS1.3",
        tls_ocsp=1,
        tls_resumption="C",
        tls_certificate_verified=True,
        body_zerocount=3,
        body_linecount=9,
        max_received_linelength=77,
        smtputf8=True,
        utf8_optdowncvt=True,
        dsn_envid="x",
        local_scan="scanned",
        spam_score="4.2",
        frozen_at=1795447400,
        manual_thaw=True,
        dont_deliver=True,
        local=True,
        local_error=True,
        host_lookup_failed=True,
        sender_set_untrusted=True,
        other=("-debug_selector 0x1", "--future value"),
        recipients=(
            Recipient("a@b", errors_to="c@d", parent=4),
            Recipient('"with space"@b', "", 12, "rfc822;x y"),
            Recipient('"a 5"@b.5'),
            Recipient('"a b"@c'),
            Recipient("größe@b"),
            Recipient("\udcff@b"),
        ),
        headers=(Header("T", b"To: \xff\n\tfold\n"), Header("*", b"Bcc: x\n")),
    )
    assert decode(encode(envelope), ID) == envelope


def test_wire_format_replaces_the_count_of_lines() -> None:
    octets = encode(replace(PLAIN, spool_file_wireformat=True, body_linecount=3))
    assert b"-spool_file_wireformat\n" in octets
    assert b"body_linecount" not in octets


@pytest.mark.parametrize(
    ("line", "to"),
    [
        (b"a@b c@d 3,5#1", Recipient("a@b", errors_to="c@d", parent=5)),
        (b"a@b  0,5#1", Recipient("a@b", parent=5)),
        (b"a@b 7", Recipient("a@b", parent=7)),
    ],
)
def test_recipients_of_older_versions_are_read(line: bytes, to: Recipient) -> None:
    assert decode(encode(PLAIN).replace(b"\nc@d\n", b"\n" + line + b"\n"), ID).recipients == (
        to,
    )


def test_numbered_acl_variables_of_older_versions_are_read() -> None:
    octets = encode(PLAIN).replace(b"XX\n", b"-acl 3 2\nab\n-acl 12 1\nc\nXX\n")
    envelope = decode(octets, ID)
    assert (envelope.acl_c, envelope.acl_m) == ({"3": "ab"}, {"2": "c"})


@pytest.mark.parametrize(
    "envelope",
    [
        replace(PLAIN, sender="a@b\nXX"),
        replace(PLAIN, recipients=(Recipient("a@b\nc@d"),)),
        replace(PLAIN, recipients=(Recipient("a@b", errors_to="x\ny"),)),
        replace(PLAIN, recipients=(Recipient("a@b", orcpt="x\ny"),)),
        replace(PLAIN, recipients=(Recipient("a@b\0"),)),
        replace(PLAIN, nonrecipients=frozenset({"a\nNN b"})),
        replace(PLAIN, acl_m={"x 1\ny": "z"}),
        replace(PLAIN, other=("XX",)),
        replace(PLAIN, headers=(Header(" ", b"no end"),)),
        replace(PLAIN, headers=(Header(" ", b" x\n"),)),
        replace(PLAIN, headers=(Header(" ", b""),)),
    ],
)
def test_what_would_add_a_line_is_not_written(envelope: Envelope) -> None:
    with pytest.raises(SpoolError):
        encode(envelope)


@pytest.mark.parametrize(
    "field",
    [
        "login",
        "helo_name",
        "ident",
        "auth_id",
        "auth_sender",
        "host_name",
        "dsn_envid",
        "tls_sni",
    ],
)
def test_a_line_break_in_other_text_becomes_a_blank(field: str) -> None:
    forged = replace(PLAIN, **{field: "x\n-N\nXX\n9\0"})  # type: ignore[arg-type]
    envelope = decode(encode(forged), ID)
    assert getattr(envelope, field) == "x -N XX 9 "
    assert not envelope.dont_deliver
    assert envelope.recipients == PLAIN.recipients


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"1xVVri-000000006jT-11t8-H", b"1xVVri-000000006jT-11t9-H", "first line"),
        (b"root 0 0", b"root", "login, uid and gid"),
        (b"0 0\n<Sender", b"0 0\nSender", "the sender"),
        (b"1795447318 0\n", b"now 0\n", "the time of arrival"),
        (b"_usec .245591", b"_usec 1", "received_time_usec"),
        (b"[192.0.2.7]:4321", b"192.0.2.7", "host_address"),
        (b"-body_linecount 1", b"-body_linecount \xd9\xa1", "body_linecount"),
        (b"-body_linecount 1", b"-body_linecount 1_0", "body_linecount"),
        (b"--aclm 0 6", b"--aclm 0 9999999", "cut short"),
        (b"--aclm 0 6", b"--aclm 0 5", "the length of an ACL variable"),
        (b"--aclm 0 6", b"--aclm 0 -6", "an ACL variable"),
        (b"\nXX\n", b"\nYY x\n", "the tree of non-recipients"),
        (b"\n3\na@", b"\n9999999\na@", "an empty recipient"),
        (b"\n3\na@", b"\n99999999999\na@", "the number of recipients"),
        (b"\n3\na@", b"\n2\na@", "an empty line before the headers is missing"),
        (b" 26,12 ", b" 27,12 ", "the lengths in a recipient"),
        (b" 26,12  0,-1#3", b" 26,12  999,-1#3", "the lengths in a recipient"),
        (b"c@defer.example\n\n", b"c d\n\n", "a recipient"),
        (b"011  Subject", b"012  Subject", "the length of a header"),
        (b"011  Subject", b"010  Subject", "the length of a header"),
        (b"011  Subject", b"011Subject", "the start of a header"),
        (b"011  Subject", b"9999999999  Subject", "the length of a header"),
    ],
)
def test_a_malformed_file_is_refused_with_the_reason(
    old: bytes, new: bytes, reason: str
) -> None:
    assert BY_SMTP.count(old) == 1
    with pytest.raises(SpoolError, match=reason):
        decode(BY_SMTP.replace(old, new), ID)


def test_a_file_cut_short_anywhere_is_refused_unless_only_headers_are_missing() -> None:
    starts_of_headers = {
        BY_SMTP.index(b"204P"),
        BY_SMTP.index(b"011  "),
    }
    for size in range(len(BY_SMTP)):
        if size not in starts_of_headers:
            with pytest.raises(SpoolError):
                decode(BY_SMTP[:size], ID)


def test_damage_anywhere_never_raises_anything_else() -> None:
    chance = random.Random(1)
    for _ in range(3000):
        octets = bytearray(BY_SMTP)
        for _ in range(chance.randint(1, 4)):
            octets[chance.randrange(len(octets))] = chance.choice(b"\n \0-09AXYN<>#,\xff")
        try:
            envelope = decode(bytes(octets), ID)
        except SpoolError:
            continue
        assert envelope.id == ID


def test_a_torn_line_of_a_journal_does_not_count() -> None:
    assert list(addresses_in_journal(b"a@b\nc@d\ne@examp")) == ["a@b", "c@d"]
    assert list(addresses_in_journal(b"a@b\n\0\0\0\n\nc@d\n")) == ["a@b", "c@d"]
    assert list(addresses_in_journal(b"")) == []
