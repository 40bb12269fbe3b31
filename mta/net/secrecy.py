"""TLS for one process: OpenSSL is loaded when it is needed first, and by nobody else.

A process that never speaks TLS never pays for it.  What a receiver needs and may not read for
itself, the key above all, comes from the master, which opens the files and hands the
descriptors over.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field

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
