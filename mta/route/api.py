"""What routers work on and what they answer."""

from __future__ import annotations

from dataclasses import dataclass, field

from mta.base.text import lower
from mta.base.trust import Trusted
from mta.mail import address as syntax


@dataclass(frozen=True, slots=True)
class Host:
    """A host to try: its name, its address once known, its port (0 for the transport's)."""

    name: str
    address: str = ""
    port: int = 0
    preference: int | None = None  # None unless it came from an MX record
    expired: bool = False  # it has failed for longer than its retry rule tries


@dataclass(frozen=True, slots=True)
class Owner:
    """As whom a local delivery runs, as the configuration says it: names or numbers.

    "" leaves it to the transport.  The launcher looks the names up again and has the last
    word.
    """

    user: str = ""
    group: str = ""
    initgroups: bool = False


NOBODY = Owner()


@dataclass(slots=True)
class Address:
    """An address on its way through the routers.

    `text` is what is delivered to; `origin` the recipient in the envelope that it came from.
    """

    text: str
    local_part: str
    domain: str  # lower case
    parent: Address | None = None
    whole: str = ""  # the local part with its affixes, its case, and without quotes
    errors_to: str | None = None  # None: the sender of the message
    prefix: str = ""
    suffix: str = ""
    prefix_v: str = ""  # what the asterisk of the affix stood for
    suffix_v: str = ""
    local_part_data: Trusted | None = None
    domain_data: Trusted | None = None
    address_data: str = ""
    home: Trusted | None = None
    login_home: Trusted | None = None  # of the local user, whatever the router says
    headers_add: tuple[str, ...] = ()
    headers_remove: tuple[str, ...] = ()
    owner: Owner = NOBODY
    start_router: str = ""  # where the chain begins, for redirect_router and `unseen`
    dsn_flags: int = 0
    orcpt: str = ""
    kind: str = "address"  # as in Child
    router: str = ""  # the last router that looked at it
    retry_key: str = ""  # what a failure to route it is remembered under
    as_local: bool = False  # logged by its local part, as local deliveries are
    uid: int | None = None  # of the local user that check_local_user found
    gid: int | None = None
    variables: dict[str, str] = field(default_factory=dict)  # r_… that routers have set
    current_directory: Trusted | None = None  # where a local delivery is to run
    is_silent: bool = False  # its router says disable_logging
    is_hidden: bool = False  # bounces name the address that it came from instead
    is_one_time: bool = False  # once it is delayed, its list is not looked at again
    skipped: tuple[str, ...] = ()  # what was wrong with items of its list

    @property
    def origin(self) -> Address:
        """The recipient of the envelope that this came from."""
        address = self
        while address.parent is not None:
            address = address.parent
        return address

    @property
    def is_homonym(self) -> bool:
        """True if an ancestor has the same text: a self-alias, or the work of `unseen`."""
        ancestor = self.parent
        while ancestor is not None:
            if ancestor.text == self.text:
                return True
            ancestor = ancestor.parent
        return False

    def name_for(self, transport: str) -> str:
        """The name under which it is noted as done, in Exim's spelling.

        Files and pipes are told apart by the address that named them, and two deliveries to
        the same address by their transports.
        """
        if self.kind != "address" and self.parent is not None:
            return f"{self.text}:{self.parent.text}"
        return f"{self.text}/{transport}" if self.is_homonym else self.text


def address_of(text: str, parent: Address | None = None) -> Address:
    """A qualified address as routing wants it: the domain in lower case."""
    local_part, domain = syntax.split(text)
    domain = lower(domain)
    whole = syntax.unquote(local_part)
    return Address(f"{local_part}@{domain}", local_part, domain, parent, whole)


@dataclass(frozen=True, slots=True)
class Child:
    """What a redirection made: an address, or the name of a file or a pipe with its "|".

    Files and pipes go to the `transport` that the router has for them; `refused` says why one
    is not allowed, and `missing` which option of the router says where one would go.
    """

    text: str
    kind: str = "address"  # address, file, pipe
    transport: str = ""
    refused: str = ""
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Accepted:
    """Deliver with this transport ("" for the router's own); remote ones get hosts."""

    transport: str = ""
    hosts: tuple[Host, ...] = ()


@dataclass(frozen=True, slots=True)
class Declined:
    """Not ours; the next router may know.  If none does, `text` (if any) is the error."""

    text: str = ""
    status: str = "5.1.1"


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
    """Try again later; `freeze` asks for an administrator to look at the message.

    `log` is the text for the log where that should say more, `note` another line for it.
    """

    text: str
    freeze: bool = False
    code: int = 0
    note: str = ""
    log: str = ""


# What is nearly always said; there is nothing in it that could differ.
ACCEPTED = Accepted()
DECLINED = Declined()

Verdict = Accepted | Declined | Passed | Replaced | Failed | Deferred


@dataclass(frozen=True, slots=True)
class Remark:
    """Something for the log, besides what becomes of an address: items that were left out.

    If `to` is an address, somebody wants to be told so by mail, after the words in `text`.
    """

    address: Address
    router: str
    errors: tuple[str, ...]
    to: str = ""
    text: str = ""

    @property
    def lines(self) -> list[str]:
        """The lines for the log."""
        return [f"{self.router} router: skipped error: {error}" for error in self.errors]


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
