"""Configurations that cannot be used: what is wrong is said with file, line and remedy."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness import clients, daemon, mailbox
from tests.harness.daemon import BASIC, Running


def refused(mta: Running) -> str:
    """What the daemon says when it does not start with this configuration."""
    result = mta.run("mta", "run", "--foreground", *mta.arguments())
    assert result.returncode == 1
    assert b"Traceback" not in result.stderr
    return result.stderr.decode()


def line_of(config: str, text: str) -> int:
    """The number of the line that has this text."""
    return config[: config.index(text)].count("\n") + 1


MISSPELT = [
    ("primary_hostname =", "primary_hostnam =", "primary_hostname"),
    ("split_spool_directory", "no_split_spol_directory", "split_spool_directory"),
    ("acl_smtp_rcpt =", "acl_smtp_rctp =", "acl_smtp_rcpt"),
    ("driver = manualroute", "driver = manual_route", "manualroute"),
    ("route_list =", "route_lst =", "route_list"),
    ("local_parts =", "local_part =", "local_parts"),
    ("driver = appendfile", "driver = appendfil", "appendfile"),
    ("create_directory", "creat_directory", "create_directory"),
    ("allow_localhost", "allow_local_host", "allow_localhost"),
    ("begin retry", "begin rety", "retry"),
    ("accept domains", "acept domains", "accept"),
    ("accept domains", "accept domain", "domains"),
]


@pytest.mark.parametrize(("right", "wrong", "hint"), MISSPELT, ids=[m[1] for m in MISSPELT])
def test_a_misspelt_word_is_named_with_its_line_and_the_right_one(
    right: str, wrong: str, hint: str
) -> None:
    config = BASIC.replace(right, wrong, 1)
    with daemon.prepared(config) as mta:
        said = refused(mta)
        # A driver is looked up for its block, which begins one line above.
        line = line_of(config, wrong) - wrong.startswith("driver")
        assert f"{mta.config}:{line}: " in said
        assert f"did you mean '{hint}'?" in said


def test_an_unknown_option_that_resembles_nothing_is_refused_too() -> None:
    with daemon.prepared("zzzzqqqq = 7\n" + BASIC) as mta:
        said = refused(mta)
        assert f"{mta.config}:1" in said
        assert "zzzzqqqq" in said
        assert "did you mean" not in said


def test_an_option_of_exim_that_is_not_there_yet_is_refused_by_name() -> None:
    with daemon.prepared("spamd_address = 127.0.0.1 783\n" + BASIC) as mta:
        said = refused(mta)
        assert f"{mta.config}:1" in said
        assert "spamd_address" in said
        assert "not supported yet" in said


def missing(path: Path) -> None:
    """Nothing is there."""


def unreadable(path: Path) -> None:
    path.write_text("")
    path.chmod(0)


def directory(path: Path) -> None:
    path.mkdir()


def itself(path: Path) -> None:
    path.write_text(f".include {path}\n")


def binary(path: Path) -> None:
    path.write_bytes(b"\0\xff\xfe" * 1000)


WAYS = [missing, unreadable, directory, itself, binary]


@pytest.mark.parametrize("way", WAYS, ids=[way.__name__ for way in WAYS])
def test_an_include_that_cannot_be_used_keeps_the_daemon_from_starting(
    way: Callable[[Path], None],
) -> None:
    with daemon.prepared() as mta:
        other = mta.place / "other.conf"
        way(other)
        mta.config.write_text(f"primary_hostname = a.test\n.include {other}\n{BASIC}")
        said = refused(mta)
        assert str(other) in said
        place = mta.config if way in (missing, unreadable, directory) else other
        assert f"{place}:" in said


@pytest.mark.parametrize("way", WAYS, ids=[way.__name__ for way in WAYS])
def test_an_include_that_cannot_be_used_changes_nothing_at_hup(
    way: Callable[[Path], None],
) -> None:
    with daemon.running() as mta:
        other = mta.place / "other.conf"
        way(other)
        mta.config.write_text(BASIC.replace("begin acl", f".include {other}\nbegin acl"))
        mta.signal(signal.SIGHUP)
        line = mta.await_log("configuration refused")
        assert str(other) in line
        if way in (missing, unreadable, directory):
            assert f"{mta.config}:{line_of(BASIC, 'begin acl')}" in line
        clients.send(mta.address, "a@sender.test", ["alice@local.test"])
        mailbox.await_messages(mta.maildir("alice"), 1)


def test_a_configuration_that_vanished_changes_nothing_at_hup() -> None:
    with daemon.running() as mta:
        mta.config.unlink()
        mta.signal(signal.SIGHUP)
        assert str(mta.config) in mta.await_log("configuration refused")
        clients.send(mta.address, "a@sender.test", ["alice@local.test"])
        mailbox.await_messages(mta.maildir("alice"), 1)
