"""Our reports side by side with those of Debian's Exim, for the same messages."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import clients, daemon, mailbox, peers, roots, sink
from tests.harness.sink import Sink
from tests.harness.wait import until

CONFIG = """\
primary_hostname = mx.test
qualify_domain = mx.test
spool_directory = SPOOL
log_file_path = SPOOL/log/%slog
dsn_advertise_hosts = *
acl_smtp_rcpt = accept
MORE
begin routers
failing:
  driver = redirect
  domains = fail.test
  allow_fail
  data = :fail: no such person
list:
  driver = redirect
  domains = list.test
  errors_to = carol@local.test
  data = bad@fail.test
alias:
  driver = redirect
  domains = alias.test
  data = no@relay.test
relay:
  driver = manualroute
  domains = relay.test
  transport = smtp
  route_list = * 127.0.0.1::SINK
  SELF
local:
  driver = accept
  domains = local.test
  local_parts = alice : carol
  transport = maildir
begin transports
smtp:
  driver = smtp
  allow_localhost
maildir:
  driver = appendfile
  directory = MAIL/$local_part_data
  maildir_format
  create_directory
  OWNER
begin retry
* * F,1h,10m
"""
REFUSES = {
    "RCPT TO:<no@relay.test>": "550-5.1.1 no such user here: look\r\n550 5.1.1 elsewhere: end"
}
MESSAGE = (
    b"From: alice@local.test\r\nTo: all@local.test\r\nSubject: hello\r\n"
    b"References: <a@x> <b@x>\r\nMessage-ID: <m@x>\r\n"
    b"Date: Mon, 23 Nov 2026 12:00:00 +0000\r\n\r\nthe body\r\n.\r\n"
)
SENDER = "<alice@local.test>"
# Who is told, and what the client says after MAIL FROM: and each RCPT TO:
CASES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "a router": ("alice", "", ("<x@fail.test>",)),
    "no router": ("alice", "", ("<x@nowhere.test>",)),
    "a server": ("alice", "", ("<no@relay.test>",)),
    "a server, behind an alias": ("alice", "", ("<x@alias.test>",)),
    "several": ("alice", "", ("<x@fail.test>", "<no@relay.test>", "<y@nowhere.test>")),
    "with wishes": (
        "alice",
        " ENVID=QQ",
        (
            "<x@fail.test> NOTIFY=FAILURE ORCPT=rfc822;X@fail.test",
            "<y@fail.test> NOTIFY=FAILURE,DELAY",
        ),
    ),
    "headers only": ("alice", " RET=HDRS", ("<x@fail.test>",)),
    "behind a list": ("carol", " RET=FULL", ("<x@list.test>",)),
    "a success": ("alice", " ENVID=QQ RET=FULL", ("<carol@local.test> NOTIFY=SUCCESS",)),
}
TRACE = re.compile(r"^Received:.*\n(?:[ \t].*\n)*", re.MULTILINE)
ID = re.compile(r"\bE?[0-9A-Za-z]{6}-(?:[0-9A-Za-z]{6}-..|[0-9A-Za-z]{11}-....)\b")

pytestmark = pytest.mark.timeout(300)  # the first use makes a Debian system


def conversation(case: str) -> bytes:
    _, sender, recipients = CASES[case]
    said = ["EHLO client.test", f"MAIL FROM:{SENDER}{sender}"]
    said += [f"RCPT TO:{each}" for each in recipients]
    lines = "".join(f"{line}\r\n" for line in [*said, "DATA"])
    return lines.encode("ascii") + MESSAGE + b"QUIT\r\n"


def alike(report: bytes) -> str:
    """A report without what differs from message to message."""
    text = ID.sub("ID", TRACE.sub("", report.decode("ascii")))
    boundary = re.search(r"boundary=(\S+)", text)
    assert boundary
    text = text.replace(boundary[1], "BOUNDARY")
    return re.sub(r"(?m)^Date: (?!Mon, 23 Nov 2026 12).*$", "Date: NOW", text)


@pytest.fixture(scope="module")
def refusing() -> Iterator[Sink]:
    with sink.listening(REFUSES) as peer:
        yield peer


@pytest.fixture(scope="module")
def exims(refusing: Sink) -> Iterator[dict[str, str]]:
    """What Exim writes for each case; every case has a spool and mailboxes of its own."""
    if why := roots.why_not():
        pytest.skip(why)
    root = roots.make("peer-exim", "exim4-daemon-heavy")
    with peers.alone(root):
        place = root / "srv/reports"
        shutil.rmtree(place, ignore_errors=True)
        try:
            yield {case: by_exim(root, place, case, refusing.port) for case in CASES}
        finally:
            shutil.rmtree(place, ignore_errors=True)


def by_exim(root: Path, place: Path, case: str, port: int) -> str:
    home = place / case.replace(" ", "-").replace(",", "")
    for name in ("mail", "spool", "spool/log"):
        (home / name).mkdir(parents=True)
        (home / name).chmod(0o777)
    inside = f"/{home.relative_to(root)}"
    config = filled(inside, port, "tls_advertise_hosts =", "self = send", "user = alice")
    (home / "conf").write_text(config)
    (home / "conf").chmod(0o644)
    exim = f"/usr/sbin/exim4 -C {inside}/conf"
    # All processes end with the first, so it delivers what it has queued before.
    command = ["/bin/sh", "-c", f"{exim} -odq -bs && {exim} -qff && {exim} -qff"]
    said = clients.run(roots.entering(root.name, "root", *command), conversation(case))
    assert b"\n250 OK id=" in said.stdout, said
    return only(home / "mail" / CASES[case][0])


def filled(place: str, port: int, more: str, itself: str, owner: str) -> str:
    values = {"SPOOL": f"{place}/spool", "MAIL": f"{place}/mail", "SINK": str(port)}
    text = CONFIG.replace("MORE", more).replace("SELF", itself).replace("OWNER", owner)
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def only(maildir: Path) -> str:
    """The only report in a mailbox."""
    until((maildir / "new").is_dir, 20.0, f"a report in {maildir}")
    found = [
        each for each in mailbox.await_messages(maildir, 1) if b"multipart/report" in each
    ]
    (report,) = found
    return alike(report)


def by_us(case: str, port: int) -> str:
    addresses = "local_interfaces = 127.0.0.1\ndaemon_smtp_ports = PORT"
    text = CONFIG.replace("MORE", addresses).replace("OWNER", "")
    text = text.replace("SELF", "self = send")
    with daemon.running(text, sink=port) as mta:
        with clients.Conversation(mta.address) as client:
            _, sender, recipients = CASES[case]
            client.codes("EHLO client.test", f"MAIL FROM:{SENDER}{sender}")
            client.codes(*(f"RCPT TO:{each}" for each in recipients), "DATA")
            client.send(MESSAGE)
            assert client.reply().code == 250
        mta.await_empty()
        return only(mta.maildir(CASES[case][0]))


@pytest.mark.parametrize("case", CASES)
def test_we_write_what_exim_writes(exims: dict[str, str], refusing: Sink, case: str) -> None:
    assert by_us(case, refusing.port) == exims[case]
