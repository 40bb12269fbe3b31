"""What delivery processes, the launcher and the workers say to each other.

    deliver, receiver → launcher     start     with one end of a new channel
    launcher → asker (new channel)   refused   when the worker may not be started
    deliver → worker                 carry     with the parcel and the -D file
    worker → deliver                 outcome   one for each recipient
                                     carried   the parcel is done with; more may follow

A worker that goes away before `carried` has deferred what it had not reported.  Names cross
here, never paths or commands: launcher and worker look the transport up in their own
configuration.
"""

from __future__ import annotations

from dataclasses import dataclass

from mta.transport.api import Outcome, Result
from mta.unix.frames import frame


@frame("start")
@dataclass(frozen=True, slots=True)
class Start:
    """Start a worker for this transport as this user and group ("" for what the transport
    says; remote transports run as the network user whatever is asked)."""

    transport: str
    user: str
    group: str
    initgroups: int


@frame("refused")
@dataclass(frozen=True, slots=True)
class Refused:
    """The worker was not started, and why; `permanent` is 1 where asking again is useless."""

    reason: str
    permanent: int


@frame("carry")
@dataclass(frozen=True, slots=True)
class Carry:
    """Deliver the parcel that comes along."""

    transport: str
    message_id: str


@frame("carried")
@dataclass(frozen=True, slots=True)
class Carried:
    """All outcomes of the parcel have been sent."""

    message_id: str


@frame("outcome")
@dataclass(frozen=True, slots=True)
class OutcomeFrame:
    """An Outcome on its way."""

    address: str
    result: str
    text: str
    status: str
    code: int
    host: str
    host_address: str
    port: int
    host_error: int
    message_error: int
    remote_text: str
    reused: int
    file: str


def pack(outcome: Outcome) -> OutcomeFrame:
    """The frame that says this outcome."""
    return OutcomeFrame(
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
    )
