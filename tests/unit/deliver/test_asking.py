"""Seeing files through a process that has become their user: what is asked and believed."""

from __future__ import annotations

import errno
import os
import pwd
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mta.base import clock
from mta.base.errors import TempFail
from mta.base.trust import is_trusted
from mta.config.load import load
from mta.deliver.asking import AskedFiles
from mta.deliver.frames import Look, Piece, Reader, Refused, Sight, Unseen
from mta.expand.context import Context
from mta.lookup.api import Tables
from mta.proc import looker
from mta.proc.looker import Looker
from mta.route.api import Address, Owner, address_of
from mta.route.conditions import scene_of
from mta.route.drivers.redirect import Redirect
from mta.route.forward_list import Special
from mta.unix import frames, privilege

CONFIG = """\
primary_hostname = mx.example
qualify_domain = example.org
begin routers
lists:
  driver = redirect
  local_parts = joe : jim
  file = {place}/$local_part_data
  user = {user}
  require_files = {place}/$local_part_data : !{place}/none
  include_directory = {place}
senders:
  driver = redirect
  file = {place}/$sender_address_local_part$message_exim_id
  user = {user}
all:
  driver = accept
  transport = box
begin transports
box:
  driver = appendfile
  directory = /nowhere
  maildir_format
"""
ME = pwd.getpwuid(os.geteuid()).pw_name
OWNER = Owner("nobody" if os.geteuid() == 0 else ME)


@dataclass
class Case:
    """One who asks, and one who looks, in this process; there is no launcher."""

    place: Path
    files: AskedFiles
    looker: Looker
    asker: socket.socket
    requests: socket.socket

    def answer(self, *answers: object) -> None:
        """What will be read when it is asked for the next time."""
        for each in answers:
            frames.send(self.looker.channel, each)

    def look(self, router: str = "lists", address: str = "joe@x.example") -> None:
        self.looker.look(Look(router, address))

    def router(self, name: str = "lists") -> Redirect:
        router = self.looker.routers[name]
        assert isinstance(router, Redirect)
        router.files = self.files
        return router

    def settled(self, name: str = "lists") -> tuple[Context, Address]:
        ctx = Context(self.looker.conf, Tables())
        address = address_of("joe@x.example")
        looker.settle(self.router(name), ctx, address)
        return ctx, address


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    file = tmp_path / "mta.conf"
    file.write_text(CONFIG.format(place=tmp_path, user=OWNER.user))
    conf = load(str(file))
    asker, requests = frames.pair()
    ours, theirs = frames.pair()
    files = AskedFiles(asker, patience=0.2)
    ours.settimeout(0.2)
    files._idle[OWNER] = ours
    me = privilege.myself()
    made = Looker(conf, looker.load(conf), theirs, me, separated=False)
    yield Case(tmp_path, files, made, asker, requests)
    for each in (asker, requests, theirs):
        each.close()
    files.close()


def test_a_list_is_what_the_looker_read(case: Case) -> None:
    (case.place / "joe").write_text("a@x.example, /box\n" + "# comment\n" * 10_000)
    case.look()
    ctx, address = case.settled()
    found, skipped = case.router().read(ctx, address)
    assert not isinstance(found, Special)
    assert [child.text for child in found] == ["a@x.example", "/box"]
    assert skipped == []
    assert not any(is_trusted(child.text) for child in found)


def test_what_the_list_includes_comes_with_it(case: Case) -> None:
    (case.place / "joe").write_text(f":include:{case.place}/inner\n")
    (case.place / "inner").write_text(f"b@y.example\n:include:{case.place}/gone\n")
    case.look()
    ctx, address = case.settled()
    gathered = case.files.gather(case.router(), ctx, address, OWNER)
    assert {path: seen.error for path, seen in gathered.included.items()} == {
        f"{case.place}/inner": 0,
        f"{case.place}/gone": errno.ENOENT,
    }


def test_a_missing_list_is_known_without_asking(case: Case) -> None:
    ctx, address = case.settled()
    assert case.router().read(ctx, address) == ([], [])


def test_a_required_file_is_looked_for(case: Case) -> None:
    path = case.place / "joe"
    case.looker.look(Look("lists", "joe@x.example", number=0))
    ctx, address = case.settled()
    code = case.files.probe(case.router(), ctx, address, OWNER, 0, str(path))
    assert code == errno.ENOENT


