"""Death at every system call: what was answered with 250 arrives, or bounces.

Each test first records what a process asks of the kernel for one message, then lets it die at
every one of these calls, one message each, and counts at the end.  A message may arrive twice
only where a delivery was done and not yet noted when its process died.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.fault import conversation, strace
from tests.fault.conversation import Client
from tests.harness import daemon
from tests.harness.daemon import Running
from tests.harness.wait import until

CONFIG = daemon.BASIC.replace(
    "acl_smtp_rcpt = check_rcpt\n",
    "acl_smtp_rcpt = check_rcpt\ndeliver_max_parallel = 1\nworker_max_use = 10000\n"
    "deliver_max_use = 10000\nreceiver_max_use = 10000\n",
)

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(autouse=True)
def _strace() -> None:
    strace.needs_strace()


@pytest.fixture
def mta() -> Iterator[Running]:
    with daemon.prepared(CONFIG) as tree:
        tree.start()
        yield tree


def session(mta: Running) -> int:
    assert mta.process is not None
    return mta.process.pid


def the_process(mta: Running, title: str) -> int:
    """The one process of this title, once it is there."""
    return until(
        lambda: found[-1] if (found := strace.titled(session(mta), title)) else 0,
        10.0,
        f"a process {title!r}",
    )


def send(mta: Running, token: str) -> bool:
    client = Client(mta)
    accepted = client.send(token)
    client.quit()
    return accepted


def check(mta: Running, accepted: set[str], *, most: int) -> None:
    """Everything accepted has arrived, at most so often; nothing is logged as done twice."""
    conversation.empty_queue(mta)
    arrived = conversation.delivered(mta.maildir("alice"))
    assert accepted - set(arrived) == set(), "answered with 250, then lost"
    assert {token for token, count in arrived.items() if count > most} == set()
    twice = {key for key, count in conversation.logged_deliveries(mta).items() if count > 1}
    assert twice == set(), "logged as delivered, then delivered again"


def test_receiver_dies_at_any_call(mta: Running) -> None:
    def converse(act: Callable[[int, Callable[[], bool]], bool]) -> tuple[str, bool]:
        token, client = conversation.new_token(), Client(mta)
        pid = the_process(mta, "mta: receiver [127.0.0.1]")
        accepted = act(pid, lambda: client.send(token))
        client.close()
        until(
            lambda: not strace.titled(session(mta), "mta: receiver ["),
            10.0,
            "the end of the conversation",
        )
        return token, accepted

    lines: list[str] = []

    def recorded(pid: int, work: Callable[[], bool]) -> bool:
        results: list[bool] = []
        lines.extend(strace.trace(pid, lambda: results.append(work())))
        return results[0]

    accepted = {token for token, taken in [converse(recorded)] if taken}
    assert accepted, "the recorded conversation failed"
    strikes = strace.strikes(lines)
    assert len(strikes) > 12

    refused = 0
    for strike in strikes:

        def hit(pid: int, work: Callable[[], bool], strike: strace.Strike = strike) -> bool:
            with strace.struck(pid, strike):
                return work()

        token, taken = converse(hit)
        if taken:
            accepted.add(token)
        refused += not taken
    assert refused > 8, "hardly any strike hit"
    check(mta, accepted, most=1)


def deaths(mta: Running, title: str, *recipients: str, only: tuple[str, ...] = ()) -> None:
    """The process of this title dies at each call of a delivery, or at some; then check."""
    accepted = set()

    def one_message() -> None:
        client, token = Client(mta), conversation.new_token()
        assert client.send(token, *recipients)
        client.quit()
        accepted.add(token)

    def settled() -> None:
        conversation.empty_queue(mta)

    one_message()
    settled()  # the processes are warm now
    lines = strace.trace(the_process(mta, title), lambda: (one_message(), mta.await_empty()))
    strikes = [each for each in strace.strikes(lines) if not only or each.call in only]

    died = 0
    for strike in strikes:
        if not strace.titled(session(mta), title):
            one_message()  # has a fresh process made
            settled()
        pid = the_process(mta, title)
        with strace.struck(pid, strike):
            one_message()
            until(
                lambda pid=pid: not strace.is_alive(pid) or not mta.messages(),
                10.0,
                f"{strike}: a death or a delivery",
            )
        died += not strace.is_alive(pid)
        settled()
    assert died > (0 if only else 5), "hardly any strike hit"
    check(mta, accepted, most=2)


@pytest.mark.parametrize("title", ["mta: deliver", "mta: user"])
def test_delivery_dies_at_any_call(mta: Running, title: str) -> None:
    deaths(mta, title)


def test_delivery_to_two_dies_at_any_call(mta: Running) -> None:
    deaths(mta, "mta: deliver", "alice@local.test", "bob@local.test")
    bob = conversation.delivered(mta.maildir("bob"))
    assert set(bob) == set(conversation.delivered(mta.maildir("alice")))
    assert {token for token, count in bob.items() if count > 2} == set()


@pytest.mark.parametrize("title", ["mta: runner", "mta: listener", "mta: launcher"])
def test_parent_dies_at_any_call(title: str) -> None:
    """A parent is started again by the master, later each time: few strikes per tree."""
    strikes: list[strace.Strike] = []
    with daemon.prepared(CONFIG) as mta:
        mta.start()
        lines = strace.trace(
            the_process(mta, title),
            lambda: (send(mta, conversation.new_token()), mta.await_empty()),
        )
        strikes = strace.strikes(lines)
    assert len(strikes) > 2
    for group in (strikes[n : n + 4] for n in range(0, len(strikes), 4)):
        with daemon.prepared(CONFIG) as mta:
            mta.start()
            accepted = set()
            for strike in group:
                token = conversation.new_token()
                with strace.struck(the_process(mta, title), strike):
                    try:
                        taken = send(mta, token)
                    except OSError:
                        taken = False
                if taken:
                    accepted.add(token)
                until(lambda: the_process(mta, title), 20.0, f"another {title}")
            check(mta, accepted, most=1)
