"""Locks on files that hold between our processes and against Exim's.

Open-file-description locks conflict with the classic fcntl locks that Exim takes, but belong
to the open file, not to the process: a descriptor handed to a child, by fork or over a socket,
keeps the file locked for as long as anybody holds it, and closing some other descriptor of the
same file does not drop the lock.
"""

from __future__ import annotations

import errno
import fcntl
import struct

# struct flock on 64-bit Linux: short type, short whence, off_t start, off_t len, pid_t pid.
# l_pid must be 0 for open-file-description locks.
_FLOCK = struct.Struct("@hhqqixxxx")
_F_OFD_GETLK = 36
_F_OFD_SETLK = 37


def lock(fd: int, length: int, *, start: int = 0) -> bool:
    """Lock these octets for us alone; False at once if somebody else holds them.

    `fd` must be open for writing.  Raises OSError for anything but a conflict.
    """
    try:
        fcntl.fcntl(fd, _F_OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, 0, start, length, 0))
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def unlock(fd: int, length: int, *, start: int = 0) -> None:
    """Give a lock back before the descriptor is closed."""
    fcntl.fcntl(fd, _F_OFD_SETLK, _FLOCK.pack(fcntl.F_UNLCK, 0, start, length, 0))


def is_locked(fd: int, length: int, *, start: int = 0) -> bool:
    """True if somebody else holds any of these octets; takes nothing."""
    request = _FLOCK.pack(fcntl.F_RDLCK, 0, start, length, 0)
    kind, *_ = _FLOCK.unpack(fcntl.fcntl(fd, _F_OFD_GETLK, request))
    return bool(kind != fcntl.F_UNLCK)
