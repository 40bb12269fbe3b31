"""Debian's Postfix and Exim as neighbours: they relay to us and take what we relay.

    with peers.running("postfix", relay_to=port) as peer:
        ... peer.address takes mail for alice@peer.test and relays relay.test to us ...

Each runs in a Debian root of its own (see `debroot`) and listens on a free loopback port.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.harness import ports, roots
from tests.harness.wait import until

EXIM = """\
primary_hostname = peer.test
log_file_path = /var/log/exim4/%slog
log_selector = +pipelining +8bitmime
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
host_lookup =
rfc1413_query_timeout = 0s
tls_advertise_hosts =
dsn_advertise_hosts = *
smtp_accept_max = 0
acl_smtp_rcpt = all
begin acl
all:
  require verify = recipient
  accept
begin routers
out:
  driver = manualroute
  domains = relay.test
  transport = smtp
  route_list = * 127.0.0.1::{relay_to}
  self = send
  no_more
in:
  driver = accept
  domains = peer.test
  local_part_suffix = -*
  local_part_suffix_optional
  check_local_user
  transport = maildir
begin transports
smtp:
  driver = smtp
  allow_localhost
  hosts_try_dane =
maildir:
  driver = appendfile
  directory = $home/Maildir
  maildir_format
  create_directory
  envelope_to_add
  return_path_add
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
myhostname = peer.test
mydestination = peer.test
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
relay_domains = relay.test
transport_maps = inline:{{ {{relay.test=smtp:[127.0.0.1]:{relay_to}}} }}
alias_maps =
alias_database =
home_mailbox = Maildir/
smtp_dns_support_level = disabled
smtp_tls_security_level =
minimal_backoff_time = 2s
queue_run_delay = 2s
"""
# With a login each wants to know who we are before it takes a message, and says to us who it
# is.  Both ways it is this user with this password.
USER, PASSWORD = "ann", "Word of 7=^"
EXIM_LOGIN = {
    "acl_smtp_rcpt = all\n": "acl_smtp_rcpt = all\nlog_selector = +smtp_mailauth\n",
    "all:\n": "all:\n  deny !authenticated = *\n       message = who are you?\n",
    "  allow_localhost\n": "  allow_localhost\n  hosts_require_auth = *\n",
    "begin retry\n": f"""begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{{USER}}}}}{{eq{{$auth3}}{{{PASSWORD}}}}}}}}}
  server_set_id = $auth2
  client_send = ^{USER}^{PASSWORD.replace("^", "^^")}
