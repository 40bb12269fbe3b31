"""Starting the daemon off into the background, as sendmail -bd does."""

from __future__ import annotations

import os
import select
import subprocess
from collections.abc import Sequence

from mta.cli.say import complain
from mta.unix import process

READY_SECONDS = 60.0


def start_off(name: str, arguments: Sequence[str]) -> int:
    """Start the daemon and return when it is at work; the exit code."""
    ready, writer = os.pipe()
    command = process.interpreter(
        process.tree_root(), "mta.proc.master", [*arguments, "--ready-fd", str(writer)]
    )
    daemon = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=(writer,),
        start_new_session=True,
        cwd="/",
    )
    os.close(writer)
    readable, _, _ = select.select([ready], [], [], READY_SECONDS)
    if readable and os.read(ready, 64) == b"ready\n":
        return os.EX_OK
    if not readable:
        daemon.terminate()
    text = "the daemon did not start; the reason is above or in its log"
    return complain(name, text, os.EX_UNAVAILABLE)
