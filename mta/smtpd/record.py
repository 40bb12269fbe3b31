"""The log lines of SMTP conversations that no other package has, in Exim's words."""

from __future__ import annotations

import re

from mta.base.text import one_line, to_text
from mta.log import events
from mta.log.sink import Log

_AUTH = re.compile(
    rb"((?:\A|\n)[ \t]*AUTH[ \t]+[A-Z0-9_-]{1,64}+).+", re.IGNORECASE | re.DOTALL
)


def shown(octets: bytes) -> str:
    """What a client sent, for the log: without what may be a password behind AUTH."""
    return to_text(_AUTH.sub(rb"\1 (hidden)", octets)[:200])


def refused(log: Log, text: str) -> None:
    """A command was refused for its form or for a limit: main log and reject log."""
    events.note(log, "", text)
    log.reject(text)


def dropped(log: Log, who: str, why: str, last: str, more: str = "") -> None:
    """The connection was closed since the client broke the rules too often."""
    refused(log, f'SMTP call from {who} dropped: {why} ({more} was "{one_line(last)}")')


def left_alone(log: Log, who: str) -> None:
    """The connection was closed since the client failed to authenticate too often."""
    refused(log, f"SMTP call from {who} dropped: too many failed authentications")


def ignored_author(log: Log, author: str, who: str, why: str) -> None:
    """AUTH= of MAIL counts for nothing."""
    events.note(log, "", f"ignoring AUTH={author} from {who} ({why})")


def too_soon(log: Log, who: str, command: str, seen: str, *, pipelining: bool) -> None:
    """The client sent the next command before it was its turn."""
    no = "" if pipelining else " not"
    refused(
        log,
        "SMTP protocol synchronization error (next input sent too soon: pipelining was"
        f'{no} advertised): rejected "{one_line(command)}" {who} '
        f'next input="{one_line(seen)}"',
    )


def impatient(log: Log, who: str, seen: str) -> None:
    """The client talked before the banner."""
    refused(
        log,
        "SMTP protocol synchronization error (input sent without waiting for greeting): "
        f'rejected connection from {who} input="{one_line(seen)}"',
    )


def not_secret(log: Log, who: str, text: str) -> None:
    """TLS was wanted and did not come about."""
    events.note(log, "", f"TLS error on connection from {who} {text}")


def timed_out(log: Log, who: str, duration: str) -> None:
    """The client said nothing for too long."""
    events.note(log, "", f"SMTP command timeout on connection from {who} D={duration}")


def left(log: Log, who: str, duration: str) -> None:
    """The client went away without QUIT."""
    text = f"unexpected disconnection while reading SMTP command from {who} D={duration}"
    events.note(log, "", text)


def data_timed_out(log: Log, message_id: str, who: str, sender: str) -> None:
    """The message did not come to its end in time."""
    text = f"SMTP data timeout (message abandoned) on connection from {who} F=<{sender}>"
    events.note(log, message_id, text)


def lost_in_data(log: Log, message_id: str, who: str, *, in_header: bool) -> None:
    """The client went away in the middle of a message."""
    where = " (header)" if in_header else ""
    text = f"SMTP connection from {who} lost while reading message data{where}"
    events.note(log, message_id, text)


def discarded(log: Log, who: str, sender: str, address: str, *, acl: str, text: str) -> None:
    """A recipient was accepted and will get nothing."""
    end = f": {text}" if text else ""
    refused(log, f"{who} F=<{sender}> RCPT <{address}>: discarded by {acl} ACL{end}")
