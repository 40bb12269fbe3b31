"""Which files the master opens, and what comes of their descriptors."""

from __future__ import annotations

import os
from pathlib import Path

from mta.base.errors import Where
from mta.config.line import Line
from mta.config.load import parse
from mta.config.model import Configuration
from mta.net import secrecy


def configuration(*lines: str) -> Configuration:
    return parse(
        [Line(line, Where("mta.conf", n)) for n, line in enumerate(lines, 1)], "mta.conf"
    )


def test_files_that_are_named_without_a_dollar_are_opened_by_the_master() -> None:
    conf = configuration("tls_certificate = /a/crt", "tls_privatekey = /a/key")
    assert secrecy.files_of(conf) == ["/a/crt", "/a/key"]
    assert secrecy.files_of(configuration("tls_certificate = /a/both")) == ["/a/both"]
    assert secrecy.files_of(configuration("tls_certificate = /a/$tls_in_sni")) == []
    assert secrecy.files_of(configuration("tls_certificate = relative")) == []
    assert secrecy.files_of(configuration()) == []


def test_what_they_hold_is_read_by_whoever_gets_them(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"secret")
    fd = secrecy.open_file(str(path))
    assert fd is not None
    assert secrecy.contents([str(path)], [fd]) == {str(path): b"secret"}
    # The same descriptor may be read once more: nothing depends on where reading stood.
    assert secrecy.contents([str(path)], [fd]) == {str(path): b"secret"}
    os.close(fd)


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", ".", "nothing"):
        assert secrecy.open_file(str(tmp_path / name)) is None
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate((1 << 20) + 1)
    assert secrecy.open_file(str(large)) is None


def test_nothing_is_loaded_before_it_is_asked_for() -> None:
    made = secrecy.Secrecy()
    assert not made.is_loaded
    first = made.load()
    assert made.is_loaded
    assert made.load() is first
    made.renew({"/a/crt": b"new"})
    assert (made.is_loaded, made.files) == (False, {"/a/crt": b"new"})
