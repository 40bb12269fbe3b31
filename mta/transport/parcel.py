"""A parcel as it travels to the process that delivers it: one line of contents, then octets.

The line names each field as `key:mark:length`, blanks between; the octets follow it in the
same order, with nothing between them.  The mark says what they are: b octets, s text, t
trusted text, i an integer, f a time, to the microsecond.  `recipient` and `host` begin a new
one of these, and what follows belongs to it.  `values` is any number of names, each with an
equals sign and its text, NULs between; a text with a NUL in it has a `value` to itself.  What
has its default is left out.

A parcel that fits into a frame travels in it; a larger one in a sealed memory file.

Who trusts whom: the sender runs as the mail user, which decides what is delivered where, but
not as whom or with which command.  The reader takes the trust marks of text from it and
nothing else: every key, mark, length, number and count is checked, and a memory file must be
sealed, so that nothing changes while it is read.  Whoever has taken over the mail user can
therefore have the administrator's own deliveries made with values of his choice, and no more.

Raises:   ProtocolError for anything that is not exactly such a parcel.
"""

from __future__ import annotations

import fcntl
import os
import re
from dataclasses import MISSING, fields

from mta.base.errors import ProtocolError
from mta.base.text import is_number, to_bytes, to_text
from mta.base.trust import Trusted
from mta.route.api import Host
from mta.transport.api import Parcel, ParcelRecipient

LIMIT = 16 << 20  # octets; the headers of one message and the recipients of one parcel
MOST_RECIPIENTS = 20_000
MOST_HOSTS = 1000
MOST_VALUES = 5000

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_APART = ("recipients", "hosts", "values", "headers_add", "headers_remove", "body")

# The kinds of the plain fields, by name.  Whatever is not listed is text.
_KINDS = {
    "headers": "b",
    "body_offset": "i",
    "body_size": "i",
    "received_time": "f",
    "is_8bit": "i",
    "dsn_flags": "i",
    "port": "i",
    "preference": "i",
}
# int and float would take more than that: signs, blanks, underscores, digits of any script.
_NUMBERS = {
    "i": (re.compile(rb"-1|[0-9]{1,18}"), int),
    "f": (re.compile(rb"[0-9]{1,18}(?:\.[0-9]{1,6})?"), float),
}


def _defaults(cls: type) -> dict[str, object]:
    """The plain fields of a class with their defaults; MISSING where one must be given."""
    return {each.name: each.default for each in fields(cls) if each.name not in _APART}


_PARCEL = _defaults(Parcel)
_RECIPIENT = _defaults(ParcelRecipient)
_HOST = _defaults(Host)


class _Writer:
    """The line of contents and the octets, while they grow."""

    __slots__ = ("contents", "octets")

    def __init__(self) -> None:
        self.contents: list[str] = []
        self.octets: list[bytes] = []

    def put(self, key: str, mark: str, octets: bytes) -> None:
        """One more field."""
        self.contents.append(f"{key}:{mark}:{len(octets)}")
        self.octets.append(octets)

    def text(self, key: str, text: str) -> None:
        """One more text, with its trust."""
        self.put(key, "t" if type(text) is Trusted else "s", to_bytes(text))

    def fields(self, value: object, defaults: dict[str, object]) -> None:
        """The plain fields of a value that have not their default."""
        for name, default in defaults.items():
            given = getattr(value, name)
            if given is None or given == default:
                continue
            if isinstance(given, str):
                self.text(name, given)
            elif type(given) is bytes:
                self.put(name, "b", given)
            elif isinstance(given, float):
                self.put(name, "f", b"%.6f" % given)
            else:
                self.put(name, "i", b"%d" % given)

    def values(self, values: dict[str, str]) -> None:
        """Names and texts, those of one trust together."""
        for mark in "st":
            some = [
                f"{name}={text}"
                for name, text in values.items()
                if (type(text) is Trusted) == (mark == "t")
            ]
            for each in [each for each in some if "\0" in each]:
                self.put("value", mark, to_bytes(each))
                some.remove(each)
            if some:
                self.put("values", mark, to_bytes("\0".join(some)))


def encode(parcel: Parcel) -> bytes:
    """The octets of a parcel, without its body.  Raises ProtocolError for too many."""
    writer = _Writer()
    writer.fields(parcel, _PARCEL)
    for header in parcel.headers_add:
        writer.text("add", header)
    for header in parcel.headers_remove:
        writer.text("remove", header)
    for host in parcel.hosts:
        writer.put("host", "s", b"")
        writer.fields(host, _HOST)
    for recipient in parcel.recipients:
        writer.put("recipient", "s", b"")
        writer.fields(recipient, _RECIPIENT)
    writer.values(parcel.values)
    octets = b"%b\n%b" % (" ".join(writer.contents).encode(), b"".join(writer.octets))
    if len(octets) > LIMIT:
        raise ProtocolError(f"the parcel of {parcel.message_id} is too large: {len(octets)}")
    return octets


