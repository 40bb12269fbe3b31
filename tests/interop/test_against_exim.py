"""Every odd message of the corpus through Debian's Exim: it keeps what we keep.

What we keep is compared with the same expectations in test_corpus.py.
"""

from __future__ import annotations

import pytest

from tests.harness import clients, corpus, mailbox, peers
from tests.harness.wait import until

MESSAGES = corpus.messages()
NAMES = list(MESSAGES)

pytestmark = pytest.mark.timeout(300)  # the first use makes Exim's system


@pytest.fixture(scope="module")
def kept() -> dict[str, bytes]:
    """What Exim delivered, by what stands between alice- and the @."""
    with peers.running("exim", relay_to=9) as exim:
        for number, message in enumerate(MESSAGES.values()):
            text = corpus.wire(message)
            to = f"alice-smtp{number}@peer.test"
            clients.transmit(exim.address, corpus.SENDER, [to], text)
            to = f"alice-sendmail{number}@peer.test"
            sendmail = ["/usr/sbin/exim4", "-i", "-f", corpus.SENDER, to]
            sent = clients.run(["chroot", exim.root, *sendmail], message)
            assert (sent.returncode, sent.stderr) == (0, b"")
        new = exim.maildir() / "new"
        until(lambda: len(list(new.iterdir())) == 2 * len(MESSAGES), 60.0, exim.said())
        messages = mailbox.messages(exim.maildir())
    found = {}
    for message in messages:
        (to,) = mailbox.header(message, "Envelope-to")
        found[to.partition("@")[0].removeprefix("alice-")] = mailbox.without_trace(message)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_exim_stores_a_message_by_smtp_as_we_do(kept: dict[str, bytes], name: str) -> None:
    assert kept[f"smtp{NAMES.index(name)}"] == corpus.stored(MESSAGES[name])


@pytest.mark.parametrize("name", NAMES)
def test_exim_stores_a_message_by_sendmail_as_we_do(kept: dict[str, bytes], name: str) -> None:
    found = corpus.normal(kept[f"sendmail{NAMES.index(name)}"])
    assert found == corpus.submitted(name, MESSAGES[name])
