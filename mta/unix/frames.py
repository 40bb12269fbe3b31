"""Frames: what our processes say to each other, one datagram each, with descriptors alongside.

A frame is `verb NUL key=value NUL key=value NUL …` on a SOCK_SEQPACKET socket, at most 64 KiB.
Each verb is a frozen dataclass declared with @frame("verb"); its fields are int, str, bytes or
tuple[str, …] (one key=value for each element).  A field that has its default is left out.  A
datagram with a verb that is not expected on its channel, a missing, extra or repeated field,
or a value of the wrong kind is a ProtocolError, and whoever receives it closes the channel.
Nothing is guessed.

Text is UTF-8 with surrogate escapes and cannot hold NUL; in bytes NUL and SOH are written as
SOH STX and SOH SOH.
"""

from __future__ import annotations

import array
import contextlib
import dataclasses
import os
import re
import select
import socket
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, get_type_hints

from mta.base.errors import ProtocolError
from mta.base.registry import Registry
from mta.base.text import to_bytes, to_text

LIMIT = 65536
MOST_DESCRIPTORS = 16
MOST_DIGITS = 18  # of a number: what takes it from a frame may keep it in 64 bits

F = TypeVar("F")


@dataclasses.dataclass(frozen=True, slots=True)
class _Field:
    """How one field is written: `kind` is "int", "str", "bytes" or "tuple"."""

    name: str
    start: bytes  # name=
    kind: str
    default: object  # MISSING where a value must be given


@dataclasses.dataclass(frozen=True, slots=True)
class _Layout:
    """How one kind of frame is written: its class and its fields, in order and by name."""

    verb: bytes
    frame: type
    fields: tuple[_Field, ...]
    by_name: dict[bytes, _Field]
    empty: dict[str, Any]  # the tuples, without elements
    required: frozenset[str]


FRAMES: Registry[_Layout] = Registry("frame")
_BY_CLASS: dict[type, _Layout] = {}
_KINDS = {int: "int", str: "str", bytes: "bytes", tuple[str, ...]: "tuple"}
_NUMBER = re.compile(rb"-?[0-9]{1,%d}" % MOST_DIGITS)
_ESCAPED = re.compile(rb"\x01(.?)", re.DOTALL)
_MEANT = {b"\x01": b"\x01", b"\x02": b"\0"}


def frame(verb: str) -> Callable[[type[F]], type[F]]:
    """Declare a frozen dataclass as the frame with this verb."""

    def declare(cls: type[F]) -> type[F]:
        hints = get_type_hints(cls)
        made: tuple[Any, ...] = dataclasses.fields(cls)  # type: ignore[arg-type]  # it is one
        fields = tuple(
            _Field(each.name, f"{each.name}=".encode(), _KINDS[hints[each.name]], each.default)
            for each in made
        )
        empty = {each.name: () for each in fields if each.kind == "tuple"}
        missing = dataclasses.MISSING
        required = frozenset([each.name for each in fields if each.default is missing])
        by_name = {each.name.encode(): each for each in fields}
        layout = _Layout(verb.encode(), cls, fields, by_name, empty, required - empty.keys())
        FRAMES.add(verb, layout, cls.__doc__)
        _BY_CLASS[cls] = layout
        return cls

    return declare


def encode(message: object) -> bytes:
    """The octets of a frame.  Raises ProtocolError for a NUL inside or too much of it."""
    layout = _BY_CLASS[type(message)]
    parts = [layout.verb]
    for field in layout.fields:
        value: Any = getattr(message, field.name)
        if value == field.default:
            continue
        if field.kind == "str":
            parts.append(field.start + to_bytes(value))
        elif field.kind == "int":
            parts.append(b"%b%d" % (field.start, value))
        elif field.kind == "bytes":
            parts.append(field.start + _escaped(value))
        else:
            parts += [field.start + to_bytes(each) for each in value]
    parts.append(b"")
    octets = b"\0".join(parts)
    if octets.count(b"\0") != len(parts) - 1:
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
    values = layout.empty.copy()
    for each in fields:
        name, separator, value = each.partition(b"=")
        field = layout.by_name.get(name)
        if field is None or not separator:
            raise ProtocolError(f"the frame {verb!r} has no field {name!r}")
        if field.kind == "tuple":
            values[field.name] = (*values[field.name], to_text(value))
        elif field.name in values:
            raise ProtocolError(f"the field {name!r} of {verb!r} is given twice")
        else:
            values[field.name] = _value(field.kind, value)
    if not layout.required <= values.keys():
        raise ProtocolError(f"the frame {verb!r} lacks a field")
    return layout.frame(**values)


def _value(kind: str, octets: bytes) -> object:
    if kind == "str":
        return to_text(octets)
    if kind == "bytes":
        return _ESCAPED.sub(_meant, octets) if b"\x01" in octets else octets
    if not _NUMBER.fullmatch(octets):
        raise ProtocolError(f"{octets[:40]!r} is not a number")
    return int(octets)


def _escaped(octets: bytes) -> bytes:
    """Octets without NUL, from which `_meant` makes the same again."""
    if b"\x01" in octets:
        octets = octets.replace(b"\x01", b"\x01\x01")
    return octets.replace(b"\0", b"\x01\x02") if b"\0" in octets else octets


def _meant(found: re.Match[bytes]) -> bytes:
    if found[1] not in _MEANT:
        raise ProtocolError("octets with an unknown escape")
    return _MEANT[found[1]]


def pair() -> tuple[socket.socket, socket.socket]:
    """A channel: two connected ends."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(channel: socket.socket, message: object, fds: Sequence[int] = ()) -> None:
    """Send one frame with descriptors; ours stay open.  Raises OSError, ProtocolError."""
    octets = encode(message)
    if fds:
        rights = array.array("i", fds)
        channel.sendmsg([octets], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    else:
        channel.send(octets)


@dataclasses.dataclass(slots=True)
class Received:
    """A frame and the descriptors that came with it, which the receiver must close or keep."""

    message: object
    fds: list[int]

    def close(self) -> None:
        """Close the descriptors that nobody took."""
        while self.fds:
            with contextlib.suppress(OSError):
                os.close(self.fds.pop())


_CUT = int(socket.MSG_TRUNC | socket.MSG_CTRUNC)
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
        if flags & _CUT:
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
    if not ancillary:
        return []
    fds = array.array("i")
    for level, kind, octets in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(octets[: len(octets) - len(octets) % fds.itemsize])
    return list(fds)
