"""Handing a message in: to the daemon through its socket, or into the drop-box without one.

    1. The daemon is there: one frame says what is wanted, standard input goes along as a
       descriptor, and the daemon answers when the message is on disk, or why it is not.
    2. None answers.  Who asks for a delivery in the foreground, or names a configuration, and
       may run our processes on its spool, gets them for this one message.
    3. Otherwise the message is copied to the drop-box, and the daemon will find it there.

Nothing in this needs privileges: who the caller is, the kernel says, to the socket as well as
in the drop-box.  Once a message was sent over the socket and no answer came, nobody here knows
whether it was taken; it is not tried another way, which could make it two.

The frames are those of `mta.receive.frames`, written by hand, and sockets are the bare ones of
the interpreter: importing the real ones would take longer than all the rest (a test compares
the octets).
"""

from __future__ import annotations

import _socket
import os
import stat
import struct
import sys

from mta.base.text import is_number, to_bytes, to_text
from mta.cli import place
from mta.cli.options import Request
from mta.cli.say import complain

CONNECT_SECONDS = 30.0
# How long to wait for the answer: a file is read at once, a program may think for a while.
FILE_SECONDS = 900.0
PROGRAM_SECONDS = 86400.0
FRAME_LIMIT = 65536
RECIPIENT_SPACE = 48000
LINE_CHUNK = 65536


class NotTaken(Exception):
    """The daemon turned us away before it read what we want: another way may be tried."""


class Unknown(Exception):
    """The daemon was told, and what became of it cannot be known."""


def run(name: str, request: Request) -> int:
    """Send a message, or speak SMTP; the exit code."""
    try:
        found = place.find(request.config, request.macros)
    except place.Unplaced as error:
        return complain(name, str(error), os.EX_CONFIG)
    try:
        channel = connect(found.spool)
        if channel is not None:
            try:
                return _converse(name, request, channel)
            except NotTaken:
                channel = None  # too many are at it
        if _wants_own_processes(request) and place.may_start(found.spool):
            return _alone(name, request, found)
        if request.mode == "smtp":
            text = f"no daemon runs with spool {found.spool}; start it with: mta run"
            return complain(name, text, os.EX_TEMPFAIL)
        return _drop(name, request, found.spool)
    except Unknown as error:
        text = f"{error}; the message may have been sent: look before sending it again"
        return complain(name, text, os.EX_TEMPFAIL)


# ---- the daemon


def connect(spool: str) -> _socket.socket | None:
    """A connection to the daemon of a spool, or None if none answers.

    An address holds 108 octets and a spool's path may have more: the directory is opened, and
    the address is what the kernel calls that descriptor.
    """
    try:
        directory = os.open(f"{spool}/run", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return dial(f"/proc/self/fd/{directory}/submit")
    finally:
        os.close(directory)


def dial(address: str) -> _socket.socket | None:
    """A connection to a submit socket, or None if nobody answers there."""
    kind = _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC
    channel = _socket.socket(_socket.AF_UNIX, kind)
    channel.settimeout(CONNECT_SECONDS)
    try:
        channel.connect(address)
    except OSError:
        channel.close()
        return None
    return channel


def encode(verb: str, fields: list[tuple[str, str]]) -> bytes:
    """The octets of a frame."""
    parts = [f"{key}={value}" for key, value in fields]
    return b"".join(to_bytes(part) + b"\0" for part in [verb, *parts])


def decode(octets: bytes) -> tuple[str, dict[str, str]]:
    """The verb and the fields of a frame in which no field is repeated."""
    verb, *parts = to_text(octets).rstrip("\0").split("\0")
    fields = {}
    for part in parts:
        key, _, value = part.partition("=")
        fields[key] = value
    return verb, fields


def facts(request: Request) -> list[tuple[str, str]]:
    """What a request says of its message, beside the recipients, in the order of the frame."""
    return [
        ("has_sender", "0" if request.sender is None else "1"),
        ("sender", _bare(request.sender or "")),
        ("full_name", request.full_name),
        ("from_headers", str(int(request.from_headers))),
        ("dot_ends", str(int(request.dots_end))),
        ("delivery", request.delivery),
        ("fixups", str(int(not request.suppress_fixups))),
        ("dsn_ret", request.dsn_ret),
        ("dsn_notify", request.dsn_notify),
        ("dsn_envid", request.dsn_envid),
    ]


def _bare(sender: str) -> str:
    """A sender without the angle brackets that many programs put around it."""
    if sender.startswith("<") and sender.endswith(">"):
        return sender[1:-1]
    return sender


def submission(request: Request) -> list[bytes]:
    """The frames that hand a message in: some with recipients only, then the rest."""
    groups: list[list[str]] = [[]]
    space = RECIPIENT_SPACE
    for recipient in request.operands:
        space -= len(to_bytes(recipient)) + len("recipients=") + 1
        if space < 0:
            groups.append([])
            space = RECIPIENT_SPACE
        groups[-1].append(recipient)
    *more, last = ([("recipients", each) for each in group] for group in groups)
    return [
        *(encode("more", group) for group in more),
        encode("submit", last + facts(request)),
    ]


def _converse(name: str, request: Request, channel: _socket.socket) -> int:
    """Tell the daemon what is wanted, and wait for its answer."""
    if request.mode == "smtp":
        wanted = {"has_sender", "sender", "delivery"}
        frames = [encode("session", [each for each in facts(request) if each[0] in wanted])]
        fds = [_standard(0), _standard(1)]
    else:
        frames = submission(request)
        fds = [_standard(0)]
    if max(map(len, frames)) > FRAME_LIMIT:
        return complain(name, "an argument is too long", os.EX_USAGE)
    patience = PROGRAM_SECONDS
    if stat.S_ISREG(os.fstat(fds[0]).st_mode):
        patience = FILE_SECONDS
    channel.settimeout(patience)
    try:
        for octets in frames[:-1]:
            channel.send(octets)
        rights = struct.pack(f"{len(fds)}i", *fds)
        ancillary = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)]
        channel.sendmsg([frames[-1]], ancillary)
        answer = channel.recv(FRAME_LIMIT)
    except (BrokenPipeError, ConnectionResetError) as error:
        # Not sent, or not read: frames are read in order, and this is what the kernel says
        # when the last of them was not.
        raise NotTaken from error
    except OSError as error:
        raise Unknown(f"the daemon did not answer: {error.strerror or error}") from error
    finally:
        # The other side waits for more as long as this is open.
        channel.close()
    if not answer:
        raise Unknown("the daemon closed the connection without an answer")
    return _judge(name, request, *decode(answer))


