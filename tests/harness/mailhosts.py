"""Mail systems on the hosts of a test's own network: Debian's, ours, and DNS between them.

    with mailhosts.internet() as net:
        with mailhosts.peer(net, "postfix") as peer, mailhosts.ours(net) as mta:
            mailhosts.send(net, peer.host, SENDER, ["alice@a.test"], MESSAGE)

a.test is ours on 10.99.0.11, b.test the peer's on 10.99.0.12; DNS is Knot (10.99.0.52) behind
Unbound (10.99.0.53), both from Debian; mail is submitted from 10.99.0.99.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.harness import daemon, network, peers, roots
from tests.harness.network import Host, Network
from tests.harness.wait import until

OURS, PEER, KNOT, UNBOUND, CLIENT = (f"10.99.0.{n}" for n in (11, 12, 52, 53, 99))
LIMIT = 30.0
ZONES = {
    "test": "ns A 10.99.0.52\n",
    "a.test": "@ MX 10 mx\nmx A 10.99.0.11\nmx AAAA fd99::11\n",
    "b.test": "@ MX 10 mx\nmx A 10.99.0.12\n",
    "99.10.in-addr.arpa": "11.0 PTR mx.a.test.\n12.0 PTR mx.b.test.\n",
}
KNOT_CONF = """\
server:
    rundir: /run/lab
    user: knot:knot
    listen: {address}@53
log:
  - target: stderr
    any: warning
database:
    storage: /run/lab
zone:
"""
UNBOUND_CONF = """\
server:
  interface: {address}
  access-control: 10.99.0.0/24 allow
  do-daemonize: no
  use-syslog: no
  chroot: ""
  username: ""
  directory: "/run/lab"
  pidfile: ""
  module-config: "iterator"
  do-not-query-localhost: yes
  local-zone: "." static
remote-control:
  control-enable: no
"""
EXIM = """\
primary_hostname = mx.b.test
log_file_path = /var/log/exim4/%slog
local_interfaces = 10.99.0.12
daemon_smtp_ports = 25
host_lookup =
rfc1413_query_timeout = 0s
tls_advertise_hosts =
acl_smtp_rcpt = all
begin acl
all:
  require verify = recipient
  accept
begin routers
out:
  driver = dnslookup
  domains = ! b.test
  transport = smtp
  no_more
in:
  driver = accept
  check_local_user
  transport = maildir
begin transports
smtp:
  driver = smtp
  hosts_try_dane =
  connect_timeout = 3s
  command_timeout = 5s
  data_timeout = 5s
  final_timeout = 5s
maildir:
  driver = appendfile
  directory = $home/Maildir
  maildir_format
  create_directory
begin retry
* * F,1h,1s
"""
POSTFIX = """\
compatibility_level = 3.6
queue_directory = /var/spool/postfix
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
data_directory = /var/lib/postfix
mail_owner = postfix
setgid_group = postdrop
maillog_file = /var/log/postfix.log
myhostname = mx.b.test
mydestination = b.test
inet_interfaces = 10.99.0.12, fd99::12
inet_protocols = all
mynetworks = 10.99.0.99
alias_maps =
alias_database =
home_mailbox = Maildir/
smtp_tls_security_level =
smtp_connect_timeout = 3s
smtp_helo_timeout = 5s
smtp_data_done_timeout = 5s
minimal_backoff_time = 3s
maximal_backoff_time = 4s
queue_run_delay = 2s
"""
OPENSMTPD = """\
listen on 10.99.0.12
action "in" maildir "/home/%{user.username}/Maildir"
action "out" relay helo "mx.b.test"
match from any for domain "b.test" action "in"
match from src 10.99.0.99 for any action "out"
"""
CONFIG = """\
primary_hostname = mx.a.test
domainlist local_domains = a.test
spool_directory = SPOOL
log_file_path = SPOOL/log/%slog
local_interfaces = 10.99.0.11 ; fd99::11
daemon_smtp_ports = 25
split_spool_directory = true
smtp_accept_queue_per_connection = 0
dns_servers = 10.99.0.53
dns_retrans = 2s
acl_smtp_rcpt = check_rcpt
begin acl
check_rcpt:
  accept domains = +local_domains
  accept hosts = 10.99.0.99
  deny   message = relay not permitted
