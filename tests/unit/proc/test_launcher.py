"""The launcher's judgement of requests, and what it does about those that are no requests."""

from __future__ import annotations

import grp
import os
import pwd
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from mta.config.load import load
from mta.deliver.frames import Reader, Refused, Start
from mta.log.sink import open_log
from mta.proc.launcher import MOST_COMPLAINTS, Launcher
from mta.proc.permission import Permission, Refusal
from mta.proc.roles import Identities, Inherited
from mta.unix import frames, privilege

CONFIG = """\
primary_hostname = mx.example
spool_directory = {spool}
never_users = root : games
begin routers
all:
  driver = accept
  transport = box
begin transports
box:
  driver = appendfile
  directory = /nowhere
  maildir_format
fixed:
  driver = appendfile
  directory = /nowhere
  maildir_format
  user = nobody
remote:
  driver = smtp
"""


@dataclass
class Case:
    """A launcher in this process, and both ends of what it talks through."""

    launcher: Launcher
    asker: socket.socket
    log: Path
    started: list[privilege.Identity]

    def ask(self, octets: bytes, fds: list[int]) -> None:
        """Send a datagram and let the launcher look at it."""
        socket.send_fds(self.asker, [octets], fds)
        self.launcher.request()

    def answer(self, request: Start | Reader) -> Refused | None:
        """What is answered to a request; None when a worker was started."""
        ours, theirs = frames.pair()
        with ours:
            with theirs:
                self.ask(frames.encode(request), [theirs.fileno()])
            ours.setblocking(False)
            try:
                received = frames.receive(ours, (Refused,))
            except BlockingIOError:
                return None
            assert received is None or isinstance(received.message, Refused)
            return received.message if received else None

    def logged(self) -> list[str]:
        return self.log.read_text("utf-8", "replace").split("\n")[:-1]


NOBODY = pwd.getpwnam("nobody")
NETWORK = privilege.Identity("net", 64001, 64001, (64001,))
MAIL = privilege.Identity("mail", 64000, 64000, (64000, 64001))


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    file = tmp_path / "mta.conf"
    file.write_text(CONFIG.format(spool=tmp_path))
    control, _keep = frames.pair()
    asker, requests = frames.pair()
    inherited = Inherited(
        load(str(file)),
        control,
        open_log(str(tmp_path / "%slog")),
        {"start-requests": requests},
        [],
        Identities(MAIL, NETWORK, separated=True),
    )
    launcher = Launcher(inherited)
    started: list[privilege.Identity] = []

    def fork(work: object, *, panic: int) -> int:
        started.append(MAIL)
        return 4_000_000 + len(started)

    monkeypatch.setattr("mta.proc.launcher.process.run_child", fork)
    yield Case(launcher, asker, tmp_path / "mainlog", started)
    for each in (control, _keep, asker, requests):
        each.close()


def judge(case: Case, *, transport: str = "box", user: str = "nobody", group: str = "") -> str:
    verdict = case.launcher.permission.judge(Start(transport, user, group, 0))
    return verdict.reason if isinstance(verdict, Refusal) else f"{verdict.uid}:{verdict.gid}"


def test_a_user_whom_the_transport_does_not_name_may_be_asked_for(case: Case) -> None:
    assert judge(case) == f"{NOBODY.pw_uid}:{NOBODY.pw_gid}"


@pytest.mark.parametrize(
    "user", ["root", "0", "00", "games", str(pwd.getpwnam("games").pw_uid)]
)
def test_root_and_never_users_are_refused_by_name_and_number(case: Case, user: str) -> None:
    assert judge(case, user=user).endswith("is one of never_users")


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (Reader("nobody", "", 0), f"{NOBODY.pw_uid}:{NOBODY.pw_gid}"),
        # It runs nothing of theirs.
        (
            Reader("games", "", 1),
            f"{pwd.getpwnam('games').pw_uid}:{pwd.getpwnam('games').pw_gid}",
        ),
        (Reader("root", "", 0), "files are never looked at as root"),
        (Reader("0", "", 0), "files are never looked at as root"),
        (Reader("", "", 0), "user '' does not exist"),
        (Reader("no-such-user", "", 0), "user 'no-such-user' does not exist"),
        (Reader("nobody", "shadow", 0), "nobody is not in group shadow"),
    ],
)
def test_who_looks_at_files(case: Case, request_: Reader, said: str) -> None:
    verdict = case.launcher.permission.judge_reader(request_)
    if isinstance(verdict, Refusal):
        assert verdict.reason == said
    else:
        assert f"{verdict.uid}:{verdict.gid}" == said
        assert verdict.groups == (verdict.gid,)


def test_a_looker_is_started_or_refused_as_a_worker_is(case: Case) -> None:
    assert case.answer(Reader("nobody", "", 0)) is None
    assert len(case.started) == 1
    answer = case.answer(Reader("root", "", 0))
    assert answer is not None
    assert answer.reason == "files are never looked at as root"
    assert len(case.started) == 1


