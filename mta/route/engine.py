"""Routing: the chain of routers that an address goes through, and what comes out at the end.

Each address begins at the first router (or where redirect_router says) and goes on until one
answers.  New addresses begin again.  A router is passed over by an address that came from one
of the same text which it has handled already; so a list that names itself ends, and does not
loop.  More than a hundred ancestors, or more addresses than any list has, defer the recipient.

This is a boundary: what a driver or an expansion raises becomes a result here.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import re
from collections import deque
from dataclasses import dataclass

from mta.base.errors import ConfigError, ExpansionFail, PermFail, TempFail
from mta.base.registry import suggestion
from mta.base.text import lower
from mta.config.model import Block, Configuration
from mta.config.template import Template
from mta.expand.compile import prepare
from mta.expand.context import Context
from mta.expand.run import expand
from mta.expand.trust import keep, require
from mta.route import later, references, variables
from mta.route.api import (
    DECLINED,
    Accepted,
    Address,
    Child,
    Declined,
    Deferred,
    Delivery,
    Discarded,
    Failed,
    Passed,
    Remark,
    Replaced,
    Routed,
    Undeliverable,
    Verdict,
    address_of,
)
from mta.route.conditions import Complain, Gate, Purpose, begin, gate_of, scene_of
from mta.route.files import Files
from mta.route.inherit import inherit
from mta.route.router import ROUTERS, Router
from mta.spool.envelope import DSN_LAST_HOP

# What ends the way of an address through the routers.
Answer = Accepted | Replaced | Failed | Deferred

MOST_ANCESTORS = 100
MOST_ADDRESSES = 20_000
UNROUTEABLE = "Unrouteable address"
DRIVERS = ("accept", "manualroute", "redirect")

# Exim's numbers for what went wrong, as the log shows them.
EXPAND_FAIL = -27
BAD_TRANSPORT = -30
_LOOSE_END = re.compile(r"\r?\n(?![ \t])")


def _silent(line: str) -> None:
    """Nobody wants to hear it."""


def load_routers(conf: Configuration, complain: Complain = _silent) -> Routers:
    """The routers of a configuration, compiled, in their order.  Raises ConfigError.

    `complain` gets lines for the panic log about options that could not be expanded.
    """
    routers = [load_router(block) for block in conf.routers]
    references.check(conf, routers)
    prepare(routers)
    return Routers(conf, routers, complain)


def load_router(block: Block) -> Router:
    """One router of a configuration.  Raises ConfigError."""
    driver = _driver(block)
    later.refuse(block.driver, block.settings)
    return driver(block.name, list(block.settings), block.where)


def load_driver(name: str) -> type[Router] | None:
    """The class of a router driver, from the file of its name; None if there is none."""
    module = f"mta.route.drivers.{name}"
    if not name.isidentifier() or importlib.util.find_spec(module) is None:
        return None
    importlib.import_module(module)
    return ROUTERS.get(name)


def _driver(block: Block) -> type[Router]:
    found = load_driver(block.driver)
    if found is not None:
        return found
    if block.driver in later.DRIVERS:
        raise ConfigError(block.where, f"router driver {block.driver!r} is not supported yet")
    raise ConfigError(
        block.where,
        f'router "{block.name}": cannot find router driver "{block.driver}"',
        suggestion(block.driver, list(DRIVERS)) or f"there are {', '.join(DRIVERS)}",
    )


@dataclass(frozen=True, slots=True)
class Link:
    """One router of the chain and what has to hold for it."""

    router: Router
    gate: Gate


class Routers:
    """The chain of routers of one configuration."""

    __slots__ = (
        "_complain",
        "_conf",
        "_links",
        "_numbers",
        "_routers",
        "_transports",
        "remarks",
    )

    def __init__(self, conf: Configuration, routers: list[Router], complain: Complain) -> None:
        self._conf = conf
        self._routers = routers
        self._links = [Link(router, gate_of(router)) for router in routers]
        self._complain = complain
        self._numbers = {router.name: number for number, router in enumerate(routers)}
        self._transports = {block.name for block in conf.transports}
        self.remarks: list[Remark] = []  # of the last address that was routed

    def look_through(self, files: Files) -> None:
        """From now on see the files of users in this way."""
        for router in self._routers:
            router.files = files

    def show(self, shown: Complain) -> None:
        """From now on tell this what debug_print says, a line for each router that runs."""
        for router in self._routers:
            router.announce = shown

    def route(
        self, ctx: Context, address: Address, *, verify: bool = False, sender: bool = False
    ) -> list[Routed]:
        """What is to be done with an address, and with all that came of it.

        With `verify` it is only asked whether the address is good, as a recipient or as a
        `sender`: a redirection to several addresses is, one to a single address is as good as
        that one.
        """
        purpose = Purpose.DELIVER
        if verify:
            purpose = Purpose.VERIFY_SENDER if sender else Purpose.VERIFY_RECIPIENT
        return self.route_for(ctx, address, purpose)

    def route_for(self, ctx: Context, address: Address, purpose: Purpose) -> list[Routed]:
        """The same for any purpose.

        A file is looked at once for it: if it changes meanwhile, the next address sees that.
        """
        place, seen = ctx.place, ctx.tables.seen
        if seen is None:
            ctx.tables.seen = {}
            self.remarks.clear()
        walk = _Walk(self, ctx, purpose)
        try:
            return walk.run(address)
        finally:
            ctx.place, ctx.tables.seen = place, seen

    def options(self) -> list[Router]:
        """The routers with what is set for each, for whoever looks a configuration over."""
        return list(self._routers)

    def name_after(self, name: str) -> str:
        """The name of the router behind this one, "" for none."""
        number = self._numbers[name] + 1
        return self._routers[number].name if number < len(self._routers) else ""

    def chain(self, start: str) -> list[Link]:
        """The routers from this one on; "" is the first."""
        return self._links[self._numbers[start] :] if start else self._links

    def complain(self, line: str) -> None:
        """Say something to the panic log."""
        self._complain(line)

    @property
    def qualify_recipient(self) -> str:
        """The domain for new addresses without one."""
        naming = self._conf.naming
        return naming.qualify_recipient or naming.qualify_domain or naming.primary_hostname

    def has_transport(self, name: str) -> bool:
        """True if a transport of this name is configured."""
        return name in self._transports


class _Walk:
    """One recipient on its way through the routers, with all addresses that come of it."""

    __slots__ = ("count", "ctx", "folded", "pending", "purpose", "results", "routers")

    def __init__(self, routers: Routers, ctx: Context, purpose: Purpose) -> None:
        self.routers = routers
        self.ctx = ctx
        self.purpose = purpose
        self.pending: deque[Address] = deque()
        self.results: list[Routed] = []
        self.count = 0
        self.folded = ""

    def run(self, address: Address) -> list[Routed]:
        """Route until nothing is left."""
        self.pending.append(address)
        while self.pending:
            self.count += 1
            if self.count > MOST_ADDRESSES:
                # Half of a list must not get the message twice: nobody gets it now.
                text = f"more than {MOST_ADDRESSES} addresses came of {address.text}"
                return [Undeliverable(address, "", Deferred(text))]
            self._one(self.pending.popleft())
        return self.results

    def _one(self, address: Address) -> None:
        """Route one address: try the routers in turn until one answers."""
        if address.parent is not None and _ancestors(address) > MOST_ANCESTORS:
            self._end(address, "", Deferred(f"routing loop for {address.text}"))
            return
        self._arrive(address)
        skip_to = ""
        said = DECLINED
        last: Router | None = None
        for link in self.routers.chain(address.start_router):
            router = link.router
            if skip_to and router.name != skip_to:
                continue
            skip_to = ""
            last = router
            address.router = router.name
            if address.parent is not None and _been_there(router, address):
                continue
            verdict = self._ask(link, address)
            if verdict is None:
                continue
            if isinstance(verdict, Passed):
                skip_to = router.pass_router
                continue
            if isinstance(verdict, Declined):
                said = verdict if verdict.text else said
                more = self._flexible(router, "more", router.more)
                if more is True:
                    continue
                if more is False:
                    break
                verdict = more
            self._answer(router, address, verdict)
            return
        address.is_silent = False
        text = said.text or self._cannot_route(last)
        self._end(address, "", Failed(text, status=said.status))

    def _arrive(self, address: Address) -> None:
        """Set the scene for an address, as far as it is the same for all routers."""
        self.folded = lower(address.whole)
        self.ctx.place = scene_of(address)

    def _ask(self, link: Link, address: Address) -> Verdict | None:
        """The verdict of one router; None if it does not run."""
        router, gate, ctx = link.router, link.gate, self.ctx
        if self.purpose not in gate.purposes:
            return None
        if not begin(router, gate, ctx, address, self.folded):
            return None
        try:
            for precondition in gate.preconditions:
                if not precondition(router, ctx, address, self.routers.complain):
                    return None
            if router.set_:
                variables.define(router, ctx, address)
            if (stopped := self._address_data(router, address)) is not None:
                return stopped
            verdict = router.route(ctx, address)
        except TempFail as error:
            return Deferred(error.text, code=error.code)
        except PermFail as error:
            return Failed(error.text, status=error.status)
        except ExpansionFail as error:
            return DECLINED if error.forced else Deferred(error.text, code=EXPAND_FAIL)
        if address.skipped:
            self._remark(router, address)
        if isinstance(verdict, (Accepted, Replaced, Passed)) and self._must_fail(router):
            return Failed(f"{router.name} router forced verify failure")
        return verdict

    def _remark(self, router: Router, address: Address) -> None:
        """Note what was left out of a list, and who is to be told of it."""
        errors, address.skipped = address.skipped, ()
        to, text = (
            router.whom_to_tell(self.ctx) if self.purpose is Purpose.DELIVER else ("", "")
        )
        self.routers.remarks.append(Remark(address, router.name, errors, to, text))

    def _address_data(self, router: Router, address: Address) -> Verdict | None:
        if router.address_data is None:
            return None
        try:
            text = expand(self.ctx, router.address_data)
        except ExpansionFail as error:
            if error.forced:
                return DECLINED
            return Deferred(
                f'expansion of "{router.address_data.text}" failed in {router.name} router: '
                f"{error.text}",
                code=EXPAND_FAIL,
            )
        address.address_data = self.ctx.place.address_data = text
        return None

    def _must_fail(self, router: Router) -> bool:
        return (self.purpose is Purpose.VERIFY_RECIPIENT and router.fail_verify_recipient) or (
            self.purpose is Purpose.VERIFY_SENDER and router.fail_verify_sender
        )

    def _flexible(self, router: Router, name: str, value: bool | Template) -> bool | Deferred:
        """A boolean that may have to be expanded; Deferred where that gives no boolean."""
        if isinstance(value, bool):
            return value
        try:
            text = expand(self.ctx, value)
        except ExpansionFail as error:
            return Deferred(
                f'failed to expand "{value.text}" for the "{name}" option in the '
                f"{router.name} router: {error.text}",
                code=EXPAND_FAIL,
            )
        except TempFail as error:
            return Deferred(error.text, code=error.code)
        word = lower(text)
        if word in ("true", "yes"):
            return True
        if word in ("false", "no"):
            return False
        return Deferred(
            f'"{text}" is not a valid value for the "{name}" option in the '
            f"{router.name} router"
        )

    def _cannot_route(self, last: Router | None) -> str:
        """The error where no router took the address: as the last one considered says it."""
        if last is None or last.cannot_route_message is None:
            return UNROUTEABLE
        try:
            return expand(self.ctx, last.cannot_route_message)
        except (ExpansionFail, TempFail) as error:
            if not (isinstance(error, ExpansionFail) and error.forced):
                self.routers.complain(
                    f"failed to expand cannot_route_message in {last.name} router: "
                    f"{error.text}"
                )
            return UNROUTEABLE

    def _answer(self, router: Router, address: Address, verdict: Answer) -> None:
        """Do what a router said."""
        if isinstance(verdict, (Failed, Deferred)):
            self._end(address, router.name, verdict)
            return
        try:
            # A check inside a check could go on for ever.
            verify = self._is_good if self.purpose is Purpose.DELIVER else None
            inherit(router, self.ctx, address, self.routers.qualify_recipient, verify)
        except TempFail as error:
            self._end(address, router.name, Deferred(error.text, code=error.code))
            return
        except ExpansionFail as error:
            self._end(address, router.name, Deferred(error.text, code=EXPAND_FAIL))
            return
        unseen = self._flexible(router, "unseen", router.unseen)
        if isinstance(unseen, Deferred):
            self._end(address, router.name, unseen)
            return
        if unseen and (following := self.routers.name_after(router.name)):
            address = self._split_off(address, following)
        if isinstance(verdict, Accepted):
            self._accepted(router, address, verdict)
        else:
            self._replaced(router, address, verdict)

    def _split_off(self, address: Address, following: str) -> Address:
        """For `unseen`: the address goes on behind this router, and a copy of it stays here.

        Both count as its children, so that each is noted as done on its own.
        """
        here = dataclasses.replace(address, parent=address)
        onward = address_of(address.text, address)
        onward.start_router = following
        onward.errors_to = address.errors_to
        onward.dsn_flags, onward.orcpt = address.dsn_flags, address.orcpt
        onward.variables, onward.address_data = address.variables, address.address_data
        self.pending.append(onward)
        return here

    def _accepted(self, router: Router, address: Address, verdict: Accepted) -> None:
        transport = verdict.transport
        if not transport and router.transport is not None:
            try:
                transport = self._transport(router, router.transport)
            except TempFail as error:
                self._end(address, router.name, Deferred(error.text, code=error.code))
                return
        if not transport and not self.purpose.is_verify:
            text = f"{router.name} router set up no transport"
            self._end(address, router.name, Deferred(text, code=BAD_TRANSPORT))
            return
        if router.dsn_lasthop:
            address.dsn_flags |= DSN_LAST_HOP
        self.results.append(Delivery(address, router.name, transport, verdict.hosts))

    def _transport(self, router: Router, template: Template) -> str:
        """The name of the transport; what a stranger chose is none.  Raises TempFail."""
        try:
            name = require(expand(self.ctx, template), "name of a transport", template.where)
        except ExpansionFail as error:
            raise TempFail(
                f'failed to expand transport name "{template.text}" in {router.name} router: '
                f"{error.text}",
                code=EXPAND_FAIL,
            ) from error
        if not self.routers.has_transport(name):
            raise TempFail(
                f'transport "{name}" not found in "{router.name}" router', code=BAD_TRANSPORT
            )
        return name

    def _replaced(self, router: Router, address: Address, verdict: Replaced) -> None:
        """Put the children on their way."""
        if not verdict.children:
            self.results.append(Discarded(address, router.name))
            return
        if self.purpose.is_verify and (
            len(verdict.children) > 1 or verdict.children[0].kind != "address"
        ):
            self.results.append(Delivery(address, router.name, ""))
            return
        for child in verdict.children:
            if child.kind == "address":
                self.pending.append(self._child(router, address, child))
            else:
                self._file_or_pipe(router, address, child)

    def _child(self, router: Router, parent: Address, child: Child) -> Address:
        address = address_of(child.text, parent)
        address.start_router = router.redirect_router
        address.errors_to = parent.errors_to
        address.headers_add = parent.headers_add
        address.headers_remove = parent.headers_remove
        address.address_data = parent.address_data
        address.variables = parent.variables
        address.is_hidden = parent.is_hidden
        address.is_one_time = router.is_one_time
        address.dsn_flags, address.orcpt = parent.dsn_flags, parent.orcpt
        return address

    def _file_or_pipe(self, router: Router, parent: Address, child: Child) -> None:
        address = dataclasses.replace(parent, text=child.text, parent=parent, kind=child.kind)
        if child.refused:
            self._end(address, router.name, Failed(child.refused))
        elif child.missing:
            text = f"{child.missing} unset in {router.name} router"
            self._end(address, router.name, Deferred(text, code=BAD_TRANSPORT))
        else:
            self.results.append(
                Delivery(
                    address,
                    router.name,
                    child.transport,
                    file=child.text if child.kind == "file" else "",
                    pipe=keep(child.text, child.text[1:]) if child.kind == "pipe" else "",
                )
            )

    def _end(self, address: Address, router: str, verdict: Failed | Deferred) -> None:
        self.results.append(Undeliverable(address, router, verdict))

    def _is_good(self, text: str) -> bool:
        results = self.routers.route(self.ctx, address_of(text), verify=True)
        return not any(isinstance(result, Undeliverable) for result in results)


def _ancestors(address: Address) -> int:
    count = 0
    while address.parent is not None:
        address = address.parent
        count += 1
    return count


def _been_there(router: Router, address: Address) -> bool:
    """True if this router has handled an ancestor that makes it useless or dangerous here."""
    ancestor = address.parent
    while ancestor is not None:
        if ancestor.router == router.name:
            if not router.repeat_use or ancestor.text == address.text:
                return True
            if not router.caseful_local_part and lower(ancestor.text) == lower(address.text):
                return True
        ancestor = ancestor.parent
    return False
