"""What a transport is given and what it answers."""

from __future__ import annotations

from dataclasses import field, replace
from enum import Enum

from mta.base.trust import Trusted
from mta.base.values import value
from mta.route.api import Host


@value
class ParcelRecipient:
    """One recipient of a parcel and what the transport's options may say of it.

    `variables` are the values that the router left: local_part_data, domain_data, home,
    address_data, … by name, each with its trust kept.
    """

    address: str
    origin: str  # the recipient in the envelope that it came from
    local_part: str
    domain: str
    prefix: str = ""
    suffix: str = ""
    local_part_data: Trusted | None = None
    domain_data: Trusted | None = None
    home: Trusted | None = None
    address_data: str = ""
    dsn_flags: int = 0
    orcpt: str = ""


@value
class Parcel:
    """What goes to one transport in one go: one message, one or more recipients.

    `headers` is the header block as it is in the spool (LF line ends); expansions see it like
    that.  What the routers want removed and added is in `headers_remove` and `headers_add`:
    first everything is removed that routers or transport name, then the routers' additions
    follow, then the transport's.  `body` is a descriptor of the -D file that is read with
    pread only, from `body_offset`, `body_size` octets.
    """

    message_id: str
    transport: str
    router: str
    sender: str  # the return path; "" is the null sender
    recipients: tuple[ParcelRecipient, ...]
    headers: bytes
    body: int
    body_offset: int
    body_size: int
    headers_add: tuple[str, ...] = ()  # whole header lines, each may have an LF at its end
    headers_remove: tuple[str, ...] = ()  # names; a final * stands for anything
    hosts: tuple[Host, ...] = ()
    # Named by a redirection, not by the transport; trusted once the process that delivers has
    # found it in the list itself (mta/proc/confirming.py).
    file: str = ""
    pipe: str = ""
    received_time: float = 0.0
    is_8bit: bool = False
    dsn_envid: str = ""
    dsn_ret: str = ""  # "", full or hdrs
    values: dict[str, str] = field(default_factory=dict)  # acl_m_…, acl_c_…, sender_host_…


class Result(Enum):
    """What became of one recipient."""

    DONE = "done"
    DEFER = "defer"
    FAIL = "fail"


@value
class Outcome:
    """What became of one recipient of a parcel.

    `text` is the error, or the remote host's confirmation for C=; `code` the errno or Exim's
    number for the retry record; `host`, `host_address` and `port` where it went or failed.
    `host_error` says that the failure is the host's, not this recipient's.

    An outcome without an address is a note about a host alone: it was tried and failed, and
    its recipients were taken elsewhere or have outcomes of their own.  It is for the log line
    `H=name [ip] …` and for the host's retry record (the message's own with `message_error`),
    and always comes before the outcomes of the recipients.  One that is done is a line for the
    log and nothing else.

    Exim's log shows a `text` that is just the system's word for `code` as `H=name [ip] text`;
    any other as `H=name [ip]: text`, with `: ` and the system's word behind it if code > 0.
    """

    address: str
    result: Result
    text: str = ""
    status: str = ""  # enhanced status code
    code: int = 0
    host: str = ""
    host_address: str = ""
    port: int = 0
    host_error: bool = False
    message_error: bool = False  # the host refused this message, not the recipient
    remote_text: str = ""  # the remote server's reply, for the bounce
    reused: bool = False  # the connection had carried another message before ("*" in the log)
    file: str = ""  # what was written, where the log names it
    is_dsn_relayed: bool = False  # the next host has the wishes and makes the reports
    authenticated: str = ""  # as whom we were known there, for A=
    told: str | None = None  # what the sender is told in a bounce, if that is not `text`
    output: str = ""  # what a command said, for the bounce
    note: str = ""  # for a line of the log of its own
    freeze: bool = False  # with a deferral: somebody has to look at the message
    unread: int = 0  # for how many seconds nobody has read a mailbox that is full
    cipher: str = ""  # how the connection was encrypted: version, cipher, bits
    verified: bool = False  # and with whom: the certificate is from somebody we trust
    peer: str = ""  # the subject of that certificate

    def about(self, address: str) -> Outcome:
        """The same said of another recipient."""
        return replace(self, address=address)
