"""What delivery processes, the launcher and the workers say to each other.

    deliver, receiver → launcher     start     with one end of a new channel
    deliver → launcher               reader    with one end of a new channel
    launcher → asker (new channel)   refused   when the worker may not be started
    deliver → looker                 look      a router and an address, one after the other
    looker → deliver                 sight     for each file, with its pieces behind it
                                     unseen    where that cannot be told
    deliver → worker                 carry     a parcel, with the -D file; several may wait
    worker → deliver                 outcome   one for each recipient and for each host that
                                               failed, in the order of the parcels

A worker that goes away before the last outcome of a parcel has deferred what it had not
reported.  Names cross here, never paths or commands: launcher and worker look the transport up
in their own configuration.
"""

from __future__ import annotations

from mta.base.text import to_bytes, to_text
from mta.base.values import value
from mta.transport.api import Outcome, Result
from mta.unix.frames import frame

IN_LINE = 32  # parcels at one worker, if its transport is brief: it takes them in one round
MOST_OUTPUT = 20 << 10  # octets of what a command said
ENDED = "the delivery process ended unexpectedly"


@frame("start")
@value
class Start:
    """Start a worker for this transport as this user and group ("" for what the transport
    says; remote transports run as the network user whatever is asked)."""

    transport: str
    user: str
    group: str
    initgroups: int


@frame("reader")
@value
class Reader:
    """Start a process that looks at files for routers, as this user and group."""

    user: str
    group: str
    initgroups: int


@frame("look")
@value
class Look:
    """See what a router reads for an address: its list, with what that includes, or with
    `number` (from 0) one item of its require_files."""

    router: str
    address: str
    parent: str = ""  # the address that this one came from, and the recipient in the envelope
    origin: str = ""
    sender: str = ""
    number: int = -1


@frame("sight")
@value
class Sight:
    """A file, as route.files.Seen has it; `size` octets of it follow, and `left` other files.

    The first is the list itself; it has no path where the list is no file.
    """

    path: str
    left: int = 0
    error: int = 0
    trouble: str = ""
    mode: int = 0
    uid: int = -1
    gid: int = -1
    size: int = 0


@frame("piece")
@value
class Piece:
    """The next octets of a file."""

    octets: bytes


@frame("unseen")
@value
class Unseen:
    """It cannot be told, and why; `forced` is 1 for an expansion that wanted to fail."""

    text: str
    code: int = 0
    forced: int = 0


@frame("refused")
@value
class Refused:
    """The worker was not started, and why; `permanent` is 1 where asking again is useless."""

    reason: str
    permanent: int


@frame("carry")
@value
class Carry:
    """Deliver this parcel; one that is too large for a frame comes in a sealed memory file."""

    transport: str
    message_id: str
    parcel: bytes = b""


@frame("outcome")
@value
class OutcomeFrame:
    """An Outcome on its way; `left` is how many more there are of this parcel."""

    message_id: str
    left: int
    address: str
    result: str
    text: str = ""
    status: str = ""
    code: int = 0
    host: str = ""
    host_address: str = ""
    port: int = 0
    host_error: int = 0
    message_error: int = 0
    remote_text: str = ""
    reused: int = 0
    file: str = ""
    is_dsn_relayed: int = 0
    authenticated: str = ""
    is_told: int = 0  # 1 if `told` is what the sender is told instead of `text`
    told: str = ""
    output: str = ""
    note: str = ""
    freeze: int = 0
    unread: int = 0
    cipher: str = ""
    verified: int = 0
    peer: str = ""


def pack(message_id: str, left: int, outcome: Outcome) -> OutcomeFrame:
    """The frame that says this outcome."""
    return OutcomeFrame(
        message_id,
        left,
        outcome.address,
        outcome.result.value,
        outcome.text[:4000],
        outcome.status,
        outcome.code,
        outcome.host,
        outcome.host_address,
        outcome.port,
        int(outcome.host_error),
        int(outcome.message_error),
        outcome.remote_text[:4000],
        int(outcome.reused),
        outcome.file,
        int(outcome.is_dsn_relayed),
        outcome.authenticated[:1000],
        int(outcome.told is not None),
        (outcome.told or "")[:1000],
        to_text(to_bytes(outcome.output)[:MOST_OUTPUT]),
        outcome.note[:1000],
        int(outcome.freeze),
        outcome.unread,
        cipher=outcome.cipher[:200],
        verified=int(outcome.verified),
        peer=outcome.peer[:1000],
    )


def unpack(said: OutcomeFrame) -> Outcome:
    """The outcome that a frame says; an unknown result is a deferral."""
    try:
        result = Result(said.result)
    except ValueError:
        result = Result.DEFER
    return Outcome(
        said.address,
        result,
        said.text,
        said.status,
        said.code,
        said.host,
        said.host_address,
        said.port,
        bool(said.host_error),
        bool(said.message_error),
        said.remote_text,
        bool(said.reused),
        said.file,
        bool(said.is_dsn_relayed),
        said.authenticated,
        said.told if said.is_told else None,
        said.output,
        said.note,
        bool(said.freeze),
        said.unread,
        cipher=said.cipher,
        verified=bool(said.verified),
        peer=said.peer,
    )
