"""Pick-up: takes what local programs left in the drop-box while no daemon answered.

    uid           the mail user, in a child of the runner
    reads         SPOOL/drop, where anybody may leave files: everything there is hostile
    writes        messages into the spool, through the same intake as all others

Who left a file is what the file system says (st_uid), not what the file says.  A file that
breaks the rules is removed and logged; one that cannot be taken now stays for the next time.
"""

from __future__ import annotations

from mta.proc import roles
from mta.proc.service import make_service
from mta.receive import pickup as reading
from mta.spool.layout import Spool
from mta.unix import process


def is_waiting(spool: Spool) -> bool:
    """True if there is anything in the drop-box."""
    return reading.is_waiting(spool)


def run(inherited: roles.Inherited, spool: Spool) -> int:
    """Empty the drop-box once."""
    process.set_title("mta: pickup")
    # The runner scans when we are done, so nobody needs a hint for each message.
    service = make_service(inherited, spool, arrived=None)
    reading.empty(service, spool)
    return 0
