"""Handing in a message that a delivery made: through the daemon's socket, or the drop-box.

For processes that deliver as a user: he hands it in as any program of his could, with the
rights of his own and no others.  Who he is the kernel says.

Raises:   TempFail where it was not taken, or nobody knows; the delivery is then tried again,
          and may hand it in twice.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

from mta.base.errors import ProtocolError, TempFail, describe
from mta.receive.frames import Accepted, Rejected, Submit
from mta.spool.dropbox import Drop
from mta.unix import frames
from mta.unix.files import write_all

CONNECT_SECONDS = 30.0
ANSWER_SECONDS = 900.0
NULL_SENDER = "<>"


def hand_in(
    spool: str, address: str | bytes, recipients: Sequence[str], message: bytes
) -> None:
    """Hand in a message with the null sender; when this returns, it is safe on disk.

    `address` is that of the socket for local programs, of which only one without a place in
    the file system says anything: that of processes that serve a single command.
    """
    request = Submit(1, NULL_SENDER, "", tuple(recipients), 0, 0, "background", 1, "", "")
    channel = _connect(spool, address if isinstance(address, bytes) else b"")
    if channel is None:
        _drop(spool, request, message)
        return
    with channel:
        _submit(channel, request, message)


def _connect(spool: str, address: bytes) -> socket.socket | None:
    """A connection to those who serve us, or None if nobody answers."""
    if address[:1] == b"\0":
        return _dial(address)
    try:
        directory = os.open(f"{spool}/run", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        # An address is short, and the path of a spool may be long.
        return _dial(f"/proc/self/fd/{directory}/submit".encode())
    finally:
        os.close(directory)


def _dial(address: bytes) -> socket.socket | None:
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        channel.settimeout(CONNECT_SECONDS)
        channel.connect(address)
    except OSError:
        channel.close()
        return None
    return channel


def _submit(channel: socket.socket, request: Submit, message: bytes) -> None:
    body = os.memfd_create("message", os.MFD_CLOEXEC)
    try:
        write_all(body, message)
        os.lseek(body, 0, os.SEEK_SET)
        channel.settimeout(ANSWER_SECONDS)
        frames.send(channel, request, [body])
        received = frames.receive(channel, (Accepted, Rejected))
    except (OSError, ProtocolError) as error:
        why = describe(error) if isinstance(error, OSError) else str(error)
        raise TempFail(f"the daemon did not answer: {why}") from error
    finally:
        os.close(body)
    if received is None:
        raise TempFail("the daemon closed the connection without an answer")
    received.close()
    if isinstance(received.message, Rejected):
        raise TempFail(f"the message was not taken: {received.message.text}")


def _drop(spool: str, request: Submit, message: bytes) -> None:
    records = [("recipients", each) for each in request.recipients]
    for name in ("has_sender", "sender", "from_headers", "dot_ends", "delivery", "fixups"):
        records.append((name, str(getattr(request, name))))
    try:
        drop = Drop(spool, records)
        try:
            drop.write(message)
            drop.commit()
        except BaseException:
            drop.abandon()
            raise
    except ValueError as error:
        raise TempFail(str(error)) from error
    except OSError as error:
        raise TempFail(f"no daemon answers, and the drop-box: {describe(error)}") from error