def test_a_literal_user_is_that_user_and_no_other(case: Case) -> None:
    assert judge(case, transport="fixed", user="daemon") == "the transport runs as nobody only"
    assert judge(case, transport="fixed", user="") == "the transport runs as nobody only"


def test_a_remote_transport_runs_as_the_network_user_whatever_is_asked(case: Case) -> None:
    assert judge(case, transport="remote", user="root", group="root") == "64001:64001"


@pytest.mark.parametrize("group", ["root", "shadow", "disk", "0", "42"])
def test_a_group_that_nothing_gives_the_user_is_refused(case: Case, group: str) -> None:
    assert judge(case, group=group) in (
        f"nobody is not in group {group}",
        f"group {group!r} does not exist",
    )


def test_a_group_without_a_user_is_refused(case: Case) -> None:
    assert judge(case, user="", group="shadow") == "a group is named, but no user"


def test_all_groups_are_given_only_where_the_configuration_says_so(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mta.unix.users.groups_of", lambda user: (user.gid, 42))
    verdict = case.launcher.permission.judge(Start("box", "nobody", "", 1))
    assert isinstance(verdict, privilege.Identity)
    assert verdict.groups == (NOBODY.pw_gid,)


def test_a_user_in_group_root_gets_nothing(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert grp.getgrgid(0).gr_name == "root"
    monkeypatch.setattr("mta.unix.users.groups_of", lambda user: (user.gid, 0))
    assert judge(case, group="root") == "user nobody is in group 0"


@pytest.mark.parametrize(
    ("transport", "user", "group"),
    [
        ("../box", "nobody", ""),
        ("\x01" * 30_000, "nobody", ""),
        ("box", "9" * 5000, ""),
        ("box", "-1", ""),
        ("box", "\udcff" * 10_000, ""),
        ("box", "nobody", "9" * 5000),
        ("box", "nobody", "\x7f" * 40_000),
        ("box", "4294967295", ""),
        ("box", "18446744073709551616", ""),
    ],
)
def test_names_that_nobody_has_are_refused(
    case: Case, transport: str, user: str, group: str
) -> None:
    answer = case.answer(Start(transport, user, group, 0))
    assert answer is not None
    assert answer.reason
    assert case.started == []


def test_a_request_whose_channel_is_no_channel_is_dropped(case: Case, tmp_path: Path) -> None:
    request = frames.encode(Start("box", "nobody", "", 0))
    stream, other = socket.socketpair()
    file = os.open(tmp_path, os.O_RDONLY)
    pipe = os.pipe()
    for fd in (stream.fileno(), file, *pipe):
        case.ask(request, [fd])
    case.ask(request, [])
    case.ask(request, [stream.fileno(), other.fileno()])
    assert case.started == []
    assert len(case.logged()) == 6
    for fd in (file, *pipe):
        os.close(fd)
    stream.close()
    other.close()


def test_an_asker_that_does_not_read_holds_up_nobody(case: Case) -> None:
    ours, theirs = frames.pair()
    with ours, theirs:
        theirs.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                theirs.send(b"x" * 1000)
        case.ask(frames.encode(Start("box", "root", "", 0)), [theirs.fileno()])
    assert case.started == []


def test_an_empty_datagram_does_not_end_the_launcher(case: Case) -> None:
    case.ask(b"", [])
    assert not case.launcher.draining
    case.answer(Start("box", "nobody", "", 0))
    assert len(case.started) == 1


def test_no_descriptor_is_kept_of_what_is_not_served(case: Case) -> None:
    before = len(os.listdir("/proc/self/fd"))
    null = os.open(os.devnull, os.O_RDONLY)
    for octets in (
        b"nonsense\0",
        b"",
        b"start\0",
        b"start\0transport=box\0",
        b"\xff" * 70_000,
    ):
        for count in (0, 1, 5, 16):
            case.ask(octets[:65_537], [null] * count)
    case.ask(frames.encode(Start("box", "nobody", "", 0)), [null])
    os.close(null)
    assert len(os.listdir("/proc/self/fd")) == before
    assert case.started == []


def test_the_log_tells_of_many_bad_requests_only_their_number(case: Case) -> None:
    for _ in range(5000):
        case.ask(b"nonsense\0", [])
    assert len(case.logged()) == MOST_COMPLAINTS
    case.launcher.minute -= 61.0
    case.ask(b"nonsense\0", [])
    assert case.logged()[-2].endswith(
        f"launcher: {5000 - MOST_COMPLAINTS} more were not served"
    )


def test_permission_is_made_of_the_configuration_alone(case: Case) -> None:
    fresh = Permission(case.launcher.inherited.conf, case.launcher.inherited.identities)
    assert fresh.never == {0, pwd.getpwnam("games").pw_uid}
