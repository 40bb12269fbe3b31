"""Handing a message in: what is sent, what the answers mean, what starting it costs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mta.cli import inject
from mta.cli.options import Request, parse
from mta.receive.frames import Accepted, Finished, More, Rejected, Session, Submit
from mta.unix import frames
from mta.unix.process import run_child, tree_root

Answer = Callable[[socket.socket, list[object], list[int]], object]


def request(*words: str) -> Request:
    return parse("sendmail", list(words))


def test_the_frames_are_the_ones_of_the_other_side() -> None:
    (octets,) = inject.submission(
        request(
            "-f", "<s@example.com>", "-F", "Sénder", "-oi", "-odq", "-R", "full", "r@x.example"
        )
    )
    assert frames.decode(octets, (Submit,)) == Submit(
        1, "s@example.com", "Sénder", ("r@x.example",), 0, 0, "queue", 1, "full", ""
    )


def test_without_f_there_is_no_sender_which_is_not_the_null_sender() -> None:
    (octets,) = inject.submission(request("r@example.com"))
    message = frames.decode(octets, (Submit,))
    assert isinstance(message, Submit)
    assert (message.has_sender, message.sender) == (0, "")
    (octets,) = inject.submission(request("-f", "<>", "r@example.com"))
    message = frames.decode(octets, (Submit,))
    assert isinstance(message, Submit)
    assert (message.has_sender, message.sender) == (1, "")


@pytest.mark.parametrize("code", ["", "1_0", "+69", "٦٩", "256", "9" * 5000])
@pytest.mark.parametrize("verb", ["rejected", "finished"])
def test_an_exit_code_that_is_none_means_try_again_later(verb: str, code: str) -> None:
    answer = {"code": code, "text": "no"}
    assert inject._judge("sendmail", request("r@example.com"), verb, answer) == 75


def test_many_recipients_travel_in_several_frames() -> None:
    recipients = [f"recipient-{number}@example.com" for number in range(10_000)]
    *more, last = inject.submission(request(*recipients))
    parts = [frames.decode(octets, (More,)) for octets in more]
    end = frames.decode(last, (Submit,))
    assert isinstance(end, Submit)
    sent = [each for part in parts if isinstance(part, More) for each in part.recipients]
    assert sent + list(end.recipients) == recipients
    assert max(map(len, [*more, last])) <= frames.LIMIT


@pytest.fixture
def daemon(tmp_path: Path) -> Callable[[Answer], str]:
    """Starts a process that answers one submission; gives the spool."""

    def start(answer: Answer) -> str:
        # Longer than the address of a socket may be.
        spool = tmp_path / ("s" * 120)
        (spool / "run").mkdir(parents=True)
        directory = os.open(spool / "run", os.O_PATH)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listening.bind(f"/proc/self/fd/{directory}/submit")
        os.close(directory)
        listening.listen()

        def serve() -> None:
            connection, _ = listening.accept()
            heard: list[object] = []
            while (
                received := frames.receive(connection, (More, Submit, Session))
            ) is not None:
                heard.append(received.message)
                if not isinstance(received.message, More):
                    reply = answer(connection, heard, received.fds)
                    if reply is not None:
                        frames.send(connection, reply)
                    return

        run_child(serve)
        return str(spool)

    return start


def config(spool: str) -> str:
    file = Path(spool).parent / "mta.conf"
    file.write_text(f"spool_directory = {spool}\n")
    return str(file)


def call(
    spool: str, *words: str, text: bytes = b"Subject: x\n\nbody\n"
) -> subprocess.CompletedProcess[bytes]:
    boot = "import sys; sys.path.insert(0, sys.argv.pop(1))\nfrom mta.cli import sendmail\n"
    code = f"{boot}sys.exit(sendmail.run('sendmail', sys.argv[1:]))"
    command = [sys.executable, "-IS", "-c", code, tree_root(), "-C", config(spool)]
    return subprocess.run(
        [*command, *words],
        input=text,
        capture_output=True,
        timeout=20,
        check=False,
    )


def test_zero_means_that_the_daemon_has_it(daemon: Callable[[Answer], str]) -> None:
    def answer(connection: socket.socket, heard: list[object], fds: list[int]) -> object:
        with open(fds[0], "rb") as body:
            assert body.read() == b"Subject: x\n\nbody\n"
        return Accepted("1xVW5F-000000000tB-2FH8")

    ended = call(daemon(answer), "-v", "r@example.com")
    assert (ended.returncode, ended.stdout) == (0, b"accepted as 1xVW5F-000000000tB-2FH8\n")


def test_a_refusal_is_said_on_one_line_with_its_code(daemon: Callable[[Answer], str]) -> None:
    ended = call(daemon(lambda *_: Rejected(65, "no\nsuch thing")), "r@example.com")
    assert (ended.returncode, ended.stderr) == (65, b"sendmail: no\\nsuch thing\n")


def test_a_refusal_is_never_success(daemon: Callable[[Answer], str]) -> None:
    assert call(daemon(lambda *_: Rejected(0, "odd")), "r@example.com").returncode == 75


def test_a_lost_connection_is_told_apart_and_nothing_is_sent_twice(
    daemon: Callable[[Answer], str],
) -> None:
    spool = daemon(lambda *_: None)
    (Path(spool) / "drop").mkdir()
    ended = call(spool, "r@example.com")
    assert ended.returncode == 75
    assert b"may have been sent" in ended.stderr
    assert list((Path(spool) / "drop").iterdir()) == []


def test_an_smtp_session_gets_both_descriptors(daemon: Callable[[Answer], str]) -> None:
    def answer(connection: socket.socket, heard: list[object], fds: list[int]) -> object:
        assert heard == [Session(0, "", "")]
        os.write(fds[1], b"220 hello\r\n" + os.read(fds[0], 100))
        return Finished(0)

    ended = call(daemon(answer), "-bs", text=b"QUIT\r\n")
    assert (ended.returncode, ended.stdout) == (0, b"220 hello\r\nQUIT\r\n")


def drop_box(spool: Path) -> Path:
    (spool / "drop").mkdir(parents=True)
    os.chmod(spool / "drop", 0o3733)
    return spool / "drop"


def dropped(
    spool: Path, monkeypatch: pytest.MonkeyPatch, text: bytes, *words: str
) -> tuple[int, bytes]:
    """Send with nobody there, as one who may not start processes; the code and the file."""
    box = drop_box(spool)
    source = spool / "message"
    source.write_bytes(text)
    monkeypatch.setattr(inject.place, "may_start", lambda path: False)
    monkeypatch.setattr(inject, "_standard", lambda fd: os.open(source, os.O_RDONLY))
    code = inject.run("sendmail", request("-C", config(str(spool)), *words))
    (file,) = box.iterdir()
    return code, file.read_bytes()


def test_without_a_daemon_the_message_is_left_in_the_drop_box(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, octets = dropped(
        tmp_path / "spool", monkeypatch, b"Subject: x\n\n.\nafter\n", "-oi", "r@example.com"
    )
    assert code == 0
    start, _, rest = octets.partition(b"\n")
    assert start[:11] == b"mta-drop 1 "
    assert rest.startswith(b"recipients=r@example.com\0")
    assert rest.endswith(b"\0Subject: x\n\n.\nafter\n")


def test_in_the_drop_box_a_lone_dot_ends_the_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, octets = dropped(
        tmp_path / "spool", monkeypatch, b"Subject: x\n\nbody\n.\nafter\n", "r@example.com"
    )
    assert octets.endswith(b"\0Subject: x\n\nbody\n")


def test_without_drop_box_and_daemon_it_is_try_again_later(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    code = inject._drop("sendmail", request("r@example.com"), str(tmp_path / "spool"))
    assert code == 75


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--hepl"], 64),
        ([], 64),
        (["-bh", "x"], 64),
        (["-C", "/nonexistent/mta.conf", "r@example.com"], 78),
        (["--version"], 0),
        (["-bi"], 0),
    ],
)
def test_exit_codes_without_a_message(
    words: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    from mta.cli import sendmail

    assert sendmail.run("sendmail", words) == code


def test_sending_imports_nothing_that_is_slow(daemon: Callable[[Answer], str]) -> None:
    spool = daemon(lambda *_: Accepted("1xVW5F-000000000tB-2FH8"))
    code = (
        "import sys; sys.path.insert(0, sys.argv.pop(1))\n"
        "from mta.cli import sendmail\n"
        "code = sendmail.run('sendmail', sys.argv[1:])\n"
        "print(*sys.modules)\n"
        "sys.exit(code)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-IS", "-c", code, tree_root(), "-C", config(spool), "r@example.com"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    loaded = set(ended.stdout.split(" "))
    slow = {"click", "dns", "OpenSSL", "psutil", "socket", "subprocess", "ctypes", "argparse"}
    assert "mta.cli.inject" in loaded
    assert loaded & slow == set()
