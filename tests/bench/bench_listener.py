"""What a session costs the listener and the receivers, in CPU time.

    python -m tests.bench.bench_listener [DIRECTORY] [--clients 10] [--messages 3000] [--reuse]
                                         [--profile listener]

A real listener with its pool takes messages of load.c over TCP on 127.0.0.1; the directory (a
temporary one) holds the spool.  With one client all is hot; with ten the processes take turns,
as they do on a busy server.  Needs gcc.  Prints JSON lines.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from mta.config.load import load
from mta.log.sink import open_log
from mta.net.interfaces import Endpoint, bind
from mta.proc import roles
from mta.proc.listener import Listener
from mta.spool import layout
from mta.unix import frames, privilege, process
from tests.bench.production import configuration, profiled, report

HERE = Path(__file__).resolve().parent
# A receiver that has ended could not be asked any more.
LIMITS = """
receiver_max_use = 1000000
smtp_accept_max_per_host =
smtp_accept_queue_per_connection = 0
"""
WARM_UP = 500


def inherited(
    directory: str, listening: socket.socket, control: socket.socket, arrived: socket.socket
) -> roles.Inherited:
    """What a master would have given to the listener."""
    conf = load(configuration(directory, LIMITS))
    layout.prepare(conf.queue.spool_directory, split=True)
    me = privilege.myself()
    who = roles.Identities(me, me, False)
    submit = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    submit.bind(f"{directory}/submit")
    submit.listen()
    channels = {"arrived": arrived, "submit": submit}
    log = open_log(f"{directory}/%slog")
    return roles.Inherited(conf, control, log, channels, [listening], who)


def cpu_seconds(pid: int) -> float:
    """What a process has used until now."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def children(pid: int) -> list[int]:
    """The processes that a process has made."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def used(listener: int) -> tuple[float, float]:
    """CPU seconds of the listener, and of all receivers together."""
    return cpu_seconds(listener), sum(cpu_seconds(each) for each in children(listener))


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", nargs="?")
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--messages", type=int, default=3000)
    parser.add_argument("--reuse", action="store_true")
    parser.add_argument("--profile", choices=["listener"])
    options = parser.parse_args()
    directory = tempfile.mkdtemp(dir=options.directory)
    load_tool = f"{directory}/load"
    subprocess.run(["gcc", "-O2", "-o", load_tool, str(HERE / "load.c")], check=True)
    listening = bind(Endpoint(socket.AF_INET, "127.0.0.1", 0), 100)
    (control, master), (arrived, runner) = frames.pair(), frames.pair()
    made = Listener(inherited(directory, listening, control, arrived))
    process.settle()
    pid = process.run_child(lambda: profiled(made.run, wanted=options.profile == "listener"))
    style = ["-r"] if options.reuse else []
    port = str(listening.getsockname()[1])
    common = [load_tool, "-p", port, "-c", str(options.clients), *style, "-n"]
    try:
        subprocess.run([*common, str(WARM_UP)], check=True, stdout=subprocess.DEVNULL)
        before = used(pid)
        done = subprocess.run(
            [*common, str(options.messages)], check=True, capture_output=True, text=True
        )
        after = used(pid)
    finally:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)
        master.close()
        runner.close()
        shutil.rmtree(directory)
    print(done.stdout, end="")
    for name, first, last in zip(("listener", "receivers"), before, after, strict=True):
        report(f"{name}.cpu", (last - first) / options.messages * 1e6, "us a message")


if __name__ == "__main__":
    main()
