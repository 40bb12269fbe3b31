"""What an expansion may speak of: the connection, the message, the address, and the tables.

The owner of each part makes and changes it; an expansion only reads, except for the values of
the items under way.  Text from strangers is plain str here; text that no stranger chose is
Trusted (base/trust.py), and so is what comes of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from mta.base.trust import Trusted
from mta.config.model import Configuration
from mta.lookup.api import Tables
from mta.mail.header import Header
from mta.net.tls_terms import Facts


def _silent(line: str) -> None:
    """Nobody listens."""


@dataclass(slots=True)
class Connection:
    """Where a message comes from: an SMTP client, or a local program."""

    host_address: str = ""  # "" for a local submission
    host_port: int = 0
    host_name: str = ""  # confirmed forwards
    host_aliases: tuple[str, ...] = ()  # the same of its other names
    host_lookup_failed: bool = False
    host_lookup_deferred: bool = False
    host_lookup_why: str = ""  # why it failed
    interface_address: str = ""
    interface_port: int = 0
    active_hostname: str = ""
    helo_name: str = ""
    helo_verified: bool = False
    helo_verify_failed: bool = False
    protocol: str = ""  # as in P=: esmtp, smtp, local, …
    ident: str = ""  # for a local submission: the login name of the caller
    host_auth: str = ""  # the authenticator by which the client proved who it is
    host_auth_pubname: str = ""  # and the name of its mechanism
    authenticated_id: str = ""
    authenticated_sender: str = ""
    authenticated_fail_id: str = ""  # of the last attempt that failed
    authentication_failed: bool = False
    local_uid: int | None = None
    tls: Facts | None = None  # None: anybody on the way can read along
    tls_sni: str = ""  # the host that the client asked for
    acl_c: dict[str, str] = field(default_factory=dict)
    log_line: Callable[[str], object] = _silent  # takes a line for the main log


def _no_body(limit: int) -> bytes:
    return b""


@dataclass(slots=True)
class Message:
    """The message being received or delivered."""

    message_id: str = ""
    sender: str = ""  # envelope sender; "" is the null sender
    recipients: list[str] = field(default_factory=list)
    headers: list[Header] = field(default_factory=list)
    size: int = 0
    size_declared: int = -1  # SIZE= of the MAIL command
    received_time: float = 0.0
    body_linecount: int = 0
    max_received_linelength: int = 0
    body_start: Callable[[int], bytes] = _no_body  # the first octets of the body
    acl_m: dict[str, str] = field(default_factory=dict)
    first_delivery: bool = False
    rcpt_count: int = 0
    rcpt_fail_count: int = 0
    rcpt_defer_count: int = 0
    return_path: str | None = None  # the sender as the next hop will see it
    originator_uid: int = -1
    originator_gid: int = -1


@dataclass(slots=True)
class Place:
    """The address being verified, routed or delivered."""

    local_part: str = ""
    domain: str = ""
    local_part_prefix: str = ""
    local_part_suffix: str = ""
    local_part_prefix_v: str = ""  # what the asterisk stood for
    local_part_suffix_v: str = ""
    local_part_data: Trusted | None = None
    domain_data: Trusted | None = None
    original_local_part: str = ""
    original_domain: str = ""
    parent_local_part: str = ""
    parent_domain: str = ""
    address_data: str = ""
    home: Trusted | None = None
    local_user_uid: int | None = None
    local_user_gid: int | None = None
    router_name: str = ""
    transport_name: str = ""
    address_file: str = ""
    address_pipe: str = ""
    host: str = ""
    host_address: str = ""
    host_port: int = 0
    sender_address_data: str = ""
    acl_verify_message: str = ""
    self_hostname: str = ""  # our own, where a router passed the address on for it
    router_variables: dict[str, str] = field(default_factory=dict)  # r_… set by routers


@dataclass(slots=True)
class Context:
    """All that one expansion can see.  `values` holds $value, $item … while items run."""

    conf: Configuration
    tables: Tables
    connection: Connection = field(default_factory=Connection)
    message: Message = field(default_factory=Message)
    place: Place = field(default_factory=Place)
    values: dict[str, str] = field(default_factory=dict)
    captures: tuple[str, ...] = ()  # $0, $1 … of the match that was made last
    steps: int = 0  # taken by loops of this expansion; bounded, see expand.split
    tls_out: Facts | None = None  # of the connection to another host
    depth: int = 0  # of ${expand: in ${expand:

    def __post_init__(self) -> None:
        if self.tables.conf is None:
            self.tables.conf = self.conf
