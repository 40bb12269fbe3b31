"""Forwarding for one user, by the real processes, all of which are this user."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import clients, daemon, mailbox
from tests.harness.daemon import Running
from tests.harness.wait import until

ROUTERS = """\
real:
  driver = accept
  domains = +local_domains
  local_part_prefix = real-
  check_local_user
  transport_home_directory = MAIL/home
  transport = maildir
list:
  driver = redirect
  domains = +local_domains
  local_parts = list
  data = alice@local.test, x@relay.test, :include:MAIL/members
  one_time
  errors_to = real-NAME@local.test
forward:
  driver = redirect
  domains = +local_domains
  check_local_user
  router_home_directory = MAIL/home
  transport_home_directory = MAIL/home
  file = $home/.forward
  no_verify
  allow_fail
  skip_syntax_errors
  syntax_errors_to = real-$local_part@$domain
  syntax_errors_text = The list of $local_part is odd.
  directory_transport = folder
  set = r_sort = ${if eq{$sender_address}{}{bounce}{letter}}
"""
CONFIG = daemon.BASIC.replace("local:\n", ROUTERS + "local:\n").replace(
    "begin retry",
    "folder:\n  driver = appendfile\n  maildir_format\n"
    "  headers_add = X-Sort: $r_sort\nbegin retry",
)


@pytest.fixture
def name() -> str:
    who = daemon.unprivileged()
    return (who or pwd.getpwuid(os.geteuid())).pw_name


@pytest.fixture
def mta(name: str) -> Iterator[Running]:
    with daemon.prepared(CONFIG, macros={"NAME": name}) as mta:
        for path in (mta.maildir("home"), mta.maildir("members")):
            path.mkdir() if path.name == "home" else path.touch()
            if mta.who is not None:
                os.chown(path, mta.who.pw_uid, mta.who.pw_gid)
        mta.start()
        yield mta
        mta.stop()
        assert mta.log("panic") == ""


def forward(mta: Running, text: str) -> Path:
    """The user's list."""
    file = mta.maildir("home") / ".forward"
    file.write_text(text)
    if mta.who is not None:
        os.chown(file, mta.who.pw_uid, mta.who.pw_gid)
    return file


def send(mta: Running, *to: str) -> None:
    clients.send(mta.address, "a@sender.test", [f"{each}@local.test" for each in to])


def test_a_list_sends_mail_to_a_folder_and_to_somebody_else(mta: Running, name: str) -> None:
    box = mta.maildir("home") / "box"
    forward(mta, f"{box}/, bob@local.test, # and nobody else\n")
    send(mta, name)
    (message,) = mailbox.await_messages(box, 1)
    assert mailbox.header(message, "X-Sort") == ["letter"]
    mailbox.await_messages(mta.maildir("bob"), 1)
    line = mta.await_log(f"{box}/ ")
    assert line.endswith(f"=> {box}/ <{name}@local.test> R=forward T=folder")
    mta.await_empty()


def test_what_is_no_address_is_logged_and_told_to_its_user(mta: Running, name: str) -> None:
    forward(mta, "bob@local.test\nno address at@all\n")
    send(mta, name)
    mailbox.await_messages(mta.maildir("bob"), 1)
    (letter,) = mailbox.await_messages(mta.maildir(name), 1)
    assert mailbox.header(letter, "Subject") == ["error(s) in forwarding or filtering"]
    assert b"The list of %b is odd.\n" % name.encode() in letter
    assert b'"no address at@all"' in letter
    assert b"Other addresses were processed normally." in letter
    mta.await_log("forward router: skipped error: ")
    mta.await_empty()


def test_a_list_that_fails_its_user_bounces(mta: Running, name: str) -> None:
    forward(mta, ":fail: moved to the moon\n")
    send(mta, name)
    mta.await_log(f"** {name}@local.test R=forward: moved to the moon")


def test_a_list_of_one_time_is_not_read_again(mta: Running) -> None:
    send(mta, "list")
    mailbox.await_messages(mta.maildir("alice"), 1)
    mta.await_log("== x@relay.test <list@local.test>")
    until(lambda: "x@relay.test" in queue(mta), 10.0, "the new recipient")
    assert queue(mta) == "D list@local.test\nx@relay.test\n\n"
    mta.maildir("members").write_text("bob@local.test\n")
    before = mta.log().count("== x@relay.test")
    assert mta.run("sendmail", *mta.arguments(), "-qff").returncode == 0
    until(lambda: mta.log().count("== x@relay.test") > before, 10.0, "another attempt")
    assert not mta.maildir("bob").exists()


def queue(mta: Running) -> str:
    """The recipients as mailq shows them."""
    shown = mta.run("mailq", *mta.arguments()).stdout.decode()
    return "\n".join(line.strip(" ") for line in shown.split("\n")[1:])
