"""Processes: the one fork of the program, titles, limits, and what a new process inherits."""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable

EXIT_BUG = 70  # EX_SOFTWARE: a Python exception that nobody expected
_OWN_SIGNALS = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGCHLD,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGALRM,
)


def run_child(work: Callable[[], int | None], *, panic: int = 2) -> int:
    """Fork; the child does `work` and exits with its result (None is 0).  Gives its pid.

    The child always ends in os._exit: one that unwound into its parent's loop would run
    everything twice.  An exception that nobody expected is written to the descriptor `panic`,
    and the exit code is 70.
    """
    assert threading.active_count() == 1, "a fork would copy locks in mid-flight"
    pid = os.fork()
    if pid:
        return pid
    code = EXIT_BUG
    try:
        restore_signals()
        code = work() or 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else EXIT_BUG
    except BaseException:
        with contextlib.suppress(OSError):
            os.write(panic, traceback.format_exc().encode("utf-8", "backslashreplace"))
    finally:
        os._exit(code)
    raise AssertionError("not reached")


def restore_signals() -> None:
    """Forget what the parent did about signals."""
    signal.set_wakeup_fd(-1)
    for number in _OWN_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def reap() -> list[tuple[int, int]]:
    """All children that have ended since the last call, as (pid, exit code or -signal)."""
    ended: list[tuple[int, int]] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended.append((pid, os.waitstatus_to_exitcode(status)))


def set_title(title: str) -> None:
    """Show this in ps(1).  Without the package the title stays as it was."""
    try:
        import setproctitle
    except ImportError:
        return
    setproctitle.setproctitle(title)


def settle() -> None:
    """After everything is loaded and before the first fork: keep the collector away from what
    is shared, so that a child does not copy all of it at its first collection."""
    gc.collect()
    gc.freeze()


def keep_descriptors(wanted: Iterable[int]) -> None:
    """Close every descriptor but these."""
    previous = -1
    for fd in [*sorted(set(wanted)), _descriptor_limit()]:
        # An empty range is no harmless one: closerange(0, 0) closes everything.
        if fd > previous + 1:
            os.closerange(previous + 1, fd)
        previous = fd


def _descriptor_limit() -> int:
    highest = max((int(name) for name in os.listdir("/proc/self/fd")), default=256)
    return highest + 1


def place_descriptors(wanted: list[int], first: int) -> None:
    """Put these descriptors on the numbers first, first+1, … and let them pass through exec.

    Used between fork and exec.  All are first moved out of the way, as one may stand where
    another has to go.
    """
    import fcntl

    clear = first + len(wanted)
    moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, clear) for fd in wanted]
    for number, fd in enumerate(moved, first):
        os.dup2(fd, number, inheritable=True)
        os.close(fd)


def occupy_standard() -> None:
    """Let no file of ours get the number of a standard descriptor that the caller closed."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)


def leave_input() -> None:
    """Read nothing from the caller's standard input: it is his."""
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    if null != 0:
        os.dup2(null, 0)
        os.close(null)


def raise_descriptor_limit() -> None:
    """As many descriptors as the system lets us have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def interpreter(root: str, module: str, arguments: list[str]) -> list[str]:
    """The command line that runs `main` of one of our modules in a fresh interpreter.

    Isolated mode ignores the environment and the current directory; the one place that our
    packages come from is given.
    """
    boot = (
        "import sys; sys.path.insert(0, sys.argv[1]); "
        "from importlib import import_module; "
        "sys.exit(import_module(sys.argv[2]).main(sys.argv[3:]))"
    )
    return [sys.executable, "-I", "-c", boot, root, module, *arguments]


def tree_root() -> str:
    """The directory that holds our packages."""
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
