"""Which addresses are this host's own."""

from __future__ import annotations

import socket

from mta.expand.ip import octets_of


def is_local_address(address: str) -> bool:
    """True if an interface of this host has this address.

    The kernel is asked by binding to it, without a port that anybody could see.
    """
    if octets_of(address) is None:
        return False
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return address not in ("0.0.0.0", "::")
