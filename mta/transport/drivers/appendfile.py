"""Deliver into a mailbox: one file for all messages, or a directory with a file for each.

    file                            an mbox, or what message_prefix and its like make of it
    directory                       one new file for each message
    directory and maildir_format    a Maildir
    directory, mailstore_format     two new files for each message
    none of them                    the file or directory that a redirection named

Runs as the recipient, in a process that has given up everything else: permissions are the
recipient's own.  A full disk, a quota that is used up or a home directory that is away defers
the message; nothing that happens here bounces it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from dataclasses import dataclass

from mta.base import clock
from mta.base.errors import TempFail
from mta.base.text import to_bytes
from mta.base.trust import Trusted
from mta.config.model import Block
from mta.expand.context import Context
from mta.expand.run import truth
from mta.expand.split import split_list
from mta.transport import newfile
from mta.transport.api import Outcome, Parcel, Result
from mta.transport.codes import (
    BAD_FORMAT,
    BAD_TRANSPORT,
    NOT_ABSOLUTE,
)
from mta.transport.engine import Stages, Transport, for_all, transport
from mta.transport.mailbox_options import MailboxOptions, plain
from mta.transport.maildir import FOLDER, Maildir, open_maildir
from mta.transport.maildirsize import SizeFile, open_size_file
from mta.transport.mbox import Mailbox
from mta.transport.newfile import Directory
from mta.transport.places import Creation
from mta.transport.quota import Quota, write_failed
from mta.transport.shape import Shape
from mta.transport.writing import Stream

Waiting = Generator[None, None, None]
_FORMAT_OCTETS = 256  # of a mailbox, that file_format looks at


@dataclass(slots=True)
class _Shared:
    """A Maildir that several deliveries of a round write to."""

    maildir: Maildir
    users: int = 0


@dataclass(slots=True)
class _Delivery:
    """All that one delivery is made of."""

    ctx: Context
    parcel: Parcel
    path: Trusted
    creation: Creation
    quota: Quota
    shape: Shape
    stream: Stream

    @property
    def host(self) -> str:
        return self.ctx.conf.naming.primary_hostname

    @property
    def size(self) -> int:
        """What counts against a quota."""
        return self.ctx.message.size


@transport("appendfile")
class Appendfile(MailboxOptions):
    """Write messages to the recipients' mailboxes."""

    last_named = 0  # in microseconds; no two files of a process have the same

    def __init__(self, block: Block) -> None:
        super().__init__(block)
        self.is_brief = not self.allow_fifo  # whose reader may take his time
        self.open: dict[str, _Shared] = {}
        self.busy: set[str] = set()  # mailboxes that are being written
        self.find: Callable[[str], Transport | None] = {self.name: self}.get

    def know(self, find: Callable[[str], Transport | None]) -> None:
        """Learn of the transports that file_format may name."""
        self.find = find

    def deliver(self, ctx: Context, parcel: Parcel) -> Stages:
        """Write the message once, for all recipients of the parcel."""
        self.settle(ctx)
        sender = self.sender(ctx, parcel)
        ctx.message.return_path = sender
        stream = self.stream(ctx, parcel, sender)
        limits = self.limits(ctx)
        creation = Creation(
            self.create_file, ctx.place.home, self.create_directory, self.directory_mode
        )
        path, is_directory = self.target(ctx, parcel, creation)
        written = path if parcel.file and (self.file or self.directory) else parcel.file
        done = for_all(parcel, Outcome("", Result.DONE, file=written))
        if path == "/dev/null" and not is_directory:
            return done
        other = None if is_directory or not self.file_format else self._other(path)
        if other is not None:
            outcomes = other.deliver(ctx, parcel)
            return outcomes if isinstance(outcomes, list) else (yield from outcomes)
        shape = self.shape(ctx, parcel, sender)
        delivery = _Delivery(ctx, parcel, path, creation, limits, shape, stream)
        yield from self._way(delivery, is_directory)
        return done

    def _way(self, delivery: _Delivery, is_directory: bool) -> Waiting:
        if not is_directory:
            return self._to_mailbox(delivery)
        if self.maildir_format:
            return self._to_maildir(delivery)
        if self.mailstore_format:
            return self._to_mailstore(delivery)
        return self._to_new_file(delivery)

    def _quota_root(self, delivery: _Delivery) -> str:
        """The directory whose files count."""
        if self.quota_directory is not None:
            text = self.text(delivery.ctx, self.quota_directory, "quota_directory")
            if not text.startswith("/"):
                raise TempFail(
                    f'appendfile: quota_directory name "{text}" is not absolute',
                    code=NOT_ABSOLUTE,
                )
            return self.checked_path(text, "quota_directory")
        path = delivery.path
        if self.maildir_format and os.path.lexists(f"{path}/{FOLDER}"):
            return os.path.dirname(path)
        return path

    def _judge(self, delivery: _Delivery, name: str) -> None:
        """See whether the message fits into a directory."""
        limits = delivery.quota
        size = files = 0
        if limits.asks_for_size or limits.asks_for_files:
            size, files = limits.measure(self._quota_root(delivery))
        limits.judge(size, files, delivery.size, name)

    # ---- a mailbox

    def _to_mailbox(self, delivery: _Delivery) -> Waiting:
        path, limits = delivery.path, delivery.quota
        while path in self.busy:
            yield
        self.busy.add(path)
        try:
            mailbox = Mailbox(
                path, self.demands, self.customs, delivery.creation, delivery.host
            )
            yield from mailbox.deliver(
                delivery.stream,
                delivery.shape,
                lambda size: limits.judge(size, 0, delivery.size, path),
            )
        finally:
            self.busy.discard(path)

    def _other(self, path: Trusted) -> Transport | None:
        """The transport for mailboxes that begin like this one; None for ourselves."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None  # opening it for writing says what is wrong, if anything is
        try:
            start = os.pread(fd, _FORMAT_OCTETS, 0)
        except OSError:
            return None
        finally:
            os.close(fd)
        if not start:
            return None
        pairs = split_list(self.file_format)
        for beginning, name in zip(pairs[::2], pairs[1::2], strict=False):
            if not start.startswith(to_bytes(beginning)):
                continue
            if name == self.name:
                return None
            other = self.find(name)
            if other is None:
                text = f"{name} transport (for {beginning} format) not found"
                raise TempFail(text, code=BAD_TRANSPORT)
            return other
        raise TempFail("mailbox file format unrecognized", code=BAD_FORMAT)

    # ---- a Maildir

    def _to_maildir(self, delivery: _Delivery) -> Waiting:
        maildir = self._begin(delivery)
        name = self._name(delivery.host)
        sizes = None
        try:
            sizes = self._judge_maildir(delivery, name)
            size = yield from self._store(maildir, delivery, name)
            if sizes is not None:
                sizes.add(size)
        except OSError as error:
            raise write_failed(error, f"tmp/{name}") from error
        finally:
            if sizes is not None:
                sizes.close()
            self._end(delivery.path)

    def _begin(self, delivery: _Delivery) -> Maildir:
        """The Maildir, opened by the first of those that are stored there in one round."""
        path, regex = delivery.path, self.maildirfolder_create_regex
        shared = self.open.get(path)
        if shared is None:
            is_folder = bool(regex) and self.pattern(regex).matches(path)
            try:
                maildir = open_maildir(path, delivery.creation, is_folder=is_folder)
            except OSError as error:
                text = f"failed to open the maildir {path}"
                raise TempFail(text, status="4.2.0", code=error.errno or 0) from error
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

    def _judge_maildir(self, delivery: _Delivery, name: str) -> SizeFile | None:
        """See whether the message fits in; the size file, where one is kept."""
        if not self._keeps_size_file(delivery.ctx):
            self._judge(delivery, f"tmp/{name}")
            return None
        root = self._quota_root(delivery)
        folders = self.pattern(self.maildir_quota_directory_regex)
        relative = delivery.path[len(root) + 1 :] if delivery.path != root else ""
        if relative and not folders.matches(relative):
            return None  # this folder does not count
        sizes = open_size_file(root, delivery.quota, folders, delivery.size, name)
        try:
            delivery.quota.judge(sizes.size, sizes.files, delivery.size, f"tmp/{name}")
        except TempFail:
            sizes.close()
            raise
        return sizes

    def _keeps_size_file(self, ctx: Context) -> bool:
        wanted = self.maildir_use_size_file
        if isinstance(wanted, bool):
            return wanted
        return truth(self.text(ctx, wanted, "maildir_use_size_file"), strict=True)

    def _store(
        self, maildir: Maildir, delivery: _Delivery, name: str
    ) -> Generator[None, None, int]:
        tries = max(self.maildir_retries, 1)
        for _ in range(tries):
            try:
                fd = maildir.create(name, self.mode)
            except FileExistsError:
                name = self._name(delivery.host)
                continue
            except OSError as error:
                text = f"failed to open tmp/{name}"
                raise TempFail(text, status="4.2.0", code=error.errno or 0) from error
            final = name

            def tagged(size: int, final: str = final) -> str:
                return final + self._tag(delivery.ctx, size)

            return (
                yield from maildir.store(
                    fd, delivery.stream, delivery.shape, name, self.mode, tagged
                )
            )
        raise TempFail(f"failed to open tmp/{name} ({tries} tries)", status="4.2.0", code=17)

    def _name(self, host: str) -> str:
        """A file name as Exim makes it: the time, this process and this host."""
        microsecond = int(clock.now() * 1_000_000)
        # The clock may be coarse or set back, and one process stores many messages.
        self.last_named = max(microsecond, self.last_named + 1)
        seconds, rest = divmod(self.last_named, 1_000_000)
        safe = host.replace("/", "\\057").replace(":", "\\072")
        return f"{seconds}.H{rest}P{os.getpid()}.{safe}"

    def _tag(self, ctx: Context, size: int) -> str:
        """What is added to the name of a message of which this much was written."""
        before, ctx.message.size = ctx.message.size, size
        try:
            text = self.optional(ctx, self.maildir_tag, "maildir_tag")
        finally:
            ctx.message.size = before
        tag = "".join([each for each in text if each > " " and each not in "/\x7f"])
        return f":{tag}" if tag[:1].isascii() and tag[:1].isalnum() else tag  # ascii: tested

    # ---- new files

    def _to_new_file(self, delivery: _Delivery) -> Waiting:
        ctx, path = delivery.ctx, delivery.path
        directory = Directory(delivery.creation.open_target(path), path, self.mode)
        try:
            self._judge(delivery, f"{path}/{newfile.first_name(delivery.host)}")
            yield from newfile.deliver_plain(
                directory,
                delivery.stream,
                delivery.shape,
                delivery.host,
                lambda inode, size: self._last_name(ctx, inode, size),
            )
        finally:
            os.close(directory.fd)

    def _last_name(self, ctx: Context, inode: int, size: int) -> str:
        assert self.directory_file is not None
        ctx.values["inode"], ctx.message.size = str(inode), size
        name = self.text(ctx, self.directory_file, "directory_file", 0)
        if "/" in name:
            self.checked_path(name, "directory_file")
        return name

    def _to_mailstore(self, delivery: _Delivery) -> Waiting:
        path = delivery.path
        directory = Directory(delivery.creation.open_target(path), path, self.mode)
        try:
            name = newfile.store_name(directory, delivery.parcel.message_id)
            try:
                self._judge(delivery, f"{path}/{name}.msg")
                envelope = self._envelope(delivery, name)
            except BaseException:
                directory.remove(f"{name}.tmp")
                raise
            yield from newfile.deliver_store(
                directory, name, delivery.stream, delivery.shape, envelope
            )
        finally:
            os.close(directory.fd)

    def _envelope(self, delivery: _Delivery, name: str) -> bytes:
        """The envelope of a mailstore: sender and recipients, and what the options add."""
        ctx, parcel = delivery.ctx, delivery.parcel
        ctx.values["mailstore_basename"] = f"{delivery.path}/{name}"
        lines = [
            _whole_lines(self.optional(ctx, self.mailstore_prefix, "mailstore prefix")),
            f"{plain(ctx.message.return_path or '')}\n",
            *[f"{plain(each.address)}\n" for each in parcel.recipients],
            _whole_lines(self.optional(ctx, self.mailstore_suffix, "mailstore suffix")),
        ]
        return to_bytes("".join(lines))


def _whole_lines(text: str) -> str:
    return text if text.endswith("\n") or not text else f"{text}\n"
