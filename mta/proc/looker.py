"""A looker: the process that becomes a user and sees for routers which files he has.

    uid           the user whose files they are
    descriptors   one channel to the process that asked for it; the panic log
    in            look(router, address)
    out           sight + piece ..., or unseen
    neighbours    the asker gone: leave

It is told a router and an address and believes nothing else: what the preconditions of the
router find out - the domain, the local user and his home - it finds out again, and expands
the router's own option.  So whoever asks has read what the configuration names, and chooses no
path.  A list is read for its owner alone.  It leaves when nobody asked it for a while, and a
look that takes too long ends it.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from functools import partial

from mta.base.errors import ExpansionFail, ProtocolError, TempFail
from mta.base.text import is_number
from mta.config.model import Block, Configuration
from mta.deliver.frames import Look, Piece, Reader, Refused, Sight, Unseen
from mta.expand.compile import prepare
from mta.expand.context import Context
from mta.expand.run import expand
from mta.lookup.api import Tables
from mta.proc import roles
from mta.proc.permission import Refusal
from mta.route import required, variables
from mta.route.api import Address, Owner, address_of
from mta.route.conditions import arrive, scene_of
from mta.route.engine import load_router
from mta.route.files import UNKNOWN, Seen, probe
from mta.route.inherit import owner_of
from mta.route.router import Router
from mta.unix import frames, privilege, process, users

IDLE_SECONDS = 10.0
LOOK_SECONDS = 30  # the asker has given up before
_PIECE = 32 << 10


def load(conf: Configuration) -> dict[str, Router]:
    """The routers that name files, by their names.  Raises ConfigError.

    Of others than redirections only what all routers have is loaded: root needs no drivers.
    """
    found = [
        load_router(block) if block.driver == "redirect" else _bare(block)
        for block in conf.routers
        if block.driver == "redirect"
        or any(setting.name == "require_files" for setting in block.settings)
    ]
    prepare(found)
    return {router.name: router for router in found}


def _bare(block: Block) -> Router:
    known = Router.options()
    settings = [
        setting
        for setting in block.settings
        if setting.name.removeprefix("no_").removeprefix("not_") in known
    ]
    return Router(block.name, settings, block.where)


def serve(
    conf: Configuration,
    requests: socket.socket,
    judge: Callable[[Reader], privilege.Identity | Refusal],
) -> int:
    """What the launcher is to a daemon, for one command that root started: begin a looker for
    each request, until nobody can ask any more."""
    process.keep_descriptors([0, 1, 2, requests.fileno()])
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    privilege.seal()
    routers = load(conf)
    while (received := frames.receive(requests, (Reader,))) is not None:
        request = received.message
        assert isinstance(request, Reader)
        with socket.socket(fileno=received.fds.pop()) as channel:
            verdict = judge(request)
            if isinstance(verdict, Refusal):
                frames.send(channel, Refused(verdict.reason, int(verdict.permanent)))
                continue
            made = Looker(conf, routers, channel, verdict, separated=True)
            process.run_child(partial(_begin, made, channel))
    return 0


def _begin(made: Looker, channel: socket.socket) -> int:
    process.keep_descriptors([0, 1, 2, channel.fileno()])
    return made.run()


class Looker:
    """One looker, from birth to leaving."""

    def __init__(
        self,
        conf: Configuration,
        routers: dict[str, Router],
        channel: socket.socket,
        who: privilege.Identity,
        *,
        separated: bool,
    ) -> None:
        """`separated` is false where all processes are the same user."""
        self.separated = separated
        self.conf = conf
        self.routers = routers
        self.channel = channel
        self.who = who

    def run(self) -> int:
        """Become the user, then look until nobody asks any more."""
        roles.drop(self.who)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        process.set_title(f"mta: looks for {self.who.name}")
        self.channel.settimeout(IDLE_SECONDS)
        try:
            while (received := frames.receive(self.channel, (Look,))) is not None:
                received.close()
                assert isinstance(received.message, Look)
                signal.alarm(LOOK_SECONDS)
                self.look(received.message)
                signal.alarm(0)
        except (TimeoutError, ConnectionError, ProtocolError):
            pass
        return 0

    def look(self, order: Look) -> None:
        """Answer one question.  Raises OSError, ProtocolError."""
        try:
            seen = self.see(order)
        except TempFail as error:
            frames.send(self.channel, Unseen(error.text, error.code))
            return
        except ExpansionFail as error:
            frames.send(self.channel, Unseen(error.text, UNKNOWN, int(error.forced)))
            return
        for left, each in zip(range(len(seen) - 1, -1, -1), seen, strict=True):
            self.say(each, left)

    def say(self, seen: Seen, left: int) -> None:
        """Say what was seen of one file.  Raises OSError, ProtocolError."""
        octets = seen.octets
        sight = Sight(
            seen.path,
            left,
            seen.error,
            seen.trouble,
            seen.mode,
            seen.uid,
            seen.gid,
            len(octets),
        )
        frames.send(self.channel, sight)
        for at in range(0, len(octets), _PIECE):
            frames.send(self.channel, Piece(octets[at : at + _PIECE]))

    def see(self, order: Look) -> list[Seen]:
        """The files that are asked for.  Raises TempFail, ExpansionFail."""
        router = self.routers.get(order.router)
        if router is None:
            raise TempFail(f"there is no router {order.router[:64]!r} that names files")
        address = _address(order)
        ctx = Context(self.conf, Tables())
        ctx.message.sender = order.sender
        settle(router, ctx, address)
        if order.number >= 0:
            item = required.item_of(router, ctx, order.number)
            if item is None or item.owner is not None:
                raise TempFail(f"require_files of {router.name} router: item is no file")
            return [Seen(item.path, probe(item.path, readable=True))]
        if self.separated:
            check_owner(owner_of(router, ctx, address), router)
        gathered = router.gather(ctx, address)
        return [gathered.list or Seen(""), *gathered.included.values()]


def _address(order: Look) -> Address:
    origin = address_of(order.origin) if order.origin else None
    parent = origin
    if order.parent and order.parent != order.origin:
        parent = address_of(order.parent, origin)
    return address_of(order.address, parent)


def settle(router: Router, ctx: Context, address: Address) -> None:
    """Find out what a router knows of an address when it runs.

    Raises TempFail where it would not run, ExpansionFail.
    """
    ctx.place = scene_of(address)
    if not arrive(router, ctx, address, _nothing):
        raise TempFail(f"{router.name} router does not run for {address.text}", code=UNKNOWN)
    variables.define(router, ctx, address)
    if router.address_data is not None:
        address.address_data = ctx.place.address_data = expand(ctx, router.address_data)


def check_owner(owner: Owner, router: Router) -> None:
    """Raise TempFail unless we are who reads the list of a router, or that is nobody in
    particular."""
    if not owner.user:
        return
    name = owner.user
    user = users.by_uid(int(name)) if is_number(name[:10]) else users.by_name(name)
    if user is None or user.uid != os.geteuid():
        raise TempFail(f"the files of {router.name} router are those of {name}", code=UNKNOWN)


def _nothing(line: str) -> None:
    """Preconditions that cannot be expanded are complained of where mail is routed."""
