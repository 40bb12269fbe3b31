"""The base of all routers: the options that every router has, and how a driver is declared.

A driver is a class with its own options and one method, `route`, from an address to a verdict.
The engine has tried the preconditions before and deals with the verdict after; a driver that
cannot answer raises TempFail, PermFail or ExpansionFail.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from mta.base.errors import ConfigError, TempFail, Where
from mta.base.registry import Registry
from mta.base.text import lower
from mta.config import kinds
from mta.config.option import Configured, Kind, Option, Setting
from mta.config.template import Template, template
from mta.expand.context import Context
from mta.route.api import Address, Verdict
from mta.route.files import Files, Gathered


def _flexible(text: str, where: Where) -> bool | Template:
    word = lower(text)
    if word in ("true", "yes"):
        return True
    return False if word in ("false", "no", "") else template(text, where)


def _shown(value: bool | Template) -> str:
    return value.text if isinstance(value, Template) else ("false", "true")[value]


# A boolean that may be an expansion, to be found out when the router runs.
flexible: Kind[bool | Template] = Kind("boolean, expanded", _flexible, _shown, is_boolean=True)


class Router(Configured):
    """What every router can be told."""

    # Preconditions, in the order in which they are tried whatever the order in the file.
    local_part_prefix = Option(
        kinds.string_list, "", "Prefixes to be taken off; *- is any that ends in a hyphen."
    )
    local_part_prefix_optional = Option(
        kinds.boolean, "false", "Run even where there is no such prefix."
    )
    local_part_suffix = Option(
        kinds.string_list, "", "Suffixes to be taken off; -* is any that begins with a hyphen."
    )
    local_part_suffix_optional = Option(
        kinds.boolean, "false", "Run even where there is no such suffix."
    )
    caseful_local_part = Option(
        kinds.boolean, "false", "Keep the case of the local part; else it is lowered."
    )
    verify_only = Option(kinds.boolean, "false", "Run only to verify, never to deliver.")
    verify_recipient = Option(kinds.boolean, "true", "Run when a recipient is verified.")
    verify_sender = Option(kinds.boolean, "true", "Run when a sender is verified.")
    expn = Option(kinds.boolean, "true", "Run for the EXPN command.")
    address_test = Option(kinds.boolean, "true", "Run when an address is tested (-bt).")
    domains = Option(kinds.domain_list, "", "The domains to run for; unset means all.")
    local_parts = Option(
        kinds.local_part_list, "", "The local parts to run for; unset means all."
    )
    check_local_user = Option(
        kinds.boolean, "false", "Run only where the local part is a login name here."
    )
    router_home_directory = Option(kinds.expanded, "", "What $home is in this router.")
    senders = Option(kinds.address_list, "", "The senders to run for; unset means all.")
    require_files = Option(
        kinds.string_list,
        "",
        "Files that must be there, or with ! must not; an item without a slash is the user, "
        "and perhaps behind a comma the group, who must be able to read those behind it; "
        "with + before it, one in a closed directory is taken for missing.",
    )
    condition = Option(kinds.conditions, "", "Must all expand to something true.")

    # What happens before, with and after the driver.
    set_ = Option(
        kinds.settings, "", "Variables r_NAME = value, semicolons between; repeatable."
    )
    address_data = Option(kinds.expanded, "", "Kept as $address_data with the address.")
    cannot_route_message = Option(
        kinds.expanded, "", "The error when no router takes the address."
    )
    debug_print = Option(kinds.expanded, "", "Shown when routing is debugged.")
    disable_logging = Option(
        kinds.boolean, "false", "Log nothing of what becomes of addresses that it takes."
    )
    dsn_lasthop = Option(
        kinds.boolean,
        "false",
        "Do not pass wishes for delivery status notifications on: report success ourselves.",
    )
    errors_to = Option(
        kinds.expanded_or_empty, "", "Who is told of failures; empty for nobody."
    )
    fail_verify_recipient = Option(
        kinds.boolean, "false", "Where this router takes a recipient, verifying it fails."
    )
    fail_verify_sender = Option(
        kinds.boolean, "false", "Where this router takes a sender, verifying it fails."
    )
    group = Option(kinds.expanded, "", "The group a local delivery runs in.")
    headers_add = Option(kinds.header_lines, "", "Headers added at delivery, one a line.")
    headers_remove = Option(
        kinds.header_lines, "", "Names of headers removed at delivery, with colons between."
    )
    initgroups = Option(
        kinds.boolean, "false", "A local delivery gets all groups of its user."
    )
    log_as_local = Option(
        kinds.boolean, "false", "Log deliveries by the local part; accept does so anyway."
    )
    more = Option(flexible, "true", "Go on with the next router when this one declines.")
    pass_router = Option(kinds.string, "", "The router to go on with after a pass.")
    redirect_router = Option(kinds.string, "", "Where new addresses begin.")
    repeat_use = Option(
        kinds.boolean, "true", "May run for an address that came from one it has handled."
    )
    retry_use_local_part = Option(
        kinds.boolean,
        "false",
        "Remember failures for each address, not for its domain; unless it is set, this is so "
        "where any precondition on the local part, the sender, files or conditions is.",
    )
    self_ = Option(
        kinds.string,
        "freeze",
        "What is done when the best host turns out to be this one: freeze, defer, send, pass, "
        "fail, or reroute: with a domain; headers are not rewritten yet.",
    )
    dnssec_request_domains = Option(
        kinds.domain_list, "*", "Names whose signatures (DNSSEC) are asked for."
    )
    dnssec_require_domains = Option(
        kinds.domain_list, "", "Names that count only if their signatures were verified."
    )
    ignore_target_hosts = Option(
        kinds.host_list, "", "Addresses of hosts that are taken not to exist."
    )
    pass_on_timeout = Option(
        kinds.boolean, "false", "Pass the address on where looking up hosts fails for now."
    )
    transport = Option(kinds.expanded, "", "The transport that delivers.")
    transport_current_directory = Option(
        kinds.expanded, "", "The directory that a local delivery runs in."
    )
    transport_home_directory = Option(
        kinds.expanded,
        "",
        "What $home is for a local delivery; unless it is set, the home of the local user, or "
        "router_home_directory.",
    )
    unseen = Option(flexible, "false", "Go on with a copy of the address besides.")
    user = Option(kinds.expanded, "", "The user a local delivery runs as.")

    def __init__(self, name: str, settings: list[Setting], where: Where) -> None:
        self.name = name
        self.place = where
        self.files = Files()
        self.announce: Callable[[str], None] | None = None  # takes what debug_print says
        super().__init__(_both_kinds_of_verify(settings))
        if "retry_use_local_part" not in self.where:
            self.retry_use_local_part = not self.where.keys().isdisjoint(_BY_LOCAL_PART)
        self.check()

    def check(self) -> None:
        """Raise ConfigError for options that do not go together."""

    def needs_transport(self) -> None:
        """Raise ConfigError if it could accept an address with nowhere to send it."""
        if self.transport is None and not self.verify_only:
            raise ConfigError(
                self.place,
                f'router "{self.name}" has neither "transport" nor "verify_only"',
                "say which transport delivers",
            )

    @property
    def is_one_time(self) -> bool:
        """True if new addresses take the place of the recipient as soon as one is delayed."""
        return False

    def route(self, ctx: Context, address: Address) -> Verdict:
        """What is to be done with the address."""
        raise NotImplementedError

    def whom_to_tell(self, ctx: Context) -> tuple[str, str]:
        """Whom a driver wants to be told of items that it left out, and the words before
        that; "" for nobody."""
        return "", ""

    def gather(self, ctx: Context, address: Address) -> Gathered:
        """The list that this router would read for an address, read as who we are.

        Raises TempFail, ExpansionFail.
        """
        raise TempFail(f"{self.name} router reads no list")


_BY_LOCAL_PART = (
    "check_local_user",
    "local_parts",
    "condition",
    "local_part_prefix",
    "local_part_suffix",
    "senders",
    "require_files",
)


def _both_kinds_of_verify(settings: list[Setting]) -> list[Setting]:
    """`verify` and `fail_verify` mean the options for senders and recipients at once."""
    result: list[Setting] = []
    for setting in settings:
        name = setting.name
        stem = name.removeprefix("no_").removeprefix("not_")
        if stem in ("verify", "fail_verify"):
            for whom in ("_recipient", "_sender"):
                result.append(
                    Setting(name + whom, setting.value, setting.where, setting.hidden)
                )
        else:
            result.append(setting)
    return result


R = TypeVar("R", bound=Router)

ROUTERS: Registry[type[Router]] = Registry("router driver")


def router(driver: str) -> Callable[[type[R]], type[R]]:
    """Declare a class as the router driver of this name."""

    def declare(cls: type[R]) -> type[R]:
        ROUTERS.add(driver, cls, cls.__doc__)
        return cls

    return declare
