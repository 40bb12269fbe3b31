"""The transports of a configuration: what all have in common, and finding their drivers.

`driver = smtp` means mta/transport/drivers/smtp.py; only the drivers that the configuration
names are loaded.  A transport is made once for each generation, before the first fork.  What a
delivery process keeps from one parcel to the next, an open connection for instance, is in its
own copy of the transport, and is given up by `close`.

A brief transport takes several parcels at a time: its `deliver` is a generator that stops
where the work of others could be shared, before each sync.  All parcels of a round come to a
stop before any goes on.

Raises:   ConfigError at load.  A delivery raises TempFail, PermFail, ExpansionFail or OSError
          for the whole parcel and answers with Outcomes where recipients differ; `carry` makes
          Outcomes of both.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import TypeVar

from mta.base import clock
from mta.base.errors import (
    ConfigError,
    ExpansionFail,
    PermFail,
    TempFail,
    describe,
    is_permanent,
)
from mta.base.registry import Registry, suggestion
from mta.base.trust import Trusted
from mta.config import kinds
from mta.config.model import Block, Configuration
from mta.config.option import Configured, Option, Setting
from mta.config.template import Template
from mta.expand.compile import prepare, templates
from mta.expand.context import Context
from mta.expand.run import expand, expand_int
from mta.expand.trust import require
from mta.transport import drivers, headers, later
from mta.transport.api import Outcome, Parcel, ParcelRecipient, Result
from mta.transport.command import CommandLine, arguments, command_line
from mta.transport.filter import filtered
from mta.transport.writing import Stream

Stages = Generator[None, None, list[Outcome]]

MOST_IN_BATCH = 1000
EXPANSION_FAILED = -27  # the number that Exim's retry records have for it


Submit = Callable[[Sequence[str], bytes], None]


def _cannot_submit(recipients: Sequence[str], message: bytes) -> None:
    raise TempFail("this process cannot hand in messages")


class Transport(Configured):
    """The options of every transport, and the parts of a delivery that all share."""

    is_local = True
    # A parcel takes a moment only: several may stand in line, and be carried by one process.
    is_brief = False
    # How long a process may wait for its next parcel with what `close` gives up still open.
    patience = 0.0

    user = Option(kinds.expanded, "", "The user that a local delivery runs as.")
    group = Option(kinds.expanded, "", "The group that a local delivery runs as.")
    initgroups = Option(
        kinds.boolean, "false", "Give a local delivery all groups of its user."
    )
    home_directory = Option(kinds.expanded, "", "What $home is, unless a router set it.")
    current_directory = Option(
        kinds.expanded, "", "The directory that a local delivery runs in."
    )
    headers_add = Option(kinds.header_lines, "", "Header lines that are added at delivery.")
    headers_remove = Option(
        kinds.header_lines,
        "",
        "Names of headers, colons between, that are removed at delivery.",
    )
    return_path = Option(kinds.expanded, "", "The sender that the next host or mailbox sees.")
    return_path_add = Option(kinds.boolean, "false", "Add Return-path: with the sender.")
    delivery_date_add = Option(kinds.boolean, "false", "Add Delivery-date:.")
    envelope_to_add = Option(
        kinds.boolean, "false", "Add Envelope-to: with the original recipients."
    )
    message_size_limit = Option(
        kinds.expanded_integer,
        "0",
        "The largest message that is delivered, in octets; 0 for no limit.",
    )
    rcpt_include_affixes = Option(
        kinds.boolean, "false", "Keep prefix and suffix of the local part in what is sent on."
    )
    disable_logging = Option(kinds.boolean, "false", "Log nothing when a delivery succeeds.")
    debug_print = Option(kinds.expanded, "", "Shown when debugging.")
    body_only = Option(kinds.boolean, "false", "Leave the headers out.")
    headers_only = Option(kinds.boolean, "false", "Leave the body out.")
    transport_filter = Option(
        kinds.command, "", "A command that the message goes through on its way."
    )
    transport_filter_timeout = Option(kinds.time, "5m", "How long that may take.")

    batch_id: Template | None = None
    # Hands in a message with the null sender; set by the process that runs the transport.
    submit: Submit = staticmethod(_cannot_submit)

    def __init__(self, block: Block) -> None:
        super().__init__(list(block.settings))
        self.name = block.name
        self.driver = block.driver
        self.block = block
        option = self.transport_filter
        self.filter_line = command_line(option) if option else None
        self._opened: list[int] = []  # bodies that a filter made, until the round ends

    @property
    def most_in_batch(self) -> int:
        """The most recipients of one message that share a local delivery."""
        return max(1, min(getattr(self, "batch_max", 1), MOST_IN_BATCH))

    def speaks_of(self, variable: str) -> bool:
        """True if an option says $variable, or the name of another one that begins so."""
        mentions = re.compile(r"\$\{?" + variable)
        return any(mentions.search(each.text) for each in templates(self))

    @property
    def runs_commands(self) -> bool:
        """True if a delivery runs commands that its user may run: set-id ones, too."""
        return self.is_local and self.filter_line is not None

    def check(self) -> None:
        """Raise ConfigError for options that do not go together."""

    def use(self, conf: Configuration) -> None:
        """Take what else of the configuration is needed.  Raises ConfigError."""

    def know(self, find: Callable[[str], Transport | None]) -> None:
        """Learn how to find the other transports of the configuration by name."""

    def deliver(self, ctx: Context, parcel: Parcel) -> list[Outcome] | Stages:
        """Deliver, and say for each recipient what became of it: now, or in stages."""
        raise NotImplementedError

    def close(self) -> None:
        """Give up what is kept between parcels."""

    # What the drivers make their deliveries of.

    def value(self, ctx: Context, option: Template | None, name: str) -> str | None:
        """The expanded value of an option; None if it is unset or forced its own failure."""
        if option is None:
            return None
        try:
            return expand(ctx, option)
        except ExpansionFail as failure:
            if failure.forced:
                return None
            raise TempFail(
                f'Expansion of "{option.text}" ({name} of {self.name} transport) failed: '
                f"{failure.text}",
                code=EXPANSION_FAILED,
            ) from failure

    def sender(self, ctx: Context, parcel: Parcel) -> str:
        """The return path of a parcel."""
        changed = self.value(ctx, self.return_path, "return_path")
        return parcel.sender if changed is None else changed

    def checked_path(self, text: str, name: str) -> Trusted:
        """A path that an option gave, in which no stranger may have had a say."""
        where = self.where.get(name)
        return require(text, f"file or directory name for {self.name} transport", where)

    def settle(self, ctx: Context) -> None:
        """Take the home that an option names, and go to the current directory: the one that an
        option names, or home, or the root."""
        home = self.value(ctx, self.home_directory, "home_directory")
        if home:
            ctx.place.home = self.checked_path(home, "home_directory")
        current = self.value(ctx, self.current_directory, "current_directory")
        place = self.checked_path(current, "current_directory") if current else ctx.place.home
        try:
            os.chdir(place or "/")
        except OSError as error:
            reason = f"failed to chdir to {place}"
            raise TempFail(reason, code=error.errno or 0) from error

    def stream(self, ctx: Context, parcel: Parcel, return_path: str) -> Stream:
        """The message as this transport sends it: with its headers, or without them or without
        the body, and through its filter.

        Raises PermFail if it is too large.
        """
        self._check_size(ctx, parcel)
        stream = self._whole(ctx, parcel, return_path)
        if self.body_only:
            stream = replace(stream, headers=b"", between=b"")
        elif self.headers_only:
            stream = replace(stream, body_size=0)
        if self.filter_line is not None:
            stream = self._filtered(ctx, parcel, stream, self.filter_line)
        return stream

    def _filtered(
        self, ctx: Context, parcel: Parcel, stream: Stream, line: CommandLine
    ) -> Stream:
        """What the transport's filter makes of the message."""
        addresses = [recipient.address for recipient in parcel.recipients]
        try:
            words = arguments(ctx, line, addresses, "transport filter")
        except TempFail as failure:
            raise TempFail(failure.text, code=-1) from failure
        if words in ([], [""]):
            return stream
        changed = filtered(stream, words, self.transport_filter_timeout)
        self._opened.append(changed.body)
        return changed

    def end_round(self) -> None:
        """Give up what was opened for the deliveries of one round."""
        while self._opened:
            os.close(self._opened.pop())

    def _whole(self, ctx: Context, parcel: Parcel, return_path: str) -> Stream:
        """The message with the headers that this transport gives it."""
        unwanted = list(parcel.headers_remove)
        unwanted += headers.names(self.value(ctx, self.headers_remove, "headers_remove") or "")
        block = headers.without(parcel.headers, unwanted)
        for line in parcel.headers_add:
            block += headers.lines(line, f"headers_add of {parcel.router} router")
        added = self.value(ctx, self.headers_add, "headers_add") or ""
        if added:
            block += headers.lines(added, f"headers_add of {self.name} transport")
        before = headers.trace(
            return_path=return_path if self.return_path_add else None,
            envelope_to=_origins(parcel) if self.envelope_to_add else (),
            delivered=clock.now() if self.delivery_date_add else None,
        )
        return Stream(before + block, parcel.body, parcel.body_offset, parcel.body_size)

    def _check_size(self, ctx: Context, parcel: Parcel) -> None:
        option = self.message_size_limit
        if option is None or option.text == "0":
            return
        limit = expand_int(ctx, option)
        size = len(parcel.headers) + 1 + parcel.body_size
        if 0 < limit < size:
            raise PermFail(
                f"message is too big (transport limit = {limit})", status="5.2.3", code=-31
            )

    def recipient_text(self, recipient: ParcelRecipient) -> str:
        """The address of a recipient as the next host gets it."""
        if self.rcpt_include_affixes or not (recipient.prefix or recipient.suffix):
            return recipient.address
        return f"{recipient.local_part}@{recipient.address.rpartition('@')[2]}"


