"""Processes of other users do not outlive the configuration that they were started for."""

from __future__ import annotations

import signal

from tests.fault.strace import is_alive, titled
from tests.harness import clients, mailbox
from tests.harness.wait import until
from tests.privilege import separated
from tests.privilege.separated import needs_root, the_process

pytestmark = needs_root


def test_a_worker_leaves_with_its_generation() -> None:
    with separated.running() as mta:
        clients.send(mta.address, "a@sender.test", ["alice@local.test"])
        mailbox.await_messages(mta.maildir("alice"), 1)
        old = [the_process(mta, title) for title in ("mta: user alice", "mta: launcher")]
        text = mta.config.read_text("utf-8")
        mta.config.write_text(text.replace("never_users = root", "never_users = root : alice"))
        mta.signal(signal.SIGHUP)
        mta.await_log("was read again")
        until(lambda: not any(map(is_alive, old)), 10.0, "the end of the old processes")
        clients.send(mta.address, "a@sender.test", ["alice@local.test"])
        mta.await_log("user alice is one of never_users")
        assert mta.process is not None
        assert titled(mta.process.pid, "mta: user alice") == []


def test_a_worker_leaves_after_worker_max_use_parcels() -> None:
    config = separated.CONFIG.replace("begin acl", "worker_max_use = 2\nbegin acl", 1)
    with separated.running(config) as mta:
        seen = set()
        for number in range(1, 5):
            clients.send(mta.address, "a@sender.test", ["alice@local.test"])
            mailbox.await_messages(mta.maildir("alice"), number)
            mta.await_empty()
        for file in (mta.maildir("alice") / "new").iterdir():
            seen.add(file.name.partition("P")[2].partition(".")[0])
        assert len(seen) >= 2  # the number of the process is in the name


def test_term_ends_workers_too() -> None:
    with separated.prepared() as mta:
        mta.start()
        clients.send(mta.address, "a@sender.test", ["alice@local.test"])
        mailbox.await_messages(mta.maildir("alice"), 1)
        pids = mta.processes()
        assert the_process(mta, "mta: user alice") in pids
        assert mta.stop() == 0
        until(lambda: not any(map(is_alive, pids)), 5.0, "the end of all")
