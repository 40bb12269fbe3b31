"""What routers work on and what they answer."""

from __future__ import annotations

from dataclasses import dataclass, field

from mta.base.trust import Trusted


@dataclass(frozen=True, slots=True)
class Host:
    """A host to try: its name, its address once known, its port (0 for the transport's)."""

    name: str
    address: str = ""
    port: int = 0
    preference: int | None = None  # None unless it came from an MX record


@dataclass(frozen=True, slots=True)
class Owner:
    """As whom a local delivery runs, as the configuration says it: names or numbers.

    "" leaves it to the transport.  The launcher looks the names up again and has the last
    word.
    """

    user: str = ""
    group: str = ""
    initgroups: bool = False


@dataclass(slots=True)
class Address:
    """An address on its way through the routers.

    `text` is what is delivered to; `origin` the recipient in the envelope that it came from.
    """

    text: str
    local_part: str
    domain: str  # lower case
    parent: Address | None = None
    errors_to: str | None = None  # None: the sender of the message
    prefix: str = ""
    suffix: str = ""
    local_part_data: Trusted | None = None
    domain_data: Trusted | None = None
    address_data: str = ""
    home: Trusted | None = None
    headers_add: tuple[str, ...] = ()
    headers_remove: tuple[str, ...] = ()
    owner: Owner = field(default_factory=Owner)
    start_router: str = ""  # where the chain begins, for redirect_router and `unseen`
    dsn_flags: int = 0
    orcpt: str = ""

    @property
    def origin(self) -> Address:
        """The recipient of the envelope that this came from."""
        address = self
        while address.parent is not None:
            address = address.parent
        return address


@dataclass(frozen=True, slots=True)
class Child:
    """An address that a redirection made; `pipe`, `file` and `reply` are not addresses."""

    text: str
    kind: str = "address"  # address, file, pipe
    errors_to: str | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """Deliver with this transport ("" when only verifying); remote ones get hosts."""

    transport: str
    hosts: tuple[Host, ...] = ()


@dataclass(frozen=True, slots=True)
class Declined:
    """Not ours; the next router may know."""


@dataclass(frozen=True, slots=True)
class Passed:
    """Go on after this router even if it says no_more."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """These addresses take its place; none means it is discarded (:blackhole:)."""

    children: tuple[Child, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """It can never be delivered: `text` is for the sender, `log` (or it) for the log."""

    text: str
    log: str = ""
    status: str = "5.1.1"


@dataclass(frozen=True, slots=True)
class Deferred:
    """Try again later; `freeze` asks for an administrator to look at the message."""

    text: str
    freeze: bool = False
    code: int = 0


Verdict = Accepted | Declined | Passed | Replaced | Failed | Deferred


@dataclass(frozen=True, slots=True)
class Delivery:
    """The end of a route: this address goes to this transport."""

    address: Address
    router: str
    transport: str
    hosts: tuple[Host, ...] = ()
    file: str = ""  # for a child of kind file or pipe: what the redirection named
    pipe: str = ""


@dataclass(frozen=True, slots=True)
class Undeliverable:
    """The end of a route: a failure or a deferral."""

    address: Address
    router: str
    verdict: Failed | Deferred


@dataclass(frozen=True, slots=True)
class Discarded:
    """The end of a route: nothing is to be done (:blackhole:)."""

    address: Address
    router: str


Routed = Delivery | Undeliverable | Discarded
