"""Without a daemon: the same processes, for the time of one command.

For root and the owner of a spool: `sendmail -odi`, `-bs`, `-q` and the like start master,
listener, runner and launcher on the spool of their configuration, with the same privileges as
ever, use them, and wait until what came in has been tried.  No port is opened and nobody else
is served; several of these, and a daemon, may be at work on one spool, as messages are locked.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mta.proc.control import Run, Steer, Steered
from mta.proc.master import Order, work
from mta.unix import frames, process


@contextmanager
def serving(file: str, macros: dict[str, str]) -> Iterator[str]:
    """The address of a submit socket that is served while the block runs.

    The end of the block waits for the deliveries.  Raises ChildProcessError if the processes
    could not start; they have said why on standard error.
    """
    with _tree(file, macros) as (once, address):
        yield address
        once.close()


def run_queue(file: str, macros: dict[str, str], orders: Sequence[Run]) -> int:
    """Try once what these orders say, in the foreground; the exit code."""
    try:
        with _tree(file, macros) as (once, _):
            for order in orders:
                frames.send(once, order)
    except ChildProcessError:
        return os.EX_CONFIG
    return os.EX_OK


def steer(file: str, macros: dict[str, str], orders: Sequence[Steer]) -> list[Steered]:
    """Have something done with messages; what came of each.

    Raises ChildProcessError if the processes could not start.
    """
    answers: list[Steered] = []
    with _tree(file, macros) as (once, _):
        for order in orders:
            frames.send(once, order)
            received = frames.receive(once, (Steered,))
            if received is None or not isinstance(received.message, Steered):
                raise ChildProcessError
            answers.append(received.message)
    return answers


@contextmanager
def _tree(file: str, macros: dict[str, str]) -> Iterator[tuple[socket.socket, str]]:
    """The channel that keeps the tree alive, and the address of its submit socket."""
    once, theirs = frames.pair()
    submit = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    submit.bind("")  # the kernel picks a name that no file system knows
    submit.listen(16)
    reader, writer = os.pipe()
    order = Order(
        file,
        macros,
        ready_fd=writer,
        once=theirs.fileno(),
        submit=submit.fileno(),
    )

    def tree() -> int:
        once.close()
        os.close(reader)
        return work(order)

    pid = process.run_child(tree)
    address = "\0" + submit.getsockname()[1:].decode("ascii")
    theirs.close()
    submit.close()
    os.close(writer)
    try:
        with os.fdopen(reader, "rb") as ready:
            if not ready.read():
                raise ChildProcessError
        yield once, address
    finally:
        once.close()
        os.waitpid(pid, 0)
