"""mailq, runq, and sendmail's other options for the queue.

The daemon is asked.  Where none runs, the list is read from the spool by whoever may read it,
and a queue run is made by the same processes as a short-lived tree for this command, for root
and for the owner of the spool.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from mta.base import clock
from mta.base.errors import MtaError, describe
from mta.base.text import to_bytes
from mta.cli import control, listing, place
from mta.cli.options import Request
from mta.cli.say import complain
from mta.proc.control import List, Remove, Retry, Run
from mta.spool.ids import is_id
from mta.spool.layout import Spool
from mta.spool.reader import Message
from mta.unix import users


def run(name: str, request: Request) -> int:
    """Carry out one request about the queue; the exit code."""
    # The reader of a long list may have seen enough.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        return _run(request)
    except control.Refused as error:
        return complain(name, str(error), os.EX_NOPERM)
    except control.Unreachable as error:
        return complain(name, f"{error}; start it with: mta run", os.EX_TEMPFAIL)
    except place.Unplaced as error:
        return complain(name, str(error), os.EX_CONFIG)
    except PermissionError as error:
        return complain(name, f"{error.filename}: {describe(error)}", os.EX_NOPERM)
    except OSError as error:
        return complain(name, f"{error.filename}: {describe(error)}", os.EX_TEMPFAIL)
    except MtaError as error:
        return complain(name, str(error), os.EX_DATAERR)


def _run(request: Request) -> int:
    found = place.find(request.config, request.macros)
    spool = found.spool
    match request.mode:
        case "run" | "run-all" | "run-frozen":
            return _run_queue(found, force=request.mode != "run")
        case "retry" | "remove":
            return _steer(request.mode, spool, request.operands)
        case "view-header" | "view-body" | "view-log":
            return view(spool, request.mode, request.operands)
        case _:
            _show(request.mode, entries(spool))
    return os.EX_OK


def entries(spool: str) -> list[listing.Entry]:
    """What waits: from the daemon, or from the spool where none runs.

    Raises Refused, Unreachable, OSError.
    """
    asked = control.try_connect(spool)
    if asked is not None:
        with asked:
            return listing.oldest_first(listing.from_frames(asked.waiting(List())))
    try:
        return listing.oldest_first(listing.from_spool(open_spool(spool)))
    except control.Refused as error:
        raise control.Refused(f"no daemon runs, and {error}") from error


def open_spool(path: str) -> Spool:
    """The spool itself, for looking.  Raises Unplaced if there is none, Refused, OSError."""
    try:
        spool = Spool(path, split=True)
    except FileNotFoundError:
        raise place.Unplaced(
            f"{path} is no spool yet: the daemon makes it when it first starts"
        ) from None
    except PermissionError as error:
        raise control.Refused(f"what is in {path} is for root to read") from error
    # What receivers took in belongs to the network user, whose group the directory has.
    spool.owners |= users.of_group(os.fstat(spool.input).st_gid)
    return spool


def _show(mode: str, found: Sequence[listing.Entry]) -> None:
    if mode == "count":
        sys.stdout.write(f"{len(found)}\n")
        return
    now = clock.now()
    for entry in found:
        if mode == "list-ids":
            lines = [entry.message_id]
        else:
            delivered = mode != "list-undelivered"
            lines = list(listing.lines(entry, now, delivered=delivered))
        sys.stdout.buffer.write(to_bytes("\n".join(lines) + "\n"))


def _run_queue(found: place.Place, *, force: bool) -> int:
    asked = control.try_connect(found.spool)
    if asked is not None:
        with asked:
            asked.count(Run(int(force)))
        return os.EX_OK
    # No daemon: the same processes for this one queue run, if the caller may start them.
    if not place.may_start(found.spool):
        raise control.Unreachable(
            f"no daemon runs with spool {found.spool}, and it is not yours"
        )
    from mta.proc import alone

    return alone.run_queue(found.file, found.macros, force=force)


def _steer(mode: str, spool: str, ids: Sequence[str]) -> int:
    """Retry or remove messages; all are tried even when one is refused."""
    code = os.EX_OK
    for message_id in checked(ids):
        with control.Control(spool) as asked:
            try:
                asked.count(Retry(message_id) if mode == "retry" else Remove(message_id))
            except control.Refused as error:
                code = complain(message_id, str(error), os.EX_UNAVAILABLE)
            else:
                done = "has been removed" if mode == "remove" else "is being tried"
                sys.stdout.write(f"Message {message_id} {done}\n")
    return code


def checked(ids: Sequence[str]) -> Sequence[str]:
    """The ids, if each of them is one.  Raises MtaError."""
    if not ids:
        raise MtaError("no message id; mailq shows them")
    for message_id in ids:
        if not is_id(message_id):
            raise MtaError(f"{message_id!r} is not a message id; mailq shows them")
    return ids


def view(spool: str, mode: str, ids: Sequence[str]) -> int:
    """Write the envelope file, the body or the log of a message to standard output."""
    for message_id in checked(ids):
        octets = content(spool, mode, message_id)
        if octets is None:
            return complain(message_id, "there is no such message", os.EX_NOINPUT)
        sys.stdout.buffer.write(octets)
    return os.EX_OK


def content(spool: str, mode: str, message_id: str) -> bytes | None:
    """A file of a message as it stands in the spool.  Raises OSError, MtaError."""
    opened = open_spool(spool)
    try:
        if mode == "view-body":
            return _body(opened, message_id)
        places = opened.places(message_id)
        name = f"{message_id}-H"
        if mode == "view-log":
            places, name = opened.msglog_places(message_id), message_id
        for directory in places:
            try:
                fd = os.open(
                    name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory
                )
            except FileNotFoundError:
                continue
            with open(fd, "rb") as file:
                return file.read()
        return None
    finally:
        opened.close()


def _body(spool: Spool, message_id: str) -> bytes | None:
    message = Message.open(spool, message_id, lock=False)
    if message is None:
        return None
    with message:
        return os.pread(message.data_fd, message.body_size, message.body_offset)
