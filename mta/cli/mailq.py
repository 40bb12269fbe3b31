"""mailq, runq, and sendmail's other options for the queue.

The daemon is asked.  Where none runs, the list is read from the spool by whoever may read it,
and a queue run is made by the same processes as a short-lived tree for this command, for root
and for the owner of the spool.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Sequence
from functools import lru_cache
from types import ModuleType

from mta.base import clock
from mta.base.errors import MtaError, describe
from mta.base.text import lower, to_bytes
from mta.cli import control, listing, place
from mta.cli.options import Request
from mta.cli.say import complain
from mta.mail import header
from mta.proc.control import List, Retry, Run, Steer, Steered
from mta.spool.ids import is_id
from mta.spool.layout import Spool
from mta.spool.reader import Message
from mta.unix import users

MOST_IDS = 500  # in one frame

EDITS = {
    "freeze": "-Mf",
    "thaw": "-Mt",
    "give_up": "-Mg",
    "remove": "-Mrm",
    "mark_delivered": "-Mmd",
    "mark_all": "-Mmad",
    "add_recipients": "-Mar",
    "change_sender": "-Mes",
}
WITH_WORDS = ("mark_delivered", "add_recipients", "change_sender")
VIEWS = {
    "view-header": "-Mvh",
    "view-body": "-Mvb",
    "view-log": "-Mvl",
    "view-copy": "-Mvc",
}


class Unusable(MtaError):
    """What was given is no message id."""


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
    except Unusable as error:
        return complain(name, str(error), 1)
    except MtaError as error:
        return complain(name, str(error), os.EX_DATAERR)


def _run(request: Request) -> int:
    found = place.find(request.config, request.macros)
    spool, mode = found.spool, request.mode
    if mode == "run":
        return _run_queue(found, request)
    if mode in ("retry", "retry-due"):
        return _retry(found, request)
    if mode in EDITS:
        return _steer(found, mode, request.operands)
    if mode in VIEWS:
        return view(spool, mode, request.operands)
    return _show(mode, entries(spool), request.operands)


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


def _show(mode: str, found: Sequence[listing.Entry], ids: Sequence[str]) -> int:
    """List the queue, or the messages of these ids in the order in which they came."""
    if mode == "count":
        sys.stdout.write(f"{len(found)}\n")
        return os.EX_OK
    known = {entry.message_id: entry for entry in found}
    now = clock.now()
    for message_id in ids or known:
        entry = known.get(message_id)
        if entry is None:
            lines = [
                f"      {message_id}-H",
                "    *** spool read error: No such file or directory ***",
                "",
            ]
        elif "ids" in mode:
            lines = [entry.message_id]
        else:
            delivered, generated = "undelivered" not in mode, "all" in mode
            lines = list(listing.lines(entry, now, delivered=delivered, generated=generated))
        sys.stdout.buffer.write(to_bytes("\n".join(lines) + "\n"))
    return os.EX_OK


def orders(request: Request, spool: str) -> list[Run]:
    """What a request for a run of the queue asks of the daemon."""
    letters = request.queue_flags
    only = ("i" if "i" in letters else "") + ("l" if "l" in letters else "")
    shown = f"-q{letters}" if letters else ""
    if request.selection is None and not request.operands:
        return [Run(int("f" in letters), int("ff" in letters), only, shown)]
    waiting = sorted(entries(spool), key=lambda entry: entry.message_id)
    force = int("f" in letters)
    thaw = int("ff" in letters)
    if request.selection is not None:
        flag, text = request.selection
        waiting = [entry for entry in waiting if _is_selected(entry, flag, text)]
        how = flag[2:].removeprefix("r")
        # As in Exim: what is asked for by name is tried even if it is not due, once.
        force = max(force, 1 if how else 2)
        thaw = max(thaw, int(how == "ff"))
        plain = flag.rstrip("f") if how else flag
        shown = " ".join(
            [each for each in (f"-q{how}" if how else shown, plain, text) if each]
        )
    ids = _between(waiting, request.operands)
    some = [ids[at : at + MOST_IDS] for at in range(0, len(ids), MOST_IDS)] or [()]
    return [Run(force, thaw, only, shown, 1, part) for part in some]


def _between(waiting: Sequence[listing.Entry], ends: Sequence[str]) -> tuple[str, ...]:
    """The ids from one to another, both included; from one to the last; or all."""
    ids = tuple(entry.message_id for entry in waiting)
    if ends:
        checked(ends[:2], "-q")
        ids = tuple(each for each in ids if each >= ends[0])
    return tuple(each for each in ids if each <= ends[1]) if len(ends) > 1 else ids


def _is_selected(entry: listing.Entry, flag: str, text: str) -> bool:
    """True if a recipient that waits, or the sender, has the text; case does not count."""
    where = (entry.sender,) if flag[1] == "S" else entry.recipients
    if "r" in flag[2:]:
        return any(_expression(text).search(each) for each in where)
    return any(lower(text) in lower(each) for each in where)


@lru_cache(1)
def _expression(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text, re.IGNORECASE)
    except re.error as error:
        raise MtaError(f"regular expression error: {error} while compiling {text}") from error


def _run_queue(found: place.Place, request: Request) -> int:
    asked = control.try_connect(found.spool)
    if asked is not None:
        with asked:
            wanted = orders(request, found.spool)
            for order in wanted:
                asked.count(order)
        return os.EX_OK
    # No daemon: the same processes for this one queue run, if the caller may start them.
    alone = _alone(found)
    code: int = alone.run_queue(found.file, found.macros, orders(request, found.spool))
    return code


def _alone(found: place.Place) -> ModuleType:
    """What starts our processes for one command.  Raises Unreachable."""
    if not place.may_start(found.spool):
        raise control.Unreachable(
            f"no daemon runs with spool {found.spool}, and it is not yours"
        )
    from mta.proc import alone

    return alone


def _retry(found: place.Place, request: Request) -> int:
    """Try messages, due or not; all are tried even when one is refused."""
    force = int(request.mode == "retry")
    ids = checked(request.operands, "-M" if force else "-Mc")
    code = os.EX_OK
    asked = control.try_connect(found.spool)
    if asked is None:
        order = Run(force, force, "", "", 1, tuple(ids))
        ended: int = _alone(found).run_queue(found.file, found.macros, [order])
        return ended
    asked.channel.close()
    for message_id in ids:
        with control.Control(found.spool) as asked:
            try:
                asked.count(Retry(message_id, force))
            except control.Refused as error:
                code = complain(message_id, str(error), os.EX_UNAVAILABLE)
            else:
                sys.stdout.write(f"Message {message_id} is being tried\n")
    return code


def _steer(found: place.Place, mode: str, operands: Sequence[str]) -> int:
    """Have messages changed, all even when one cannot be; 1 if one could not."""
    flag = EDITS[mode]
    ids: Sequence[str] = operands
    words: tuple[str, ...] = ()
    if mode in WITH_WORDS:
        ids, words = operands[:1], tuple(operands[1:])
    wanted = [Steer(mode, message_id, words) for message_id in checked(ids, flag)]
    code = os.EX_OK
    for order, answer in zip(wanted, steered(found, wanted), strict=True):
        said = answer.said
        if mode == "remove" and "does not exist" in said:
            said = _REMAINS.format(said, order.message_id)
        if said:
            sys.stdout.write(f"{said}\n")
        code = code or answer.failed
    if mode == "mark_all":
        sys.stdout.write("\n")  # as Exim does
    return code


# What Exim says where there is nothing to remove.
_REMAINS = """{0}
Continuing, to ensure all files removed
Spool read error for {1}-H: No such file or directory
Continuing to ensure all files removed
Message {1} has been removed or did not exist"""


def steered(found: place.Place, wanted: Sequence[Steer]) -> list[Steered]:
    """What came of these, done by the daemon or, where none runs, by our own processes."""
    asked = control.try_connect(found.spool)
    if asked is not None:
        with asked:
            return [asked.steered(order) for order in wanted]
    try:
        answers: list[Steered] = _alone(found).steer(found.file, found.macros, wanted)
    except ChildProcessError as error:
        raise MtaError("our processes could not be started") from error
    return answers


def checked(ids: Sequence[str], flag: str) -> Sequence[str]:
    """The ids, if each of them is one.  Raises Unusable."""
    if not ids:
        raise Unusable(f"no message ids given after {flag} option")
    for message_id in ids:
        if not is_id(message_id):
            raise Unusable(f"malformed message id {message_id} after {flag} option")
    return ids


def view(spool: str, mode: str, ids: Sequence[str]) -> int:
    """Write the envelope file, the body, the log or all of a message to standard output."""
    if len(checked(ids, VIEWS[mode])) > 1 and mode != "view-copy":
        sys.stdout.write("*** Only one message can be listed at once\n")
        return 1
    octets = content(spool, mode, ids[0])
    if octets is None:
        if mode == "view-copy":
            sys.stdout.write(f"Spool data file for {ids[0]} does not exist\n")
            return 1
        kind, name = ("msglog", ids[0]) if mode == "view-log" else ("input", f"{ids[0]}-H")
        if mode == "view-body":
            name = f"{ids[0]}-D"
        reason = "No such file or directory"
        sys.stdout.write(f"Failed to open {kind} file for {name}: {reason}\n")
        return 1
    sys.stdout.buffer.write(octets)
    return os.EX_OK


def content(spool: str, mode: str, message_id: str) -> bytes | None:
    """A file of a message as it stands in the spool.  Raises OSError, MtaError."""
    opened = open_spool(spool)
    try:
        if mode in ("body", "view-copy"):
            return _parts(opened, message_id, whole=mode == "view-copy")
        places = opened.places(message_id)
        name = f"{message_id}-{'D' if mode == 'view-body' else 'H'}"
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


def _parts(spool: Spool, message_id: str, *, whole: bool) -> bytes | None:
    """The body of a message, and with `whole` its headers before it."""
    message = Message.open(spool, message_id, lock=False)
    if message is None:
        return None
    with message:
        body = os.pread(message.data_fd, message.body_size, message.body_offset)
        headers = header.join(message.envelope.headers) + b"\n" if whole else b""
    return headers + body
