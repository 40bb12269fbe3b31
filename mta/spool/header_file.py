"""The -H file in Exim 4.98's format: an envelope to octets and back.

    ID-H
    login uid gid
    <sender>
    seconds-received warnings-sent
    -name value             one line for each fact; a second dash marks a stranger's text,
    --name value            "--(lookup)name value" one that was quoted for a lookup
    -aclm name length       and the value on the lines after it
    YY name / XX            the tree of addresses that need nothing more, in preorder: left and
                            right child Y or N; XX for no tree at all
    count                   and as many recipients, one a line
    (empty line)
    lengthK text            the headers: octets, kind, a blank, the header itself

What is read was perhaps written by a process that a stranger has taken over: every number is
bounded by what is there, and any nonsense is a SpoolError.  What is written cannot be made to
contain a line more than it should: an address with a line break is an error, and in other
text a line break becomes a blank.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable, Mapping
from typing import NoReturn

from mta.base.text import is_number, to_bytes, to_text
from mta.base.trust import Quoted, Trusted
from mta.mail.header import Header
from mta.spool.envelope import Envelope, Recipient
from mta.spool.errors import SpoolError
from mta.spool.header_lines import (
    ACL,
    ADDRESS,
    COUNT,
    FLAG,
    LINES,
    STRANGERS,
    TEXT,
)

_VALUES_OF = operator.attrgetter(
    *(f"{field}_address" if kind is ADDRESS else field for kind, _, field in LINES)
)
# Kind, field and trust by the word that begins a line.
_BY_WORD = {
    dashes + to_bytes(name): (kind, attribute, dashes)
    for kind, name, attribute in LINES
    for dashes in (b"-", b"--")
}

_BREAKS = {ord("\n"): " ", 0: " "}
_NUMBER = re.compile(rb"-?[0-9]{1,18}")
_OWNER = re.compile(rb"(.*) ([0-9]{1,10}) ([0-9]{1,10})")
_TIME = re.compile(rb"([0-9]{1,12}) ([0-9]{1,9})")
_FRACTION = re.compile(rb"\.([0-9]{6})")
_MOMENT = re.compile(rb"([0-9]{1,12})\.([0-9]{6})")
_HOST = re.compile(rb"\[([^\[\]]*)\](?::([0-9]{1,5}))?")
_VARIABLE = re.compile(
    rb"(-{1,2})(?:\(([A-Za-z0-9_]+)\))?([A-Za-z0-9_]+)(?: (.*))?", re.DOTALL
)
_KEY = re.compile(r"[0-9A-Za-z_]+")
_VALUE = re.compile(rb"([0-9A-Za-z_]+) ([0-9]{1,10})")
_EXTRA = re.compile(rb"(.*) ([0-9]{1,6}),(-?[0-9]{1,7})#([0-9]{1,3})", re.DOTALL)
_ORCPT = re.compile(rb"(.*) ([0-9]{1,6}),([0-9]{1,7})", re.DOTALL)
_PARENT = re.compile(rb"(.*) ([0-9]{1,7})", re.DOTALL)
_HEADER = re.compile(rb"([0-9]{3,10})([ *A-Z]) ")


# Writing.


def encode(envelope: Envelope) -> bytes:
    """The octets of the -H file.  Raises SpoolError for an address that cannot be written."""
    seconds, micros = _split_time(envelope.received_time)
    # All of it but the headers is put together as text, and made octets once.
    lines = [
        f"{envelope.id}-H",
        f"{_text(envelope.login[:63])} {envelope.uid} {envelope.gid}",
        f"<{_address(envelope.sender)}>",
        f"{seconds} {envelope.warning_count}",
        f"-received_time_usec .{micros:06d}",
    ]
    if envelope.received_complete:
        seconds, micros = _split_time(envelope.received_complete)
        lines.append(f"-received_time_complete {seconds}.{micros:06d}")
    _write_facts(envelope, lines)
    lines += [_other(line) for line in envelope.other]
    _write_tree(sorted(map(_address, envelope.nonrecipients), key=to_bytes), lines)
    lines.append(str(len(envelope.recipients)))
    lines += [_recipient(recipient) for recipient in envelope.recipients]
    lines += ("", "")
    headers = [_header(header) for header in envelope.headers]
    return to_bytes("\n".join(lines)) + b"".join(headers)


def _split_time(time: float) -> tuple[int, int]:
    return divmod(round(time * 1_000_000), 1_000_000)


def _write_facts(envelope: Envelope, lines: list[str]) -> None:
    # Most facts are absent most of the time: their values are fetched in one go.
    for fact, value in zip(LINES, _VALUES_OF(envelope), strict=True):
        if value:
            kind, name, attribute = fact
            if kind is TEXT:
                lines.append(f"{_mark(value)}{name} {_text(value)}")
            elif kind is FLAG:
                lines.append(f"-{name}")
            elif kind is ADDRESS:
                port: int = getattr(envelope, f"{attribute}_port")
                lines.append(f"{_mark(value)}{name} [{_text(value)}]:{port}")
            elif kind is STRANGERS:
                lines.append(f"-{name} {_text(value)}")
            elif kind is ACL:
                _write_acl(name, value, lines)
            else:
                _write_number(name, value, envelope, lines)
        elif fact[0] is COUNT:
            _write_number(fact[1], value, envelope, lines)


def _write_number(name: str, value: int, envelope: Envelope, lines: list[str]) -> None:
    if not (name == "body_linecount" and envelope.spool_file_wireformat):
        lines.append(f"-{name} {value:d}")


def _write_acl(name: str, variables: Mapping[str, str], lines: list[str]) -> None:
    for key, value in sorted(variables.items()):
        if not _KEY.fullmatch(key):
            raise SpoolError(f"not the name of an ACL variable: {name}{key!r}")
        lines += (f"{_mark(value)}{name} {key} {len(to_bytes(value))}", value)


def _mark(text: str) -> str:
    """The dashes before a name, by the trust in its value."""
    if type(text) is Trusted:
        return "-"
    if type(text) is Quoted:
        return f"--({text.by})"
    return "--"


def _text(text: str) -> str:
    """Text for one line, with line breaks made harmless."""
    return text if text.isprintable() else text.translate(_BREAKS)


def _other(line: str) -> str:
    """A line that an earlier version of the file had."""
    if not line.startswith("-"):
        raise SpoolError(f"not a line of an envelope: {line!r}")
    return _text(line)


def _address(address: str) -> str:
    """An address for one line; to change it would be to change where mail goes."""
    if "\n" in address or "\0" in address:
        raise SpoolError(f"line break in address {address!r}")
    return address


def _write_tree(names: list[str], lines: list[str]) -> None:
    """A balanced tree of sorted names."""
    if not names:
        lines.append("XX")
        return
    pending = [(0, len(names))]
    while pending:
        low, high = pending.pop()
        middle = (low + high) // 2
        left, right = low < middle, middle + 1 < high
        lines.append(f"{'NY'[left]}{'NY'[right]} {names[middle]}")
        if right:
            pending.append((middle + 1, high))
        if left:
            pending.append((low, middle))


def _recipient(to: Recipient) -> str:
    address = _address(to.address)
    # An address such as "a b"@d1 alone could be taken for one with the number of its parent.
    ambiguous = " " in address and is_number(address[-1:])
    if not (ambiguous or to.parent >= 0 or to.errors_to or to.dsn_flags or to.orcpt):
        return address
    orcpt, errors_to = _address(to.orcpt), _address(to.errors_to)
    return (
        f"{address} {orcpt} {len(to_bytes(orcpt))},{to.dsn_flags} "
        f"{errors_to} {len(to_bytes(errors_to))},{to.parent}#3"
    )


def _header(header: Header) -> bytes:
    text = header.text
    if not text.endswith(b"\n") or text[0] in b" \t\n":
        raise SpoolError(f"not a header line: {text[:40]!r}")
    return b"%03d%b %b" % (len(text), header.kind.encode(), text)


# Reading.


def decode(octets: bytes, message_id: str) -> Envelope:
    """The envelope in a -H file.  Raises SpoolError, with the reason, if it is malformed."""
    file = _File(octets)
    if file.line() != b"%b-H" % to_bytes(message_id):
        file.fail("the first line is not the name of the file")
    owner = _OWNER.fullmatch(file.line()) or file.fail("login, uid and gid")
    sender = file.line()
    if not (sender.startswith(b"<") and sender.endswith(b">")):
        file.fail("the sender")
    time = _TIME.fullmatch(file.line()) or file.fail("the time of arrival")
    facts = _Facts(file, float(time[1]))
    facts.read()
    nonrecipients = _read_tree(file)
    recipients = _read_recipients(file)
    if file.line():
        file.fail("an empty line before the headers is missing")
    return Envelope(
        id=message_id,
        login=to_text(owner[1]),
        uid=int(owner[2]),
        gid=int(owner[3]),
        sender=to_text(sender[1:-1]),
        received_time=facts.received_time,
        received_complete=facts.received_complete,
        warning_count=int(time[2]),
        acl_c=facts.acl["c"],
        acl_m=facts.acl["m"],
        other=tuple(facts.other),
        nonrecipients=nonrecipients,
        recipients=recipients,
        headers=_read_headers(file),
        **facts.found,  # type: ignore[arg-type]  # checked in _Facts
    )


class _File:
    """The octets of a -H file and the place that reading has reached."""

    __slots__ = ("at", "octets")

    def __init__(self, octets: bytes) -> None:
        self.octets = octets
        self.at = 0

    def line(self) -> bytes:
        """The next line, without its end."""
        end = self.octets.find(b"\n", self.at)
        if end < 0:
            self.fail("the file is cut short")
        line = self.octets[self.at : end]
        self.at = end + 1
        return line

    def take(self, size: int) -> bytes:
        """The next octets, all of them."""
        part = self.octets[self.at : self.at + size]
        if len(part) < size:
            self.fail("the file is cut short")
        self.at += size
        return part

    def fail(self, reason: str) -> NoReturn:
        line = self.octets.count(b"\n", 0, self.at)
        raise SpoolError(f"format error near line {line}: {reason}")


class _Facts:
    """The lines that begin with a dash."""

    __slots__ = ("acl", "file", "found", "other", "received_complete", "received_time")

    def __init__(self, file: _File, received_time: float) -> None:
        self.file = file
        self.received_time = received_time
        self.received_complete = 0.0
        self.found: dict[str, str | int | bool] = {"tls_resumption": ""}
        self.acl: dict[str, dict[str, str]] = {"c": {}, "m": {}}
        self.other: list[str] = []

    def read(self) -> None:
        """Read them all."""
        file, octets = self.file, self.file.octets
        while octets.startswith(b"-", file.at):
            line = file.line()
            word, _, value = line.partition(b" ")
            if known := _BY_WORD.get(word):
                self.fact(*known, value, b"")
            else:
                self.rare(line)

    def rare(self, line: bytes) -> None:
        """A time, what was quoted for a look-up, or a line that we do not know."""
        match = _VARIABLE.fullmatch(line)
        if match is None:
            self.other.append(to_text(line))
            return
        dashes, quoter, name, value = match.groups(b"")
        if known := _BY_WORD.get(dashes + name):
            self.fact(*known, value, quoter)
        elif not self.moment(name, value):
            self.unknown(line, name, value, dashes)

    def moment(self, name: bytes, value: bytes) -> bool:
        """The two times, which Exim cuts into seconds and a fraction."""
        if name == b"received_time_usec":
            fraction = _FRACTION.fullmatch(value) or self.file.fail("received_time_usec")
            self.received_time += int(fraction[1]) / 1_000_000
        elif name == b"received_time_complete":
            time = _MOMENT.fullmatch(value) or self.file.fail("received_time_complete")
            self.received_complete = int(time[1]) + int(time[2]) / 1_000_000
        else:
            return False
        return True

    def unknown(self, line: bytes, name: bytes, value: bytes, dashes: bytes) -> None:
        """Keep a line that we do not know; -acl is how Exim once wrote its 20 variables."""
        old = _VALUE.fullmatch(value) if name == b"acl" else None
        if not (old and old[1].isdigit() and len(old[1]) < 3):  # ascii: octets
            self.other.append(to_text(line))
            return
        number = int(old[1])
        family, number = ("c", number) if number < 10 else ("m", number - 10)
        self.variable(family, b"%d %b" % (number, old[2]), dashes, b"")

    def fact(
        self, kind: str, attribute: str, dashes: bytes, value: bytes, quoter: bytes
    ) -> None:
        """One line of the table."""
        if kind is FLAG:
            self.found[attribute] = True
        elif kind is TEXT:
            self.found[attribute] = _restore(value, dashes, quoter)
        elif kind is STRANGERS:
            self.found[attribute] = to_text(value)
        elif kind is ADDRESS:
            host = _HOST.fullmatch(value) or self.file.fail(f"{attribute}_address")
            self.found[f"{attribute}_address"] = _restore(host[1], dashes, b"")
            self.found[f"{attribute}_port"] = int(host[2] or 0)
        elif kind is ACL:
            self.variable(attribute[-1], value, dashes, quoter)
        else:
            number = _NUMBER.fullmatch(value) or self.file.fail(attribute)
            self.found[attribute] = int(number[0])

    def variable(self, family: str, value: bytes, dashes: bytes, quoter: bytes) -> None:
        """One ACL variable; its value may have line breaks and is measured in octets."""
        match = _VALUE.fullmatch(value) or self.file.fail("an ACL variable")
        text = self.file.take(int(match[2]))
        if self.file.take(1) != b"\n":
            self.file.fail("the length of an ACL variable")
        self.acl[family][match[1].decode("ascii")] = _restore(text, dashes, quoter)


def _restore(octets: bytes, dashes: bytes, quoter: bytes) -> str:
    """Text with the mark that it had when it was written."""
    text = to_text(octets)
    if dashes == b"-":
        return Trusted(text)
    if quoter:
        quoted = Quoted(text)
        quoted.by = quoter.decode("ascii")
        return quoted
    return text


def _read_tree(file: _File) -> frozenset[str]:
    """The names in a tree of any shape."""
    line = file.line()
    if line == b"XX":
        return frozenset()
    names: list[str] = []
    missing = 1
    while True:
        if line[:3] not in (b"YY ", b"YN ", b"NY ", b"NN "):
            file.fail("the tree of non-recipients")
        names.append(to_text(line[3:]))
        missing += line[:2].count(b"Y") - 1
        if not missing:
            return frozenset(names)
        line = file.line()


def _read_recipients(file: _File) -> tuple[Recipient, ...]:
    """The recipients; a number too large for the file is found at its end."""
    count = file.line()
    if not (count.isdigit() and len(count) < 9):  # ascii: octets
        file.fail("the number of recipients")
    return tuple([_read_recipient(file, file.line()) for _ in range(int(count))])


def _read_recipient(file: _File, line: bytes) -> Recipient:
    if not line:
        file.fail("an empty recipient")
    if b" " not in line:
        return Recipient(to_text(line))
    if not (extra := _EXTRA.fullmatch(line)):
        # Exim 3 and early 4: the number of the parent alone.
        old = _PARENT.fullmatch(line)
        return Recipient(to_text(old[1]), parent=int(old[2])) if old else _plain(file, line)
    flags = int(extra[4])
    address, errors_to = _cut(file, extra[1], int(extra[2]))
    orcpt, dsn_flags = b"", 0
    if flags & 2:
        more = _ORCPT.fullmatch(address) or file.fail("the DSN part of a recipient")
        address, orcpt = _cut(file, more[1], int(more[2]))
        dsn_flags = int(more[3])
    if not flags & 1 or not address:
        file.fail("a recipient")
    return Recipient(
        to_text(address), to_text(errors_to), dsn_flags, to_text(orcpt), int(extra[3])
    )


def _plain(file: _File, line: bytes) -> Recipient:
    """An address that has a blank in it, which only a quoted string can."""
    if b'"' not in line and b"\\" not in line:
        file.fail("a recipient")
    return Recipient(to_text(line))


def _cut(file: _File, text: bytes, size: int) -> tuple[bytes, bytes]:
    """The text before and behind the blank that stands so many octets before its end."""
    place = len(text) - size - 1
    if place < 0 or text[place : place + 1] != b" ":
        file.fail("the lengths in a recipient")
    return text[:place], text[place + 1 :]


def _read_headers(file: _File) -> tuple[Header, ...]:
    octets, at, size = file.octets, file.at, len(file.octets)
    headers: list[Header] = []
    while at < size:
        match = _HEADER.match(octets, at) or file.fail("the start of a header")
        length, kind = match.groups()
        start = match.end()
        at = start + int(length)
        text = octets[start:at]
        if at > size or not text.endswith(b"\n"):
            file.fail("the length of a header")
        headers.append(Header(kind.decode("ascii"), text))
    return tuple(headers)


def addresses_in_journal(octets: bytes) -> Iterable[str]:
    """The addresses in a -J file; a last line without its end was cut off: not counted."""
    whole = octets[: octets.rfind(b"\n") + 1]
    return [to_text(line) for line in whole.split(b"\n") if line and b"\0" not in line]
