"""Hosts that answer garbage, endlessly, or not at all: mail waits, and arrives once."""

from __future__ import annotations

import socket
from contextlib import ExitStack

from tests.harness import clients, daemon, mailbox, ports, sink
from tests.harness.daemon import Running
from tests.harness.sink import DROP, STALL, Answer, Script

IMPATIENT = """\
smtp:
  driver = smtp
  allow_localhost
  connect_timeout = 2s
  command_timeout = 1s
  data_timeout = 1s
  final_timeout = 1s
"""
PLAIN = "smtp:\n  driver = smtp\n  allow_localhost\n"
# What a reply may be instead of a reply.
FAULTS: dict[str, Answer] = {
    "closes": DROP,
    "says nothing": STALL,
    "later": "421 come back later",
    "garbage": b"\0\xff\xfe nonsense\n\n",
    "a web page": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "four digits": b"2500 ok\r\n",
    "a code too low": b"099 ok\r\n",
    "lines without end": b"250-and again\r\n" * 200_000,
    "a line without end": b"2" * 3_000_000,
    "half a reply": b"250-more is to come\r\n",
    "two codes": b"250-yes\r\n550 no\r\n",
    "an empty line": b"\r\n",
}
STAGES = ("GREETING", "EHLO", "MAIL", "RCPT", "DATA", "DOT")


def tree(routes: str, stack: ExitStack) -> Running:
    """A tree that relays by this list."""
    assert PLAIN in daemon.BASIC
    config = daemon.BASIC.replace(PLAIN, IMPATIENT)
    config = config.replace("route_list = * 127.0.0.1::SINK", f"route_list = {routes}")
    config = config.replace("relay_domains = relay.test", "relay_domains = *.relay.test")
    config = config.replace("split_spool", "remote_max_parallel = 1\nsplit_spool")
    return stack.enter_context(daemon.running(config))


def everybody(scripts: dict[str, Script]) -> tuple[dict[str, list[sink.Taken]], str]:
    """Send a message to each of these hosts; at the end, what they took, and the log."""
    with ExitStack() as stack:
        peers = {
            name: stack.enter_context(sink.listening(script))
            for name, script in scripts.items()
        }
        routes = " ; ".join(
            f"{name}.relay.test 127.0.0.1::{peer.port}" for name, peer in peers.items()
        )
        mta = tree(routes, stack)
        for name in peers:
            clients.send(mta.address, "a@sender.test", [f"bob@{name}.relay.test"])
        mta.await_empty(60)
        taken = {}
        for name, peer in peers.items():
            peer.await_messages(1)  # it answers first and makes its note then
            # An empty message for nobody ends a DATA that was sent ahead.  RFC 2920 3.1
            taken[name] = [message for message in peer.messages() if message.recipients]
            for message in taken[name]:
                assert message.recipients == (f"bob@{name}.relay.test",)
                assert message.data.endswith(clients.MESSAGE), name
        return taken, mta.log()


def test_whatever_is_said_instead_of_a_reply_mail_waits_and_arrives_once() -> None:
    scripts: dict[str, Script] = {}
    for stage in STAGES:
        for number, fault in enumerate(FAULTS.values()):
            usual = sink.USUAL.get(stage, "250 2.0.0 ok")
            scripts[f"{stage.lower()}-{number}"] = {stage: [fault, usual]}
    taken, log = everybody(scripts)
    for name, messages in taken.items():
        stage, _, number = name.partition("-")
        fault = list(FAULTS.values())[int(number)]
        # This host took the message and garbled its yes: it has to be sent again.
        twice = stage == "dot" and fault[:1] in ("2", b"2")
        assert len(messages) == 1 + twice, (stage, fault[:40])
        assert log.count(f"=> bob@{name}.relay.test") == 1, (stage, fault[:40])
        # A host that refuses EHLO in whatever way is greeted with HELO.
        at_once = name == f"ehlo-{list(FAULTS).index('a code too low')}"
        assert (f"== bob@{name}.relay.test" not in log) is at_once, (stage, fault[:40])
    assert " ** " not in log


def test_a_host_that_cannot_say_goodbye_has_the_message_all_the_same() -> None:
    scripts: dict[str, Script] = {
        f"quit-{number}": {"QUIT": fault} for number, fault in enumerate(FAULTS.values())
    }
    taken, log = everybody(scripts)
    assert {len(messages) for messages in taken.values()} == {1}
    assert " == " not in log


def test_a_host_that_is_away_gets_its_mail_when_it_is_back() -> None:
    with ExitStack() as stack:
        peer = stack.enter_context(sink.listening())
        peer.stop()
        mta = tree(f"* 127.0.0.1::{peer.port}", stack)
        for _ in range(3):
            clients.send(mta.address, "a@sender.test", ["bob@x.relay.test"])
        mta.await_log("Connection refused")
        peer.start()
        mta.await_empty()
        assert len(peer.await_messages(3)) == 3


def test_a_host_that_accepts_no_connection_holds_up_nobody_else() -> None:
    """Its queue of connections is full, and nobody takes any out of it."""
    with ExitStack() as stack:
        deaf = stack.enter_context(socket.socket())
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        callers = [stack.enter_context(socket.socket()) for _ in range(3)]
        for caller in callers:
            caller.setblocking(False)
            caller.connect_ex(deaf.getsockname())
        peer = stack.enter_context(sink.listening())
        mta = tree(
            f"deaf.relay.test 127.0.0.1::{deaf.getsockname()[1]} ;"
            f" good.relay.test 127.0.0.1::{peer.port}",
            stack,
        )
        for _ in range(3):
            clients.send(mta.address, "a@sender.test", ["bob@deaf.relay.test"])
        clients.send(mta.address, "a@sender.test", ["bob@good.relay.test", "alice@local.test"])
        peer.await_messages(1, 5.0)
        mailbox.await_messages(mta.maildir("alice"), 1)
        assert "timed out" in mta.await_log("== bob@deaf.relay.test")


def test_the_next_host_is_tried_when_one_misbehaves() -> None:
    with ExitStack() as stack:
        good = stack.enter_context(sink.listening())
        routes, (away,) = [], ports.free()
        for number, fault in enumerate(FAULTS.values()):
            bad = stack.enter_context(sink.listening({"GREETING": fault, "MAIL": "550 never"}))
            hosts = " : ".join(f"127.0.0.1::{port}" for port in (away, bad.port, good.port))
            routes.append(f'{number}.relay.test "{hosts}"')
        mta = tree(" ; ".join(routes), stack)
        for number in range(len(FAULTS)):
            clients.send(mta.address, "a@sender.test", [f"bob@{number}.relay.test"])
        mta.await_empty()
        assert len(good.await_messages(len(FAULTS))) == len(FAULTS)
        assert " ** " not in mta.log()
