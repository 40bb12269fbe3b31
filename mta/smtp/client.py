"""The client's side of SMTP, without policy: connect, greet, send a batch, read the answers.

What a failure means for a message, which host is next and what is logged is the business of
the smtp transport.  Here are the rules of the wire: replies are bounded in lines, octets and
time, commands go out in one write where the server takes that (RFC 2920), and nothing that we
were given can smuggle a line into the dialogue.

Raises:   Broken when the conversation cannot go on; its `trouble` says why.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from mta.base.errors import MtaError, ProtocolError, describe
from mta.base.text import is_number, one_line, to_bytes, to_text, upper
from mta.net.tls_terms import ClientSettings, Facts, Maker, Secured, TlsError
from mta.smtp import reply
from mta.smtp.wire import BadLine, Wire

MOST_EXTENSIONS = 64
_SHOWN = 500


class Trouble(Enum):
    """Why a conversation cannot go on."""

    TIMEOUT = "timeout"
    CLOSED = "closed"
    MALFORMED = "malformed"
    SYSTEM = "system"


class Broken(MtaError):
    """The conversation cannot go on: why, the errno if the system said one, what was heard."""

    def __init__(self, trouble: Trouble, text: str = "", number: int = 0) -> None:
        self.trouble = trouble
        self.text = text
        self.number = number
        super().__init__(f"{trouble.value} {text}")


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply of the server: its code, and all its lines as they came, joined by LF."""

    code: int
    status: str
    text: str

    @property
    def kind(self) -> int:
        """2 for yes, 3 for go on, 5 for never, all others for not now."""
        return self.code // 100


@dataclass(frozen=True, slots=True)
class Features:
    """What the server offers: the keywords of its EHLO reply with their parameters."""

    extended: bool = False
    keywords: tuple[tuple[str, str], ...] = ()

    def has(self, keyword: str) -> bool:
        """True if the server offers this."""
        return any(name == keyword for name, _ in self.keywords)

    @property
    def size_limit(self) -> int | None:
        """The largest message it takes, 0 if it does not say; None without SIZE."""
        for name, parameter in self.keywords:
            if name == "SIZE":
                return int(parameter) if is_number(parameter) and len(parameter) < 20 else 0
        return None


def read_features(greeting: Answer) -> Features:
    """The extensions in a reply to EHLO."""
    lines = greeting.text.split("\n")[1 : MOST_EXTENSIONS + 1]
    pairs = [line[4:].partition(" ") for line in lines]
    return Features(True, tuple((upper(name), parameter) for name, _, parameter in pairs))


def command_line(command: str) -> bytes:
    """One command as octets.  Raises ValueError for what would be more than one line."""
    octets = to_bytes(command)
    if b"\r" in octets or b"\n" in octets or b"\0" in octets:
        raise ValueError(f"not one line: {command!r}")
    return octets + b"\r\n"


class _Heard(Wire):
    """A wire that remembers its last line, for showing what was no reply."""

    __slots__ = ("last",)

    last: bytes

    def line(self, limit: int) -> bytes | None:
        self.last = b""
        heard = super().line(limit)
        self.last = heard or b""
        return heard


class Client:
    """A conversation with one server."""

    __slots__ = ("_link", "_wire", "features")

    _link: Secured

    def __init__(self, link: Secured) -> None:
        self._link = link
        # Servers that end their replies with LF alone exist, and hear nothing else from us
        # that they could take for ours.
        self._wire = _Heard(link, 0, lenient=True)
        self.features = Features()

    def command(self, command: str, seconds: float) -> Answer:
        """Send one command and read the answer."""
        self.send([command_line(command)], seconds)
        return self.answer(seconds)

    def send(self, parts: Iterable[bytes], seconds: float) -> None:
        """Send these, each in a write of its own that may take this long."""
        for part in parts:
            # Errors of whoever makes the parts are his own, not the connection's.
            try:
                self._wire.set_timeout(seconds)
                self._wire.send(part)
                self._wire.flush()
            except OSError as error:
                raise _broken(error) from error

    def answer(self, seconds: float) -> Answer:
        """Read one reply; the whole of it must have come in this time."""
        self._wire.set_timeout(seconds)
        try:
            heard = reply.receive(self._wire)
        except BadLine as error:
            raise Broken(Trouble.MALFORMED, _shown(error.seen)) from error
        except ProtocolError as error:
            raise Broken(Trouble.MALFORMED, _shown(self._wire.last)) from error
        except OSError as error:
            raise _broken(error) from error
        if heard is None:
            raise Broken(Trouble.CLOSED)
        lines = [to_text(each) for each in heard.lines]
        last = len(lines) - 1
        text = "\n".join(
            f"{heard.code}{' ' if number == last else '-'}{one_line(each)}"
            for number, each in enumerate(lines)
        )
        return Answer(heard.code, heard.status, text)

    def hello(self, name: str, seconds: float, verb: str = "EHLO") -> Answer:
        """Say EHLO, or LHLO, and take note of what the server offers."""
        self.features = Features()
        answer = self.command(f"{verb} {name}", seconds)
        if answer.kind == 2:
            self.features = read_features(answer)
        return answer

    def secure(
        self, maker: Maker, settings: ClientSettings, seconds: float, name: str
    ) -> Facts:
        """Go on in secret; the handshake may take this long.  Raises TempFail, OSError.

        What the server said behind its answer to STARTTLS came in the clear: somebody else
        may have said it.
        """
        if self._wire.pending:
            raise TlsError("something was said in the clear before the handshake")
        stream, facts = maker.connect(self._link, settings, seconds, name)
        self._wire.replace(stream)
        self._link = stream
        self.features = Features()
        return facts

    def is_quiet(self) -> bool:
        """True if the server has said nothing more and has not closed: fit for more."""
        return not self._wire.pending

    def quit(self) -> None:
        """Say QUIT without waiting for the answer, and leave."""
        self._link.last_words(b"QUIT\r\n")

    def close(self) -> None:
        """Leave without a word."""
        self._link.close()


def _shown(octets: bytes) -> str:
    return one_line(to_text(octets))[:_SHOWN]


def _broken(error: OSError) -> Broken:
    if isinstance(error, TimeoutError):
        return Broken(Trouble.TIMEOUT, describe(error), errno.ETIMEDOUT)
    if error.errno in (errno.ECONNRESET, errno.EPIPE):
        return Broken(Trouble.CLOSED, describe(error), error.errno)
    return Broken(Trouble.SYSTEM, describe(error), error.errno or 0)
