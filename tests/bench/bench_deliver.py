"""What delivering one message costs a delivery process, and what it costs a worker.

    python -m tests.bench.bench_deliver [DIRECTORY] [IN_HAND] [--profile deliver|worker]

The production configuration's routers and transport, as whoever runs it; the directory (a
temporary one) holds spool and mailbox.  A child plays the launcher.  Prints JSON lines.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
import time
from dataclasses import replace

from mta.base import clock
from mta.config.load import load
from mta.deliver.frames import Start
from mta.deliver.message import Deliverer
from mta.deliver.workers import Workers
from mta.expand.compile import prepare as compile_all
from mta.log.sink import open_log
from mta.lookup.api import Tables
from mta.mail.header import parse_block
from mta.proc import roles, userside
from mta.route.engine import load_routers
from mta.spool import layout, writer
from mta.spool.envelope import Envelope, Recipient
from mta.spool.ids import Ticks
from mta.transport.engine import load_transports
from mta.unix import frames, privilege, process
from tests.bench.production import configuration, profiled, report

MESSAGES = 2000
HEADERS = (
    b"Received: from [192.0.2.7] (helo=client.example)\n\tby mail.example with esmtp\n"
    b"\t(mta 0.1) (envelope-from <a@example.net>)\n\tid 1vNabc-0000000000X-0abc\n"
    b"\tfor alice@local.test; Mon, 23 Nov 2026 10:00:00 +0000\n"
    b"From: a@example.net\nTo: alice@local.test\nSubject: bench\n"
    b"Message-ID: <1@example.net>\nDate: Mon, 23 Nov 2026 10:00:00 +0000\n"
)
BODY = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\n" * 64


def fill(spool: layout.Spool, count: int) -> list[str]:
    """So many messages in the spool; their ids."""
    ticks, headers, ids = Ticks(), tuple(parse_block(HEADERS)[0]), []
    envelope = Envelope(
        "",
        "mtanet",
        1000,
        1000,
        "a@example.net",
        clock.now(),
        host_address="192.0.2.7",
        host_port=1000,
        helo_name="client.example",
        interface_address="192.0.2.1",
        interface_port=25,
        received_protocol="esmtp",
        body_linecount=64,
        max_received_linelength=64,
        deliver_firsttime=True,
        recipients=(Recipient("alice@local.test"),),
        headers=headers,
    )
    for _ in range(count):
        with writer.begin(spool, ticks) as incoming:
            incoming.write(BODY)
            incoming.commit(replace(envelope, id=incoming.id))
            ids.append(incoming.id)
    return ids


def launcher(
    inherited: roles.Inherited, requests: socket.socket, *, is_profiled: bool
) -> None:
    """Start a worker for each request, without asking whether it may be."""
    while (received := frames.receive(requests, (Start,))) is not None:
        assert isinstance(received.message, Start)
        channel = socket.socket(fileno=received.fds.pop())
        transport = load_transports(inherited.conf)[received.message.transport]
        worker = userside.Worker(inherited, transport, channel, privilege.myself())
        requests.close()
        process.settle()
        before = time.process_time()
        profiled(worker.run, wanted=is_profiled)
        report("worker.cpu", (time.process_time() - before) / MESSAGES * 1e6, "us each")
        return


def main() -> None:
    """Run it."""
    wanted = sys.argv[-1] if "--profile" in sys.argv else ""
    given = sys.argv[1 : sys.argv.index("--profile") if wanted else None]
    directory = tempfile.mkdtemp(dir=given[0] if given else None)
    in_hand = int(given[1]) if len(given) > 1 else 8
    conf = load(configuration(directory))
    compile_all(conf)
    layout.prepare(conf.queue.spool_directory, split=True)
    spool = layout.Spool(conf.queue.spool_directory, split=True)
    log = open_log(f"{directory}/%slog")
    ids = fill(spool, MESSAGES)
    ours, theirs = frames.pair()
    me = privilege.myself()
    who = roles.Identities(me, me, False)
    inherited = roles.Inherited(conf, ours, log, {}, [], who)

    def play() -> None:
        ours.close()
        launcher(inherited, theirs, is_profiled=wanted == "worker")

    routers, transports = load_routers(conf), load_transports(conf)
    process.settle()
    pid = process.run_child(play)
    theirs.close()
    workers = Workers(ours, max_use=MESSAGES)
    delivery = Deliverer(conf, spool, log, routers, transports, Tables(), workers)

    def deliver() -> None:
        for message_id in ids:
            delivery.begin(message_id)
            while len(delivery.under_way) >= in_hand:
                delivery.wait()
        while delivery.under_way:
            delivery.wait()

    began, before = time.monotonic(), time.process_time()
    profiled(deliver, wanted=wanted == "deliver")
    report("deliver.cpu", (time.process_time() - before) / MESSAGES * 1e6, "us each")
    report("deliver.rate", MESSAGES / (time.monotonic() - began), "per second")
    workers.close()
    os.waitpid(pid, 0)
    delivered = len(os.listdir(f"{directory}/home/Maildir/new"))
    if delivered != MESSAGES:
        raise RuntimeError(f"{delivered} of {MESSAGES} messages were delivered")
    shutil.rmtree(directory)


if __name__ == "__main__":
    main()
