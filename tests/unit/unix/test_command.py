"""Tests of running commands: that their end is never missed, whatever happens meanwhile."""

from __future__ import annotations

import os
import select
from pathlib import Path

import pytest

from mta.unix import command
from mta.unix.command import Command, Ended, run

TRUE = Command(["/bin/true"], {})


def test_a_command_that_ends_between_two_looks_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = 0

    def late(conversation: command._Conversation) -> bool:
        """It is still there at the first look after its output has ended, and then never."""
        nonlocal looks
        poll = select.poll()
        poll.register(conversation._ended, select.POLLIN)
        if conversation._output < 0 and not looks:
            looks += 1
            poll.poll(None)  # it ends right after this answer was found
            return False
        return bool(poll.poll(0))

    monkeypatch.setattr(command._Conversation, "_has_ended", late)
    assert run(TRUE, [b""], seconds=3600, limit=100) == Ended(0, b"")
    assert looks == 1


def test_what_is_given_in_empty_pieces_is_given_whole() -> None:
    cat = Command(["/bin/cat"], {})
    assert run(cat, [b"", b"a", b"", b"b"], seconds=60, limit=100).output == b"ab"


def test_somebody_left_behind_with_the_output_is_heard_but_is_no_failure() -> None:
    gone = "until grep -q State:.Z /proc/$$/status; do :; done"
    script = f"({gone}; echo late) & echo early; exit 3"
    ended = run(Command(["/bin/sh", "-c", script], {}), [b"x"], seconds=60, limit=100)
    assert ended == Ended(3, b"early\nlate\n")


def test_what_cannot_be_started_says_why_and_leaves_nothing_open() -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    with pytest.raises(FileNotFoundError):
        run(Command(["/nonexistent"], {}), [b"x"], seconds=60, limit=100)
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_an_error_in_what_is_given_ends_the_command() -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    ours = children.read_text()

    def pieces() -> object:
        yield b"x"
        raise KeyError

    with pytest.raises(KeyError):
        run(Command(["/bin/cat"], {}), pieces(), seconds=60, limit=100)  # type: ignore[arg-type]
    assert sorted(os.listdir("/proc/self/fd")) == before
    assert children.read_text() == ours
