"""What is made durable before what; and that a program which does otherwise is found out."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fault import conversation, order, strace, test_kill
from tests.fault.conversation import Client
from tests.fault.test_kill import CONFIG, the_process
from tests.harness import daemon
from tests.harness.daemon import Running
from tests.harness.source import TREE
from tests.harness.wait import until

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(autouse=True)
def _strace() -> None:
    strace.needs_strace()


@pytest.fixture
def mutated(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the program that a test may spoil, and that the harness runs."""
    import tempfile

    place = Path(tempfile.mkdtemp(prefix="mta-mutant-"))
    place.chmod(0o755)
    for name in ("mta", "bin"):
        shutil.copytree(
            TREE / name, place / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    monkeypatch.setattr(daemon, "TREE", place)
    yield place
    shutil.rmtree(place, ignore_errors=True)


def spoil(tree: Path, file: str, old: str, new: str) -> None:
    text = (tree / file).read_text("utf-8")
    assert text.count(old) == 1, f"{file} no longer has the line to spoil"
    (tree / file).write_text(text.replace(old, new), "utf-8")


def log_before_journal(tree: Path) -> None:
    """The seeded mistake: what is done is logged first, and noted afterwards."""
    file = "mta/deliver/message.py"
    spoil(tree, file, "        self.progress.done(done)\n", "")
    end = "                self.progress.log_deferred(item)\n\n    # ---- 4 to 6"
    late = end.replace("\n\n", "\n        self.progress.done(done)\n\n")
    spoil(tree, file, end, late)


def reception(mta: Running) -> list[str]:
    client = Client(mta)
    pid = the_process(mta, "mta: receiver [127.0.0.1]")
    lines = strace.trace(pid, lambda: client.send(conversation.new_token()), "-y")
    client.close()
    return lines


def delivery(mta: Running, title: str, *recipients: str) -> list[str]:
    """What a warm process of this title does for one message."""
    for _ in range(2):
        client = Client(mta)
        assert client.send(conversation.new_token())
        client.quit()
        mta.await_empty()

    def work() -> None:
        client = Client(mta)
        before = mta.log().count("Completed")
        assert client.send(conversation.new_token(), *recipients)
        # The queue is empty a moment before the last line is in the log.
        until(lambda: mta.log().count("Completed") > before, 15.0, "the end of the delivery")
        client.quit()

    return strace.trace(the_process(mta, title), work, "-y")


def test_a_message_is_durable_before_it_is_answered() -> None:
    with daemon.running(CONFIG) as mta:
        order.check_reception(reception(mta))


def test_a_delivery_is_durable_before_it_is_reported() -> None:
    with daemon.running(CONFIG) as mta:
        order.check_maildir(delivery(mta, "mta: user"))


def test_an_only_delivery_is_noted_by_removing_the_message_before_it_is_logged() -> None:
    with daemon.running(CONFIG) as mta:
        lines = delivery(mta, "mta: deliver")
        order.check_last(lines, "alice")
        with pytest.raises(AssertionError, match="no call"):
            order.first(lines, r"-J>")


def test_the_first_of_two_deliveries_is_noted_durably_before_it_is_logged() -> None:
    with daemon.running(CONFIG) as mta:
        lines = delivery(mta, "mta: deliver", "alice@local.test", "bob@local.test")
        order.check_pair(lines, "alice", "bob")


def test_a_missing_sync_of_the_spool_directory_is_seen(mutated: Path) -> None:
    spoil(mutated, "mta/spool/writer.py", "            os.fsync(self._directory)\n", "")
    with daemon.running(CONFIG) as mta, pytest.raises(AssertionError, match="no call"):
        order.check_reception(reception(mta))


def test_a_missing_sync_of_the_maildir_is_seen(mutated: Path) -> None:
    spoil(mutated, "mta/transport/maildir.py", "os.fsync(self.new)\n", "pass\n")
    with daemon.running(CONFIG) as mta, pytest.raises(AssertionError, match="no call"):
        order.check_maildir(delivery(mta, "mta: user"))


def test_logging_before_the_journal_is_seen_in_the_order(mutated: Path) -> None:
    log_before_journal(mutated)
    with daemon.running(CONFIG) as mta:
        lines = delivery(mta, "mta: deliver")
        with pytest.raises(AssertionError, match="logged before it was noted"):
            order.check_last(lines, "alice")
        lines = delivery(mta, "mta: deliver", "alice@local.test", "bob@local.test")
        with pytest.raises(AssertionError, match="logged before it was noted"):
            order.check_pair(lines, "alice", "bob")


def test_logging_before_the_journal_is_seen_by_death_at_every_call(mutated: Path) -> None:
    log_before_journal(mutated)
    with daemon.prepared(CONFIG) as mta:
        mta.start()
        with pytest.raises(AssertionError, match="logged as delivered, then delivered again"):
            test_kill.deaths(mta, "mta: deliver", only=("write", "unlink", "unlinkat"))
