"""Whether the spool has room for another message."""

from __future__ import annotations

import os

from mta.base.errors import TempFail, describe
from mta.config.main.queue import Queue
from mta.spool.layout import Spool

# The envelope and a little.
EXTRA = 5000


def check_room(spool: Spool, queue: Queue, size: int) -> None:
    """Raise TempFail unless a message of this size leaves what check_spool_… ask for."""
    if not queue.check_spool_space and not queue.check_spool_inodes and size <= 0:
        return
    try:
        status = os.fstatvfs(spool.input)
    except OSError as error:
        raise TempFail(f"cannot see the room in the spool: {describe(error)}") from error
    free = status.f_bavail * status.f_frsize
    if free < queue.check_spool_space + max(size, 0) + EXTRA:
        raise TempFail(f"spool space check failed: {free} octets free", status="4.3.1")
    # A file system that counts no inodes says 0 of 0.
    if status.f_files and status.f_favail < queue.check_spool_inodes:
        text = f"spool space check failed: {status.f_favail} inodes free"
        raise TempFail(text, status="4.3.1")
