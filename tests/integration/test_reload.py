"""HUP: the configuration is read again; a bad one changes nothing."""

from __future__ import annotations

import signal
import socket

import pytest

from tests.fault.strace import titled
from tests.harness import clients, daemon, mailbox, ports
from tests.harness.daemon import Running
from tests.harness.wait import until


def rewrite(mta: Running, old: str, new: str) -> None:
    text = mta.config.read_text("utf-8")
    assert old in text
    mta.config.write_text(text.replace(old, new), "utf-8")


def test_a_bad_configuration_is_refused_with_file_and_line() -> None:
    with daemon.running() as mta:
        rewrite(mta, "split_spool_directory", "split_spool_dirctory")
        mta.signal(signal.SIGHUP)
        line = mta.await_log("configuration refused")
        assert f"{mta.config}:8" in line
        assert "did you mean 'split_spool_directory'?" in line
        clients.send(mta.address, "a@sender.test", ["alice@local.test"])
        mailbox.await_messages(mta.maildir("alice"), 1)


def test_a_wrong_retry_rule_is_refused_before_a_delivery_meets_it() -> None:
    with daemon.running() as mta:
        rewrite(mta, "begin retry\n", "begin retry\n* * F,2h,15x\n")
        mta.signal(signal.SIGHUP)
        assert "15x" in mta.await_log("configuration refused")


def test_what_will_fail_when_it_is_used_is_logged_and_taken() -> None:
    with daemon.running() as mta:
        rewrite(mta, "begin acl", "message_id_header_text = ${if eq{a}{b}\nbegin acl")
        mta.signal(signal.SIGHUP)
        assert "${if eq{a}{b}" in mta.await_log("failed to expand")
        mta.await_log("was read again")


def test_a_good_configuration_drops_no_connection() -> None:
    with daemon.running() as mta, clients.Conversation(mta.address) as old:
        old.command("EHLO client.test")
        old.command("MAIL FROM:<a@sender.test>")
        rewrite(mta, "alice : bob : carol", "alice : dave")
        rewrite(mta, "relay not permitted", "no thank you")
        mta.signal(signal.SIGHUP)
        mta.await_log("was read again")
        with clients.Conversation(mta.address) as new:
            new.command("EHLO client.test")
            new.command("MAIL FROM:<a@sender.test>")
            assert "no thank you" in new.command("RCPT TO:<x@else.test>").text
        assert old.command("RCPT TO:<alice@local.test>").code == 250
        old.command("DATA")
        old.send(clients.MESSAGE + b".\r\n")
        assert old.reply().code == 250
        mailbox.await_messages(mta.maildir("alice"), 1)
        clients.send(mta.address, "a@sender.test", ["dave@local.test"])
        mailbox.await_messages(mta.maildir("dave"), 1)
        mta.await_empty()


def test_a_new_port_is_listened_on_and_an_old_one_is_not() -> None:
    with daemon.running() as mta:
        before, (port,) = mta.address, ports.free()
        rewrite(mta, "daemon_smtp_ports = PORT", f"daemon_smtp_ports = {port}")
        mta.signal(signal.SIGHUP)
        mta.await_log("was read again")
        clients.send(("127.0.0.1", port), "a@sender.test", ["alice@local.test"])
        mailbox.await_messages(mta.maildir("alice"), 1)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(before, 5)


def test_many_reloads_leave_one_of_each_role() -> None:
    with daemon.running() as mta:
        for number in range(1, 4):
            mta.signal(signal.SIGHUP)
            until(
                lambda number=number: mta.log().count("was read again") == number,
                10.0,
                "the reload",
            )
        clients.send(mta.address, "a@sender.test", ["alice@local.test"])
        mta.await_log("Completed")
        assert mta.process is not None
        master = mta.process.pid
        until(lambda: len(titled(master, "mta: runner")) == 1, 15.0, "one runner")
        until(lambda: len(titled(master, "mta: launcher")) == 1, 15.0, "one launcher")
