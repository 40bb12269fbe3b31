"""Tests of what all transports share: their options, and what becomes of errors."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from mta.base.errors import ConfigError
from mta.transport import engine, later
from mta.transport.engine import DRIVERS, Transport

Load = Callable[[str], Transport]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("driver = apendfile", "cannot find transport driver .*did you mean 'appendfile'"),
        ("driver = pipe", 'driver "pipe" is not supported yet'),
        ("driver = appendfile\nfile = /x", r'mta.conf:5: .*"file" is not supported yet'),
        ("driver = smtp\nno_dns_qualify_single", "is not supported yet"),
        ("driver = appendfile\ndirectry = /x", "unknown .*did you mean 'directory'"),
        ("driver = appendfile\ndirectory = /x", "other than Maildirs are not supported yet"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(
    load: Load, options: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=r"mta\.conf:[345]: ") as caught:
        load(options)
    assert re.search(words, str(caught.value))


def test_no_option_is_both_supported_and_announced_for_later() -> None:
    engine.load_all()
    for name, cls in DRIVERS.items():
        assert set(cls.options()) & (later.GENERIC | later.OF_DRIVER[name]) == set()


def test_every_driver_is_named_like_its_file() -> None:
    engine.load_all()
    assert DRIVERS.names() == ["appendfile", "smtp"]
