"""The production configuration for benches of single processes, and how they report."""

from __future__ import annotations

import cProfile
import json
import os
import pstats
import sys
from collections.abc import Callable

from mta.unix import privilege
from tests.harness.source import TREE


def configuration(directory: str, more: str = "") -> str:
    """The production configuration, with everything below one directory; its path.

    `more` is put in front of it.
    """
    me = privilege.myself()
    passwd = f"alice:x:1000:{me.gid}:Alice:{directory}/home:/bin/sh\n"
    text = (TREE / "etc/mta.conf").read_text()
    for old, new in (
        ("/etc/passwd", f"{directory}/passwd"),
        ("/etc/aliases", f"{directory}/aliases"),
        ("/var/spool/mta", f"{directory}/spool"),
        ("/var/log/mta/", f"{directory}/"),
        ("local_domains = @", "local_domains = local.test"),
        ("# primary_hostname = mail.example.org", "primary_hostname = mail.example"),
        ("  user        = ${extract{2}{:}{$local_part_data}}", f"  user = {me.uid}"),
        ("never_users = root", "never_users ="),
    ):
        if old not in text:
            raise RuntimeError(f"etc/mta.conf has changed: there is no {old!r}")
        text = text.replace(old, new)
    for name, content in (
        ("mta.conf", more + text),
        ("passwd", passwd),
        ("aliases", "root: alice\n"),
    ):
        with open(f"{directory}/{name}", "w", encoding="utf-8") as file:
            file.write(content)
    os.mkdir(f"{directory}/home")
    return f"{directory}/mta.conf"


def profiled(work: Callable[[], object], *, wanted: bool) -> None:
    """Do it; print where the time went, if that is wanted."""
    if not wanted:
        work()
        return
    profile = cProfile.Profile()
    profile.runcall(work)
    pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(45)


def report(bench: str, value: float, unit: str) -> None:
    """One result."""
    print(json.dumps({"bench": bench, "value": round(value, 1), "unit": unit}), flush=True)
