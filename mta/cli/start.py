"""Starting the daemon off into the background, as `mta run` and sendmail -bd do."""

from __future__ import annotations

import os
import select
import subprocess
from collections.abc import Sequence

from mta.base.text import to_text
from mta.cli.say import complain
from mta.unix import process

READY_SECONDS = 60.0


def start_off(name: str, arguments: Sequence[str]) -> int:
    """Start the daemon and return when it is at work; the exit code."""
    ready, writer = os.pipe()
    # Whoever reads our standard error must not wait for the end of the daemon.
    complaints = os.memfd_create("mta-start")
    command = process.interpreter(
        process.tree_root(),
        "mta.proc.master",
        [*arguments, "--ready-fd", str(writer)],
    )
    daemon = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=complaints,
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
    said = to_text(os.pread(complaints, 4096, 0)).strip("\n").removeprefix("mta: ")
    text = said or "the daemon did not start; the reason is in its log"
    return complain(name, text, os.EX_UNAVAILABLE)
