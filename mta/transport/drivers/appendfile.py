"""Deliver into a mailbox: a Maildir, one file for each message.

Runs as the recipient, in a process that has given up everything else: permissions and quotas
are the recipient's own, and no check here imitates them.  A full disk, a quota that is used up
or a home directory that is away defers the message; nothing that happens here bounces it.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from dataclasses import dataclass

from mta.base import clock
from mta.base.errors import ConfigError, TempFail, describe
from mta.base.trust import Trusted
from mta.config import kinds
from mta.config.model import Block
from mta.config.option import Option
from mta.expand.context import Context
from mta.transport.api import Outcome, Parcel, Result
from mta.transport.engine import Stages, Transport, for_all, transport
from mta.transport.maildir import Maildir, open_maildir
from mta.transport.writing import Stream

NOT_ABSOLUTE = -21  # the number that Exim's retry records have for it
_NAME_TRIES = 10


@dataclass(slots=True)
class _Shared:
    """A Maildir that several deliveries of a round write to."""

    maildir: Maildir
    users: int = 0


@transport("appendfile")
class Appendfile(Transport):
    """Write messages to the recipients' mailboxes."""

    directory = Option(kinds.expanded, "", "The Maildir; an absolute path.")
    maildir_format = Option(kinds.boolean, "false", "The directory is a Maildir.")
    create_directory = Option(kinds.boolean, "true", "Make directories that are missing.")
    directory_mode = Option(kinds.octal, "0700", "The permissions of directories it makes.")
    mode = Option(kinds.octal, "0600", "The permissions of files it makes.")
    batch_max = Option(
        kinds.integer, "1", "The most recipients of one message that share one delivery."
    )

    is_brief = True
    last_named = 0  # in microseconds; no two files of a process have the same

    def __init__(self, block: Block) -> None:
        super().__init__(block)
        self.open: dict[str, _Shared] = {}

    def check(self) -> None:
        """Only Maildirs are written yet."""
        if not self.maildir_format:
            raise ConfigError(
                self.block.where,
                f"transport {self.name}: mailboxes other than Maildirs are not supported yet",
                "set directory and maildir_format",
            )

    def deliver(self, ctx: Context, parcel: Parcel) -> Stages:
        """Write the message once, for all recipients of the parcel."""
        self.settle(ctx)
        path = self._path(ctx, parcel)
        stream = self.stream(ctx, parcel, self.sender(ctx, parcel))
        maildir = self._begin(path, ctx.place.home)
        try:
            yield from self._store(maildir, stream, ctx.conf.naming.primary_hostname)
        except OSError as error:
            reason = f"error while writing to {path}: {describe(error)}"
            raise TempFail(reason, status="4.2.0", code=error.errno or 0) from error
        finally:
            self._end(path)
        return for_all(parcel, Outcome("", Result.DONE, file=parcel.file))

    def _path(self, ctx: Context, parcel: Parcel) -> Trusted:
        """The Maildir: what a redirection named, or the transport's own."""
        if parcel.file:
            text: str | None = parcel.file
        else:
            text = self.value(ctx, self.directory, "file or directory name")
        if not text:
            raise TempFail(
                f"Mandatory file or directory option missing from {self.name} transport"
            )
        path = self.checked_path(text, "directory")
        if not path.startswith("/"):
            raise TempFail(
                f'appendfile: file or directory name "{path}" is not absolute',
                code=NOT_ABSOLUTE,
            )
        if "\0" in path:
            raise TempFail(f"appendfile: a NUL in the directory name of {self.name} transport")
        return path

    def _begin(self, path: Trusted, home: str | None) -> Maildir:
        """The Maildir, opened by the first of those that are stored there in one round."""
        shared = self.open.get(path)
        if shared is None:
            try:
                maildir = open_maildir(
                    path, self.directory_mode, create=self.create_directory, home=home
                )
            except OSError as error:
                reason = f"failed to open the maildir {path}: {describe(error)}"
                raise TempFail(reason, status="4.2.0", code=error.errno or 0) from error
            shared = self.open[path] = _Shared(maildir)
        shared.users += 1
        return shared.maildir

    def _end(self, path: Trusted) -> None:
        """The last one closes it: its owner may have made another by the next round."""
        shared = self.open[path]
        shared.users -= 1
        if not shared.users:
            del self.open[path]
            shared.maildir.close()

    def _store(
        self, maildir: Maildir, stream: Stream, host: str
    ) -> Generator[None, None, None]:
        for _ in range(_NAME_TRIES):
            name = self._name(host)
            try:
                fd = maildir.create(name, self.mode)
            except FileExistsError:
                continue
            yield from maildir.store(fd, stream, name, self.mode)
            return
        raise TempFail("no free name in the maildir", status="4.2.0")

    def _name(self, host: str) -> str:
        """A file name as Exim makes it: the time, this process and this host."""
        microsecond = int(clock.now() * 1_000_000)
        # The clock may be coarse or set back, and one process stores many messages.
        self.last_named = max(microsecond, self.last_named + 1)
        seconds, rest = divmod(self.last_named, 1_000_000)
        safe = host.replace("/", "\\057").replace(":", "\\072")
        return f"{seconds}.H{rest}P{os.getpid()}.{safe}"
