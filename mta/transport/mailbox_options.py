"""The options of the appendfile transport, and what they say for one delivery.

Raises:   ConfigError at load; TempFail with Exim's words and numbers.
"""

from __future__ import annotations

import time

from mta.base import clock
from mta.base.errors import ConfigError, ExpansionFail, TempFail
from mta.base.text import to_bytes
from mta.base.trust import Trusted, is_trusted
from mta.config import kinds
from mta.config.model import Block
from mta.config.option import Option
from mta.config.template import Template
from mta.expand.context import Context
from mta.expand.run import expand
from mta.expand.trust import keep
from mta.lookup import pcre
from mta.transport.api import Parcel
from mta.transport.codes import EXPANSION_FAILED, NOT_ABSOLUTE, UNKNOWN
from mta.transport.engine import Transport
from mta.transport.framing import commands
from mta.transport.locking import Customs
from mta.transport.mbox import Demands
from mta.transport.places import ANYWHERE, BELOW_HOME, IN_HOME, Creation
from mta.transport.quota import Limit, Quota, parse
from mta.transport.shape import Shape


class MailboxOptions(Transport):
    """All options of appendfile, and what they say."""

    allow_fifo = Option(kinds.boolean, "false", "Deliver to a named pipe that somebody reads.")
    allow_symlink = Option(
        kinds.boolean, "false", "Follow a symbolic link in the place of the mailbox."
    )
    batch_id = Option(kinds.expanded, "", "Only recipients with the same text share one.")
    batch_max = Option(
        kinds.integer, "1", "The most recipients of one message that share one delivery."
    )
    check_group = Option(kinds.boolean, "false", "The mailbox must have our group.")
    check_owner = Option(kinds.boolean, "true", "The mailbox must belong to us.")
    check_string = Option(
        kinds.string, "", 'What a line must not begin with; in a mailbox "From ".'
    )
    create_directory = Option(kinds.boolean, "true", "Make directories that are missing.")
    create_file = Option(
        kinds.string,
        ANYWHERE,
        "Where files may be made: anywhere, inhome, belowhome, or below an absolute path.",
    )
    directory = Option(kinds.expanded, "", "The directory for new files; an absolute path.")
    directory_file = Option(
        kinds.expanded,
        "q${base62:$tod_epoch}-$inode",
        "What a new file is called in the end; $inode is its number.",
    )
    directory_mode = Option(kinds.octal, "0700", "The permissions of directories it makes.")
    escape_string = Option(
        kinds.string, "", 'What a line begins with instead; in a mailbox ">From ".'
    )
    file = Option(kinds.expanded, "", "The mailbox; an absolute path.")
    file_format = Option(
        kinds.string,
        "",
        "Pairs of how a mailbox begins and the transport for such mailboxes.",
    )
    file_must_exist = Option(kinds.boolean, "false", "Make no mailbox.")
    lock_fcntl_timeout = Option(kinds.time, "0s", "Wait with the mailbox open; 0: closed.")
    lock_flock_timeout = Option(kinds.time, "0s", "The same for flock.")
    lock_interval = Option(kinds.time, "3s", "How long to wait between two tries to lock.")
    lock_retries = Option(kinds.integer, "10", "How often to try to lock.")
    lockfile_mode = Option(kinds.octal, "0600", "The permissions of lock files.")
    lockfile_timeout = Option(
        kinds.time, "30m", "A lock file of this age was left behind, and is removed."
    )
    mailbox_filecount = Option(kinds.expanded, "", "How many files the mailbox has.")
    mailbox_size = Option(kinds.expanded, "", "How many octets the mailbox has.")
    maildir_format = Option(kinds.boolean, "false", "The directory is a Maildir.")
    maildir_quota_directory_regex = Option(
        kinds.string, "^(?:cur|new|\\..*)$", "The directories that maildirsize counts."
    )
    maildir_retries = Option(kinds.integer, "10", "How many names to try for a file.")
    maildir_tag = Option(kinds.expanded, "", "What is added to names in new/.")
    maildir_use_size_file = Option(
        kinds.expanded_boolean, "false", "Keep the size of the Maildir in maildirsize."
    )
    maildirfolder_create_regex = Option(
        kinds.string, "", "Maildirs with such a path get a file maildirfolder."
    )
    mailstore_format = Option(
        kinds.boolean, "false", "Write envelope and message to two files of the directory."
    )
    mailstore_prefix = Option(kinds.expanded, "", "The first lines of an envelope.")
    mailstore_suffix = Option(kinds.expanded, "", "The last lines of an envelope.")
    message_prefix = Option(
        kinds.expanded, "", 'What is written before a message; in a mailbox the "From " line.'
    )
    message_suffix = Option(
        kinds.expanded, "", "What is written after a message; in a mailbox an empty line."
    )
    mode = Option(kinds.octal, "0600", "The permissions of files it makes.")
    mode_fail_narrower = Option(
        kinds.boolean, "true", "Defer if the mailbox has less permissions than `mode`."
    )
    quota_ = Option(kinds.expanded, "", "The most octets of a mailbox; 0 for no limit.")
    quota_directory = Option(kinds.expanded, "", "The directory whose files count.")
    quota_filecount = Option(kinds.expanded, "", "The most files in the directory.")
    quota_is_inclusive = Option(
        kinds.boolean, "true", "The message itself must fit in, too, not only what is there."
    )
    quota_size_regex = Option(
        kinds.string, "", "Finds the size of a file in its name, as the first group."
    )
    use_bsmtp = Option(kinds.boolean, "false", "Write SMTP commands around messages.")
    use_crlf = Option(kinds.boolean, "false", "End lines with CR and LF.")
    use_fcntl_lock = Option(
        kinds.boolean, "true", "Lock with fcntl; false by default with use_flock_lock."
    )
    use_flock_lock = Option(kinds.boolean, "false", "Lock with flock.")
    use_lockfile = Option(kinds.boolean, "true", "Make a lock file MAILBOX.lock.")

    def __init__(self, block: Block) -> None:
        super().__init__(block)
        is_mailbox = not (self.directory or self.maildir_format or self.mailstore_format)
        self.is_mailbox = is_mailbox and not self.use_bsmtp
        self.checked = self._checked()
        self.customs = Customs(
            lockfile=self.use_lockfile,
            fcntl=self._locks_with_fcntl(),
            flock=self.use_flock_lock,
            retries=self.lock_retries,
            interval=self.lock_interval,
            fcntl_timeout=self.lock_fcntl_timeout,
            flock_timeout=self.lock_flock_timeout,
            lockfile_mode=self.lockfile_mode,
            lockfile_timeout=self.lockfile_timeout,
        )
        self.demands = Demands(
            self.mode,
            self.mode_fail_narrower,
            self.check_owner,
            self.check_group,
            self.allow_symlink,
            self.allow_fifo,
            self.file_must_exist,
        )

    def _locks_with_fcntl(self) -> bool:
        if "use_fcntl_lock" in self.where:
            return self.use_fcntl_lock
        return not self.use_flock_lock

    def _checked(self) -> tuple[bytes, bytes]:
        """What is escaped at the beginnings of lines, and how."""
        if self.use_bsmtp:
            return b".", b".."
        check, escape = to_bytes(self.check_string), to_bytes(self.escape_string)
        if self.is_mailbox and "check_string" not in self.where:
            check = b"From "
        if self.is_mailbox and "escape_string" not in self.where:
            escape = b">From "
        return check, escape

    def check(self) -> None:
        """What Exim refuses, too."""
        if self.file is not None and self.directory is not None:
            raise self._wrong('only one of "file" or "directory" can be specified', "file")
        customs = self.customs
        if self.file is not None and not (customs.lockfile or customs.fcntl or customs.flock):
            raise self._wrong("no locking configured", "file")
        if self.maildir_format and self.mailstore_format:
            raise self._wrong(
                "only one of maildir and mailstore may be specified", "maildir_format"
            )
        if self.quota_filecount is not None:
            if self.directory is None:
                raise self._wrong(
                    'quota_filecount must not be set without "directory"', "quota_filecount"
                )
            if self.quota_ is None:
                raise self._wrong(
                    "quota must be set if quota_filecount is set", "quota_filecount"
                )
        rule = self.create_file
        if rule not in (ANYWHERE, IN_HOME, BELOW_HOME) and not rule.startswith("/"):
            raise self._wrong(f"invalid value given for create_file: '{rule}'", "create_file")

    def _wrong(self, reason: str, option: str) -> ConfigError:
        where = self.where.get(option, self.block.where)
        return ConfigError(where, f"{self.name} transport: {reason}")

    # ---- what they say

    def text(
        self,
        ctx: Context,
        option: Template,
        what: str,
        code: int = UNKNOWN,
        reason: bool = True,
    ) -> str:
        """The expanded value of an option that must have one; TempFail in Exim's words."""
        try:
            return expand(ctx, option)
        except (ExpansionFail, TempFail) as failure:
            named = f" ({what} for {self.name} transport)" if what else ""
            where = "" if what else f" in {self.name} transport"
            why = f": {failure.text}" if reason else ""
            text = f'Expansion of "{option.text}"{named}{where} failed{why}'
            raise TempFail(text, code=code) from failure

    def optional(self, ctx: Context, option: Template | None, what: str) -> str:
        """The same of an option that may be unset or force its own failure."""
        if option is None:
            return ""
        try:
            return expand(ctx, option)
        except ExpansionFail as failure:
            if failure.forced:
                return ""
        except TempFail:
            pass
        return self.text(ctx, option, what)

    def target(self, ctx: Context, parcel: Parcel, creation: Creation) -> tuple[Trusted, bool]:
        """The file or directory, and whether it is a directory."""
        option = self.directory or self.file
        if option is not None:
            text = self.text(ctx, option, "file or directory name")
        elif parcel.file:
            text = parcel.file
        else:
            raise TempFail(
                f"Mandatory file or directory option missing from {self.name} transport",
                code=UNKNOWN,
            )
        is_directory = self.directory is not None
        for name, is_set in (
            ("maildir_format", self.maildir_format),
            ("mailstore_format", self.mailstore_format),
        ):
            if is_set and self.file is not None:
                text = f'{name} requires "directory" to be specified for the {self.name}'
                raise TempFail(f"{text} transport", code=UNKNOWN)
            is_directory = is_directory or is_set
        if option is None and text.endswith("/"):
            is_directory = True
        if not text.startswith("/"):
            raise TempFail(
                f'appendfile: file or directory name "{text}" is not absolute',
                code=NOT_ABSOLUTE,
            )
        if "\0" in text:
            raise TempFail(f"appendfile: a NUL in the file name of {self.name} transport")
        if not is_trusted(text):
            text = creation.freed(text) or text
        path = self.checked_path(text, "directory" if is_directory else "file")
        if is_directory and path != "/":
            path = self.checked_path(keep(path, path.rstrip("/")), "directory")
        return path, is_directory

    def shape(self, ctx: Context, parcel: Parcel, sender: str) -> Shape:
        """What is written around and within the message."""
        prefix = suffix = ""
        if self.is_mailbox:
            stamp = time.asctime(time.localtime(clock.now()))
            prefix = f"From {plain(sender) or 'MAILER-DAEMON'} {stamp}\n"
            suffix = "\n"
        if "message_prefix" in self.where:
            prefix = self._around(ctx, self.message_prefix, "prefix")
        if "message_suffix" in self.where:
            suffix = self._around(ctx, self.message_suffix, "suffix")
        before = to_bytes(prefix)
        if self.use_bsmtp:
            end = "\r\n" if self.use_crlf else "\n"
            recipients = [plain(self.recipient_text(each)) for each in parcel.recipients]
            before += commands(plain(sender), recipients, end)
            suffix += f".{end}"
        check, escape = self.checked
        return Shape(
            before,
            to_bytes(suffix),
            check,
            escape,
            self.use_crlf,
            whole_lines=bool(suffix),
        )

    def _around(self, ctx: Context, option: Template | None, what: str) -> str:
        if option is None:
            return ""
        return self.text(ctx, option, what, EXPANSION_FAILED, reason=False)

    # ---- limits

    def limits(self, ctx: Context) -> Quota:
        """What the options say of quotas."""
        regex = self.quota_size_regex
        if not (self.quota_ or self.mailbox_size or self.mailbox_filecount or regex):
            return Quota()
        size, files = self._limit(ctx, self.quota_), self._limit(ctx, self.quota_filecount)
        known_size = self._limit(ctx, self.mailbox_size)
        known_files = self._limit(ctx, self.mailbox_filecount)
        return Quota(
            size,
            files,
            self.quota_is_inclusive,
            known_size.value if self.mailbox_size else -1,
            known_files.value if self.mailbox_filecount else -1,
            self.pattern(regex) if regex else None,
        )

    def _limit(self, ctx: Context, option: Template | None) -> Limit:
        if option is None:
            return Limit()
        return parse(self.text(ctx, option, ""), option.text, self.name)

    def pattern(self, text: str) -> pcre.Pattern:
        try:
            return pcre.pattern(text)
        except ExpansionFail as failure:
            raise TempFail(failure.text, code=UNKNOWN) from failure


def plain(address: str) -> str:
    """No address can begin another line."""
    return address.replace("\r", "").replace("\n", "")
