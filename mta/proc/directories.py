"""The directories that the processes need, made by the master or by `mta install`.

SPOOL        root's (whoever starts the tree): nobody else makes names in it
SPOOL/run    root's: the sockets for local programs, the master's lock
SPOOL/db     the mail user's: hints
the rest     see mta.spool.layout
"""

from __future__ import annotations

import os
import stat

from mta.base.errors import ConfigError
from mta.config.model import Configuration
from mta.proc.roles import Identities
from mta.spool import layout
from mta.unix import files


def prepare(conf: Configuration, who: Identities) -> None:
    """Make what is missing.  Raises OSError, ConfigError."""
    spool = str(conf.queue.spool_directory)
    owner = (who.mail.uid, who.mail.gid) if who.separated else None
    split = conf.queue.split_spool_directory
    layout.prepare(spool, split=split, owner=owner, shared=who.network.gid)
    at = files.open_dir(spool)
    try:
        files.make_dir(at, "run", 0o755)
        # Root makes and removes names in here, so it must be root's alone.
        status = os.stat("run", dir_fd=at, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            raise ConfigError(None, f"{spool}/run belongs to somebody else")
        files.make_dir(at, "db", 0o750, owner)
    finally:
        os.close(at)
