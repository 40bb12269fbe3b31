"""The sendmail command, and mailq, runq, newaliases, rmail: what programs call to send mail.

It has no privileges of its own.  A message goes to the daemon through a socket, where the
kernel says who the caller is; while no daemon answers, into a directory that anybody may add
to (see `inject`).  The exit code is 0 only when the message is safely on disk; others are
those of sysexits.h: 64 the command line is wrong, 75 try again later, and so on.

The whole run, from start to exit, has to stay below 40 milliseconds: nothing is imported here
before it is needed.
"""

from __future__ import annotations

import os
import sys

from mta.cli import options
from mta.cli.options import Request, UsageError
from mta.cli.say import complain


def main() -> int:
    """Do what the command line asks for, under the name the program was called by."""
    return run(os.path.basename(sys.argv[0]), sys.argv[1:])


def mailq() -> int:
    """List the queue."""
    return run("mailq", sys.argv[1:])


def runq() -> int:
    """Try everything that waits in the queue."""
    return run("runq", sys.argv[1:])


def newaliases() -> int:
    """Nothing: alias files are read as they are."""
    return run("newaliases", sys.argv[1:])


def run(name: str, arguments: list[str]) -> int:
    """The exit code of one call."""
    try:
        request = options.parse(name, arguments)
        _check(name, request)
    except UsageError as error:
        return complain(name, str(error), os.EX_USAGE)
    try:
        return _dispatch(name, request)
    except KeyboardInterrupt:
        return 130


def _check(name: str, request: Request) -> None:
    """Refuse what cannot be done.  Raises UsageError."""
    if request.mode == "help":
        return
    if request.later:
        raise UsageError(f"option {request.later} is Exim's and is not there yet")
    if request.interval and request.mode != "daemon":
        raise UsageError("option -q with a time belongs to -bd; without one it runs the queue")
    if request.about and request.mode != "expand":
        raise UsageError("option -Mset goes with -be")
    if request.mode == "submit" and not request.operands and not request.from_headers:
        raise UsageError(f"no recipients; name them, or use -t. Try: {name} --help")


def _dispatch(name: str, request: Request) -> int:
    match request.mode:
        case "submit" | "smtp":
            from mta.cli import inject

            return inject.run(name, request)
        case "help":
            sys.stdout.write(options.help_text(name))
        case "version":
            from mta.base.version import VERSION

            sys.stdout.write(f"mta version {VERSION}\n")
        case "aliases":
            pass
        case "test" | "verify" | "verify-sender":
            from mta.cli import address_test

            return address_test.run(name, request)
        case "daemon" | "show" | "expand":
            from mta.cli import inspection

            return inspection.run(name, request)
        case _:
            from mta.cli import mailq as queue

            return queue.run(name, request)
    return os.EX_OK
