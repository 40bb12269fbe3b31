"""Files: opening what others can name without being led astray, and writing what must last.

Names are opened relative to a directory descriptor and never through a symbolic link.  A
durable write is: write, fsync of the file, rename, fsync of the directory; the callers spell
that order out, as it is the point of what they do.
"""

from __future__ import annotations

import os

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
NO_LINK = os.O_CLOEXEC | os.O_NOFOLLOW


def open_dir(path: str, *, at: int | None = None) -> int:
    """A descriptor of a directory; the last part of the path must not be a symbolic link
    when it is relative to `at`.  Raises OSError."""
    flags = DIRECTORY if at is None else DIRECTORY | os.O_NOFOLLOW
    return os.open(path, flags, dir_fd=at)


def open_at(directory: int, name: str, flags: int, mode: int = 0o600) -> int:
    """Open a name in a directory: no symbolic link, closed on exec.  Raises OSError.

    O_NONBLOCK keeps a fifo that somebody put there from holding us; it means nothing to the
    regular file that we expect.
    """
    return os.open(name, flags | NO_LINK | os.O_NONBLOCK, mode, dir_fd=directory)


def set_mode(fd: int, mode: int) -> None:
    """Give a file exactly this mode; where the umask has left it, that costs nothing."""
    if os.fstat(fd).st_mode & 0o7777 != mode:
        os.fchmod(fd, mode)


def write_all(fd: int, octets: bytes | memoryview) -> None:
    """Write everything, or raise OSError."""
    written = os.write(fd, octets)
    if written == len(octets):
        return
    rest = memoryview(octets)[written:]
    while rest:
        rest = rest[os.write(fd, rest) :]


def read_all(fd: int, limit: int, *, size: int = -1) -> bytes | None:
    """The whole of a file from its beginning, or None if it has more than `limit` octets.

    `size` is what the caller knows of it already.
    """
    if size < 0:
        size = os.fstat(fd).st_size
    if size > limit:
        return None
    parts: list[bytes] = []
    offset = 0
    while True:
        wanted = min(size - offset + 1, 1 << 20)
        chunk = os.pread(fd, wanted, offset)
        parts.append(chunk)
        offset += len(chunk)
        # Where all is there that was to be, and nothing behind it, this is the end.
        if not chunk or (offset == size and len(chunk) < wanted):
            return b"".join(parts)
        if offset > limit:
            return None


def make_dir(
    directory: int, name: str, mode: int, owner: tuple[int, int] | None = None
) -> bool:
    """Make a directory of exactly this mode and owner; False if it exists.  Raises OSError.

    Mode and owner are set through a descriptor: whoever owns the directory above could put a
    symbolic link in the place of the name as soon as it is there.
    """
    try:
        os.mkdir(name, mode | 0o700, dir_fd=directory)
    except FileExistsError:
        return False
    fd = open_dir(name, at=directory)
    try:
        if owner is not None:
            os.fchown(fd, *owner)
        # A change of owner takes the set-gid bit away, so the mode comes last.
        os.fchmod(fd, mode)
    finally:
        os.close(fd)
    return True


def unlink_quietly(directory: int, name: str) -> None:
    """Remove a name; one that is gone already is fine."""
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        return
