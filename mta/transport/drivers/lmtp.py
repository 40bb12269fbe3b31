"""Deliver to a mail store of this machine over LMTP: to its UNIX socket, or to a command.

Runs as the user that is named for it.  The conversation itself is lmtp_session's; here is who
is spoken to.  A program that is started for it speaks over its standard input and output, and
is gone when the delivery is.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
from collections.abc import Iterator

from mta.base.errors import ConfigError, PermFail, TempFail, describe
from mta.base.text import to_bytes
from mta.config import kinds
from mta.config.model import Block
from mta.config.option import Option
from mta.expand.context import Context
from mta.net.socket import Link
from mta.transport import command as lines
from mta.transport.api import Outcome, Parcel
from mta.transport.engine import Transport, transport
from mta.transport.filter import PATH
from mta.transport.lmtp_session import UNKNOWN, Letter, converse
from mta.transport.smtp_session import is_one_word
from mta.unix import command

ENDLESS = 3600.0  # seconds; what "no limit" means
LAST_SECONDS = 10.0  # that a program has for leaving
_LONGEST_ADDRESS = 107  # octets of a socket's name


@transport("lmtp")
class Lmtp(Transport):
    """Deliver to a local mail store over LMTP."""

    socket = Option(kinds.expanded, "", "The UNIX socket to connect to.")
    command = Option(kinds.command, "", "The command to run instead.")
    timeout = Option(kinds.time, "5m", "How long an answer may take.")
    ignore_quota = Option(
        kinds.boolean, "false", "Ask a server that can do that to ignore quotas."
    )
    batch_max = Option(kinds.integer, "1", "The most recipients that share one delivery.")
    batch_id = Option(kinds.expanded, "", "Only recipients with the same text share one.")

    def __init__(self, block: Block) -> None:
        super().__init__(block)
        self.line = lines.command_line(self.command) if self.command else None

    @property
    def runs_commands(self) -> bool:
        """True if a delivery runs commands that its user may run."""
        return self.command is not None or super().runs_commands

    def check(self) -> None:
        """There must be somebody to speak to."""
        if (self.socket is None) == (self.command is None):
            text = "one (and only one) of command or socket must be set"
            raise ConfigError(self.block.where, f"{text} for the {self.name} transport")

    def deliver(self, ctx: Context, parcel: Parcel) -> list[Outcome]:
        """Hand the message over, and say what the other side said of each recipient."""
        self.settle(ctx)
        sender = self.sender(ctx, parcel)
        recipients = [(each.address, self.recipient_text(each)) for each in parcel.recipients]
        for address in (sender, *[text for _, text in recipients]):
            if not is_one_word(address):
                text = "an address has characters that LMTP cannot carry"
                raise PermFail(text, status="5.1.3")
        letter = Letter(
            ctx.conf.naming.primary_hostname,
            sender,
            recipients,
            self.stream(ctx, parcel, sender),
            self.ignore_quota,
        )
        with self._connected(ctx, parcel) as link:
            return converse(link, letter, self.timeout or ENDLESS)

    @contextlib.contextmanager
    def _connected(self, ctx: Context, parcel: Parcel) -> Iterator[Link]:
        if self.line is None:
            yield self._connect(ctx)
            return
        what = f"{self.name} transport"
        addresses = [recipient.address for recipient in parcel.recipients]
        words = lines.arguments(ctx, self.line, addresses, what)
        if not words or not words[0]:
            raise TempFail(f"no command specified for {what}")
        words[0] = lines.find(words[0], PATH, what)
        with _started(words, what) as link:
            yield link

    def _connect(self, ctx: Context) -> Link:
        path = self.checked_path(self.value(ctx, self.socket, "socket") or "", "socket")
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            made.settimeout(self.timeout or ENDLESS)
            _connect(made, to_bytes(path))
        except (OSError, ValueError) as error:
            made.close()
            why = describe(error) if isinstance(error, OSError) else "not a path"
            text = f"Failed to connect to socket {path} for {self.name} transport: {why}"
            raise TempFail(text, status="4.4.1", code=UNKNOWN) from error
        return Link(made)


def _connect(made: socket.socket, path: bytes) -> None:
    """Connect to a socket, however long its path is: its directory may stand for all of it."""
    if len(path) <= _LONGEST_ADDRESS:
        made.connect(path)
        return
    directory, _, name = path.rpartition(b"/")
    fd = os.open(directory or b"/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        made.connect(b"/proc/self/fd/%d/%b" % (fd, name))
    finally:
        os.close(fd)


@contextlib.contextmanager
def _started(words: list[str], what: str) -> Iterator[Link]:
    """A program that is spoken to through its standard descriptors; it ends with this."""
    ours, theirs = socket.socketpair()
    null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    try:
        wanted = command.Command(words, {"PATH": PATH})
        pid = command.start(wanted, (theirs.fileno(), theirs.fileno(), null))
    except OSError as error:
        ours.close()
        text = f"Failed to run {words[0]} for {what}: {describe(error)}"
        raise TempFail(text, code=UNKNOWN) from error
    finally:
        theirs.close()
        os.close(null)
    try:
        yield Link(ours)
    finally:
        ours.close()
        _await_end(pid)


def _await_end(pid: int) -> None:
    """Wait for a program that has nothing more to hear, but not for ever."""
    fd = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    try:
        if not poll.poll(LAST_SECONDS * 1000):
            os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    finally:
        os.close(fd)
