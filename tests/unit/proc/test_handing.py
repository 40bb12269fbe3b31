"""Tests of handing in what a delivery made: to the daemon, or into the drop-box."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from mta.base.errors import TempFail
from mta.proc.handing import hand_in
from mta.receive.frames import Accepted, Rejected, Submit
from mta.unix import frames
from mta.unix.process import run_child

TO = ("a@b", "c@d")


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    (tmp_path / "drop").mkdir()
    return tmp_path


def serve(listening: socket.socket, note: Path, answer: object | None) -> int:
    """Play the daemon for one connection: note what is wanted, and answer."""

    def work() -> None:
        channel, _ = listening.accept()
        received = frames.receive(channel, (Submit,))
        assert received is not None
        (fd,) = received.fds
        note.write_bytes(repr(received.message).encode() + b"\n" + os.read(fd, 1000))
        if answer is not None:
            frames.send(channel, answer)

    listening.listen(1)
    return run_child(work)


Daemon = Callable[[str | bytes, object | None], Path]


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    def make(address: str | bytes, answer: object | None) -> Path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
            listening.bind(address)
            serve(listening, tmp_path / "note", answer)
        return tmp_path / "note"

    return make


def test_the_daemon_gets_the_message_with_the_null_sender(spool: Path, daemon: Daemon) -> None:
    note = daemon(f"{spool}/run/submit", Accepted("1vNcbb-000000000Ab-1234"))
    hand_in(str(spool), "", TO, b"Subject: x\n\nhello\n")
    request, _, message = note.read_bytes().partition(b"\n")
    assert message == b"Subject: x\n\nhello\n"
    wanted = Submit(1, "<>", "", TO, 0, 0, "background", 1, "", "")
    assert request.decode() == repr(wanted)
    assert os.listdir(spool / "drop") == []


def test_those_who_serve_one_command_only_are_found_by_their_address(
    spool: Path, daemon: Daemon
) -> None:
    address = b"\0mta-test-%d" % os.getpid()
    note = daemon(address, Accepted("1vNcbb-000000000Ab-1234"))
    hand_in(str(spool), address, TO, b"x\n")
    assert note.read_bytes().endswith(b"\nx\n")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (Rejected(75, "no space"), "the message was not taken: no space"),
        (None, "the daemon closed the connection without an answer"),
    ],
)
def test_what_is_not_taken_is_tried_again(
    spool: Path, daemon: Daemon, answer: object | None, text: str
) -> None:
    daemon(f"{spool}/run/submit", answer)
    with pytest.raises(TempFail, match=text):
        hand_in(str(spool), "", TO, b"x\n")
    assert os.listdir(spool / "drop") == []


def test_without_a_daemon_it_goes_into_the_drop_box(spool: Path) -> None:
    hand_in(str(spool), "", TO, b"Subject: x\n\nhello\n")
    (name,) = os.listdir(spool / "drop")
    start, _, rest = (spool / "drop" / name).read_bytes().partition(b"\n")
    size = int(start.rpartition(b" ")[2])
    assert rest[:size] == (
        b"recipients=a@b\0recipients=c@d\0has_sender=1\0sender=<>\0from_headers=0\0"
        b"dot_ends=0\0delivery=background\0fixups=1\0"
    )
    assert rest[size:] == b"Subject: x\n\nhello\n"


def test_without_either_it_is_tried_again(tmp_path: Path) -> None:
    with pytest.raises(TempFail, match="no daemon answers, and the drop-box"):
        hand_in(str(tmp_path), "", TO, b"x\n")
