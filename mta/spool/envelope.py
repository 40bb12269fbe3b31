"""The envelope: all that is kept of a message beside its body, as one value.

The fields have the names of Exim's variables or of its lines in -H where it has no variable.
A text field is `Trusted` when no stranger chose it; any other `str` counts as a stranger's.
An empty text, 0 and False mean that the line is absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from mta.base.values import value
from mta.mail.header import Header

# The bits of Recipient.dsn_flags: what NOTIFY= said, and that ORCPT= was given (RFC 3461).
DSN_LAST_HOP = 0x01  # of an address on its route only: dsn_lasthop of its router
DSN_NEVER = 0x02
DSN_SUCCESS = 0x04
DSN_FAILURE = 0x08
DSN_DELAY = 0x10
DSN_WISHES = DSN_NEVER | DSN_SUCCESS | DSN_FAILURE | DSN_DELAY

# The values of Envelope.dsn_ret: what RET= said.
RET_FULL = 1
RET_HEADERS = 2


@value
class Recipient:
    """One address that the message is for.

    `parent` is the number of the recipient that a one_time alias replaced by this one, or -1;
    `orcpt` stays in the xtext in which it came.
    """

    address: str
    errors_to: str = ""
    dsn_flags: int = 0
    orcpt: str = ""
    parent: int = -1


@value
class Envelope:
    """Who sent a message and how it came, who must still get it, and its headers."""

    id: str
    login: str
    uid: int
    gid: int
    sender: str
    received_time: float
    received_complete: float = 0.0
    warning_count: int = 0

    # How it came.
    helo_name: str = ""
    host_address: str = ""
    host_port: int = 0
    host_name: str = ""
    host_auth: str = ""
    host_auth_pubname: str = ""
    interface_address: str = ""
    interface_port: int = 0
    active_hostname: str = ""
    ident: str = ""
    received_protocol: str = ""
    auth_id: str = ""
    auth_sender: str = ""
    host_lookup_deferred: bool = False
    host_lookup_failed: bool = False
    local: bool = False
    sender_set_untrusted: bool = False
    allow_unqualified_recipient: bool = False
    allow_unqualified_sender: bool = False
    tls_certificate_verified: bool = False
    tls_cipher: str = ""
    tls_peercert: str = ""
    tls_peerdn: str = ""
    tls_sni: str = ""
    tls_ourcert: str = ""
    tls_ocsp: int = 0
    tls_resumption: str = "A"
    tls_ver: str = ""

    # What it is.
    spool_file_wireformat: bool = False
    body_linecount: int = 0
    body_zerocount: int = 0
    max_received_linelength: int = 0
    smtputf8: bool = False
    utf8_downcvt: bool = False
    utf8_optdowncvt: bool = False
    dsn_envid: str = ""
    dsn_ret: int = 0
    local_scan: str = ""
    spam_bar: str = ""
    spam_score: str = ""
    spam_score_int: str = ""

    # What has become of it.
    deliver_firsttime: bool = False
    dont_deliver: bool = False
    frozen_at: int = 0
    local_error: bool = False
    manual_thaw: bool = False

    # The keys are what follows "acl_c" and "acl_m" in the name: "0", "_name".
    acl_c: Mapping[str, str] = field(default_factory=dict)
    acl_m: Mapping[str, str] = field(default_factory=dict)
    # Lines that we do not know, as they stand, so that they survive being written again.
    other: tuple[str, ...] = ()

    nonrecipients: frozenset[str] = frozenset()
    recipients: tuple[Recipient, ...] = ()
    headers: tuple[Header, ...] = ()

    @property
    def is_frozen(self) -> bool:
        """True if no delivery is to be tried until somebody thaws it."""
        return self.frozen_at != 0

    @property
    def remaining(self) -> tuple[Recipient, ...]:
        """The recipients that are not done."""
        done = self.nonrecipients
        if not done:
            return self.recipients
        return tuple(to for to in self.recipients if to.address not in done)

    @property
    def header_size(self) -> int:
        """The octets of the headers that are sent."""
        return sum([len(header.text) for header in self.headers if header.kind != "*"])
