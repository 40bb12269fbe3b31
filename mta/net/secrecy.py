"""TLS for one process: OpenSSL is loaded when it is needed first, and by nobody else.

A process that never speaks TLS never pays for it.  What a receiver needs and may not read for
itself, the key above all, comes from the master, which opens the files and hands the
descriptors over.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field

from mta.config.model import Configuration
from mta.net.tls_terms import LARGEST, Maker


@dataclass(slots=True)
class Secrecy:
    """TLS for one process: the files that were handed over, and OpenSSL once it is needed."""

    files: dict[str, bytes] = field(default_factory=dict)
    _maker: Maker | None = None

    @property
    def is_loaded(self) -> bool:
        """True if this process has OpenSSL in it."""
        return self._maker is not None

    def load(self) -> Maker:
        """What makes streams secret."""
        if self._maker is None:
            from mta.net.tls_contexts import Contexts

            self._maker = Contexts(self.files)
        return self._maker

    def renew(self, files: dict[str, bytes]) -> None:
        """Take other files; what is made from now on is made of them."""
        self.files, self._maker = files, None


def files_of(conf: Configuration) -> list[str]:
    """The files that the master opens for the network user: those named without "$"."""
    tls = conf.tls
    named = [
        each.text for each in (tls.tls_certificate, tls.tls_privatekey) if each is not None
    ]
    return list(dict.fromkeys(each for each in named if each[:1] == "/" and "$" not in each))


def contents(names: Sequence[str], fds: Sequence[int]) -> dict[str, bytes]:
    """What is in open files, by name; one that cannot be read is left out."""
    found = {}
    for name, fd in zip(names, fds, strict=False):
        with contextlib.suppress(OSError):
            found[name] = os.pread(fd, LARGEST, 0)
    return found


def read_files(conf: Configuration) -> dict[str, bytes]:
    """What is in those files, for a process that may read them."""
    found: dict[str, bytes] = {}
    for name in files_of(conf):
        if (fd := open_file(name)) is not None:
            found |= contents([name], [fd])
            os.close(fd)
    return found


def open_file(path: str) -> int | None:
    """A descriptor of an administrator's file; None if it cannot be opened or is no file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return None
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST:
        os.close(fd)
        return None
    return fd
