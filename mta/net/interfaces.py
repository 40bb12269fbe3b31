"""The addresses and ports that mail is taken on: reading them and binding to them.

    local_interfaces = <; 127.0.0.1 ; [::1]:2525 ; 192.0.2.7.587
    daemon_smtp_ports = smtp : 587

An address with a port of its own (`192.0.2.7.587` or `[::1]:2525`) is listened on at that port
only; the others at every port of daemon_smtp_ports.  `0.0.0.0` and `::0` are all addresses of
their family; the two never overlap, as IPv6 sockets here take IPv6 only.

Runs as:  the master, which may be root.  Imports nothing that reads mail.
Raises:   ConfigError for what cannot be read; OSError when the system refuses an address.
"""

from __future__ import annotations

import errno
import socket
from typing import NamedTuple

from mta.base.errors import ConfigError, Where
from mta.base.registry import suggestion
from mta.base.text import is_number, trim
from mta.config.model import Configuration

# A small system has no /etc/services; these names are used in every configuration.
_SERVICES = {"smtp": 25, "submission": 587, "submissions": 465, "smtps": 465, "ssmtp": 465}
_WILD = ("0.0.0.0", "::")


class Endpoint(NamedTuple):
    """Something to listen on."""

    family: int
    address: str
    port: int

    def __str__(self) -> str:
        shown = f"[{self.address}]" if self.family == socket.AF_INET6 else self.address
        return f"{shown}:{self.port}"


def listen_addresses(conf: Configuration) -> list[Endpoint]:
    """What the configuration says to listen on, in order, each once.  Raises ConfigError."""
    smtp = conf.smtp_in
    ports = read_ports(smtp.daemon_smtp_ports, smtp.where.get("daemon_smtp_ports"))
    interfaces = smtp.local_interfaces
    text, where = (interfaces.text, interfaces.where) if interfaces else ("", None)
    found: dict[Endpoint, None] = {}
    for item in split(_literal(text, "local_interfaces", where)):
        for endpoint in read_interface(item, ports, where):
            found[endpoint] = None
    if not found:
        raise ConfigError(where, "local_interfaces names no address to listen on")
    return list(found)


def read_interface(item: str, ports: list[int], where: Where | None) -> list[Endpoint]:
    """One item of local_interfaces; `ports` are used if it names none.  Raises ConfigError."""
    address, port = item, ""
    if item.startswith("["):
        address, closed, port = item[1:].partition("]")
        if not closed or (port and not port.startswith(":")):
            raise _bad(item, where)
        port = port[1:]
        if not port and item.endswith(":"):
            raise _bad(item, where)
    elif not _family(item):
        address, _, port = item.rpartition(".")
    family = _family(address)
    if not family or (port and not _is_port(port)):
        raise _bad(item, where)
    plain = socket.inet_ntop(family, socket.inet_pton(family, address))
    return [Endpoint(family, plain, each) for each in ([int(port)] if port else ports)]


def read_ports(text: str, where: Where | None) -> list[int]:
    """The items of daemon_smtp_ports: numbers, or names of services.  Raises ConfigError."""
    ports = []
    for item in split(_literal(text, "daemon_smtp_ports", where)):
        if _is_port(item):
            ports.append(int(item))
            continue
        try:
            ports.append(_SERVICES.get(item) or socket.getservbyname(item, "tcp"))
        except OSError:
            raise ConfigError(
                where,
                f'"{item}" is not a port number or the name of a TCP service',
                suggestion(item, list(_SERVICES)),
            ) from None
    return ports


def split(text: str) -> list[str]:
    """The items of a list: separated by colons, doubled inside an item, or as `<;` says."""
    separator = ":"
    text = trim(text)
    if len(text) > 1 and text[0] == "<" and not text[1].isalnum():  # ascii: one character
        separator, text = text[1], text[2:]
    parts = text.replace(separator * 2, "\0").split(separator)
    items = [trim(part).replace("\0", separator) for part in parts]
    return [item for item in items if item]


def bind(endpoint: Endpoint, backlog: int) -> socket.socket:
    """A socket that listens there.  Raises OSError, with EADDRINUSE if somebody else does."""
    listening = socket.socket(endpoint.family, socket.SOCK_STREAM)
    try:
        # Connections of an earlier master that linger must not keep a new one out.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Its connections have this from it: what we write are whole replies.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if endpoint.family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind((endpoint.address, endpoint.port))
        listening.listen(backlog)
    except OSError:
        listening.close()
        raise
    return listening


def bind_all(endpoints: list[Endpoint], backlog: int) -> list[socket.socket]:
    """Sockets for all of them, or none: OSError, with the address as its file name.

    The wildcard of a family that this kernel lacks is left out if another one is served.
    """
    bound: list[socket.socket] = []
    missing: OSError | None = None
    for endpoint in endpoints:
        try:
            bound.append(bind(endpoint, backlog))
        except OSError as error:
            if endpoint.address in _WILD and error.errno in _NO_FAMILY:
                missing = error
                continue
            for socket_ in bound:
                socket_.close()
            raise OSError(error.errno, error.strerror, str(endpoint)) from error
    if missing is not None and not bound:
        raise missing
    return bound


_NO_FAMILY = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


def _family(address: str) -> int:
    """The family of a numeric address, or 0."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, address)
        except (OSError, ValueError):
            continue
        return family
    return 0


def _is_port(text: str) -> bool:
    return is_number(text) and len(text) <= 5 and int(text) < 65536


def _literal(text: str, option: str, where: Where | None) -> str:
    if "$" in text:
        raise ConfigError(where, f"{option} cannot contain $ variables yet", "use a macro")
    return text


def _bad(item: str, where: Where | None) -> ConfigError:
    return ConfigError(
        where,
        f'invalid IP address "{item}" in local_interfaces',
        "write 192.0.2.1, 192.0.2.1.25 or [2001:db8::1]:25; with IPv6 begin the list with <;",
    )
