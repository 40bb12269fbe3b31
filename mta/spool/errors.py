"""What can be wrong with the spool: a file that makes no sense, or a disk that fails."""

from __future__ import annotations

import errno

from mta.base.errors import MtaError, TempFail, describe

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMLINK})


class SpoolError(MtaError):
    """A file in the spool is not what we or Exim write; it will not get better by waiting."""


def disk_failure(doing: str, error: OSError) -> TempFail:
    """The spool could not be written: 4.3.1 when it is full, 4.3.0 when it fails otherwise.

    Never permanent: the sender shall try again.
    """
    status = "4.3.1" if error.errno in _FULL else "4.3.0"
    return TempFail(f"{doing}: {describe(error)}", status=status, code=error.errno or 0)