def _origins(parcel: Parcel) -> list[str]:
    return [recipient.origin for recipient in parcel.recipients]


def carry(
    transport: Transport,
    given: Sequence[Parcel],
    context: Callable[[Parcel], Context],
    results: dict[int, list[Outcome]],
) -> None:
    """Deliver parcels; the outcomes of each are put into `results` under its number.

    Whatever a transport raises becomes an outcome of each recipient.  After an error of ours
    one parcel has no result; the error goes on when the others have come to their end: what
    was stored of them must not be delivered again.
    """
    under_way = {
        number: _delivering(transport, context, parcel) for number, parcel in enumerate(given)
    }
    try:
        _bring_to_an_end(under_way, results)
    finally:
        transport.end_round()


def _bring_to_an_end(under_way: dict[int, Stages], results: dict[int, list[Outcome]]) -> None:
    """Take deliveries from stage to stage, whatever else goes wrong in one or another."""
    try:
        while under_way:
            for number in list(under_way):
                stages = under_way.pop(number)
                try:
                    next(stages)
                except StopIteration as end:
                    results[number] = end.value
                else:
                    under_way[number] = stages
    finally:
        # One that ended in an error is no longer under way, so this comes to an end, too.
        if under_way:
            _bring_to_an_end(under_way, results)


