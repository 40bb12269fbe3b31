"""Having the system begin to write a file before anybody waits for it.

A sync of one file commits, on a file system with a journal, whatever of others is on its way:
when all files of a moment have been begun, the first sync waits and the others find their work
done.  It promises nothing: only a sync does.
"""

from __future__ import annotations

import ctypes

_SYNC_FILE_RANGE_WRITE = 2
_ARGUMENTS = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)

# Linux alone has it; elsewhere the sync does all the work.
_begin = getattr(ctypes.CDLL(None), "sync_file_range", None)
if _begin is not None:
    _begin.argtypes = _ARGUMENTS


def begin_writing(fd: int) -> None:
    """Start writing what is dirty of a file and do not wait; the sync will see an error."""
    if _begin is not None:
        _begin(fd, 0, 0, _SYNC_FILE_RANGE_WRITE)
