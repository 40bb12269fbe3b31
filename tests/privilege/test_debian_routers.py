"""The routers of Debian's Exim configuration lead where Exim leads, for real users.

Both test the same addresses with the same file (-bt), as root, in a mount namespace where the
users and their lists exist; Exim does it in a Debian root of its own.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.harness import roots
from tests.harness.source import TREE
from tests.privilege import separated
from tests.privilege.separated import ALICE, BOB, needs_root

pytestmark = [needs_root, pytest.mark.timeout(300)]

HEAD = """\
primary_hostname = mx.test
qualify_domain = local.test
domainlist local_domains = local.test
domainlist relay_to_domains = relay.test
spool_directory = {place}/spool
log_file_path = {place}/spool/log/%slog
CONFDIR = {place}
LOCAL_DELIVERY = mail_spool
DCconfig_local = 1
SYSTEM_ALIASES_USER = bob
SYSTEM_ALIASES_FILE_TRANSPORT = address_file
SYSTEM_ALIASES_PIPE_TRANSPORT = address_pipe
SYSTEM_ALIASES_DIRECTORY_TRANSPORT = address_directory
"""
BOX = "{}:\n  driver = appendfile\n  maildir_format\n  directory = /nowhere\n"
TRANSPORTS = "begin transports\n" + "".join(
    BOX.format(name)
    for name in (
        "mail_spool",
        "address_file",
        "address_pipe",
        "address_directory",
        "address_reply",
        "procmail_pipe",
        "maildrop_pipe",
        "remote_smtp",
    )
)
ALIASES = """\
postmaster: root
nobody: root
list: alice, "|/usr/bin/list a", {place}/listbox, {place}/listdir/
gone: :fail: gone away
soon: :defer: later
hole: :blackhole:
inc: :include:{place}/included
loop1: loop2
loop2: loop1
"""
# Exim in its root, with the users and the files of the test.
EXIM = """\
set -e
root=$1 place=$2 exim=$3
mount --make-rprivate /
mount -t tmpfs none "$root/tmp"
mkdir "$root$place"
mount --bind "$place" "$root$place"
mount --bind "$place/passwd" "$root/etc/passwd"
mount --bind "$place/group" "$root/etc/group"
mount -t tmpfs none "$root/etc/exim4"
cp "$place/mta.conf" "$root/etc/exim4/exim.conf"
echo /etc/exim4/exim.conf > "$root/etc/exim4/trusted_configs"
shift 3
exec chroot "$root" /usr/sbin/exim4 -C /etc/exim4/exim.conf -bt "$@"
"""
LISTS = {
    "nothing": None,
    "nowhere": "# only a comment\n",
    "itself": "\\alice\n",
    "both": "alice, bob@local.test\n",
    "by its alias": "list\n",
    "file": "{place}/alice/box\n",
    "directory": '"{place}/alice/my box/"\n',
    "pipe": '"|/bin/cat a, b"\n',
    "hole": ":blackhole:\n",
    "failure": ":fail: no\n",
    "include": ":include:{place}/included\n",
    "closed include": ":include:{place}/bob/closed\n",
    "odd": "bob, no address at@all\n",
}
ADDRESSES = (
    "root",
    "postmaster",
    "nobody",
    "list",
    "gone",
    "soon",
    "hole",
    "inc",
    "loop1",
    "real-alice",
    "bob",
    "daemon",
    "unknown",
    "x@far.test",
)


def routers(root: Path) -> str:
    """Debian's routers, without the options that do nothing for what is tested here."""
    directory = root / "etc/exim4/conf.d/router"
    text = "".join(file.read_text() for file in sorted(directory.iterdir()))
    return re.sub(r"(?m)^ +(same_domain_copy_routing|host_find_failed) *=.*\n", "", text)


@dataclass
class Case:
    """A place with users and a configuration, and the root that has Exim."""

    place: Path
    root: Path

    def exim(self, *addresses: str) -> list[str]:
        command = ["unshare", "--mount", "sh", "-c", EXIM, "sh", self.root, self.place, "-"]
        return said(command, addresses)

    def ours(self, *addresses: str) -> list[str]:
        code = (
            "sys.path.insert(0, sys.argv.pop(1))\n"
            "from mta.cli import sendmail; sys.exit(sendmail.run('sendmail', sys.argv[1:]))"
        )
        command = [sys.executable, "-I", "-c", separated._PRELUDE + code, TREE]
        return said([*command, "-C", self.place / "mta.conf", "-bt"], addresses)


def said(command: list[str | Path], addresses: tuple[str, ...]) -> list[str]:
    """The lines of the answers, in an order that both share, and the exit codes."""
    lines: list[str] = []
    for address in addresses:
        ended = subprocess.run(
            [*command, address],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd="/",
        )
        if ended.returncode > 2 or "onfiguration" in ended.stderr:
            raise AssertionError(ended.stderr)
        answer = ended.stdout.replace("   [duplicate, would not be delivered]", "")
        lines += [address, *sorted(set(answer.split("\n"))), str(ended.returncode)]
    return lines


@pytest.fixture(scope="module")
def case() -> Iterator[Case]:
    if why := roots.why_not():
        pytest.skip(why)
    root = roots.make("routers-exim", "exim4-daemon-light")
    with separated.prepared() as mta:
        place = mta.place
        for name in ("passwd", "group"):
            text = (place / name).read_text()
            for user in ("alice", "bob"):
                text = text.replace(f":{user}:/nonexistent:", f":{user}:{place}/{user}:")
            theirs = (root / "etc" / name).read_text().split("\n")
            text += "".join(f"{line}\n" for line in theirs if line.startswith("Debian-exim:"))
            (place / name).write_text(text)
        config = HEAD + routers(root).replace("/etc/aliases", f"{place}/aliases") + TRANSPORTS
        (place / "mta.conf").write_text(config.replace("{place}", str(place)))
        (place / "aliases").write_text(ALIASES.replace("{place}", str(place)))
        (place / "included").write_text("bob\n")
        for user, uid in (("alice", ALICE), ("bob", BOB)):
            (place / user).mkdir(0o700)
            os.chown(place / user, uid, uid)
        (place / "bob" / "closed").write_text("bob\n")
        (place / "bob" / "closed").chmod(0o600)
        yield Case(place, root)


def test_addresses_lead_where_they_lead_in_exim(case: Case) -> None:
    expected = case.exim(*ADDRESSES)
    assert "  router = real_local, transport = mail_spool" in expected
    assert case.ours(*ADDRESSES) == expected


@pytest.mark.parametrize("text", LISTS.values(), ids=LISTS)
def test_the_list_of_a_user_means_what_it_means_to_exim(case: Case, text: str | None) -> None:
    file = case.place / "alice" / ".forward"
    file.unlink(missing_ok=True)
    if text is not None:
        file.write_text(text.replace("{place}", str(case.place)))
        os.chown(file, ALICE, ALICE)
    assert case.ours("alice") == case.exim("alice")


@pytest.mark.parametrize(
    ("owner", "mode"),
    [(ALICE, 0o644), (ALICE, 0o664), (ALICE, 0o000), (BOB, 0o644), (0, 0o644)],
)
def test_the_file_must_be_as_exim_wants_it(case: Case, owner: int, mode: int) -> None:
    file = case.place / "alice" / ".forward"
    file.unlink(missing_ok=True)
    file.write_text("bob\n")
    os.chown(file, owner, owner)
    file.chmod(mode)
    assert case.ours("alice") == case.exim("alice")
