"""A parcel as it travels to the process that delivers it: sizes, marks, texts, headers.

    sizes     octets of the texts and of the headers, and how many header lines are added and
              names of headers removed: four numbers, blanks between; LF
    marks     a letter for each text: s text, t trusted text, n none at all; in three words:
              the parcel with its header changes and hosts, the recipients, the values; LF
    texts     in the order of the fields below, US (octet 31) between them
    headers   as they are

A host has four texts, a recipient twelve, of which three may be none; then come the names of
the values, and the values.  Numbers are digits, a time is written to the microsecond.  Within
a text US is written as ESC 1, and ESC as ESC 2.

A parcel that fits into a frame travels in it; a larger one in a sealed memory file.

Who trusts whom: the sender runs as the mail user, which decides what is delivered where, but
not as whom or with which command.  The reader takes the trust marks of text from it and
nothing else: every size, mark, number and count is checked, and a memory file must be
sealed, so that nothing changes while it is read.  Whoever has taken over the mail user can
therefore have the administrator's own deliveries made with values of his choice, and no more.

Raises:   ProtocolError for anything that is not exactly such a parcel.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Sequence
from operator import attrgetter

from mta.base.errors import ProtocolError
from mta.base.text import to_bytes, to_text
from mta.base.trust import Trusted
from mta.route.api import Host
from mta.transport.api import Parcel, ParcelRecipient

LIMIT = 16 << 20  # octets; the headers of one message and the recipients of one parcel
MOST_RECIPIENTS = 20_000
MOST_HOSTS = 1000
MOST_VALUES = 5000  # and header lines added, and names of headers removed

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_US, _ESC = "\x1f", "\x1b"
_ESCAPED = re.compile("\x1b(.?)", re.DOTALL)
_MEANT = {"1": _US, "2": _ESC}
_MARKS = {Trusted: "t", type(None): "n"}

_PARCEL = attrgetter(
    "message_id", "transport", "router", "sender", "file", "pipe", "dsn_envid", "dsn_ret"
)
_RECIPIENT = attrgetter(
    "address",
    "origin",
    "local_part",
    "domain",
    "prefix",
    "suffix",
    "local_part_data",
    "domain_data",
    "home",
    "address_data",
    "orcpt",
)
# How many texts each has, with its numbers.
_OF_PARCEL, _OF_HOST, _OF_RECIPIENT = 12, 5, 12

_START = re.compile(
    rb"([0-9]{1,8}) ([0-9]{1,8}) ([0-9]{1,8}) ([0-9]{1,8})\n"
    rb"([st]{12,}) ((?:[st]{6}[nst]{3}[st]{3})+) ([st]*)\n"
)
# int and float would take more than that: signs, blanks, underscores, digits of any script.
_NUMBER = re.compile(r"-1|[0-9]{1,18}")
_TIME = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,6})?")


def encode(parcel: Parcel) -> bytes:
    """The octets of a parcel, without its body.  Raises ProtocolError for too many."""
    own: list[str] = [
        *_PARCEL(parcel),
        f"{parcel.received_time:.6f}",
        str(parcel.body_offset),
        str(parcel.body_size),
        "1" if parcel.is_8bit else "0",
        *parcel.headers_add,
        *parcel.headers_remove,
    ]
    for host in parcel.hosts:
        preference = "" if host.preference is None else str(host.preference)
        expired = "1" if host.expired else ""
        own += (host.name, host.address, str(host.port), preference, expired)
    recipients: list[str | None] = []
    for recipient in parcel.recipients:
        recipients += (*_RECIPIENT(recipient), str(recipient.dsn_flags))
    values = [*parcel.values, *parcel.values.values()]
    texts = to_bytes(_joined([*own, *[text or "" for text in recipients], *values]))
    start = (
        f"{len(texts)} {len(parcel.headers)}"
        f" {len(parcel.headers_add)} {len(parcel.headers_remove)}\n"
        f"{_marks(own)} {_marks(recipients)} {_marks(values)}\n"
    )
    octets = b"%b%b%b" % (start.encode(), texts, parcel.headers)
    if len(octets) > LIMIT:
        raise ProtocolError(f"the parcel of {parcel.message_id} is too large: {len(octets)}")
    return octets


def _marks(texts: Sequence[str | None]) -> str:
    return "".join([_MARKS.get(type(text), "s") for text in texts])


def _joined(texts: list[str]) -> str:
    joined = _US.join(texts)
    if _ESC not in joined and joined.count(_US) == len(texts) - 1:
        return joined
    return _US.join(
        [text.replace(_ESC, _ESC + "2").replace(_US, _ESC + "1") for text in texts]
    )


def decode(octets: bytes, body: int) -> Parcel:
    """The parcel in these octets; `body` is the descriptor that came with them."""
    start = _START.match(octets)
    if start is None:
        raise ProtocolError(f"not the start of a parcel: {octets[:40]!r}")
    first, last = start.end(), start.end() + int(start[1])
    if last + int(start[2]) != len(octets):
        raise ProtocolError("a parcel with less or more than its contents")
    own, theirs, named = [to_text(marks) for marks in start.group(5, 6, 7)]
    texts = _texts(octets[first:last], own + theirs + named)
    added = _OF_PARCEL + int(start[3])
    removed = added + int(start[4])
    hosts, recipients = len(own), len(own) + len(theirs)
    message_id, transport, router, sender, file, pipe, envid, ret = texts[:8]
    return Parcel(
        message_id,
        transport,
        router,
        sender,
        _recipients(texts[hosts:recipients], theirs),
        octets[last:],
        body,
        _number(texts[9]),
        _number(texts[10]),
        _lines(texts[_OF_PARCEL:added]),
        _lines(texts[added:removed]),
        _hosts(texts[removed:hosts], hosts - removed),
        file,
        pipe,
        _time(texts[8]),
        _number(texts[11]) != 0,
        envid,
        ret,
        _values(texts[recipients:]),
    )


def _texts(octets: bytes, marks: str) -> list[str]:
    """The texts, with their trust."""
    texts = to_text(octets).split(_US)
    if len(texts) != len(marks):
        raise ProtocolError(f"a parcel with {len(texts)} texts and {len(marks)} marks")
    if b"\x1b" in octets:
        texts = [_ESCAPED.sub(_meant, text) for text in texts]
    at = marks.find("t")
    while at >= 0:
        texts[at] = Trusted(texts[at])
        at = marks.find("t", at + 1)
    return texts


def _meant(found: re.Match[str]) -> str:
    if found[1] not in _MEANT:
        raise ProtocolError("a parcel with an unknown escape")
    return _MEANT[found[1]]


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ProtocolError(f"a number of a parcel is none: {text[:40]!r}")
    return int(text)


def _time(text: str) -> float:
    if not _TIME.fullmatch(text):
        raise ProtocolError(f"the time of a parcel is none: {text[:40]!r}")
    return float(text)


def _lines(texts: list[str]) -> tuple[str, ...]:
    """Header lines that are added, or names of headers that are removed."""
    if len(texts) > MOST_VALUES:
        raise ProtocolError(f"a parcel with more than {MOST_VALUES} header changes")
    return tuple(texts)


def _hosts(texts: list[str], count: int) -> tuple[Host, ...]:
    if count < 0 or count % _OF_HOST or count > MOST_HOSTS * _OF_HOST:
        raise ProtocolError(f"a parcel with hosts of {count} texts")
    return tuple([_host(*texts[at : at + _OF_HOST]) for at in range(0, count, _OF_HOST)])


def _host(name: str, address: str, port: str, preference: str, expired: str) -> Host:
    preferred = _number(preference) if preference else None
    return Host(name, address, _number(port), preferred, expired == "1")


def _recipients(texts: list[str], marks: str) -> tuple[ParcelRecipient, ...]:
    if len(texts) > MOST_RECIPIENTS * _OF_RECIPIENT:
        raise ProtocolError(f"a parcel with more than {MOST_RECIPIENTS} recipients")
    return tuple(
        [
            _recipient(texts[at : at + _OF_RECIPIENT], marks[at : at + _OF_RECIPIENT])
            for at in range(0, len(texts), _OF_RECIPIENT)
        ]
    )


def _recipient(texts: list[str], marks: str) -> ParcelRecipient:
    address, origin, local_part, domain, prefix, suffix = texts[:6]
    local_part_data, domain_data, home, address_data, orcpt, dsn_flags = texts[6:]
    return ParcelRecipient(
        address,
        origin,
        local_part,
        domain,
        prefix,
        suffix,
        # What is made of these three tests their trust.
        None if marks[6] == "n" else local_part_data,  # type: ignore[arg-type]
        None if marks[7] == "n" else domain_data,  # type: ignore[arg-type]
        None if marks[8] == "n" else home,  # type: ignore[arg-type]
        address_data,
        _number(dsn_flags),
        orcpt,
    )


def _values(texts: list[str]) -> dict[str, str]:
    """Texts by name."""
    count, rest = divmod(len(texts), 2)
    values = dict(zip(texts[:count], texts[count:], strict=False))
    if rest or count > MOST_VALUES or len(values) != count:
        raise ProtocolError("a value of a parcel is nameless, repeated or one too many")
    return values


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
