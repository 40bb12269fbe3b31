"""The commands that list and steer the queue, with the daemon and without: words and codes.

The words are those that the real Exim 4.98.2 said for the same commands.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from mta.spool.layout import Spool
from mta.spool.reader import Message
from tests.harness import clients, daemon, mailbox
from tests.harness.daemon import Running
from tests.harness.source import TREE
from tests.harness.wait import until

CONFIG = daemon.BASIC.replace("split_spool", "queue_only\nsplit_spool").replace(
    "begin routers\n",
    "begin routers\nwait:\n  driver = redirect\n  domains = local.test\n"
    "  local_parts = wait\n  allow_defer\n  data = :defer: try later\n",
)
NONE = "1aaaaa-00000000000-0000"


@pytest.fixture
def mta() -> Iterator[Running]:
    with daemon.running(CONFIG) as tree:
        yield tree


@pytest.fixture
def alone() -> Iterator[Running]:
    """The same without a daemon: it has run before."""
    with daemon.prepared(CONFIG) as tree:
        tree.start()
        tree.stop()
        yield tree


def put(mta: Running, *to: str, sender: str = "ann@sender.test") -> str:
    """A message in the queue; its id."""
    before = set(mta.messages())
    if mta.process is not None and mta.process.poll() is None:
        clients.send(mta.address, sender, list(to))
    else:
        ended = mta.run(
            "sendmail", *mta.arguments(), "-odq", "-f", sender, *to, message=b"\nx\n"
        )
        assert ended.returncode == 0, ended.stderr
    until(lambda: len(mta.messages()) > len(before), 10.0, "a message in the queue")
    (message,) = set(mta.messages()) - before
    return message


def exim(mta: Running, *words: str) -> tuple[int, str]:
    """Exit code and standard output of a command."""
    ended = mta.run("sendmail", *mta.arguments(), *words)
    return ended.returncode, ended.stdout.decode() + ended.stderr.decode()


def listed(mta: Running, option: str, *ids: str) -> list[str]:
    """The lines of a listing without ages and sizes."""
    _, text = exim(mta, option, *ids)
    return [re.sub(r"^ ?\d+[mhd] +[\d.]+[KM]? ", "", line) for line in text.split("\n")]


def said(mta: Running, message: str) -> list[str]:
    """What the log says of a message."""
    return [line[44:] for line in mta.log().split("\n") if line[20:43] == message]


def test_freeze_and_thaw(mta: Running) -> None:
    message = put(mta, "alice@local.test")
    assert exim(mta, "-Mf", message) == (0, f"Message {message} is now frozen\n")
    assert exim(mta, "-Mf", message) == (1, f"Message {message} is already frozen\n")
    assert listed(mta, "-bp") == [
        f"{message} <ann@sender.test> *** frozen ***",
        "          alice@local.test",
        "",
        "",
    ]
    exim(mta, "-qf")
    mta.await_log("End queue run: pid=")
    assert exim(mta, "-Mt", message) == (0, f"Message {message} is no longer frozen\n")
    assert exim(mta, "-Mt", message) == (1, f"Message {message} is not frozen\n")
    lines = said(mta, message)
    assert [line.rpartition(" ")[0] for line in lines[1:]] == [
        "frozen by",
        "Message is",
        "unfrozen by",
    ]
    exim(mta, "-q")
    mailbox.await_messages(mta.maildir("alice"), 1)
    mta.await_empty()


def test_a_forced_run_thaws_with_two_f_only(mta: Running) -> None:
    message = put(mta, "alice@local.test")
    exim(mta, "-Mf", message)
    exim(mta, "-Rf", "ALICE@LOCAL")
    mta.await_log("End queue run: pid=")
    assert mta.messages() == [message]
    exim(mta, "-Rff", "ALICE@LOCAL")
    mailbox.await_messages(mta.maildir("alice"), 1)
    mta.await_log(" Completed")
    assert "Unfrozen by forced delivery" in said(mta, message)
    runs = [line for line in mta.log().split("\n") if "queue run" in line]
    assert [re.sub(r"pid=\d+", "pid", line[20:]) for line in runs[:3]] == [
        "Start queue run: pid -qf -R ALICE@LOCAL",
        "End queue run: pid -qf -R ALICE@LOCAL",
        "Start queue run: pid -qff -R ALICE@LOCAL",
    ]


def test_give_up(mta: Running) -> None:
    message = put(mta, "alice@local.test", sender="bob@local.test")
    assert exim(mta, "-Mg", message) == (0, "")
    (bounce,) = mailbox.await_messages(mta.maildir("bob"), 1)
    assert b"address(es) failed:\n\n  alice@local.test\n\n--" in bounce
    mta.await_empty()
    assert [line.rpartition(" ")[0] for line in said(mta, message)[1:]] == ["cancelled by", ""]
    assert mailbox.messages(mta.maildir("alice")) == []


def test_mark_add_and_edit(mta: Running) -> None:
    message = put(mta, "alice@local.test", "bob@local.test")
    modified = (0, f"Message {message} has been modified\n")
    assert exim(mta, "-Mmd", message, "alice@local.test") == modified
    assert exim(mta, "-Mar", message, "carol@local.test") == modified
    assert exim(mta, "-Mes", message, "new@sender.test") == modified
    assert listed(mta, "-bp")[:4] == [
        f"{message} <new@sender.test>",
        "        D alice@local.test",
        "          bob@local.test",
        "          carol@local.test",
    ]
    assert listed(mta, "-bpu")[1:3] == [
        "          bob@local.test",
        "          carol@local.test",
    ]
    assert listed(mta, "-bpru")[1] == "          bob@local.test"
    assert listed(mta, "-bpri") == [message, ""]
    assert exim(mta, "-Mmd", message, "nobody@x.test") == (
        1,
        f"Message {message} - error while marking as delivered:\n"
        "  nobody@x.test is not a recipient: message not updated\n",
    )
    assert exim(mta, "-Mes", message, "a@b.test", "c@d.test") == (
        1,
        f"Message {message} - only one sender address can be specified\n",
    )
    assert exim(mta, "-Mmad", message) == (0, f"Message {message} has been modified\n\n")
    exim(mta, "-q")
    mta.await_log(f"{message} Completed")
    assert not mta.maildir("bob").exists()


def test_remove_and_what_is_not_there(mta: Running) -> None:
    message = put(mta, "alice@local.test")
    assert exim(mta, "-Mrm", message, NONE) == (
        1,
        f"Message {message} has been removed\n"
        f"Spool data file for {NONE} does not exist\n"
        "Continuing, to ensure all files removed\n"
        f"Spool read error for {NONE}-H: No such file or directory\n"
        "Continuing to ensure all files removed\n"
        f"Message {NONE} has been removed or did not exist\n",
    )
    for flag in ("-Mf", "-Mt", "-Mmd", "-Mar", "-Mes"):
        words = ["a@b.test"] if flag in ("-Mmd", "-Mar", "-Mes") else []
        assert exim(mta, flag, NONE, *words) == (
            1,
            f"Spool data file for {NONE} does not exist\n",
        )
    assert mta.log().count(f"{NONE} Spool file {NONE}-D not found") == 6
    assert listed(mta, "-bp", NONE) == [
        f"      {NONE}-H",
        "    *** spool read error: No such file or directory ***",
        "",
        "",
    ]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("-Mf",), "no message ids given after -Mf option"),
        (("-Mg", "x"), "malformed message id x after -Mg option"),
        (("-Mvh",), "no message ids given after -Mvh option"),
        (("-Mset", NONE), "option -Mset goes with -be"),
        (("-MCd",), "option -MCd is internal and cannot be given"),
        (("-MG", "q"), "option -MG is Exim's and is not there yet"),
    ],
)
def test_what_is_not_understood_is_refused(
    mta: Running, words: tuple[str, ...], reason: str
) -> None:
    code, text = exim(mta, *words)
    assert code != 0
    assert text == f"sendmail: {reason}\n"


def test_views(mta: Running) -> None:
    message = put(mta, "alice@local.test")
    code, text = exim(mta, "-Mvb", message)
    assert (code, text[:26]) == (0, f"{message}-D\n")
    code, text = exim(mta, "-Mvc", message)
    assert text.startswith("Received: from ")
    assert "\n\n" in text
    assert exim(mta, "-Mvh", message)[1].startswith(f"{message}-H\n")
    assert exim(mta, "-Mvh", NONE) == (
        1,
        f"Failed to open input file for {NONE}-H: No such file or directory\n",
    )
    assert exim(mta, "-Mvb", NONE) == (
        1,
        f"Failed to open input file for {NONE}-D: No such file or directory\n",
    )
    assert exim(mta, "-Mvl", NONE) == (
        1,
        f"Failed to open msglog file for {NONE}: No such file or directory\n",
    )
    assert exim(mta, "-Mvc", NONE) == (1, f"Spool data file for {NONE} does not exist\n")
    assert exim(mta, "-Mvh", message, message) == (
        1,
        "*** Only one message can be listed at once\n",
    )
    asked = "$sender_address|$recipients_count"
    assert exim(mta, "-Mset", message, "-be", asked) == (0, "ann@sender.test|1\n")


def test_a_message_in_other_hands_is_left_alone(mta: Running) -> None:
    message = put(mta, "alice@local.test")
    spool = Spool(str(mta.spool), split=True)
    spool.owners |= {os.stat(mta.spool / "input").st_uid}
    held = Message.open(spool, message)
    assert held is not None
    with held:
        for flag in ("-Mf", "-Mrm", "-Mg", "-Mmad"):
            code, text = exim(mta, flag, message)
            assert (code, text.rstrip("\n")) == (1, f"Message {message} is locked")
    spool.close()
    assert exim(mta, "-Mrm", message)[0] == 0


def test_a_queue_run_from_one_id_to_another(mta: Running) -> None:
    first, second, third = (put(mta, f"{who}@local.test") for who in ("alice", "bob", "carol"))
    exim(mta, "-q", second, second)
    mailbox.await_messages(mta.maildir("bob"), 1)
    until(lambda: mta.messages() == [first, third], 10.0, "two messages that are left")
    exim(mta, "-S", "ann@sender")
    mta.await_empty()


def test_the_first_that_is_asked_for_is_tried_even_if_it_is_not_due(mta: Running) -> None:
    first, second = put(mta, "wait@local.test"), put(mta, "wait@local.test")
    exim(mta, "-q")
    mta.await_log("End queue run")
    exim(mta, "-R", "wait")
    until(lambda: mta.log().count("End queue run") == 2, 10.0, "the end of the run")
    assert said(mta, first)[-1].endswith("R=wait defer (-1): try later")
    assert said(mta, second)[-1].endswith("routing defer (-52): retry time not reached")


def test_without_a_daemon_the_same_words(alone: Running) -> None:
    message = put(alone, "alice@local.test")
    other = put(alone, "alice@local.test")
    assert exim(alone, "-Mf", message) == (0, f"Message {message} is now frozen\n")
    assert exim(alone, "-Mt", message, NONE) == (
        1,
        f"Message {message} is no longer frozen\nSpool data file for {NONE} does not exist\n",
    )
    assert exim(alone, "-Mar", message, "bob@local.test")[0] == 0
    assert exim(alone, "-Mrm", other) == (0, f"Message {other} has been removed\n")
    # Nothing was delivered by all that.
    assert alone.messages() == [message]
    assert exim(alone, "-M", message) == (0, "")
    assert len(mailbox.messages(alone.maildir("bob"))) == 1
    assert alone.messages() == []


def test_why_a_message_waits(mta: Running) -> None:
    message = put(mta, "x@relay.test")
    exim(mta, "-q")
    mta.await_log("defer (111)")
    (reason,) = json.loads(why(mta, "--json", message))["reasons"]
    (failure,) = reason["failures"]
    assert failure["what"] == f"delivery to 127.0.0.1:127.0.0.1:{mta.macros['SINK']}"
    assert failure["text"] == "Connection refused"
    assert failure["rule"] == "* * F,1h,1s"
    assert failure["rule_at"] == f"{mta.config}:{_line_of(mta, '* * F,1h,1s')}"
    assert failure["gives_up"] == failure["failing_since"] + 3600
    shown = why(mta, "relay.test")
    assert "delivery to 127.0.0.1:127.0.0.1" in shown
    assert 'rule "* * F,1h,1s" at ' in shown
    assert f"To have it tried now: mta queue retry {message}" in why(mta, message)


def why(mta: Running, *words: str) -> str:
    """What `mta queue why` says."""
    code = (
        "import sys; sys.path.insert(0, sys.argv.pop(1))\n"
        "from mta.cli.main import main; main()"
    )
    ended = subprocess.run(
        [sys.executable, "-I", "-c", code, TREE, "queue", "why", *mta.arguments(), *words],
        capture_output=True,
        timeout=60,
        check=False,
        cwd="/",
        **daemon.identity(mta.who),
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.decode()


def _line_of(mta: Running, text: str) -> int:
    return mta.config.read_text().split("\n").index(text) + 1


@pytest.mark.parametrize(("option", "told"), [("freeze", 1), ("freeze/no_tell", 0)])
def test_a_message_that_is_frozen_on_arrival(option: str, told: int) -> None:
    config = daemon.BASIC.replace(
        "begin acl\n", f"begin acl\ncheck_data:\n  accept control = {option}\n"
    )
    config = config.replace(
        "split_spool", "acl_smtp_data = check_data\nfreeze_tell = bob@local.test\nsplit_spool"
    )
    with daemon.running(config) as mta:
        clients.send(mta.address, "ann@sender.test", ["alice@local.test"])
        message = mta.await_log("frozen by ACL")[20:43]
        assert said(mta, message)[1:] == ["frozen by ACL"]
        if told:
            (notice,) = mailbox.await_messages(mta.maildir("bob"), 1)
            assert b"\nSubject: Message frozen on arrival\n" in notice
            assert notice.endswith(
                f"\nMessage {message} was frozen on arrival by ACL.\n"
                "The sender is <ann@sender.test>.\n".encode()
            )
        exim(mta, "-M", message)
        mailbox.await_messages(mta.maildir("alice"), 1)
        mta.await_empty()
        assert len(mailbox.messages(mta.maildir("bob"))) == told