begin retry
""",
}
POSTFIX_LOGIN = """\
smtpd_sasl_auth_enable = yes
smtpd_sasl_local_domain = peer.test
smtpd_client_restrictions = permit_sasl_authenticated, reject
smtp_sasl_auth_enable = yes
smtp_sasl_security_options =
smtp_sasl_mechanism_filter = plain
smtp_sasl_password_maps = texthash:/etc/postfix/passwords
"""
SASL = "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN LOGIN\n"
LIMIT = 30.0


@dataclass(frozen=True, slots=True)
class Peer:
    """A neighbour at work."""

    root: Path
    port: int
    log: Path

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.port)

    def maildir(self, user: str = "alice") -> Path:
        """Of alice or bob."""
        return self.root / f"home/{user}/Maildir"

    def said(self) -> str:
        """The end of its log, for the message of a failure."""
        return self.log.read_text("utf-8", "replace")[-4000:] if self.log.exists() else ""


def set_up_exim(root: Path, port: int, relay_to: int) -> None:
    file = root / "etc/exim4/exim4.conf"
    file.write_text(EXIM.format(port=port, relay_to=relay_to))
    file.chmod(0o644)
    empty(root / "var/spool/exim4", ("input", "msglog", "db"))


def set_up_postfix(root: Path, port: int, relay_to: int) -> None:
    (root / "etc/postfix/main.cf").write_text(POSTFIX.format(relay_to=relay_to))
    master = root / "etc/postfix/master.cf"
    kept = [line for line in master.read_text().split("\n") if line and " inet " not in line]
    master.write_text("\n".join([*kept, f"127.0.0.1:{port} inet n - n - - smtpd", ""]))
    empty(root / "var/spool/postfix", ("hold", "incoming", "active", "deferred", "defer"))


def empty(spool: Path, queues: tuple[str, ...]) -> None:
    """Remove the mail an earlier test left."""
    for queue in queues:
        for place, _, files in os.walk(spool / queue):
            for file in files:
                os.unlink(os.path.join(place, file))


def ask_exim_for_login(root: Path, relay_to: int) -> None:
    file = root / "etc/exim4/exim4.conf"
    text = file.read_text().replace("log_selector = +pipelining +8bitmime\n", "")
    for old, new in EXIM_LOGIN.items():
        text = text.replace(old, new)
    file.write_text(text)


def ask_postfix_for_login(root: Path, relay_to: int) -> None:
    with (root / "etc/postfix/main.cf").open("a") as file:
        file.write(POSTFIX_LOGIN)
    (root / "etc/postfix/passwords").write_text(f"[127.0.0.1]:{relay_to} {USER}:{PASSWORD}\n")
    (root / "etc/postfix/sasl").mkdir(exist_ok=True)
    (root / "etc/postfix/sasl/smtpd.conf").write_text(SASL)
    (root / "etc/sasldb2").unlink(missing_ok=True)
    command = ["/usr/sbin/saslpasswd2", "-p", "-c", "-u", "peer.test", USER]
    subprocess.run(
        roots.entering(root.name, "root", *command), input=PASSWORD.encode(), check=True
    )
    (root / "etc/sasldb2").chmod(0o644)


DOVECOT = """\
protocols = lmtp
log_path = /var/log/dovecot.log
ssl = no
mail_location = maildir:~/Maildir
mail_plugins = quota
auth_username_format = %n
passdb {{
  driver = passwd
}}
userdb {{
  driver = passwd
}}
service lmtp {{
  unix_listener /srv/lmtp {{
    mode = 0666
  }}
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
}}
plugin {{
  quota = maildir:User quota
  quota_rule = *:storage=100K
  quota_grace = 0
}}
"""


def set_up_dovecot(root: Path, port: int, relay_to: int) -> None:
    """A mail store with small mailboxes; it speaks LMTP and relays nothing."""
    (root / "etc/dovecot/dovecot.conf").write_text(DOVECOT.format(port=port))


SetUp = Callable[[Path, int, int], None]
KINDS: dict[str, tuple[str, SetUp, list[str], str]] = {
    "exim": (
        "exim4-daemon-heavy",
        set_up_exim,
        ["/usr/sbin/exim4", "-bdf", "-q5s"],
        "var/log/exim4/mainlog",
    ),
    "postfix": (
        "postfix",
        set_up_postfix,
        ["/usr/sbin/postfix", "start-fg"],
        "var/log/postfix.log",
    ),
    "dovecot": (
        "dovecot-lmtpd",
        set_up_dovecot,
        ["/usr/sbin/dovecot", "-F"],
        "var/log/dovecot.log",
    ),
}


# Those that relay; Dovecot only stores.
RELAYS = ("exim", "postfix")
LOGINS: dict[str, tuple[Callable[[Path, int], None], tuple[str, ...]]] = {
    "exim": (ask_exim_for_login, ()),
    "postfix": (ask_postfix_for_login, ("libsasl2-modules", "sasl2-bin")),
}


def greets(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            return client.recv(512).startswith(b"220")
    except OSError:
        return False


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Wait until nobody else uses the root: two suites may run on one machine."""
    fd = os.open(root / "etc/.debroot", os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


@contextmanager
def running(
    kind: str,
    *,
    relay_to: int,
    login: bool = False,
    change: Callable[[str, Path], None] | None = None,
) -> Iterator[Peer]:
    """A neighbour with empty mailboxes; the test is skipped where there can be none.

    With `login` it wants to know who we are, and tells us who it is.  `change` does something
    to its configuration before it starts, given its kind and root.
    """
    if why := roots.why_not():
        pytest.skip(why)
    package, set_up, command, log = KINDS[kind]
    ask, more = LOGINS[kind] if login else (None, ())
    root = roots.make(f"peer-{kind}{'-sasl' if more else ''}", package, *more)
    with alone(root):
        peer = Peer(root, ports.free()[0], root / log)
        for user in ("alice", "bob"):
            shutil.rmtree(peer.maildir(user), ignore_errors=True)
        peer.log.unlink(missing_ok=True)
        set_up(root, peer.port, relay_to)
        if ask is not None:
            ask(root, relay_to)
        if change is not None:
            change(kind, root)
        with at_work(kind, peer, command):
            yield peer


@contextmanager
def at_work(kind: str, peer: Peer, command: list[str]) -> Iterator[None]:
    with roots.started(roots.entering(peer.root.name, "root", *command)):
        until(lambda: greets(peer.port), LIMIT, f"a greeting of {kind}: {peer.said()}")
        yield
