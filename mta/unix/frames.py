"""Frames: what our processes say to each other, one datagram each, with descriptors alongside.

A frame is `verb NUL key=value NUL key=value NUL …` on a SOCK_SEQPACKET socket, at most 64 KiB.
Each verb is a frozen dataclass declared with @frame("verb"); its fields are int, str, bytes or
tuple[str, …] (one key=value for each element).  A datagram with a verb that is not expected on
its channel, a missing, extra or repeated field, or a value of the wrong kind is a
ProtocolError, and whoever receives it closes the channel.  Nothing is guessed.

Values cannot hold NUL; text in them is UTF-8 with surrogate escapes.
"""

from __future__ import annotations

import array
import contextlib
import dataclasses
import os
import select
import socket
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, get_type_hints

from mta.base.errors import ProtocolError
from mta.base.registry import Registry
from mta.base.text import is_number, to_bytes, to_text

LIMIT = 65536
MOST_DESCRIPTORS = 16

F = TypeVar("F")


@dataclasses.dataclass(frozen=True, slots=True)
class _Layout:
    """How one kind of frame is written: its class and the kind of each field."""

    verb: bytes
    frame: type
    kinds: dict[bytes, str]  # field name → "int", "str", "bytes" or "tuple"


FRAMES: Registry[_Layout] = Registry("frame")
_BY_CLASS: dict[type, _Layout] = {}
_KINDS = {int: "int", str: "str", bytes: "bytes", tuple[str, ...]: "tuple"}


def frame(verb: str) -> Callable[[type[F]], type[F]]:
    """Declare a frozen dataclass as the frame with this verb."""

    def declare(cls: type[F]) -> type[F]:
        hints = get_type_hints(cls)
        kinds = {name.encode(): _KINDS[kind] for name, kind in hints.items()}
        layout = _Layout(verb.encode(), cls, kinds)
        FRAMES.add(verb, layout, cls.__doc__)
        _BY_CLASS[cls] = layout
        return cls

    return declare


def encode(message: object) -> bytes:
    """The octets of a frame.  Raises ProtocolError for a NUL inside or too much of it."""
    layout = _BY_CLASS[type(message)]
    parts = [layout.verb]
    for name, kind in layout.kinds.items():
        value: Any = getattr(message, name.decode())
        if kind == "tuple":
            parts += [name + b"=" + to_bytes(each) for each in value]
        elif kind == "bytes":
            parts.append(name + b"=" + value)
        else:
            parts.append(name + b"=" + to_bytes(str(value)))
    octets = b"\0".join(parts) + b"\0"
    if octets.count(b"\0") != len(parts):
        raise ProtocolError(f"a NUL inside the frame {layout.verb!r}")
    if len(octets) > LIMIT:
        raise ProtocolError(f"the frame {layout.verb!r} is too long: {len(octets)} octets")
    return octets


def decode(octets: bytes, allowed: Sequence[type]) -> object:
    """The frame in these octets, if it is one of the allowed kinds.  Raises ProtocolError."""
    if not octets.endswith(b"\0"):
        raise ProtocolError("a frame is cut short")
    verb, *fields = octets[:-1].split(b"\0")
    layout = FRAMES.get(verb.decode("ascii", "replace"))
    if layout is None or layout.frame not in allowed:
        raise ProtocolError(f"the frame {verb!r} is not allowed here")
    values: dict[str, Any] = {
        name.decode(): () for name, kind in layout.kinds.items() if kind == "tuple"
    }
    for field in fields:
        name, separator, value = field.partition(b"=")
        kind = layout.kinds.get(name)
        if kind is None or not separator:
            raise ProtocolError(f"the frame {verb!r} has no field {name!r}")
        key = name.decode()
        if kind == "tuple":
            values[key] += (to_text(value),)
        elif key in values:
            raise ProtocolError(f"the field {name!r} of {verb!r} is given twice")
        else:
            values[key] = _value(kind, value)
    if len(values) != len(layout.kinds):
        raise ProtocolError(f"the frame {verb!r} lacks a field")
    return layout.frame(**values)


def _value(kind: str, octets: bytes) -> object:
    if kind == "bytes":
        return octets
    if kind == "str":
        return to_text(octets)
    digits = octets[1:] if octets.startswith(b"-") else octets
    if not is_number(to_text(digits)) or len(digits) > 20:
        raise ProtocolError(f"{octets[:40]!r} is not a number")
    return int(octets)


def pair() -> tuple[socket.socket, socket.socket]:
    """A channel: two connected ends."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(channel: socket.socket, message: object, fds: Sequence[int] = ()) -> None:
    """Send one frame with descriptors; ours stay open.  Raises OSError, ProtocolError."""
    octets = encode(message)
    if fds:
        socket.send_fds(channel, [octets], list(fds))
    else:
        channel.send(octets)


@dataclasses.dataclass(slots=True)
class Received:
    """A frame and the descriptors that came with it, which the receiver must close or keep."""

    message: object
    fds: list[int]

    def close(self) -> None:
        """Close the descriptors that nobody took."""
        for fd in self.fds:
            with contextlib.suppress(OSError):
                os.close(fd)
        self.fds = []


_SPACE = socket.CMSG_SPACE(MOST_DESCRIPTORS * array.array("i").itemsize)


def receive(channel: socket.socket, allowed: Sequence[type]) -> Received | None:
    """The next frame, or None when the other side has closed.

    Waits as long as the socket's time-out says.  Raises ProtocolError for anything that is
    not allowed on this channel, with all descriptors closed; TimeoutError; OSError.
    """
    octets, ancillary, flags, _ = channel.recvmsg(LIMIT + 1, _SPACE, socket.MSG_CMSG_CLOEXEC)
    received = Received(None, _descriptors(ancillary))
    if not octets and not received.fds and _is_closed(channel):
        return None
    try:
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise ProtocolError("a frame is too long")
        received.message = decode(octets, allowed)
    except ProtocolError:
        received.close()
        raise
    return received


def _is_closed(channel: socket.socket) -> bool:
    """True at the end of a channel; an empty datagram, which anybody may send, looks alike."""
    poller = select.poll()
    poller.register(channel, select.POLLRDHUP)
    return bool(poller.poll(0))


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    fds = array.array("i")
    for level, kind, octets in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(octets[: len(octets) - len(octets) % fds.itemsize])
    return list(fds)