def decode(octets: bytes, body: int) -> Parcel:
    """The parcel in these octets; `body` is the descriptor that came with them."""
    contents, newline, _ = octets.partition(b"\n")
    if not newline:
        raise ProtocolError(f"not the contents of a parcel: {octets[:40]!r}")
    builder = _Builder()
    at = len(contents) + 1
    for entry in to_text(contents).split(" "):
        key, _, rest = entry.partition(":")
        mark, _, length = rest.partition(":")
        if not is_number(length) or len(length) > 8:
            raise ProtocolError(f"not a field of a parcel: {entry[:40]!r}")
        stop = at + int(length)
        if stop > len(octets):
            raise ProtocolError("a field of a parcel is cut short")
        builder.take(key, mark, octets[at:stop])
        at = stop
    if at != len(octets):
        raise ProtocolError("a parcel with more than its contents")
    return builder.finish(body)


def _text(mark: str, octets: bytes) -> str:
    if mark == "t":
        return Trusted(to_text(octets))
    if mark == "s":
        return to_text(octets)
    raise ProtocolError(f"{octets[:40]!r} is marked {mark!r} and is no text")


def _plain(key: str, mark: str, octets: bytes) -> object:
    kind = _KINDS.get(key, "s")
    if kind == "s":
        return _text(mark, octets)
    if kind != mark and not (kind == "f" and mark == "i"):
        raise ProtocolError(f"the field {key!r} of a parcel is marked {mark!r}")
    if kind == "b":
        return octets
    pattern, read = _NUMBERS[kind]
    if not pattern.fullmatch(octets):
        raise ProtocolError(f"the field {key!r} of a parcel is no number: {octets[:40]!r}")
    number = read(octets)
    return bool(number) if key == "is_8bit" else number


class _Builder:
    """Takes records one by one and makes the parcel of them."""

    __slots__ = ("add", "fields", "hosts", "known", "parcel", "recipients", "remove", "values")

    def __init__(self) -> None:
        self.parcel: dict[str, object] = {}
        self.fields = self.parcel
        self.known = _PARCEL
        self.recipients: list[dict[str, object]] = []
        self.hosts: list[dict[str, object]] = []
        self.values: dict[str, str] = {}
        self.add: list[str] = []
        self.remove: list[str] = []

    def take(self, key: str, mark: str, octets: bytes) -> None:
        """One more field."""
        if key in self.known and key not in self.fields:
            self.fields[key] = _plain(key, mark, octets)
            return
        match key:
            case "values":
                for each in octets.split(b"\0"):
                    self._value(mark, each)
            case "recipient":
                self._begin(self.recipients, _RECIPIENT, MOST_RECIPIENTS)
            case "host":
                self._begin(self.hosts, _HOST, MOST_HOSTS)
            case "add":
                self._append(self.add, _text(mark, octets))
            case "remove":
                self._append(self.remove, _text(mark, octets))
            case "value":
                self._value(mark, octets)
            case _:
                raise ProtocolError(f"a parcel has no field {key!r} here, or two of them")

    def finish(self, body: int) -> Parcel:
        """The parcel, if it is complete."""
        if not self.recipients:
            raise ProtocolError("a parcel without recipients")
        return Parcel(
            **_complete(_PARCEL, self.parcel),  # type: ignore[arg-type]  # checked by _plain
            recipients=tuple(
                ParcelRecipient(**_complete(_RECIPIENT, each))  # type: ignore[arg-type]
                for each in self.recipients
            ),
            hosts=tuple(Host(**_complete(_HOST, each)) for each in self.hosts),  # type: ignore[arg-type]
            headers_add=tuple(self.add),
            headers_remove=tuple(self.remove),
            values=self.values,
            body=body,
        )

    def _begin(
        self, group: list[dict[str, object]], known: dict[str, object], most: int
    ) -> None:
        if len(group) == most:
            raise ProtocolError(f"a parcel with more than {most} of a kind")
        self.fields, self.known = {}, known
        group.append(self.fields)

    def _append(self, lines: list[str], line: str) -> None:
        if len(lines) == MOST_VALUES:
            raise ProtocolError(f"a parcel with more than {MOST_VALUES} header changes")
        lines.append(line)

    def _value(self, mark: str, octets: bytes) -> None:
        # The name is found in the octets, as a cut would cost the text its mark.
        first, equals, rest = octets.partition(b"=")
        name = to_text(first)
        if not equals or len(self.values) == MOST_VALUES or name in self.values:
            raise ProtocolError("a value of a parcel is malformed, repeated or one too many")
        self.values[name] = _text(mark, rest)


def _complete(known: dict[str, object], given: dict[str, object]) -> dict[str, object]:
    for name, default in known.items():
        if default is MISSING and name not in given:
            raise ProtocolError(f"a parcel lacks {name}")
    return given


def seal(octets: bytes) -> int:
    """A memory file with these octets that nobody can change any more.  Raises OSError."""
    fd = os.memfd_create("parcel", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        if os.write(fd, octets) != len(octets):
            raise OSError("a memory file took less than was written")
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except OSError:
        os.close(fd)
        raise
    return fd


def open_sealed(fd: int) -> bytes:
    """What is in a sealed memory file.  The descriptor stays open.  Raises ProtocolError."""
    try:
        seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
    except OSError:
        raise ProtocolError("a parcel that is no memory file") from None
    if seals & _SEALS != _SEALS:
        raise ProtocolError("a parcel that is not sealed")
    size = os.fstat(fd).st_size
    if size > LIMIT:
        raise ProtocolError(f"a parcel that is too large: {size} octets")
    octets = os.pread(fd, size, 0)
    if len(octets) != size:
        raise ProtocolError("a parcel that cannot be read whole")
    return octets
