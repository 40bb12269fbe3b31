"""What the sendmail command and the receiving process say to each other.

    sendmail → receiver    more       recipients that do not fit into one frame; any number
                           submit     the message, with a descriptor to read it from
                           session    speak SMTP, with descriptors to read and to write
    receiver → sendmail    accepted   the message is safely on disk
                           rejected   it is not, and will not be
                           finished   the SMTP session is over

Who the caller is says the kernel, never a frame.
"""

from __future__ import annotations

from dataclasses import dataclass

from mta.unix.frames import frame


@frame("more")
@dataclass(frozen=True, slots=True)
class More:
    """Recipients that belong to the `submit` that follows."""

    recipients: tuple[str, ...]


@frame("submit")
@dataclass(frozen=True, slots=True)
class Submit:
    """A message is to be sent; its descriptor comes along.

    `has_sender` is 1 if -f was given ("" is then the null sender); `full_name` is -F;
    `from_headers` is -t; `dot_ends` is 0 for -i; `delivery` is "", background, foreground or
    queue; `fixups` is 0 for -G; the DSN fields are the arguments of -R, -N and -V.
    """

    has_sender: int
    sender: str
    full_name: str
    recipients: tuple[str, ...]
    from_headers: int
    dot_ends: int
    delivery: str
    fixups: int
    dsn_ret: str
    dsn_notify: str
    dsn_envid: str = ""


@frame("session")
@dataclass(frozen=True, slots=True)
class Session:
    """Speak SMTP on the two descriptors that come along: -bs."""

    has_sender: int
    sender: str
    delivery: str


@frame("accepted")
@dataclass(frozen=True, slots=True)
class Accepted:
    """The message is ours; this is its id."""

    id: str


@frame("rejected")
@dataclass(frozen=True, slots=True)
class Rejected:
    """The message was not taken: an exit code of sysexits.h, and why."""

    code: int
    text: str


@frame("finished")
@dataclass(frozen=True, slots=True)
class Finished:
    """The SMTP session has ended."""

    code: int
