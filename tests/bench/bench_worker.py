"""What a worker costs that carries one message for its user and is not used again.

    python -m tests.bench.bench_worker [DIRECTORY] [--times 500]

A launcher is asked for each, as for mail to a thousand different users, but all of them are
whoever runs this.  Prints JSON lines: CPU time of the launcher (the fork) and of the workers.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import socket
import tempfile

from mta.config.load import load
from mta.deliver.message import Deliverer
from mta.deliver.workers import Workers
from mta.expand.compile import prepare as compile_all
from mta.log.sink import open_log
from mta.lookup.api import Tables
from mta.proc import roles
from mta.proc.launcher import Launcher
from mta.proc.permission import Permission
from mta.route.engine import load_routers
from mta.spool import layout
from mta.transport.engine import load_transports
from mta.unix import frames, privilege, process
from tests.bench.bench_deliver import fill
from tests.bench.production import configuration, report


class Anybody(Permission):
    """Everybody is whoever runs this."""

    def judge(self, request: object) -> privilege.Identity:
        return privilege.myself()


def cpu(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def serve(inherited: roles.Inherited, times: int) -> None:
    """Be the launcher until nobody asks any more."""
    process.set_title("mta: launcher")  # imports what the workers need for theirs
    launcher = Launcher(inherited)
    launcher.permission = Anybody(inherited.conf, inherited.identities)
    process.settle()
    before = cpu(resource.RUSAGE_SELF)
    launcher.run()
    faults = resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt
    report("launcher.cpu", (cpu(resource.RUSAGE_SELF) - before) / times * 1e6, "us a worker")
    report("worker.cpu", cpu(resource.RUSAGE_CHILDREN) / times * 1e6, "us each")
    report("worker.faults", faults / times, "pages each")


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", nargs="?")
    parser.add_argument("--times", type=int, default=500)
    options = parser.parse_args()
    directory = tempfile.mkdtemp(dir=options.directory)
    conf = load(configuration(directory))
    compile_all(conf)
    layout.prepare(conf.queue.spool_directory, split=True)
    spool = layout.Spool(conf.queue.spool_directory, split=True)
    log = open_log(f"{directory}/%slog")
    ids = fill(spool, options.times)
    ours, theirs = frames.pair()
    control, _kept = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    me = privilege.myself()
    who = roles.Identities(me, me, False)
    inherited = roles.Inherited(conf, control, log, {"start-requests": theirs}, [], who)

    def play() -> None:
        ours.close()
        serve(inherited, options.times)

    pid = process.run_child(play)
    theirs.close()
    workers = Workers(ours, max_use=1)
    delivery = Deliverer(
        conf, spool, log, load_routers(conf), load_transports(conf), Tables(), workers
    )
    for message_id in ids:
        delivery.begin(message_id)
        while delivery.under_way:
            delivery.wait()
    workers.close()
    ours.close()
    os.waitpid(pid, 0)
    delivered = len(os.listdir(f"{directory}/home/Maildir/new"))
    if delivered != options.times:
        raise RuntimeError(f"{delivered} of {options.times} messages were delivered")
    shutil.rmtree(directory)


if __name__ == "__main__":
    main()
