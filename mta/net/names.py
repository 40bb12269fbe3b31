"""The hosts file: addresses of names and names of addresses, as hosts(5) has them.

Together with the DNS this is how a host is found by name (Exim's byname and byaddr).  What
else a system's resolver may know - NIS, LDAP, multicast DNS - is not asked: it cannot be given
a deadline.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from mta.base.text import lower, to_text
from mta.net.socket import family_of, plain_address

HOSTS = "/etc/hosts"
MOST_OCTETS = 16 << 20
_MOST = 32  # names or addresses of one host


class HostsFile:
    """The file, read again when it has changed.  One that cannot be read is empty."""

    __slots__ = ("_path", "_stamp", "_text")

    def __init__(self, path: str = HOSTS) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._text = ""

    def addresses(self, name: str) -> list[str]:
        """The addresses of a name, in the order of the file."""
        wanted = lower(name.removesuffix("."))
        found = [words[0] for words in self._lines(wanted) if wanted in words[1:]]
        return list(dict.fromkeys(found))[:_MOST]

    def names(self, address: str) -> list[str]:
        """The names of an address: the main one first."""
        wanted = plain_address(address)
        found = [
            name for words in self._lines(wanted) if words[0] == wanted for name in words[1:]
        ]
        return list(dict.fromkeys(found))[:_MOST]

    def _lines(self, wanted: str) -> Iterator[list[str]]:
        """The words of each line in which this occurs somewhere."""
        text = self._current()
        if not wanted or (wanted not in text and ":" not in wanted):
            return
        for line in text.split("\n"):
            words = line.partition("#")[0].replace("\t", " ").replace("\r", " ").split(" ")
            words = [word for word in words if word]
            if len(words) > 1 and family_of(words[0]):
                words[0] = plain_address(words[0])
                yield words

    def _current(self) -> str:
        try:
            seen = os.stat(self._path)
        except OSError:
            self._stamp, self._text = None, ""
            return ""
        stamp = (seen.st_mtime_ns, seen.st_size)
        if stamp != self._stamp:
            try:
                with open(self._path, "rb") as file:
                    self._text = lower(to_text(file.read(MOST_OCTETS)))
            except OSError:
                self._text = ""
            self._stamp = stamp
        return self._text