begin routers
out:
  driver = dnslookup
  domains = ! +local_domains
  transport = smtp
  no_more
local:
  driver = accept
  local_parts = alice : bob
  transport = maildir
begin transports
smtp:
  driver = smtp
  connect_timeout = 3s
  command_timeout = 5s
  data_timeout = 5s
  final_timeout = 5s
maildir:
  driver = appendfile
  directory = MAIL/$local_part_data
  maildir_format
  create_directory
begin retry
* * F,1h,1s
""".replace("10.99.0.11 ; ", "<; 10.99.0.11 ; ")
SUBMIT = """\
import json, smtplib, sys
told = json.load(sys.stdin)
with smtplib.SMTP(told["host"], told["port"], "client.test", timeout=60) as client:
    for message in told["messages"]:
        client.sendmail(told["sender"], told["to"], message.encode("latin-1"))
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """A neighbour at work on a host."""

    kind: str
    root: Path
    host: Host
    log: Path
    process: subprocess.Popen[bytes]

    def maildir(self, user: str = "alice") -> Path:
        return self.root / f"home/{user}/Maildir"

    def said(self) -> str:
        """The end of its log, for the message of a failure."""
        return self.log.read_text("utf-8", "replace")[-4000:] if self.log.exists() else ""

    def run(self, *command: str) -> None:
        """Run a command of its own beside it."""
        child = roots.inside(self.process)
        subprocess.run(
            ["nsenter", "-t", child, "-m", "-n", "-p", "-r", "-w", "--", *command],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def resolving(root: Path, *others: str) -> None:
    """Let the programs of a root ask Unbound."""
    for name in ("etc/resolv.conf", *others):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        file.write_text(f"nameserver {UNBOUND}\noptions timeout:2 attempts:2\n")


def set_up_exim(root: Path) -> None:
    file = root / "etc/exim4/exim4.conf"
    file.write_text(EXIM)
    file.chmod(0o644)
    resolving(root)
    peers.empty(root / "var/spool/exim4", ("input", "msglog", "db"))


def set_up_postfix(root: Path) -> None:
    (root / "etc/postfix/main.cf").write_text(POSTFIX)
    master = root / "etc/postfix/master.cf"
    kept = [line for line in master.read_text().split("\n") if line and " inet " not in line]
    inet = [f"{address}:25 inet n - n - - smtpd" for address in (PEER, "[fd99::12]")]
    master.write_text("\n".join([*kept, *inet, ""]))
    resolving(root, "var/spool/postfix/etc/resolv.conf")
    peers.empty(
        root / "var/spool/postfix", ("hold", "incoming", "active", "deferred", "defer")
    )


def set_up_opensmtpd(root: Path) -> None:
    (root / "etc/smtpd.conf").write_text(OPENSMTPD)
    resolving(root)
    peers.empty(root / "var/spool/smtpd", ("queue", "incoming", "purge", "temporary"))


SetUp = Callable[[Path], None]
KINDS: dict[str, tuple[str, SetUp, list[str], str]] = {
    "exim": (
        "exim4-daemon-heavy",
        set_up_exim,
        ["/usr/sbin/exim4", "-bdf", "-q1s"],
        "var/log/exim4/mainlog",
    ),
    "postfix": (
        "postfix",
        set_up_postfix,
        ["/usr/sbin/postfix", "start-fg"],
        "var/log/postfix.log",
    ),
    "opensmtpd": (
        "opensmtpd",
        set_up_opensmtpd,
        ["sh", "-c", "exec /usr/sbin/smtpd -dv >/var/log/smtpd.log 2>&1"],
        "var/log/smtpd.log",
    ),
}


def at_work(
    host: Host, root: Path, command: Sequence[str], *, log: Path | None = None
) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """A program of a root on a host, until it is ended with everything it started."""
    line = host.command(*roots.entering(root.name, "root", *command))
    return roots.started(line, log=log)


@contextmanager
def names(net: Network, zones: dict[str, str], extra: str = "") -> Iterator[None]:
    """Knot for these zones, and Unbound in front of it."""
    root = roots.make("peer-dns", "knot", "unbound")
    knot, unbound = net.host("ns", KNOT), net.host("dns", UNBOUND)
    place = root / "etc/lab"
    with peers.alone(root):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        listed, stubs = "", ""
        for zone, records in zones.items():
            head = f"$ORIGIN {zone}.\n$TTL 5\n@ SOA ns.test. root.test. 1 3600 600 86400 5\n"
            (place / f"{zone}.zone").write_text(f"{head}@ NS ns.test.\n{records}")
            listed += f"  - domain: {zone}\n    file: /etc/lab/{zone}.zone\n"
            stubs += f'stub-zone:\n  name: "{zone}."\n  stub-addr: {KNOT}\n'
        open_zones = "".join(f'  local-zone: "{zone}." transparent\n' for zone in zones)
        text = UNBOUND_CONF.format(address=UNBOUND)
        text = text.replace("remote-control:", f"{open_zones}{extra}remote-control:") + stubs
        (place / "knot.conf").write_text(KNOT_CONF.format(address=KNOT) + listed)
        (place / "unbound.conf").write_text(text)
        for file in place.iterdir():
            file.chmod(0o644)
        start = "mkdir -p /run/lab && chmod 777 /run/lab && exec"
        first = ["sh", "-c", f"{start} knotd -c /etc/lab/knot.conf"]
        second = ["sh", "-c", f"{start} unbound -c /etc/lab/unbound.conf"]
        with (
            at_work(knot, root, first, log=root / "var/log/knot.log"),
            at_work(unbound, root, second, log=root / "var/log/unbound.log"),
        ):
            asked = 'import sys; sys.path.insert(0, "."); import dns.resolver as r\n' + (
                f'a = r.Resolver(configure=False); a.nameservers = ["{UNBOUND}"]\n'
                'a.resolve("ns.test", "A", lifetime=2)\n'
            )
            until(
                lambda: (
                    subprocess.run(
                        unbound.command(sys.executable, "-c", asked),
                        capture_output=True,
                        check=False,
                    ).returncode
                    == 0
                ),
                LIMIT,
                "an answer of Unbound",
            )
            yield


@contextmanager
def internet(zones: dict[str, str] | None = None, extra: str = "") -> Iterator[Network]:
    """A network with DNS and a host to submit mail from."""
    if why := roots.why_not():
        network.pytest.skip(why)
    with network.made() as net, names(net, {**ZONES, **(zones or {})}, extra):
        net.host("client", CLIENT)
        yield net


@contextmanager
def peer(net: Network, kind: str) -> Iterator[Peer]:
    """A neighbour with empty mailboxes, for b.test."""
    package, set_up, command, log = KINDS[kind]
    root = roots.make(f"peer-{kind}", package)
    host = net.host("peer", PEER, "fd99::12/64")
    with peers.alone(root):
        for user in ("alice", "bob"):
            shutil.rmtree(root / f"home/{user}/Maildir", ignore_errors=True)
        (root / log).unlink(missing_ok=True)
        set_up(root)
        with at_work(host, root, command) as process:
            made = Peer(kind, root, host, root / log, process)
            try:
                host.await_port(25)
            except AssertionError as error:
                raise AssertionError(f"{error}\n{made.said()}") from None
            yield made


@contextmanager
def ours(net: Network, config: str = CONFIG) -> Iterator[daemon.Running]:
    """Our own tree of processes, for a.test."""
    host = net.host("ours", OURS, "fd99::11/64")
    with daemon.running(config, inside=tuple(host.entering)) as mta:
        host.await_port(25)
        yield mta


def send(
    net: Network, to: str, sender: str, recipients: list[str], messages: Sequence[bytes]
) -> None:
    """Submit messages from the client's host to the host with this address."""
    told = {
        "host": to,
        "port": 25,
        "sender": sender,
        "to": recipients,
        "messages": [each.decode("latin-1") for each in messages],
    }
    net.hosts["client"].run(sys.executable, "-I", "-c", SUBMIT, message=json.dumps(told))
