"""Commands of users: who they are, and that they can do what these users can, no more."""

from __future__ import annotations

from tests.harness import clients, daemon
from tests.privilege import separated
from tests.privilege.separated import ALICE, CONFIG, needs_root

pytestmark = needs_root

MAILDIR = daemon.BASIC[daemon.BASIC.index("maildir:\n") : daemon.BASIC.index("begin retry")]
PIPE = """maildir:
  driver = pipe
  umask = 022
  command = /bin/sh -c 'cat /proc/self/status > MAIL/alice/status; \\
    ls /proc/self/fd > MAIL/alice/files'
"""


def test_a_command_is_its_user_without_rights_and_may_run_set_id_programs() -> None:
    with separated.running(CONFIG.replace(MAILDIR, PIPE)) as mta:
        clients.send(mta.address, "a@sender.test", ["alice@local.test"])
        mta.await_log("Completed")
        home = mta.maildir("alice")
        lines = (home / "status").read_text().split("\n")
        files = (home / "files").read_text().split("\n")
        owner = (home / "status").stat().st_uid
    known = {name: value.strip(" \t") for name, _, value in (x.partition(":") for x in lines)}
    assert owner == ALICE
    assert known["Uid"].split("\t") == [str(ALICE)] * 4
    assert known["Gid"].split("\t") == [str(ALICE)] * 4
    assert known["Groups"] == str(ALICE)
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(known[name], 16) == 0, name
    assert known["NoNewPrivs"] == "0", "list managers bring set-id programs"
    assert files[:3] == ["0", "1", "2"]
    assert len(files) == 5  # one more is the directory that ls reads; then the last line end
