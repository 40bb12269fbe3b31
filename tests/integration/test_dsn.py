"""Delivery status notifications through real processes: wished for, passed on, reported."""

from __future__ import annotations

import pytest

from tests.harness import clients, daemon, mailbox, reports, sink
from tests.harness.daemon import Running

CONFIG = daemon.BASIC.replace(
    "acl_smtp_rcpt = check_rcpt",
    "acl_smtp_rcpt = check_rcpt\ndsn_advertise_hosts = *",
)
KNOWS_DSN = {"EHLO": "250-sink.test\r\n250-PIPELINING\r\n250 DSN"}
MAIL = "MAIL FROM:<alice@local.test> RET=HDRS ENVID=QQ+2B1"


def wish(mta: Running, *recipients: str) -> None:
    """Send a message of alice's, with these arguments of RCPT TO."""
    with clients.Conversation(mta.address) as client:
        said = ["EHLO client.test", MAIL, *(f"RCPT TO:{each}" for each in recipients), "DATA"]
        assert client.codes(*said) == [250] * (len(said) - 1) + [354]
        client.send(b"Subject: x\r\nMessage-ID: <m@x>\r\n\r\nthe body\r\n.\r\n")
        assert client.reply().code == 250


def report_to_alice(mta: Running) -> reports.Read:
    (message,) = mailbox.await_messages(mta.maildir("alice"), 1)
    mta.await_empty()
    return reports.read(message)


def test_a_client_hears_that_its_message_was_delivered() -> None:
    with daemon.running(CONFIG) as mta:
        wish(mta, "<bob@local.test> NOTIFY=SUCCESS ORCPT=rfc822;Bob+40x")
        report = report_to_alice(mta)
        assert report.about["Original-Envelope-ID"] == "QQ+1"
        (bob,) = report.recipients
        assert bob["Original-Recipient"] == "rfc822;Bob+40x"
        assert (bob["Action"], bob["Final-Recipient"]) == (
            "delivered",
            "rfc822;bob@local.test",
        )
        assert report.message["References"] == "<m@x>"
        assert report.message["Return-Path"] == "<>"


def test_a_server_that_knows_dsn_is_asked_to_report() -> None:
    with (
        sink.listening(KNOWS_DSN) as peer,
        daemon.running(CONFIG, sink=peer.port) as mta,
    ):
        wish(mta, "<far@relay.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;f", "<b@relay.test>")
        (taken,) = peer.await_messages(1)
        mta.await_empty()
        assert taken.commands[-4:-1] == (
            "MAIL FROM:<alice@local.test> RET=HDRS ENVID=QQ+2B1",
            "RCPT TO:<far@relay.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;f",
            "RCPT TO:<b@relay.test>",
        )
        assert mailbox.messages(mta.maildir("alice")) == []


def test_one_that_does_not_makes_us_report() -> None:
    with sink.listening({}) as peer, daemon.running(CONFIG, sink=peer.port) as mta:
        wish(mta, "<far@relay.test> NOTIFY=SUCCESS,DELAY", "<b@relay.test>")
        (taken,) = peer.await_messages(1)
        assert not any("NOTIFY" in each or "ENVID" in each for each in taken.commands)
        assert report_to_alice(mta).actions() == {"rfc822;far@relay.test": "relayed"}


@pytest.mark.parametrize("notify", ["NEVER", "SUCCESS,DELAY"])
def test_a_failure_that_nobody_wants_to_know_of_is_logged(notify: str) -> None:
    with (
        sink.listening({"RCPT": "550 no"}) as peer,
        daemon.running(CONFIG, sink=peer.port) as mta,
    ):
        wish(mta, f"<far@relay.test> NOTIFY={notify}")
        mta.await_log(
            "far@relay.test: error ignored: RFC 3461 DSN, failure notify not requested"
        )
        mta.await_empty()
        assert mailbox.messages(mta.maildir("alice")) == []


def test_a_failure_is_reported_with_the_words_of_the_server() -> None:
    refuses = {**KNOWS_DSN, "RCPT": "550-5.1.1 no\r\n550 5.1.1 such user"}
    with sink.listening(refuses) as peer, daemon.running(CONFIG, sink=peer.port) as mta:
        wish(mta, "<far@relay.test> NOTIFY=FAILURE ORCPT=rfc822;f")
        report = report_to_alice(mta)
        (far,) = report.recipients
        assert far["Original-Recipient"] == "rfc822;f"
        assert far["Action"] == "failed"
        assert far["Diagnostic-Code"] == "smtp; 550-5.1.1 no 550 5.1.1 such user"
        assert report.message["X-Failed-Recipients"] == "far@relay.test"
        kinds = [part.get_content_type() for part in report.message.iter_parts()]
        assert kinds[2] == "text/rfc822-headers"  # RET=HDRS


def test_sendmail_asks_for_reports() -> None:
    with daemon.running(CONFIG) as mta:
        wishes = ["-N", "success", "-R", "hdrs", "-V", "e+2B", "-f", "alice@local.test"]
        sent = mta.run(
            "sendmail", *mta.arguments(), *wishes, "bob@local.test", message=b"\nx\n"
        )
        assert (sent.returncode, sent.stderr) == (0, b"")
        report = report_to_alice(mta)
        assert report.about["Original-Envelope-ID"] == "e+"
        assert report.actions() == {"rfc822;bob@local.test": "delivered"}


def test_a_bounce_of_a_report_ends_there() -> None:
    """The sender of the message does not exist: its report is frozen, and nothing loops."""
    with daemon.running(CONFIG) as mta:
        with clients.Conversation(mta.address) as client:
            said = ["EHLO client.test", "MAIL FROM:<nobody@local.test>"]
            client.codes(*said, "RCPT TO:<bob@local.test> NOTIFY=SUCCESS", "DATA")
            client.send(b"Subject: x\r\n\r\nthe body\r\n.\r\n")
            assert client.reply().code == 250
        mta.await_log("Frozen (delivery error message)")
        assert len(mta.messages()) == 1


def test_a_lost_answer_to_the_final_dot_costs_one_copy_and_one_report() -> None:
    """The server may have taken it: it is offered again, and that is all.  RFC 1047"""
    with (
        sink.listening({"DOT": [sink.DROP, "250 taken"]}) as peer,
        daemon.running(CONFIG, sink=peer.port) as mta,
    ):
        wish(mta, "<far@relay.test> NOTIFY=SUCCESS")
        report = report_to_alice(mta)
        assert report.actions() == {"rfc822;far@relay.test": "relayed"}
        assert (len(peer.in_doubt()), peer.count()) == (1, 1)
        (line,) = [line for line in mta.log().split("\n") if " == " in line]
        assert line.endswith(
            "== far@relay.test R=relay T=smtp defer (-18) H=127.0.0.1 [127.0.0.1]: "
            "Remote host closed connection in response to end of data"
        )