def _delivering(
    transport: Transport, context: Callable[[Parcel], Context], parcel: Parcel
) -> Stages:
    """One delivery in stages, which raises nothing that a delivery may raise."""
    try:
        outcomes = transport.deliver(context(parcel), parcel)
        if not isinstance(outcomes, list):
            outcomes = yield from outcomes
    except ExpansionFail as failure:
        text = f"{transport.name} transport: {failure.text}"
        return for_all(parcel, Outcome("", Result.DEFER, text, "4.3.5", EXPANSION_FAILED))
    except TempFail as failure:
        defer = Outcome("", Result.DEFER, failure.text, failure.status, failure.code)
        return for_all(parcel, defer)
    except PermFail as failure:
        fail = Outcome("", Result.FAIL, failure.text, failure.status, failure.code)
        fail = replace(fail, told=failure.told)
        return for_all(parcel, fail)
    except OSError as error:
        result, status = Result.DEFER, "4.3.0"
        if is_permanent(error):
            result, status = Result.FAIL, "5.3.0"
        named = f"{error.filename}: " if error.filename else ""
        text = f"{named}{describe(error)}"
        return for_all(parcel, Outcome("", result, text, status, error.errno or 0))
    return outcomes


def for_all(parcel: Parcel, outcome: Outcome) -> list[Outcome]:
    """The same outcome for every recipient of a parcel."""
    return [outcome.about(recipient.address) for recipient in parcel.recipients]


DRIVERS: Registry[type[Transport]] = Registry("transport driver")
T = TypeVar("T", bound=Transport)


def transport(name: str) -> Callable[[type[T]], type[T]]:
    """Declare a class as the transport driver of this name."""

    def declare(cls: type[T]) -> type[T]:
        DRIVERS.add(name, cls, cls.__doc__)
        return cls

    return declare


def load_transports(conf: Configuration) -> dict[str, Transport]:
    """All transports of a configuration by name, compiled.  Raises ConfigError."""
    made: dict[str, Transport] = {}
    for block in conf.transports:
        made[block.name] = _make(block)
        made[block.name].use(conf)
    prepare(list(made.values()))
    for each in made.values():
        each.know(made.get)
    return made


def load_all() -> None:
    """Load every driver there is: for the manual and for tests."""
    for name in _available():
        importlib.import_module(f"{drivers.__name__}.{name}")


def _available() -> list[str]:
    return [module.name for module in pkgutil.iter_modules(drivers.__path__)]


def _make(block: Block) -> Transport:
    cls = _driver(block)
    options = cls.options()
    for setting in block.settings:
        _refuse_later(block, setting, list(options))
    made = cls(block)
    if made.body_only and made.headers_only:
        raise ConfigError(
            block.where,
            f"{block.name} transport: body_only and headers_only are mutually exclusive",
        )
    made.check()
    return made


def _driver(block: Block) -> type[Transport]:
    available = _available()
    if block.driver in later.DRIVERS:
        raise ConfigError(
            block.where,
            f'transport {block.name}: driver "{block.driver}" is not supported yet',
        )
    if block.driver in available:
        importlib.import_module(f"{drivers.__name__}.{block.driver}")
    cls = DRIVERS.get(block.driver)
    if cls is None:
        raise ConfigError(
            block.where,
            f'transport {block.name}: cannot find transport driver "{block.driver}"',
            suggestion(block.driver, available + list(later.DRIVERS)),
        )
    return cls


def _refuse_later(block: Block, setting: Setting, known: list[str]) -> None:
    name = setting.name
    if name in known:
        return
    not_yet = later.GENERIC | later.OF_DRIVER.get(block.driver, frozenset())
    if not not_yet.isdisjoint((name, name.removeprefix("no_"), name.removeprefix("not_"))):
        raise ConfigError(
            setting.where,
            f'transport {block.name}: option "{name}" is not supported yet',
        )
