"""The addresses of a host by its name, as the system's resolver knows them, in bounded time.

The C library's resolver cannot be given a deadline, so it works in a child that is ended when
the time is up.

Raises:   TempFail when there is no answer now; an empty list says that there is no such host.
"""

from __future__ import annotations

import os
import select
import signal
import socket

from mta.base import clock
from mta.base.errors import TempFail
from mta.net.socket import family_of
from mta.unix.process import run_child

_MOST = 32
_NOT_NOW = "?"
# These say that the name exists nowhere, or has no address; all others may pass.
_NO_SUCH_HOST = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))


def addresses(name: str, seconds: float) -> list[str]:
    """The numeric addresses of a host, in the order in which they are to be tried."""
    if family_of(name):
        return [name]
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        child = run_child(lambda: _look_up(name, writer))
        os.close(writer)
        said = _hear(reader, clock.monotonic() + seconds)
        if said is None:
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    finally:
        os.close(reader)
    if said is None or not said.endswith("\n") or said.startswith(_NOT_NOW):
        raise TempFail(f"failed to lookup IP address for {name}", status="4.4.3")
    found = [address for address in said.split("\n") if family_of(address)]
    return list(dict.fromkeys(found))[:_MOST]


def _look_up(name: str, writer: int) -> int:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        said = "".join(f"{entry[4][0]}\n" for entry in found[:_MOST])
    except socket.gaierror as error:
        said = "\n" if error.errno in _NO_SUCH_HOST else f"{_NOT_NOW}\n"
    except UnicodeError:
        said = "\n"  # no host can have such a name
    os.write(writer, said.encode("ascii", "replace"))
    return 0


def _hear(reader: int, deadline: float) -> str | None:
    """What the child says until it closes; None when the time is up."""
    said = b""
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    while poll.poll(max(0, (deadline - clock.monotonic()) * 1000)):
        part = os.read(reader, 4096)
        if not part:
            return said.decode("ascii", "replace")
        said += part
    return None
