"""Where addresses are routed (-bt), and whether they are good (-bv, -bvs), in Exim's words.

Runs without a daemon, as the user who owns the spool where root asks, else as who asks.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence

from mta.base import clock
from mta.base.errors import ConfigError
from mta.base.text import one_line, to_text
from mta.cli import inspection, place
from mta.cli.options import Request
from mta.cli.say import as_it_is, complain
from mta.config import load
from mta.config.model import Configuration
from mta.deliver.asking import AskedFiles
from mta.expand.compile import prepare
from mta.expand.context import Context
from mta.lookup import servers
from mta.lookup.api import Tables
from mta.mail.address import AddressError, parse_list, split
from mta.mail.date import log_stamp
from mta.proc import looker
from mta.proc.permission import Permission
from mta.proc.roles import Identities
from mta.route.api import (
    Address,
    Deferred,
    Delivery,
    Discarded,
    Failed,
    Host,
    Routed,
    Undeliverable,
    address_of,
)
from mta.route.conditions import Purpose
from mta.route.engine import Routers, load_routers
from mta.route.files import Files
from mta.transport.engine import load_transports
from mta.unix import frames, privilege, process, users

GOOD, UNRESOLVED, BAD = 0, 1, 2
PURPOSES = {
    "test": Purpose.TEST,
    "verify": Purpose.VERIFY_RECIPIENT,
    "verify-sender": Purpose.VERIFY_SENDER,
}


def run(name: str, request: Request) -> int:
    """The modes -bt, -bv and -bvs; the exit code is 2 if one fails, 1 if one must wait."""
    try:
        conf = load.load(*place.configuration(request.config, request.macros))
        if not inspection.may_inspect(conf):
            return complain(name, inspection.NOT_ADMIN, 1)
        prepare(conf)
        servers.check(conf)
        tester = Tester(conf, PURPOSES[request.mode], request.sender or "")
    except (ConfigError, place.Unplaced) as error:
        return complain(name, str(error), os.EX_CONFIG)
    as_it_is()
    code = GOOD
    for text in request.operands or _asked():
        code = max(code, tester.test(text))
    return code


def _asked() -> Iterator[str]:
    """Addresses from standard input, a line each; at a terminal there is a prompt."""
    while True:
        if sys.stdin.isatty():
            sys.stdout.write("> ")
            sys.stdout.flush()
        line = sys.stdin.buffer.readline()
        if not line:
            return
        yield to_text(line).rstrip("\n")


def become_owner(conf: Configuration) -> Files:
    """Give up root: addresses lead to look-ups, and these to what others wrote.

    The files of users are then looked at by asking a process that can still become them.
    """
    if os.geteuid() != 0:
        return Files()
    owner = users.by_name(conf.own.mail_user)
    if owner is None:
        # No daemon has run here yet, but somebody may have made the spool.
        with contextlib.suppress(OSError):
            owner = users.by_uid(os.stat(conf.queue.spool_directory).st_uid)
    if owner is None or owner.uid == 0:
        raise ConfigError(
            None, f'there is no user "{conf.own.mail_user}"', "make it: mta install --users"
        )
    who = privilege.Identity(owner.name, owner.uid, owner.gid, (owner.gid,))
    ours, theirs = frames.pair()
    with theirs:
        judge = Permission(conf, Identities(who, who, separated=True)).judge_reader
        process.run_child(lambda: looker.serve(conf, theirs, judge))
    privilege.become(who)
    return AskedFiles(ours)


class Tester:
    """Tests addresses one after the other; what was seen before is a duplicate."""

    def __init__(self, conf: Configuration, purpose: Purpose, sender: str) -> None:
        self.conf = conf
        self.purpose = purpose
        self.routers: Routers = load_routers(conf, self.complain)
        self.transports = load_transports(conf)
        self.ctx = Context(conf, Tables())
        self.ctx.message.sender = sender
        self.seen: set[str] = set()
        if purpose is Purpose.TEST:
            self.routers.show(self.shown)
        self.routers.look_through(become_owner(conf))

    def shown(self, line: str) -> None:
        """What a router has to say when it runs: debug_print."""
        sys.stderr.write(f"{one_line(line)}\n")

    def note(self, line: str, log: str = "MAIN") -> None:
        """What a daemon would put into its logs."""
        if self.purpose is Purpose.TEST:
            sys.stderr.write(f"LOG: {log}\n  {one_line(line)}\n")
        else:
            sys.stderr.write(f"{log_stamp(clock.now())} {one_line(line)}\n")

    def complain(self, line: str) -> None:
        """What would be put into the panic log, too."""
        self.note(line, "MAIN PANIC")

    def test(self, text: str) -> int:
        """Test the addresses of one argument; the exit code."""
        try:
            found = parse_list(
                text,
                allow_literal=True,  # it is a question, not mail
                allow_unqualified=True,
                allow_utf8=False,
            )
        except AddressError as error:
            self.say(f"syntax error: {error}")
            return BAD
        return max([self._one(self._qualified(each)) for each in found], default=GOOD)

    def _qualified(self, text: str) -> str:
        naming = self.conf.naming
        if split(text)[1]:
            return text
        is_sender = self.purpose is Purpose.VERIFY_SENDER
        return f"{text}@{naming.qualify_domain if is_sender else naming.qualify_recipient}"

    def _one(self, text: str) -> int:
        results = self.routers.route_for(self.ctx, address_of(text), self.purpose)
        bad = [each for each in results if isinstance(each, Undeliverable)]
        for each in bad:
            if isinstance(each.verdict, Deferred) and each.verdict.note:
                self.note(f"{each.verdict.note} (while routing <{each.address.text}>)")
        for remark in self.routers.remarks:
            for line in remark.lines:
                self.note(line)
        if self.purpose.is_verify:
            return self._verified(text, bad)
        for result in results:
            self.file_or_pipe(result)
        for each in bad:
            if each.address.kind == "address":
                self.undeliverable(each)
        if all(isinstance(each, Discarded) for each in results):
            self.say(f"mail to {text} is discarded")
        ways = [
            each
            for each in results
            if isinstance(each, Delivery) and each.address.kind == "address"
        ]
        for local in (True, False):
            for way in reversed([each for each in ways if self._is_local(each) is local]):
                self.delivery(way)
        return max((_code(each) for each in bad), default=GOOD)

    def _verified(self, text: str, bad: Sequence[Undeliverable]) -> int:
        if not bad:
            self.say(f"{text} verified")
            return GOOD
        self.say(_end(text, bad[0], "failed to verify"))
        return _code(bad[0])

    def file_or_pipe(self, result: Routed) -> None:
        """A file or a command that a redirection named; nothing for an address."""
        address = result.address
        if address.kind == "address" or address.parent is None:
            return
        refused = ""
        if isinstance(result, Undeliverable) and isinstance(result.verdict, Failed):
            refused = " *** forbidden ***"
        self.say(f"{address.parent.text} -> {address.text}{refused}")
        if isinstance(result, Delivery):
            self.say(f"  transport = {result.transport}")
        elif isinstance(result, Undeliverable) and isinstance(result.verdict, Deferred):
            self.say("*** Error in setting up pipe, file, or autoreply:")
            self.say(result.verdict.text)

    def undeliverable(self, result: Undeliverable) -> None:
        """What cannot be routed, and where it came from."""
        self.say(_end(result.address.text, result, "is undeliverable"))
        self.ancestors(result.address)

    def delivery(self, way: Delivery) -> None:
        """A way to deliver: router, transport and hosts."""
        address = way.address
        key = address.name_for(way.transport)
        again = key in self.seen
        self.seen.add(key)
        self.say(address.text + ("   [duplicate, would not be delivered]" if again else ""))
        self.ancestors(address)
        self.say(f"  router = {way.router}, transport = {way.transport or 'unset'}")
        self.hosts(way.hosts)

    def ancestors(self, address: Address) -> None:
        """The addresses that this one came from."""
        parent = address.parent
        while parent is not None:
            self.say(f"    <-- {parent.text}")
            parent = parent.parent

    def hosts(self, hosts: Sequence[Host]) -> None:
        """The hosts in columns."""
        name = max((len(each.name) for each in hosts), default=0)
        address = max((len(each.address) for each in hosts), default=0) + 1
        for each in hosts:
            shown = (
                f"[{each.address + ']':<{address}}" if each.address else " " * (address + 1)
            )
            preference = "" if each.preference is None else f" MX={each.preference}"
            port = f" port={each.port}" if each.port else ""
            self.say(f"  host {each.name:<{name}} {shown}{preference}{port}")

    def say(self, line: str) -> None:
        """One line of the answer."""
        sys.stdout.write(f"{one_line(line)}\n")

    def _is_local(self, way: Delivery) -> bool:
        transport = self.transports.get(way.transport)
        return transport is None or transport.is_local


def _end(text: str, result: Undeliverable, failed: str) -> str:
    """How a route ended without a delivery; `failed` is said of what is final."""
    is_final = isinstance(result.verdict, Failed)
    how = failed if is_final else "cannot be resolved at this time"
    return f"{text} {how}: {result.verdict.text}"


def _code(result: Routed) -> int:
    # As with Exim, what is wrong with a file or a pipe does not count.
    if not isinstance(result, Undeliverable) or result.address.kind != "address":
        return GOOD
    return BAD if isinstance(result.verdict, Failed) else UNRESOLVED
