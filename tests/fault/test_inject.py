"""Death at every system call of a local submission: exit code 0 means that it arrives, once.

Struck are the program itself, with a daemon and with the drop-box; the receiver for local
programs; and the process that empties the drop-box.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fault import conversation, strace
from tests.fault.strace import Strike
from tests.fault.test_kill import CONFIG, session, the_process
from tests.harness import daemon
from tests.harness.daemon import Running, identity
from tests.harness.source import TREE
from tests.harness.wait import until

pytestmark = pytest.mark.timeout(300)

# What is called before it has looked for the daemon changes nothing outside the program.
CONNECTED = r"^connect\("
DROPPED = r"^openat\(.*/drop/t\."


@pytest.fixture(autouse=True)
def _strace() -> None:
    strace.needs_strace()


@pytest.fixture
def mta() -> Iterator[Running]:
    with daemon.prepared(CONFIG) as tree:
        tree.start()
        yield tree


def sendmail(mta: Running, token: str, where: list[str], *tracing: str) -> int:
    """Run bin/sendmail, perhaps under strace; its exit code."""
    program = [str(TREE / "bin/sendmail"), *where, "-i", "alice@local.test"]
    result = subprocess.run(
        [*tracing, *program],
        input=conversation.message(token).replace(b"\r\n", b"\n"),
        capture_output=True,
        check=False,
        timeout=30,
        cwd="/",
        **identity(mta.who),
    )
    return result.returncode


def recorded(mta: Running, token: str, where: list[str]) -> list[str]:
    """The calls of a submission that succeeds."""
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o777)
        output = Path(place) / "calls"
        tracing = ["strace", "-qqq", "-s", "200", "-o", str(output)]
        assert sendmail(mta, token, where, *tracing) == 0
        return output.read_text("utf-8", "replace").split("\n")


def after(lines: list[str], pattern: str) -> list[Strike]:
    """The places to die from the first line that has the pattern on."""
    early = 0
    while not strace.strikes([lines[early]], pattern):
        early += 1
    before = {str(each) for each in strace.strikes(lines[:early])}
    return [each for each in strace.strikes(lines) if str(each) not in before]


def struck(strike: Strike) -> list[str]:
    how = f"inject={strike.call}:signal=KILL:when={strike.number}"
    return ["strace", "-qqq", "-o", "/dev/null", "-e", f"trace={strike.call}", "-e", how]


def check(mta: Running, sure: set[str], asked: set[str]) -> None:
    """What was promised has arrived; nothing has arrived twice, or out of nowhere."""
    until(lambda: not list((mta.spool / "drop").glob("m.*")), 10.0, "an empty drop-box")
    conversation.empty_queue(mta)
    arrived = conversation.delivered(mta.maildir("alice"))
    assert sure - set(arrived) == set(), "exit code 0, then lost"
    assert set(arrived.values()) == {1}
    assert set(arrived) <= asked
    assert "Traceback" not in mta.log("panic")


def test_sendmail_dies_at_any_call_while_a_daemon_runs(mta: Running) -> None:
    where = mta.arguments()
    first = conversation.new_token()
    strikes = after(recorded(mta, first, where), CONNECTED)
    assert len(strikes) > 5
    sure, asked = {first}, {first}
    for strike in strikes:
        token = conversation.new_token()
        asked.add(token)
        if sendmail(mta, token, where, *struck(strike)) == 0:
            sure.add(token)
    assert len(sure) < len(asked) / 2, "hardly any strike hit"
    check(mta, sure, asked)
    mta.stop()


def test_sendmail_dies_at_any_call_while_it_uses_the_drop_box(mta: Running) -> None:
    if Path("/etc/mta/mta.conf").exists():
        pytest.skip("needs a machine without a configuration in /etc/mta")
    mta.stop()
    where = [f"-DSPOOL={mta.spool}"]
    first = conversation.new_token()
    strikes = after(recorded(mta, first, where), DROPPED)
    assert {"write", "fsync", "rename"} <= {each.call for each in strikes}
    sure, asked = {first}, {first}
    for strike in strikes:
        token = conversation.new_token()
        asked.add(token)
        if sendmail(mta, token, where, *struck(strike)) == 0:
            sure.add(token)
    assert len(sure) < len(asked) / 2, "hardly any strike hit"
    mta.start()
    check(mta, sure, asked)
    mta.stop()


def test_an_error_of_any_call_on_the_drop_box_means_exit_75(mta: Running) -> None:
    if Path("/etc/mta/mta.conf").exists():
        pytest.skip("needs a machine without a configuration in /etc/mta")
    mta.stop()
    where = [f"-DSPOOL={mta.spool}"]
    first = conversation.new_token()
    calls = ("openat", "write", "fchmod", "fsync", "rename")
    strikes = [
        each for each in after(recorded(mta, first, where), DROPPED) if each.call in calls
    ]
    (kept,) = (mta.spool / "drop").iterdir()
    refused = 0
    for strike in strikes:
        how = f"inject={strike.call}:error=ENOSPC:when={strike.number}"
        tracing = [
            "strace",
            "-qqq",
            "-o",
            "/dev/null",
            "-e",
            f"trace={strike.call}",
            "-e",
            how,
        ]
        code = sendmail(mta, conversation.new_token(), where, *tracing)
        assert code in (0, 75), strike
        refused += code == 75
        left = set((mta.spool / "drop").iterdir()) - {kept}
        assert bool(left) == (code == 0), strike
        for file in left:
            file.unlink()
    assert refused > 4
    mta.start()
    check(mta, {first}, {first})
    mta.stop()


def test_the_receiver_for_local_programs_dies_at_any_call(mta: Running) -> None:
    title, where = "mta: receiver local", mta.arguments()
    sure, asked = set(), set()

    def submit() -> None:
        token = conversation.new_token()
        asked.add(token)
        if sendmail(mta, token, where) == 0:
            sure.add(token)

    submit()
    strikes = strace.strikes(strace.trace(the_process(mta, title), submit))
    assert len(sure) == 2
    assert len(strikes) > 8
    for strike in strikes:
        if not strace.titled(session(mta), title):
            submit()  # has a fresh process made
        with strace.struck(the_process(mta, title), strike):
            submit()
    assert len(asked - sure) > 5, "hardly any strike hit"
    check(mta, sure, asked)
    mta.stop()


def test_the_process_that_empties_the_drop_box_dies_at_any_call(mta: Running) -> None:
    """It lives for one look only: the runner is traced, and its children with it."""
    if Path("/etc/mta/mta.conf").exists():
        pytest.skip("needs a machine without a configuration in /etc/mta")
    where = [f"-DSPOOL={mta.spool}"]
    asked: set[str] = set()
    runner = the_process(mta, "mta: runner")

    def leave() -> None:
        """A file for the drop-box, as if no daemon had answered."""
        token = conversation.new_token()
        asked.add(token)
        submit = mta.spool / "run" / "submit"
        hidden = submit.with_name("hidden")
        submit.rename(hidden)
        try:
            assert sendmail(mta, token, where) == 0
        finally:
            hidden.rename(submit)

    def taken() -> None:
        leave()
        until(lambda: not list((mta.spool / "drop").glob("m.*")), 10.0, "an empty drop-box")

    lines = strace.trace(
        runner, taken, "-f", "-e", "trace=openat,write,fsync,fdatasync,renameat,unlinkat"
    )
    begun = next(n for n, line in enumerate(lines) if '"m.' in line)
    pid = lines[begun].split(" ")[0]
    own = [line for line in lines if line.startswith(f"{pid} ")]
    strikes = strace.strikes(own, r'-[DH]"|"m\.|sync\(|write\(|rename')
    assert len(strikes) > 8
    for strike in strikes:
        how = f"inject={strike.call}:signal=KILL:when={strike.number}"
        options = ("-f", "-o", "/dev/null", "-e", f"trace={strike.call}", "-e", how)
        with strace.attached(runner, *options):
            leave()
            until(lambda: not waits(mta), 10.0, "a look at the drop-box")
        until(lambda: not list((mta.spool / "drop").glob("m.*")), 10.0, "an empty drop-box")
    arrived_at_least_once(mta, asked)
    assert session(mta)
    mta.stop()


def waits(mta: Running) -> bool:
    return bool(list((mta.spool / "drop").glob("m.*")))


def arrived_at_least_once(mta: Running, asked: set[str]) -> None:
    """A death between taking and removing a file makes two of one message, never none."""
    conversation.empty_queue(mta)
    arrived = conversation.delivered(mta.maildir("alice"))
    assert set(arrived) == asked
    assert max(arrived.values()) <= 2