def test_a_looker_that_looked_elsewhere_is_not_believed(case: Case) -> None:
    (case.place / "joe").write_text("a@x.example\n")
    case.look(address="jim@x.example")
    ctx, address = case.settled()
    with pytest.raises(TempFail, match="where it is read"):
        case.router().read(ctx, address)


def test_a_name_that_depends_on_the_message_is_not_followed(case: Case) -> None:
    router = case.router("senders")
    ctx, address = case.settled("senders")
    ctx.message.sender = "s@sender.example"
    ctx.message.message_id = "1"
    ctx.place = scene_of(address)
    case.look("senders", "joe@x.example")
    with pytest.raises(TempFail, match="Tainted"):
        router.read(ctx, address)


@pytest.mark.parametrize(
    ("order", "why"),
    [
        (Look("all", "joe@x.example"), "there is no router 'all' that names files"),
        (Look("nonsense" * 100, "joe@x.example"), "there is no router"),
        (Look("lists", "eve@x.example"), "lists router does not run for eve@x.example"),
        (Look("lists", "../../etc@x.example"), "lists router does not run for"),
        (Look("lists", "joe@x.example", number=7), "item is no file"),
    ],
)
def test_a_looker_looks_at_nothing_that_no_router_names(
    case: Case, order: Look, why: str
) -> None:
    case.looker.look(order)
    ctx, address = case.settled()
    with pytest.raises(TempFail, match=why):
        case.files.gather(case.router(), ctx, address, OWNER)


def test_a_list_is_read_for_its_owner_alone(case: Case) -> None:
    case.looker.separated = True
    (case.place / "joe").write_text("a@x.example\n")
    if OWNER.user == ME:
        pytest.skip("we are who owns it")
    case.look()
    ctx, address = case.settled()
    with pytest.raises(TempFail, match="the files of lists router are those of nobody"):
        case.files.gather(case.router(), ctx, address, OWNER)


@pytest.mark.parametrize(
    "answers",
    [
        (Sight("/x", size=1 << 30),),
        (Sight("/x", size=-1),),
        (Piece(b"x"),),
        (Sight("/x", size=3), Sight("/y")),
        (Sight("/x", size=3), Piece(b"")),
        tuple(Sight(f"/{number}", left=1) for number in range(110)),
        (Refused("no", 0),),
        (Unseen("no"),),
        (),
    ],
)
def test_a_looker_that_answers_nonsense_or_nothing_defers(
    case: Case, answers: tuple[object, ...]
) -> None:
    (case.place / "joe").write_text("a@x.example\n")
    case.answer(*answers)
    ctx, address = case.settled()
    with pytest.raises(TempFail):
        case.router().read(ctx, address)
    assert OWNER not in case.files._idle


def test_one_that_has_left_is_replaced_by_a_fresh_one(case: Case) -> None:
    (case.place / "joe").write_text("a@x.example\n")
    case.looker.channel.close()
    case.requests.setblocking(False)
    ctx, address = case.settled()
    with pytest.raises(TempFail, match="no answer within"):
        case.router().read(ctx, address)
    received = frames.receive(case.requests, (Reader,))
    assert received is not None
    assert received.message == Reader(OWNER.user, "", 0)
    received.close()


def test_a_user_whose_files_do_not_come_is_not_waited_for_again(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    (case.place / "joe").write_text("a@x.example\n")
    ctx, address = case.settled()
    with pytest.raises(TempFail, match="no answer within"):
        case.router().read(ctx, address)
    case.requests.setblocking(False)
    with pytest.raises(TempFail, match="they did not come lately"):
        case.router().read(ctx, address)
    with pytest.raises(BlockingIOError):
        frames.receive(case.requests, (Reader,))
    now = clock.monotonic()
    monkeypatch.setattr(clock, "monotonic", lambda: now + 301.0)
    with pytest.raises(TempFail, match="no answer within"):
        case.router().read(ctx, address)


def test_what_is_roots_is_looked_at_as_who_we_are(case: Case) -> None:
    ctx, address = case.settled()
    (case.place / "joe").write_text("a@x.example\n")
    gathered = case.files.gather(case.router(), ctx, address, Owner("root"))
    assert gathered.list is not None
    assert gathered.list.octets == b"a@x.example\n"
    assert case.files._idle.keys() == {OWNER}
