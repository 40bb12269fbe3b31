"""The lines of the logs: one function for each kind, in Exim's format.

    <=  arrived       =>  delivered        ->  delivered along with it
    **  failed        ==  deferred         Completed

Message texts that administrators search for never change without a line in HISTORY.
"""

from __future__ import annotations

import os

from mta.base.text import lower, one_line
from mta.log.selector import selected
from mta.log.sink import Log


def _fields(**fields: object) -> str:
    return "".join(f" {key}={value}" for key, value in fields.items() if value != "")


def client(name: str, helo: str, address: str, port: int = 0) -> str:
    """A client as the log shows it: `name (helo) [address]`, without what is not known."""
    parts = [name] if name else []
    if helo and lower(helo) != lower(name) and helo != f"[{address}]":
        parts.append(f"({helo})")
    parts.append(f"[{address}]:{port}" if port else f"[{address}]")
    return " ".join(parts)


def authenticated(name: str, who: str, sender: str = "") -> str:
    """Who has proved who he is, for A=: the authenticator, the id, AUTH= of MAIL."""
    if not name:
        return ""
    return ":".join([name, *(each for each in (who, sender) if each)])


def encrypted(
    selector: str, cipher: str, *, verified: bool, peer: str = "", sni: str = ""
) -> str:
    """How a connection was encrypted, for X=, CV=, DN= and SNI=, as log_selector wants it."""
    if not cipher:
        return ""
    shown = f" X={cipher}" if selected(selector, "tls_cipher") else ""
    if selected(selector, "tls_certificate_verified"):
        shown += " CV=yes" if verified else " CV=no"
    if peer and selected(selector, "tls_peerdn"):
        shown += f" DN={_quoted(peer)}"
    if sni and selected(selector, "tls_sni"):
        shown += f" SNI={_quoted(sni)}"
    return shown


def _quoted(text: str) -> str:
    escaped = one_line(text).replace('"', '\\"')
    return f'"{escaped}"'


def received(
    log: Log,
    message_id: str,
    sender: str,
    *,
    host: str = "",
    user: str = "",
    protocol: str,
    tls: str = "",
    size: int,
    authenticated: str = "",
    id_header: str = "",
    bounce_of: str = "",
) -> None:
    """<=  A message has arrived and is safely on disk."""
    shown = _fields(
        R=bounce_of,
        H=host,
        U=user,
        P=protocol,
    )
    shown += tls + _fields(A=authenticated, S=size, id=id_header)
    log.main(f"{message_id} <= {sender or '<>'}{shown}")


def delivered(
    log: Log,
    message_id: str,
    address: str,
    *,
    router: str,
    transport: str,
    host: str = "",
    tls: str = "",
    authenticated: str = "",
    confirmation: str = "",
    along: bool = False,
) -> None:
    """=>  An address has its message; -> when it went along with one logged before.

    `address` is as Exim shows it: the final address, then the recipient of the envelope in
    angle brackets where the two differ.
    """
    mark = "->" if along else "=>"
    escaped = confirmation.replace("\\", "\\\\").replace('"', '\\"')
    said = f' C="{escaped}"' if confirmation else ""
    shown = _fields(R=router, T=transport, H=host)
    shown += tls + _fields(A=authenticated)
    log.main(f"{message_id} {mark} {address}{shown}{said}")


def discarded(log: Log, message_id: str, address: str, *, router: str) -> None:
    """=> :blackhole:  The administrator wants nothing done with mail for this address."""
    log.main(f"{message_id} => :blackhole: <{address}>{_fields(R=router)}")


def deferred(log: Log, message_id: str, text: str) -> None:
    """==  An address has to wait; the text is made by `deferral`."""
    log.main(f"{message_id} == {text}")


def deferral(
    address: str,
    text: str,
    *,
    router: str = "",
    transport: str = "",
    host: str = "",
    code: int = 0,
) -> str:
    """The words for an address that has to wait."""
    where = f" H={host}" if host else ""
    system = os.strerror(code) if code > 0 else ""
    # What the system said stands before the host, what we say behind it.
    said = "" if text == system else f": {text}"
    word = f": {system}" if system else ""
    shown = _fields(R=router, T=transport)
    return f"{address}{shown} defer ({code}){word}{where}{said}"


