"""Variables and headers say what is known of the client, the message and the address."""

from __future__ import annotations

from pathlib import Path

import pytest

from mta.base import clock
from mta.base.trust import Trusted
from mta.expand.context import Connection, Context
from mta.expand.registry import VARIABLES
from mta.mail.header import parse_block
from tests.conform.language import configuration, context, expanded

HEADERS = (
    b"Received: from a\nReceived: from b\nFrom: Foo Bar <foo@bar.example>\n"
    b'To: a@b.example\nTo: "Q U" <c@d.example>\nReply-To: reply@here.example\n'
    b"Subject: =?utf-8?Q?caf=C3=A9?= and\n folded\nX-A: one\nX-A:  two \nX-Empty:\n"
    b"X-Enc: =?iso-8859-1?Q?caf=e9?= tail\nX-Colon: a:b\nX-Odd: =?zlib?Q?x?=\n"
    b"X-Long: =?utf-8?Q?" + b"a" * 80 + b"?=\n\n"
)
BODY = b"first line\nsecond\0line\n"


@pytest.fixture
def ctx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    monkeypatch.setattr(clock, "now", lambda: 1_795_446_421.5)
    monkeypatch.setenv("TZ", "UTC")
    made = context(configuration(tmp_path, "spool_directory = /nonexistent/spool\n"))
    made.connection = Connection("192.0.2.7", 4321, host_name="h.example", helo_name="me")
    made.connection.acl_c = {"0": "c-zero", "_x": "c-x"}
    made.message.acl_m = {"_foo": "m-foo"}
    made.message.sender = "ann@a.example"
    made.message.recipients = ["a@b.example", "c:d@b.example"]
    made.message.headers = parse_block(HEADERS)[0]
    made.message.size = len(HEADERS) - 1 + len(BODY)
    made.message.body_start = lambda limit: BODY[:limit]
    made.message.received_time = 1_795_446_400.0
    made.place.local_part_data = Trusted("joe")
    made.place.local_user_uid = 1000
    made.place.router_variables = {"r_x": "routed"}
    made.values["acl_arg1"] = "argument"
    return made


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("$sender_host_address $sender_host_port", "192.0.2.7 4321"),
        ("$sender_fullhost", "h.example (me) [192.0.2.7]"),
        ("$sender_rcvhost", "h.example ([192.0.2.7] helo=me)"),
        ("$sender_address_local_part at $sender_address_domain", "ann at a.example"),
        ("$return_path", "ann@a.example"),
        ("$acl_c0 $acl_c_x $acl_m_foo $acl_m_none|", "c-zero c-x m-foo |"),
        ("$recipients ($recipients_count)", "a@b.example, c:d@b.example (2)"),
        ("$recipients_list", "a@b.example:c::d@b.example"),
        ("$local_part_data $local_user_uid $r_x $acl_arg1", "joe 1000 routed argument"),
        ("$message_age $tod_epoch", "21 1795446421"),
        ("$tod_zulu $tod_logfile", "20261123150701Z 20261123"),
        ("$spool_directory $spool_space", "/nonexistent/spool -1"),
        ("$smtp_active_hostname", "oracle.example"),
        ("$received_count", "2"),
        ("$message_body", "first line second line "),
        ("$message_body_size", str(len(BODY))),
        ("$reply_address", "reply@here.example"),
        ("$tls_in_cipher|$tls_in_bits", "|0"),
    ],
)
def test_a_variable(ctx: Context, text: str, result: str) -> None:
    assert expanded(ctx, text) == result


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("<$h_subject:>", "<café and\n folded>"),
        ("<$bh_Subject:>", "<café and\n folded>"),
        ("<$rh_subject:>", "< =?utf-8?Q?caf=C3=A9?= and\n folded\n>"),
        ("<$header_x-a:>", "<one\ntwo>"),
        ("<$lh_x-a:>", "<one:two>"),
        ("$lh_x-colon:", "a::b"),
        ("<$rh_x-a:>", "< one\n  two \n>"),
        ("$h_to:", 'a@b.example,\n"Q U" <c@d.example>'),
        ("<$h_x-empty:>", "<>"),
        ("<$h_none:>", "<>"),
        ("$h_x-enc:", "café tail"),
        ("$h_x-odd:", "x"),
        ("${strlen:$h_x-long:}", "92"),
        ("$h_from: rest", "Foo Bar <foo@bar.example> rest"),
        ("$h_x-a", "one\ntwo"),
        ("${if def:h_x-a:{y}{n}}${if def:h_none:{y}{n}}", "yn"),
        ("${addresses:$h_to:}", "a@b.example:c@d.example"),
    ],
)
def test_a_header(ctx: Context, text: str, result: str) -> None:
    assert expanded(ctx, text) == result


def test_a_client_without_a_name_or_without_an_address(ctx: Context) -> None:
    ctx.connection = Connection("192.0.2.7")
    assert expanded(ctx, "$sender_fullhost|$sender_rcvhost") == "[192.0.2.7]|[192.0.2.7]"
    ctx.connection = Connection("192.0.2.7", helo_name="me", ident="id")
    shown = "(me) [192.0.2.7]|[192.0.2.7] (helo=me ident=id)"
    assert expanded(ctx, "$sender_fullhost|$sender_rcvhost") == shown
    ctx.connection = Connection()
    assert expanded(ctx, "$sender_fullhost|$sender_rcvhost") == "|"


def test_every_variable_has_a_value_in_an_empty_context(tmp_path: Path) -> None:
    empty = context(configuration(tmp_path))
    for name in VARIABLES.names():
        assert not expanded(empty, f"${name}").startswith("Failed"), name


def test_the_null_sender_is_not_taken_for_an_unset_one(ctx: Context) -> None:
    ctx.message.return_path = ""
    assert expanded(ctx, "<$return_path>") == "<>"
