"""Files that routers read or look for, seen with the rights of the user whose they are.

A router may name a file of a user: the list of a redirection, the files that it requires.
Nobody reads such a file with more rights than that user has.  So there are two ways to see
one: as who we are, which is what this module does, and by asking a process that has become
the user, which runs the same code (mta/proc/looker.py).  Whoever asks names a router and an
address, never a path; what the path is, both find out by themselves, and they must agree.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Protocol

from mta.base.errors import TempFail, describe
from mta.base.values import value
from mta.expand.context import Context
from mta.route.api import Address, Owner

FILE_LIMIT = 1 << 20  # octets of one file
UNKNOWN = -1


@value
class Seen:
    """What was found at a path.

    `error` is an errno, 0 where it is a file that could be read; `trouble` says in Exim's
    words what keeps it from being used.
    """

    path: str
    error: int = 0
    trouble: str = ""
    mode: int = 0
    uid: int = -1
    gid: int = -1
    octets: bytes = b""


def look(path: str, fd: int | None = None, what: str = "") -> Seen:
    """Read a file as who we are; it is opened unless a descriptor is given, and closed.

    O_NONBLOCK keeps a fifo from holding us.  Whatever is in the way is said, not raised.
    """
    try:
        if fd is None:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            return _read(path, fd, what)
        finally:
            os.close(fd)
    except (OSError, ValueError) as error:
        return unreadable(path, error, what)


def unreadable(path: str, error: OSError | ValueError, what: str = "") -> Seen:
    """What is said of a file that could not be opened or read."""
    code = error.errno or errno.EIO if isinstance(error, OSError) else errno.EINVAL
    word = describe(error) if isinstance(error, OSError) else "not a file name"
    who = f" (euid={os.geteuid()} egid={os.getegid()})" if code == errno.EACCES else ""
    return Seen(path, code, f"failed to open {what}{path}: {word}{who}")


def _read(path: str, fd: int, what: str) -> Seen:
    """The file behind a descriptor; the same file is judged and read.  Raises OSError."""
    state = os.fstat(fd)
    facts = (state.st_mode, state.st_uid, state.st_gid)
    if not stat.S_ISREG(state.st_mode):
        return Seen(path, errno.EINVAL, f"{what}{path} is not a regular file", *facts)
    octets = b""
    while len(octets) <= FILE_LIMIT:
        chunk = os.read(fd, FILE_LIMIT + 1 - len(octets))
        if not chunk:
            return Seen(path, 0, "", *facts, octets)
        octets += chunk
    return Seen(path, errno.EFBIG, f"{what}{path} is too big (max {FILE_LIMIT})", *facts)


def probe(path: str, *, readable: bool) -> int:
    """0 if something of this name is there, and with `readable` may be read by us; else the
    errno that says why not."""
    try:
        os.stat(path)
    except OSError as error:
        return error.errno or errno.EIO
    except ValueError:
        return errno.EINVAL
    return errno.EACCES if readable and not os.access(path, os.R_OK) else 0


@value
class Gathered:
    """The list of a redirection, and the files that it includes, by their paths.

    `list` is None where the list is no file.
    """

    list: Seen | None
    included: dict[str, Seen]
    is_own: bool  # read as who we are


class Source(Protocol):
    """What can be asked for its files: a router."""

    name: str

    def gather(self, ctx: Context, address: Address) -> Gathered:
        """The list that this router would read for an address, read as who we are."""


class Files:
    """The way to files: as who we are.  A process that can ask has one of its own."""

    def gather(self, source: Source, ctx: Context, address: Address, owner: Owner) -> Gathered:
        """The list that a router reads for an address, as its owner sees it.

        Raises TempFail, ExpansionFail.
        """
        return source.gather(ctx, address)

    def probe(
        self,
        source: Source,
        ctx: Context,
        address: Address,
        owner: Owner,
        number: int,
        path: str,
    ) -> int:
        """0 if the owner can read this item of require_files, else the errno.

        Raises TempFail.
        """
        return probe(path, readable=True)


def disagreement(path: str, theirs: str) -> TempFail:
    """A path was not the same to the process that became the user."""
    return TempFail(
        f'"{path}" is "{theirs}" where it is read: the name of the file may depend on the '
        "address and the sender only",
        code=UNKNOWN,
    )