def host_failed(log: Log, message_id: str, host: str, text: str, *, code: int = 0) -> None:
    """H=  A host was tried and failed, whatever becomes of the recipients."""
    log.main(f"{message_id} {failed_host(host, text, code)}")


def failed_host(host: str, text: str, code: int) -> str:
    """The words for a host that failed."""
    system = os.strerror(code) if code > 0 else ""
    if text == system:
        return f"H={host} {text}"
    return f"H={host}: {text}{f': {system}' if system else ''}"


def failed(log: Log, message_id: str, text: str) -> None:
    """**  An address can never be delivered to; the text is made by `failure`."""
    log.main(f"{message_id} ** {text}")


def failure(
    address: str, text: str, *, router: str = "", transport: str = "", host: str = ""
) -> str:
    """The words for an address that failed."""
    shown = _fields(R=router, T=transport, H=host)
    return f"{address}{shown}: {text}"


def completed(log: Log, message_id: str) -> None:
    """Completed: nothing is left to do for a message."""
    log.main(f"{message_id} Completed")


def frozen(log: Log, message_id: str, why: str = "") -> str:
    """Frozen: a message waits until somebody looks at it; gives the words."""
    text = f"Frozen{f' ({why})' if why else ''}"
    log.main(f"{message_id} {text}")
    return text


def steered(log: Log, message_id: str, text: str) -> None:
    """What somebody had done with a message by a command: frozen by …, cancelled by …."""
    log.main(f"{message_id} {text}")


def queue_run(log: Log, event: str, pid: int, options: str) -> None:
    """Start and End of a run of the queue that somebody asked for."""
    log.main(f"{event} queue run: pid={pid}{f' {options}' if options else ''}")


def locked(log: Log, message_id: str) -> None:
    """Another process has the message."""
    log.main(
        f"{message_id} Spool file for {message_id} is locked"
        " (another process is handling this message)"
    )


def note(log: Log, message_id: str, text: str) -> None:
    """Something else worth knowing about a message, or about none ("")."""
    log.main(f"{message_id} {text}" if message_id else text)


def damaged(log: Log, message_id: str, reason: str, kept: str) -> None:
    """A spool file cannot be used and was set aside."""
    log.panic(f"{message_id} Format error in spool file {message_id}-H: {reason}; {kept}")


def set_aside(log: Log, name: str, reason: str, kept: str) -> None:
    """A file of the drop-box will never become a message, and is kept for somebody to see."""
    log.main(f"{name} cannot be taken: {reason}; kept in {kept}")


def rejected(
    log: Log,
    who: str,
    what: str,
    *,
    temporary: bool = False,
    message_id: str = "",
    sender: str | None = None,
    authenticated: str = "",
    text: str = "",
    headers: bytes = b"",
) -> None:
    """A command or message was refused; in the main log and, with headers, the reject log."""
    start = f"{message_id} " if message_id else ""
    envelope = "" if sender is None else f" F=<{sender}>"
    envelope += f" A={authenticated}" if authenticated else ""
    verb = "temporarily rejected" if temporary else "rejected"
    line = f"{start}{who}{envelope} {verb} {what}{f': {text}' if text else ''}"
    log.main(line)
    log.reject(line, headers)


def connection(log: Log, who: str, text: str) -> None:
    """What happened to an SMTP connection: lost, dropped, refused, timed out."""
    log.main(f"{text} {who}" if who else text)


def acl_warning(log: Log, who: str, text: str, message_id: str = "") -> None:
    """A warn verb, or logwrite, has something to say."""
    start = f"{message_id} " if message_id else ""
    log.main(f"{start}{who} Warning: {text}" if who else f"{start}{text}")


def bug(log: Log, what: str, report: str) -> None:
    """An error of our own: the panic log gets the traceback, on one line."""
    log.panic(f"{what}: {report}")


def started(log: Log, version: str, pid: int, addresses: list[str]) -> None:
    """The daemon is ready for mail."""
    where = " ".join(addresses)
    log.main(f"mta {version} daemon started: pid={pid}, listening for SMTP on {where}")


def role(log: Log, name: str, text: str) -> None:
    """What happened to one of our processes."""
    log.main(f"{name}: {text}")
