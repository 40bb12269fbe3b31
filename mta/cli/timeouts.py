"""The time-outs of SMTP sessions: one row for each wait that RFC 5321 4.5.3.2 speaks of.

Each wait has an option and is counted by itself, never the session as a whole.  The table goes
into mta.conf(5); a test holds the defaults against what the RFC wants, and each row has a test
with a peer that says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mta.config.main.smtp_in import SmtpIn
from mta.config.option import Configured, Option
from mta.transport.drivers.smtp import Smtp

CLIENT = "of the smtp transport"
SERVER = "of the main section"


@dataclass(frozen=True, slots=True)
class Wait:
    """One wait: for what, by which option, and how long it should be at least, in seconds,
    by which section of RFC 5321 ("" where it has none)."""

    what: str
    owner: type[Configured]
    option: str
    section: str = ""
    least: int = 0

    @property
    def declared(self) -> Option[Any]:
        """The option's declaration."""
        return self.owner.options()[self.option]

    @property
    def side(self) -> str:
        """Whose option it is, in words."""
        return SERVER if self.owner is SmtpIn else CLIENT


WAITS = (
    Wait("a TCP connection", Smtp, "connect_timeout"),
    Wait("the greeting", Smtp, "command_timeout", "4.5.3.2.1", 300),
    Wait("the answer to EHLO, HELO or RSET", Smtp, "command_timeout"),
    Wait("the answer to MAIL", Smtp, "command_timeout", "4.5.3.2.2", 300),
    Wait("the answer to RCPT", Smtp, "command_timeout", "4.5.3.2.3", 300),
    Wait("the answer to DATA", Smtp, "command_timeout", "4.5.3.2.4", 120),
    Wait("a piece of the message to be taken", Smtp, "data_timeout", "4.5.3.2.5", 180),
    Wait("the answer to the final dot", Smtp, "final_timeout", "4.5.3.2.6", 600),
    Wait("the next command of a client", SmtpIn, "smtp_receive_timeout", "4.5.3.2.7", 300),
    Wait("more of a client's message", SmtpIn, "smtp_receive_timeout", "4.5.3.2.7", 300),
)

TEXT = """\
Every wait of an SMTP session has an end of its own; none is for the session as a whole.  RFC
5321 4.5.3.2 says how long each should be at least, which the defaults are.

As a client, a silent server is left when the time of one of these options is over, and the
message or the recipient is tried again later; 0 stands for an hour.  After the final dot the
message may have been taken all the same: it is deferred, no other host is asked, and it may
arrive twice.

As a server, a silent client is told 421 and left.  A line must be complete within the time
from its first octet, and a message that comes with less than 200 octets a second is given
twelve such times in all."""


def rows() -> Iterator[tuple[str, str]]:
    """The table for the manual: an option with its default, and what ends by it."""
    by_option: dict[tuple[type[Configured], str], list[Wait]] = {}
    for wait in WAITS:
        by_option.setdefault((wait.owner, wait.option), []).append(wait)
    for (_, name), waits in by_option.items():
        first = waits[0]
        said = [f"{wait.what}{_at_least(wait)}" for wait in waits]
        default = first.declared.default
        yield f"{name}, {first.side}", f"Default {default}: {'; '.join(said)}."


def _at_least(wait: Wait) -> str:
    return f" (RFC 5321 {wait.section}: {wait.least // 60}m)" if wait.section else ""
