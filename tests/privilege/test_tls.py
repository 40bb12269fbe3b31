"""The key of TLS is root's: the processes that use it cannot read it."""

from __future__ import annotations

import os
import smtplib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import mailbox
from tests.harness.certificates import Authority, Pair
from tests.integration.test_tls import HOST, fingerprint, trusting
from tests.privilege import separated
from tests.privilege.separated import MTANET, as_user, needs_root

pytestmark = needs_root


@pytest.fixture
def authority() -> Iterator[Authority]:
    with tempfile.TemporaryDirectory(prefix="mta-tls-") as directory:
        yield Authority(Path(directory))  # mode 0700: nobody can even see the files


def config(pair: Pair) -> str:
    files = f"tls_certificate = {pair.certificate}\ntls_privatekey = {pair.key}\n"
    return files + separated.CONFIG


def test_the_network_user_serves_with_a_key_that_it_cannot_read(authority: Authority) -> None:
    pair = authority.issue(HOST)
    with separated.running(config(pair)) as mta:
        with smtplib.SMTP(*mta.address, timeout=10) as client:
            client._host = HOST  # type: ignore[attr-defined]
            client.starttls(context=trusting(authority))
            client.sendmail("a@sender.test", ["alice@local.test"], "Subject: x\r\n\r\nx\r\n")
        mailbox.await_messages(mta.maildir("alice"), 1)
        tried = as_user(MTANET, "open(sys.argv[1])", pair.key)
        assert "PermissionError" in tried.stderr
        assert "TLS will not work" not in mta.log()


def test_a_key_that_was_replaced_is_handed_over_too(authority: Authority) -> None:
    with separated.running(config(authority.issue(HOST))) as mta:
        before = fingerprint(mta, trusting(authority))
        authority.issue(HOST)
        context = trusting(authority)
        separated.until(lambda: fingerprint(mta, context) != before, 20.0, "the new key")
        assert os.stat(authority.directory).st_mode & 0o077 == 0
