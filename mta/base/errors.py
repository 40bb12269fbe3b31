"""The errors of this program: what went wrong, whether to try again, and where.

    MtaError
    ├── ConfigError     the configuration is wrong; says file, line, reason and a suggestion
    ├── TempFail        cannot be done now; the same thing may work later (4xx, defer)
    ├── PermFail        can never be done (5xx, bounce)
    ├── Reject          an SMTP command is refused with this reply
    ├── ProtocolError   a neighbour broke the rules of its channel; the channel is closed
    ├── Slow            an answer takes too long to be waited for while others wait
    └── ExpansionFail   a string cannot be expanded; `forced` when it itself said "fail"

Raise where found, with all facts; convert to a value at a boundary: command dispatch, ACL
statement, router call, transport call, process main.  Anything else that is raised is a bug.
When in doubt an error is temporary: late is better than lost.
"""

from __future__ import annotations

import errno


class Where(tuple[str, int]):
    """A place in the configuration: the file and the number of the line, from 1.

    A tuple, not a dataclass: importing that module would take a third of the time in which
    bin/sendmail hands in a message, and it needs nothing else of it.
    """

    __slots__ = ()

    def __new__(cls, file: str, line: int) -> Where:
        return super().__new__(cls, (file, line))

    @property
    def file(self) -> str:
        """The name of the file."""
        return self[0]

    @property
    def line(self) -> int:
        """The number of the line."""
        return self[1]

    def __str__(self) -> str:
        return f"{self[0]}:{self[1]}"


class MtaError(Exception):
    """Whatever this program raises on purpose."""


class ConfigError(MtaError):
    """The configuration cannot be used: where, why, and what was perhaps meant."""

    def __init__(self, where: Where | None, reason: str, suggestion: str = "") -> None:
        self.where = where
        self.reason = reason
        self.suggestion = suggestion
        place = f"{where}: " if where else ""
        meant = f" ({suggestion})" if suggestion else ""
        super().__init__(f"{place}{reason}{meant}")


class TempFail(MtaError):
    """It cannot be done now.  `status` is an enhanced status code such as 4.3.1 (RFC 3463).

    `code` is the number that retry records keep: an errno, or one of Exim's negative ones.
    """

    def __init__(self, text: str, *, status: str = "4.0.0", code: int = 0) -> None:
        self.text = text
        self.status = status
        self.code = code
        super().__init__(text)


class PermFail(MtaError):
    """It can never be done.  `status` is an enhanced status code such as 5.1.1 (RFC 3463).

    `told` is what the sender of a message is told, where that is not the text.
    """

    def __init__(
        self, text: str, *, status: str = "5.0.0", code: int = 0, told: str | None = None
    ) -> None:
        self.text = text
        self.status = status
        self.code = code
        self.told = told
        super().__init__(text)


class Reject(MtaError):
    """An SMTP command is refused: code, enhanced status code ("" for none), text."""

    def __init__(self, code: int, status: str, text: str) -> None:
        self.code = code
        self.status = status
        self.text = text
        super().__init__(f"{code} {status + ' ' if status else ''}{text}")


class ProtocolError(MtaError):
    """A neighbour sent what its channel does not allow."""


class Slow(MtaError):
    """Somebody else has to answer first, and who has other things to do should do them now.

    Raised only where that was asked for; the same thing can be done later, in more time.
    """


class ExpansionFail(MtaError):
    """A string cannot be expanded; `forced` if it asked for that itself with "fail"."""

    def __init__(self, text: str, *, forced: bool = False) -> None:
        self.text = text
        self.forced = forced
        super().__init__(text)


# Errors of the system that say something about the request itself.  All others, known or
# not, may pass: a full disk, a table that is full, a file system that is away.
_PERMANENT = frozenset({errno.ENAMETOOLONG, errno.EINVAL, errno.EISDIR})


def is_permanent(error: OSError) -> bool:
    """True if trying the same again can never help."""
    return error.errno in _PERMANENT


def describe(error: OSError) -> str:
    """The system's words for an error, without Python's decoration."""
    return error.strerror or str(error)
