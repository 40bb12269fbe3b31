"""Where local files may be made, and making the directories that lead there.

create_file says where: anywhere, directly in the home directory, anywhere below it, or below a
directory that the administrator names.  "Below" is judged twice: by the words of the path,
which must not lead up again, and by where the directories that are there really are.

Runs as:  the recipient.
Raises:   OSError as the system gives it; TempFail for a home directory that is away.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from mta.base.errors import TempFail, describe
from mta.base.trust import Trusted
from mta.transport.codes import BAD_CREATE, NOT_DIRECTORY
from mta.unix.files import make_dir, open_dir

ANYWHERE, IN_HOME, BELOW_HOME = "anywhere", "inhome", "belowhome"


@dataclass(frozen=True, slots=True)
class Creation:
    """What may be made: where, and with which permissions directories are."""

    rule: str
    home: str | None
    may_make_dirs: bool
    dir_mode: int

    def allows(self, path: str) -> bool:
        """True if this file or directory may be made."""
        if self.rule == ANYWHERE:
            return True
        base = self.home if self.rule in (IN_HOME, BELOW_HOME) else self.rule
        if not base:
            return True  # as Exim has it: where there is no home, there is no limit
        if self.rule == IN_HOME:
            return os.path.dirname(path) == base.rstrip("/")
        return self.is_below(path, base)

    def freed(self, path: str) -> Trusted | None:
        """This path, which a stranger had a say in, if it leads below the one place that the
        rule names; else None."""
        base = {ANYWHERE: "", IN_HOME: "", BELOW_HOME: self.home}.get(self.rule, self.rule)
        return Trusted(path) if base and self.is_below(path, base) else None

    @staticmethod
    def is_below(path: str, base: str) -> bool:
        """True if a path leads to a place below a directory, and nowhere else."""
        base = base.rstrip("/")
        if not path.startswith(f"{base}/") or "\0" in path:
            return False
        rest = path[len(base) + 1 :].rstrip("/")
        if not rest or any(part in ("", ".", "..") for part in rest.split("/")):
            return False
        real, above = os.path.realpath(base), os.path.realpath(os.path.dirname(path))
        return above == real or above.startswith(f"{real.rstrip('/')}/")

    def open_dir(self, path: str, *, whole: str = "") -> int:
        """Open a directory, and make it and those above it if that is needed and allowed.

        `whole` is what is to be made there, which `allows` judges; the directory itself where
        nothing is said.  A home directory that is not there is not made: it may be away for a
        while.
        """
        try:
            return os.open(path, _PASSABLE)
        except FileNotFoundError:
            if not self.may_make_dirs or not self.allows(whole or path):
                raise
        home = self.home
        if home and f"{path}/".startswith(f"{home}/") and not os.path.lexists(home):
            raise TempFail(f"the home directory {home} does not exist", code=errno.ENOENT)
        return make_path(path, self.dir_mode)

    def open_target(self, path: str) -> int:
        """Open the directory that messages are delivered into, and make it if that is needed.

        Raises TempFail with Exim's words.
        """
        try:
            return os.open(path, _PASSABLE)
        except NotADirectoryError as error:
            raise TempFail(f"{path} is not a directory", code=NOT_DIRECTORY) from error
        except OSError as error:
            if not isinstance(error, FileNotFoundError) or not self.may_make_dirs:
                text = f"stat() error for {path}: {describe(error)}"
                raise TempFail(text, code=error.errno or 0) from error
        if not self.allows(path):
            text = (
                f"tried to create file in {path}, but file creation outside the home "
                "directory is not permitted"
            )
            raise TempFail(text, code=BAD_CREATE)
        try:
            return self.open_dir(path)
        except OSError as error:
            raise TempFail(f"cannot create {path}", code=error.errno or 0) from error


# To make and open what is in a directory takes no right to list it.
_PASSABLE = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


def make_path(path: str, mode: int) -> int:
    """Make the missing directories of an absolute path, one by one, and open the last.

    Below the last one that exists no symbolic link is followed: somebody may put one there
    while we work.
    """
    missing: list[str] = []
    there = path.rstrip("/")
    while True:
        there, _, name = there.rpartition("/")
        if name:
            missing.append(name)
        try:
            fd = open_dir(there or "/")
            break
        except FileNotFoundError:
            continue
    try:
        while missing:
            name = missing.pop()
            if make_dir(fd, name, mode):
                os.fsync(fd)
            inner = open_dir(name, at=fd)
            fd, outer = inner, fd
            os.close(outer)
    except OSError:
        os.close(fd)
        raise
    return fd


def sync_dir(fd: int) -> None:
    """Make the names in a directory last; one that may not be read syncs with its files."""
    try:
        readable = open_dir(".", at=fd)
    except PermissionError:
        return
    try:
        os.fsync(readable)
    finally:
        os.close(readable)
