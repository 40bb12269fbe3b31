"""Where the files of the spool are: its directories, their modes, and who may do what there.

    SPOOL             0755   whoever begins us, root or a user; anybody may pass to drop/
    SPOOL/input       03770  sticky, set-gid; owned by mta, its group is that of mtanet
    SPOOL/input/C     03770  when the spool is split; made by mta only
    SPOOL/msglog[/C]  0750   mta alone
    SPOOL/drop        03733  anybody may create a file, nobody may list them
    SPOOL/corrupt     0700   what could not be read, for the administrator

A group can list input/ because making a name durable needs a descriptor of the directory that
is open for reading.  Files born in a set-gid directory get its group whoever makes them.

Both layouts are read whatever split_spool_directory says; it decides where new files go.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from contextlib import suppress

from mta.spool.errors import disk_failure
from mta.spool.ids import subdirectory
from mta.unix.files import DIRECTORY, make_dir, open_dir

SPOOL_MODE = 0o755
INPUT_MODE = 0o3770
MSGLOG_MODE = 0o750
DROP_MODE = 0o3733
CORRUPT_MODE = 0o700

# The modes of files.  A lock needs a descriptor open for writing: a -D that mtanet made must
# be writable for mta, which it is through its group; one that mta made need not be for mtanet.
# What mta makes is for nobody else: the group of input/ is that of the network user.
FILE_MODE = 0o600
FOREIGN_HEADER_MODE = 0o640
FOREIGN_BODY_MODE = 0o660

SUBDIRECTORIES = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

# The kernel's numbers for reading and writing the attributes of an inode (linux/fs.h).
_GET_FLAGS, _SET_FLAGS, _TOP_OF_TREE = 0x80086601, 0x40086602, 0x00020000
_FLAGS = struct.Struct("i")

_TOP = (
    ("input", INPUT_MODE),
    ("msglog", MSGLOG_MODE),
    ("drop", DROP_MODE),
    ("corrupt", CORRUPT_MODE),
)


def prepare(
    path: str,
    *,
    split: bool,
    owner: tuple[int, int] | None = None,
    shared: int | None = None,
) -> None:
    """Make all directories of a spool that are missing, for this uid and gid.

    `shared` is the group that may create files in input/ beside the owner.  The top stays with
    the caller: root makes names in it, and must not do so where somebody else could put links.
    Called once at the start, by root or by the owner; what exists is left as it is.  Raises
    OSError.
    """
    common = (owner[0], shared) if owner is not None and shared is not None else owner
    parent, name = os.path.split(os.path.abspath(path))
    os.makedirs(parent, 0o755, exist_ok=True)
    above = open_dir(parent)
    try:
        make_dir(above, name, SPOOL_MODE, None)
    finally:
        os.close(above)
    root = open_dir(path)
    try:
        for name, mode in _TOP:
            make_dir(root, name, mode, common if name == "input" else owner)
        if split:
            directory = open_dir("input", at=root)
            try:
                _spread(directory)
                for name in SUBDIRECTORIES:
                    make_dir(directory, name, INPUT_MODE, common)
            finally:
                os.close(directory)
    finally:
        os.close(root)


def _spread(directory: int) -> None:
    """Ask the file system to keep the subdirectories far from each other, as chattr +T does.

    ext4 makes no inode anew that was removed in the last seconds, and looks through all of
    those in the directory's part of the disk whenever a file is made.  With the directories
    apart, it meets those of the present second only.  Elsewhere it means nothing.
    """
    with suppress(OSError):
        flags = bytearray(8)
        fcntl.ioctl(directory, _GET_FLAGS, flags)
        (now,) = _FLAGS.unpack_from(flags)
        fcntl.ioctl(directory, _SET_FLAGS, _FLAGS.pack(now | _TOP_OF_TREE))


class Spool:
    """An open spool: descriptors of its directories.

    It stays usable after a fork and after a change of user: what a process may do is decided
    by the kernel at each call.
    """

    __slots__ = (
        "_cache",
        "corrupt",
        "input",
        "msglog",
        "owner",
        "owners",
        "path",
        "root",
        "split",
    )

    def __init__(
        self, path: str, *, split: bool, owners: frozenset[int] | None = None
    ) -> None:
        """Open a spool that `prepare` has made.

        `owners` are the users whose files are believed to be messages: by default the owner of
        the spool and the caller.  Raises OSError.
        """
        self.path = path
        self.split = split
        self._cache: dict[tuple[int, str], int] = {}
        self.root = open_dir(path)
        try:
            self.input = open_dir("input", at=self.root)
            self.msglog = self._optional("msglog")
            self.corrupt = self._optional("corrupt")
            self.owner = os.fstat(self.input).st_uid
        except BaseException:
            self.close()
            raise
        self.owners = owners if owners is not None else frozenset({self.owner, os.geteuid()})

    def descriptors(self) -> list[int]:
        """All open directories, for a child that closes everything else."""
        fds = (self.root, self.input, self.msglog, self.corrupt, *self._cache.values())
        return [fd for fd in fds if fd >= 0]

    @property
    def is_ours(self) -> bool:
        """True if this process owns the spool, and does not merely create files in it."""
        return os.geteuid() == self.owner

    def close(self) -> None:
        """Give the descriptors back."""
        names = ("root", "input", "msglog", "corrupt")
        opened = {getattr(self, name, -1) for name in names} | set(self._cache.values())
        for fd in opened - {-1}:
            os.close(fd)
        self._cache.clear()
        self.root = self.input = self.msglog = self.corrupt = -1

    def place(self, message_id: str) -> int:
        """The directory in which the files of a new message are to be made.

        Raises TempFail.
        """
        if not self.split:
            return self.input
        try:
            fd = self._sub(self.input, subdirectory(message_id))
            if fd < 0 and self.is_ours:
                fd = self._make_sub(self.input, subdirectory(message_id), INPUT_MODE)
        except OSError as error:
            raise disk_failure(f"{self.path}/input", error) from error
        # Only the owner makes directories; for all others the top is good enough.
        return fd if fd >= 0 else self.input

    def msglog_place(self, message_id: str) -> int:
        """The directory in which the log of a message is to be made.  Raises OSError."""
        if self.msglog < 0:
            self.msglog = open_dir("msglog", at=self.root)
        if not self.split:
            return self.msglog
        name = subdirectory(message_id)
        fd = self._sub(self.msglog, name)
        return fd if fd >= 0 else self._make_sub(self.msglog, name, MSGLOG_MODE)

    def corrupt_place(self) -> int:
        """The directory for what cannot be read, made if it is missing.  Raises TempFail.

        It may have been removed since the spool was opened, so it is opened anew: that is not
        asked for often.
        """
        try:
            opened = self._optional("corrupt")
            if opened < 0:
                make_dir(self.root, "corrupt", CORRUPT_MODE)
                os.fsync(self.root)
                opened = open_dir("corrupt", at=self.root)
        except OSError as error:
            raise disk_failure(f"{self.path}/corrupt", error) from error
        if self.corrupt >= 0:
            os.close(self.corrupt)
        self.corrupt = opened
        return opened

    def places(self, message_id: str) -> list[int]:
        """The directories in which the files of a message may be, the likely one first."""
        sub = self._sub(self.input, subdirectory(message_id))
        if sub < 0:
            return [self.input]
        return [sub, self.input] if self.split else [self.input, sub]

    def msglog_places(self, message_id: str) -> list[int]:
        """The directories in which the log of a message may be."""
        if self.msglog < 0:
            return []
        sub = self._sub(self.msglog, subdirectory(message_id))
        return [self.msglog] if sub < 0 else [self.msglog, sub]

    def everywhere(self) -> list[int]:
        """All directories of input/ that exist."""
        subs = [self._sub(self.input, name) for name in SUBDIRECTORIES]
        return [self.input, *[fd for fd in subs if fd >= 0]]

    def _optional(self, name: str) -> int:
        """A directory that not every user may open, or -1."""
        try:
            return open_dir(name, at=self.root)
        except (FileNotFoundError, PermissionError):
            return -1

    def _sub(self, parent: int, name: str) -> int:
        """A subdirectory, or -1.  One that is missing may appear later: that is not kept.

        mtanet could make one too, in which it might then remove what others made: such a one
        is not seen.
        """
        if (fd := self._cache.get((parent, name), -1)) >= 0:
            return fd
        try:
            fd = open_dir(name, at=parent)
        except (FileNotFoundError, NotADirectoryError):
            return -1
        except OSError as error:
            if error.errno == errno.ELOOP:
                return -1
            raise
        if os.fstat(fd).st_uid != self.owner:
            os.close(fd)
            return -1
        self._cache[parent, name] = fd
        return fd

    def _make_sub(self, parent: int, name: str, mode: int) -> int:
        make_dir(parent, name, mode)
        os.fsync(parent)  # the name must last as long as what will be in it
        return self._sub(parent, name)


def names(directory: int) -> list[str]:
    """The names in a directory.

    The descriptor is opened anew: its read position would be shared with all processes that
    inherited it.
    """
    fd = os.open(".", DIRECTORY, dir_fd=directory)
    try:
        return os.listdir(fd)
    finally:
        os.close(fd)
