"""The message log: begun when there is something to say, in Exim's words."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from mta.base.errors import TempFail
from mta.spool import msglog
from mta.spool.layout import Spool
from mta.spool.reader import Message
from tests.unit.spool.messages import ID, envelope, store


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_the_first_line_says_how_the_message_came(spool: Spool) -> None:
    local = replace(envelope(), ident="root", received_protocol="local")
    msglog.append(spool, local, 506, "one", now=1795447319)
    msglog.append(spool, local, 506, "two\nlines", now=1795447320)
    assert msglog.read(spool, ID) == (
        b"2026-11-23 15:21:58 Received from sender@example.com U=root P=local S=506\n"
        b"2026-11-23 15:21:59 one\n"
        b"2026-11-23 15:22:00 two\\nlines\n"
    )


@pytest.mark.parametrize(
    ("name", "helo", "shown"),
    [
        ("", "c.example", "(c.example) [192.0.2.7]"),
        ("host.example", "c.example", "host.example (c.example) [192.0.2.7]"),
        ("host.example", "host.example", "host.example [192.0.2.7]"),
        ("", "[192.0.2.7]", "[192.0.2.7]"),
        ("", "", "[192.0.2.7]"),
    ],
)
def test_the_sending_host_is_shown(name: str, helo: str, shown: str) -> None:
    remote = replace(envelope(), host_address="192.0.2.7", host_name=name, helo_name=helo)
    assert msglog.host(remote) == shown


def test_a_message_by_smtp_shows_host_protocol_cipher_and_login() -> None:
    remote = replace(
        envelope(),
        sender="",
        host_address="192.0.2.7",
        helo_name="c.example",
        received_protocol="esmtpsa",
        tls_cipher="TLS1.3:X:256",
        host_auth="plain",
        auth_id="me",
    )
    assert msglog.first_line(remote, 211) == (
        "2026-11-23 15:21:58 Received from <> H=(c.example) [192.0.2.7] "
        "P=esmtpsa X=TLS1.3:X:256 A=plain:me S=211"
    )


def test_a_message_that_nothing_happened_to_has_no_log(spool: Spool) -> None:
    assert msglog.read(spool, ID) is None


def test_the_log_goes_with_the_message(spool: Spool) -> None:
    store(spool)
    msglog.append(spool, envelope(), 1, "x", now=0)
    message = Message.open(spool, ID)
    assert message
    with message:
        message.remove()
    assert msglog.read(spool, ID) is None


def test_the_log_is_not_written_through_a_link(
    spool: Spool, tmp_path: os.PathLike[str]
) -> None:
    victim = os.path.join(tmp_path, "victim")
    os.symlink(victim, ID, dir_fd=spool.msglog_place(ID))
    with pytest.raises(TempFail):
        msglog.append(spool, envelope(), 1, "x", now=0)
    assert not os.path.exists(victim)
