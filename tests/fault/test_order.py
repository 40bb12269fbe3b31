"""What is made durable before what; and that these tests see a program which does otherwise."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fault import conversation, order, strace
from tests.fault.conversation import Client
from tests.fault.test_kill import CONFIG, the_process
from tests.harness import daemon
from tests.harness.daemon import Running
from tests.harness.source import TREE

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


def reception(mta: Running) -> list[str]:
    client = Client(mta)
    pid = the_process(mta, "mta: receiver [127.0.0.1]")
    lines = strace.trace(pid, lambda: client.send(conversation.new_token()), "-y")
    client.close()
    return lines


def delivery(mta: Running, title: str) -> list[str]:
    """What a warm process of this title does for one message."""
    for _ in range(2):
        client = Client(mta)
        assert client.send(conversation.new_token())
        client.quit()
        mta.await_empty()

    def work() -> None:
        client = Client(mta)
        assert client.send(conversation.new_token())
        mta.await_empty()
        client.quit()

    return strace.trace(the_process(mta, title), work, "-y")


def test_a_message_is_durable_before_it_is_answered() -> None:
    with daemon.running(CONFIG) as mta:
        order.check_reception(reception(mta))


def test_a_delivery_is_durable_before_it_is_reported() -> None:
    with daemon.running(CONFIG) as mta:
        order.check_maildir(delivery(mta, "mta: user"))


def test_a_delivery_is_noted_before_it_is_logged() -> None:
    with daemon.running(CONFIG) as mta:
        order.check_delivery(delivery(mta, "mta: deliver"))


def test_a_missing_sync_of_the_spool_directory_is_seen(mutated: Path) -> None:
    spoil(mutated, "mta/spool/writer.py", "            os.fsync(self._directory)\n", "")
    with daemon.running(CONFIG) as mta, pytest.raises(AssertionError, match="no call"):
        order.check_reception(reception(mta))


def test_a_missing_sync_of_the_maildir_is_seen(mutated: Path) -> None:
    spoil(mutated, "mta/transport/maildir.py", "            os.fsync(self.new)\n", "")
    with daemon.running(CONFIG) as mta, pytest.raises(AssertionError, match="no call"):
        order.check_maildir(delivery(mta, "mta: user"))
