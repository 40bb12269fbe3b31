"""dsearch: the names in a directory."""

from __future__ import annotations

import os
import stat

from mta.base.errors import TempFail, describe
from mta.base.trust import Trusted
from mta.lookup.api import CannotOpen, Lookup, Query, Tables, lookup

_FILTERS = {"file": stat.S_ISREG, "dir": stat.S_ISDIR, "subdir": stat.S_ISDIR}


@lookup("dsearch")
class Dsearch(Lookup):
    """The names in a directory: the answer is the name, and it can be trusted as it exists.

    ret=full gives the whole path; filter=file, dir or subdir (no "." and "..") limits what is
    found.
    """

    def find(self, tables: Tables, query: Query) -> Trusted | None:
        """The name, if it is there.  Raises TempFail."""
        if not query.file.startswith("/"):
            raise CannotOpen(f"dirname for dsearch is not absolute: {query.file}")
        if "/" in query.key or "\0" in query.key:
            return None
        wanted = query.option("filter")
        if wanted == "subdir" and query.key in (".", ".."):
            return None
        try:
            directory = os.open(query.file, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            why = describe(error)
            raise CannotOpen(
                f"failed to open {query.file} for directory search: {why}"
            ) from error
        try:
            found = os.stat(query.key, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            why = describe(error)
            raise TempFail(f"{query.file}/{query.key}: stat failed: {why}") from error
        finally:
            os.close(directory)
        if wanted in _FILTERS and not _FILTERS[wanted](found.st_mode):
            return None
        full = query.option("ret") == "full"
        return Trusted(f"{query.file}/{query.key}" if full else query.key)
