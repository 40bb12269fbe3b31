"""A file or command is only what the list says where the user reads it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from mta.base.errors import TempFail
from mta.base.trust import Trusted, is_trusted
from mta.config.load import load
from mta.expand.context import Context
from mta.lookup.api import Tables
from mta.proc import looker
from mta.proc.confirming import confirm
from mta.transport.api import Parcel, ParcelRecipient
from mta.transport.context import context_for

CONFIG = """\
primary_hostname = mx.example
begin routers
forward:
  driver = redirect
  local_parts = joe
  local_part_suffix = +*
  local_part_suffix_optional
  file = {place}/$local_part_data
  skip_syntax_errors
aliases:
  driver = redirect
  data = "/var/$local_part/"
  user = nobody
piped:
  driver = redirect
  data = ${{if eq{{$sender_address}}{{s@x}}{{"|/bin/cat a"}}}}
all:
  driver = accept
  transport = box
begin transports
box:
  driver = appendfile
  directory = /nowhere
  maildir_format
"""
JOE = ParcelRecipient("/box/:joe@x.example", "joe@x.example", "joe", "x.example")


def confirmed(place: Path, parcel: Parcel, *, by_router: bool = False) -> Parcel:
    file = place / "mta.conf"
    file.write_text(CONFIG.format(place=place))
    conf = load(str(file))
    ctx: Context = context_for(conf, Tables(), parcel, parcel.recipients[0])
    return confirm(looker.load(conf), ctx, parcel, by_router=by_router)


def parcel(**values: object) -> Parcel:
    made = Parcel("1", "box", "forward", "s@x", (JOE,), b"", 0, 0, 0)
    return replace(made, **values)  # type: ignore[arg-type]


def test_what_stands_in_the_list_is_done(tmp_path: Path) -> None:
    (tmp_path / "joe").write_text('b@x, /box/\n"|/bin/cat a, b"\n')
    file = confirmed(tmp_path, parcel(file="/box/")).file
    assert file == "/box/"
    assert is_trusted(file)
    pipe = confirmed(tmp_path, parcel(pipe="/bin/cat a, b")).pipe
    assert pipe == "/bin/cat a, b"
    assert is_trusted(pipe)


def test_an_affix_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "joe").write_text("/box/\n")
    recipient = replace(JOE, suffix="+more")
    assert confirmed(tmp_path, parcel(file="/box/", recipients=(recipient,))).file == "/box/"


@pytest.mark.parametrize(
    "values",
    [
        {"file": "/etc/"},
        {"pipe": "/bin/sh -c id"},
        {"pipe": "/box/"},
        {"file": Trusted("/box")},
        {"pipe": "/bin/cat"},
        {"file": "/box/", "router": "all"},
        {"file": "/box/", "router": "nonsense"},
        {"file": "/box/", "recipients": (replace(JOE, local_part="eve"),)},
        {"file": "/box/", "recipients": (replace(JOE, local_part="../joe"),)},
    ],
)
def test_nothing_else_is(tmp_path: Path, values: dict[str, object]) -> None:
    (tmp_path / "joe").write_text('/box/\n"|/bin/cat a"\n')
    made = parcel(**values)
    with pytest.raises(TempFail):
        confirmed(tmp_path, made)


def test_what_is_claimed_of_the_address_is_found_out_again(tmp_path: Path) -> None:
    (tmp_path / "joe").write_text("/box/\n")
    (tmp_path / "jim").write_text("/etc/\n")
    # As trusted as somebody may claim it to be.
    recipients = (replace(JOE, local_part_data=Trusted("jim"), home=Trusted("/tmp")),)
    assert confirmed(tmp_path, parcel(file="/box/", recipients=recipients)).file == "/box/"
    with pytest.raises(TempFail):
        confirmed(tmp_path, parcel(file="/etc/", recipients=recipients))


def test_what_a_stranger_chose_stays_his(tmp_path: Path) -> None:
    made = parcel(router="aliases", file="/var/joe/")
    assert not is_trusted(confirmed(tmp_path, made).file)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is not nobody for certain")
def test_a_list_of_another_user_is_not_acted_upon(tmp_path: Path) -> None:
    made = parcel(router="aliases", file="/var/joe/")
    with pytest.raises(TempFail, match="the files of aliases router are those of nobody"):
        confirmed(tmp_path, made, by_router=True)


def test_data_may_depend_on_the_message(tmp_path: Path) -> None:
    made = parcel(router="piped", pipe="/bin/cat a")
    assert is_trusted(confirmed(tmp_path, made).pipe)
    with pytest.raises(TempFail):
        confirmed(tmp_path, replace(made, sender="t@x"))
