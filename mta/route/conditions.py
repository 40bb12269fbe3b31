"""What has to hold for a router to run: affixes, purpose, lists, local user, conditions.

They are tried in Exim's fixed order whatever the order in the configuration, and a later one
sees what an earlier one found: $domain_data, $local_part_data, $home.  The first that does not
hold ends it; one that cannot be told now defers the address.  Which of them a router has at
all is found out once, when it is loaded: most have one or two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from mta.base.errors import ExpansionFail, TempFail
from mta.base.text import BLANKS, lower
from mta.config.template import Template
from mta.expand.context import Context, Place
from mta.expand.run import expand
from mta.expand.trust import require
from mta.match.address import match_address
from mta.match.domain import match_domain
from mta.match.localpart import match_local_part
from mta.route import required
from mta.route.api import NOBODY, Address, Owner
from mta.route.router import Router
from mta.unix import users

# Takes a line for the panic log: routers themselves do not log.
Complain = Callable[[str], None]


class Purpose(Enum):
    """Why an address is routed."""

    __hash__ = object.__hash__  # members are single; Enum's own hash is slow

    DELIVER = "deliver"
    VERIFY_RECIPIENT = "verify a recipient"
    VERIFY_SENDER = "verify a sender"
    EXPN = "expn"
    TEST = "test"

    @property
    def is_verify(self) -> bool:
        """True if it is only asked whether the address is good."""
        return self in (Purpose.VERIFY_RECIPIENT, Purpose.VERIFY_SENDER)


def serves(router: Router, purpose: Purpose) -> bool:
    """True if the router is meant for this purpose at all."""
    match purpose:
        case Purpose.DELIVER:
            return not router.verify_only
        case Purpose.VERIFY_RECIPIENT:
            return router.verify_recipient
        case Purpose.VERIFY_SENDER:
            return router.verify_sender
        case Purpose.EXPN:
            return router.expn
        case Purpose.TEST:
            return router.address_test and not router.verify_only


def take_affixes(router: Router, address: Address, local_part: str) -> str | None:
    """Note prefix and suffix in the address and give the rest; None where one is missing."""
    address.prefix = address.suffix = address.prefix_v = address.suffix_v = ""
    if router.local_part_prefix is not None:
        length, fixed = _prefix_length(local_part, _items(router.local_part_prefix))
        if not length and not router.local_part_prefix_optional:
            return None
        address.prefix, local_part = local_part[:length], local_part[length:]
        address.prefix_v = address.prefix[: length - fixed]
    if router.local_part_suffix is not None:
        length, fixed = _suffix_length(local_part, _items(router.local_part_suffix))
        if not length and not router.local_part_suffix_optional:
            return None
        cut = len(local_part) - length
        address.suffix, local_part = local_part[cut:], local_part[:cut]
        address.suffix_v = address.suffix[fixed:]
    return local_part


def _items(affixes: Template) -> list[str]:
    return [lower(item.strip(BLANKS)) for item in affixes.text.split(":")]


def _prefix_length(local_part: str, prefixes: list[str]) -> tuple[int, int]:
    """How long the first prefix is that fits, and how much of it is no wildcard."""
    known = lower(local_part)
    for prefix in prefixes:
        if prefix.startswith("*"):
            # The longest text that ends so.
            at = known.rfind(prefix[1:])
            if at >= 0 and prefix != "*":
                return at + len(prefix) - 1, len(prefix) - 1
        elif prefix and known.startswith(prefix):
            return len(prefix), len(prefix)
    return 0, 0


def _suffix_length(local_part: str, suffixes: list[str]) -> tuple[int, int]:
    """The same at the end."""
    known = lower(local_part)
    for suffix in suffixes:
        if suffix.endswith("*"):
            # The longest text that begins so.
            at = known.find(suffix[:-1])
            if at >= 0 and suffix != "*":
                return len(known) - at, len(suffix) - 1
        elif suffix and known.endswith(suffix):
            return len(suffix), len(suffix)
    return 0, 0


# Raises TempFail where it cannot be told now.
Precondition = Callable[[Router, Context, Address, Complain], bool]


@dataclass(frozen=True, slots=True)
class Gate:
    """What has to hold for one router, as far as its options are set at all."""

    purposes: frozenset[Purpose]
    has_affixes: bool
    preconditions: tuple[Precondition, ...]


def begin(router: Router, gate: Gate, ctx: Context, address: Address, folded: str) -> bool:
    """Forget what the last router found; False if the address lacks an affix.

    `folded` is the local part in lower case.
    """
    whole = address.whole if router.caseful_local_part else folded
    address.prefix = address.suffix = address.prefix_v = address.suffix_v = ""
    local_part = take_affixes(router, address, whole) if gate.has_affixes else whole
    if local_part is None:
        return False
    address.local_part = local_part
    address.local_part_data = address.domain_data = address.home = None
    address.login_home = None
    address.owner = NOBODY
    address.is_silent = router.disable_logging
    address.uid = address.gid = None
    address.retry_key = address.text if router.retry_use_local_part else address.domain
    place = ctx.place
    place.local_part = local_part
    place.local_part_prefix, place.local_part_suffix = address.prefix, address.suffix
    place.local_part_prefix_v, place.local_part_suffix_v = address.prefix_v, address.suffix_v
    place.local_part_data = place.domain_data = place.home = None
    place.local_user_uid = place.local_user_gid = None
    place.address_data = address.address_data
    place.router_variables = address.variables
    place.router_name = router.name
    return True


def scene_of(address: Address) -> Place:
    """The place of an address, as far as it is the same for all routers."""
    origin, parent = address.origin, address.parent
    return Place(
        local_part=address.local_part,
        domain=address.domain,
        original_local_part=origin.whole,
        original_domain=origin.domain,
        parent_local_part=parent.whole if parent else "",
        parent_domain=parent.domain if parent else "",
    )


def arrive(router: Router, ctx: Context, address: Address, complain: Complain) -> bool:
    """Find out again what the preconditions of a router find out about an address: its
    domain, its user, his home.  False if the router would not run for it.

    For a process that was told an address and believes nothing else.  Raises TempFail.
    """
    gate = gate_of(router)
    if not begin(router, gate, ctx, address, lower(address.whole)):
        return False
    return all(
        precondition(router, ctx, address, complain)
        for precondition in gate.preconditions
        if precondition in (_domain, _local_part, _local_user, _home)
    )


def gate_of(router: Router) -> Gate:
    """The gate of a router, made once, when the configuration is loaded."""
    wanted: list[tuple[bool, Precondition]] = [
        (router.domains is not None, _domain),
        (router.local_parts is not None, _local_part),
        (router.check_local_user, _local_user),
        (router.router_home_directory is not None, _home),
        (router.debug_print is not None, _show),
        (router.senders is not None, _sender),
        (router.require_files is not None, required.hold),
        (bool(router.condition), _conditions),
    ]
    return Gate(
        frozenset(purpose for purpose in Purpose if serves(router, purpose)),
        router.local_part_prefix is not None or router.local_part_suffix is not None,
        tuple(precondition for is_set, precondition in wanted if is_set),
    )


def _domain(router: Router, ctx: Context, address: Address, complain: Complain) -> bool:
    assert router.domains is not None
    found = match_domain(ctx, router.domains, address.domain)
    if found is None:
        return False
    address.domain_data = ctx.place.domain_data = found.data
    return True


def _local_part(router: Router, ctx: Context, address: Address, complain: Complain) -> bool:
    assert router.local_parts is not None
    found = match_local_part(
        ctx, router.local_parts, ctx.place.local_part, caseful=router.caseful_local_part
    )
    if found is None:
        return False
    address.local_part_data = ctx.place.local_part_data = found.data
    return True


def _local_user(router: Router, ctx: Context, address: Address, complain: Complain) -> bool:
    place = ctx.place
    user = users.by_name(place.local_part)
    if user is None:
        return False
    if address.local_part_data is None:
        address.local_part_data = place.local_part_data = user.name
    address.home = address.login_home = place.home = user.home
    address.uid = place.local_user_uid = user.uid
    address.gid = place.local_user_gid = user.gid
    address.owner = Owner(user.name, "", router.initgroups)
    return True


def _home(router: Router, ctx: Context, address: Address, complain: Complain) -> bool:
    option = router.router_home_directory
    assert option is not None
    try:
        home = expand(ctx, option)
    except ExpansionFail as error:
        if error.forced:
            return True
        raise TempFail(
            f'failed to expand "{option.text}" for router_home_directory: {error.text}'
        ) from error
    address.home = ctx.place.home = require(home, "router_home_directory", option.where)
    return True


def _show(router: Router, ctx: Context, address: Address, complain: Complain) -> bool:
    """Exim says so here: before the preconditions that are left."""
    if router.announce is not None and router.debug_print is not None:
        try:
            router.announce(expand(ctx, router.debug_print))
        except (ExpansionFail, TempFail) as error:
            router.announce(f"failed to expand debug_print of {router.name}: {error.text}")
    return True


def _sender(router: Router, ctx: Context, address: Address, complain: Complain) -> bool:
    assert router.senders is not None
    return match_address(ctx, router.senders, ctx.message.sender) is not None


def _conditions(router: Router, ctx: Context, address: Address, complain: Complain) -> bool:
    """As in Exim, a condition that cannot be expanded does not hold; somebody is told."""
    for condition in router.condition:
        try:
            if not is_true(expand(ctx, condition)):
                return False
        except ExpansionFail as error:
            if not error.forced:
                complain(
                    f'failed to expand condition "{condition.text}" for {router.name} '
                    f"router: {error.text}"
                )
            return False
    return True


def is_true(text: str) -> bool:
    """What an expanded condition says."""
    return lower(text) not in ("", "0", "no", "false")
