"""The addresses of this machine: those that its interfaces have, as Exim counts them.

Not what could be bound to: all of 127/8 can, but another program may well be a host at
127.0.0.2.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable

from mta.base import clock
from mta.base.errors import TempFail, describe
from mta.net.socket import plain_address

KEPT = 30.0  # seconds; interfaces come and go
# What stands for all addresses leads here, too.
ANY = frozenset({"0.0.0.0", "::"})


class OwnAddresses:
    """Asks the system now and then."""

    __slots__ = ("_extra", "_known", "_until")

    def __init__(self, extra: Iterable[str] = ()) -> None:
        self._extra = frozenset(plain_address(each) for each in extra)
        self._known: frozenset[str] = frozenset()
        self._until = 0.0

    def __contains__(self, address: str) -> bool:
        """True if it is ours.  Raises TempFail where that cannot be told."""
        now = clock.monotonic()
        if now >= self._until:
            try:
                self._known, self._until = _ask() | self._extra, now + KEPT
            except OSError as error:
                if not self._known:
                    # That it is not ours must not be guessed: mail would go in circles.
                    text = f"cannot ask for our own addresses: {describe(error)}"
                    raise TempFail(text, status="4.3.2") from error
        try:
            return plain_address(address) in self._known
        except ValueError:
            return False  # it is none at all


def _ask() -> frozenset[str]:
    import psutil  # type: ignore[import-untyped]  # it ships no types

    families = (socket.AF_INET, socket.AF_INET6)
    found = {
        plain_address(each.address)
        for addresses in psutil.net_if_addrs().values()
        for each in addresses
        if each.family in families
    }
    return frozenset(found | ANY)