def _standard(fd: int) -> int:
    """A standard descriptor, or /dev/null where the caller has closed it."""
    try:
        os.fstat(fd)
    except OSError:
        return os.open(os.devnull, os.O_RDWR)
    return fd


def _judge(name: str, request: Request, verb: str, fields: dict[str, str]) -> int:
    """The exit code that an answer means."""
    if verb == "accepted":
        if request.verbose:
            sys.stdout.write(f"accepted as {fields.get('id', '')}\n")
        return os.EX_OK
    code = fields.get("code", "")
    # The shell sees eight bits of it: a longer one could pass for success.
    number = int(code) if is_number(code) and len(code) < 3 else os.EX_TEMPFAIL
    if verb == "rejected":
        return complain(name, fields.get("text", ""), number or os.EX_TEMPFAIL)
    if verb == "finished":
        return number
    raise Unknown("the daemon gave an answer that makes no sense")


# ---- without a daemon


def _wants_own_processes(request: Request) -> bool:
    return request.mode == "smtp" or request.delivery == "foreground" or bool(request.config)


def _alone(name: str, request: Request, found: place.Place) -> int:
    """Hand the message to processes that are started for it alone."""
    from mta.proc import alone

    try:
        with alone.serving(found.file, found.macros) as address:
            channel = dial(address)
            if channel is None:
                return complain(name, "the processes do not answer", os.EX_TEMPFAIL)
            try:
                return _converse(name, request, channel)
            except NotTaken as error:
                raise Unknown("the processes ended") from error
    except ChildProcessError:
        return complain(name, f"{found.file} cannot be used", os.EX_CONFIG)


def _drop(name: str, request: Request, spool: str) -> int:
    """Copy the message to the drop-box, where the daemon will find it."""
    from mta.spool.dropbox import Drop

    records = [("recipients", each) for each in request.operands] + facts(request)
    try:
        drop = Drop(spool, records)
        try:
            _copy(drop.write, dots_end=request.dots_end)
            drop.commit()
        except BaseException:
            drop.abandon()
            raise
    except ValueError as error:
        return complain(name, str(error), os.EX_DATAERR)
    except OSError as error:
        text = f"no daemon runs, and the drop-box {spool}/drop: {error.strerror}"
        return complain(name, text, os.EX_TEMPFAIL)
    if request.verbose:
        sys.stdout.write("no daemon runs; the message is in the drop-box\n")
    return os.EX_OK


def _copy(write: object, *, dots_end: bool) -> None:
    """Copy standard input to its end, or to a line of one dot where that ends it."""
    assert callable(write)
    source = open(_standard(0), "rb", closefd=False)  # noqa: SIM115 it is not ours to close
    at_start = True
    while line := source.readline(LINE_CHUNK):
        if dots_end and at_start and line in (b".\n", b".\r\n", b"."):
            return
        write(line)
        at_start = line.endswith(b"\n")
