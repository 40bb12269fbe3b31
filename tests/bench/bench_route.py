"""What routing one recipient costs, and running the ACLs that a message meets.

    python -m tests.bench.bench_route [DIRECTORY] [--profile]

The production configuration; the directory (a temporary one) holds its tables.  Nothing is
received or delivered.  Prints JSON lines: the best of several rounds.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable

from mta.acl import engine
from mta.acl.acls import load_acls
from mta.acl.phase import Phase
from mta.acl.program import Action
from mta.acl.routing import by_routing
from mta.acl.situation import MessageEffects, Situation
from mta.config.load import load
from mta.expand.compile import prepare
from mta.expand.context import Connection, Context, Message, Place
from mta.log.sink import open_log
from mta.lookup.api import Tables
from mta.route.api import Delivery, address_of
from mta.route.engine import load_routers
from tests.bench.production import configuration, profiled, report

ROUNDS = 7
TIMES = 2000


def best(name: str, work: Callable[[], None]) -> None:
    """Report the CPU time of the best of several rounds."""
    taken = []
    for _ in range(ROUNDS):
        before = time.process_time()
        for _ in range(TIMES):
            work()
        taken.append(time.process_time() - before)
    report(name, min(taken) / TIMES * 1e6, "us each")


def main() -> None:
    """Run all."""
    arguments = [each for each in sys.argv[1:] if not each.startswith("--")]
    directory = tempfile.mkdtemp(dir=arguments[0] if arguments else None)
    conf = load(configuration(directory))
    prepare(conf)
    routers, acls, tables = load_routers(conf), load_acls(conf), Tables()
    log = open_log(f"{directory}/%slog")
    connection = Connection("192.0.2.7", 1000, helo_name="client.example", protocol="esmtp")

    def deliver() -> None:
        ctx = Context(
            conf, tables, connection=connection, message=Message(sender="a@b.example")
        )
        (found,) = routers.route(ctx, address_of("alice@local.test"))
        assert isinstance(found, Delivery)
        assert found.transport == "maildir"

    ctx = Context(conf, tables, connection=connection, message=Message(sender="a@b.example"))
    situation = Situation(ctx, log, verifier=by_routing(routers))

    def recipient() -> None:
        situation.message = MessageEffects()
        situation.recipient = "alice@local.test"
        ctx.place = Place(
            local_part="alice",
            domain="local.test",
            original_local_part="alice",
            original_domain="local.test",
        )
        assert engine.check(acls, situation, Phase.RCPT).action is Action.ACCEPT

    def others() -> None:
        for phase in (Phase.CONNECT, Phase.HELO, Phase.MAIL, Phase.PREDATA, Phase.DATA):
            assert engine.check(acls, situation, phase).action is Action.ACCEPT

    def all_of_it() -> None:
        for name, work in (
            ("route.deliver", deliver),
            ("acl.rcpt", recipient),
            ("acl.others", others),
        ):
            best(name, work)

    profiled(all_of_it, wanted="--profile" in sys.argv)
    shutil.rmtree(directory)


if __name__ == "__main__":
    main()
