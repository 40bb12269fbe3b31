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
        ("driver = queuefile", 'driver "queuefile" is not supported yet'),
        (
            "driver = appendfile\nnotify_comsat",
            r'mta.conf:5: .*"notify_comsat" is not supported yet',
        ),
        ("driver = smtp\nno_gnutls_compat_mode", "is not supported yet"),
        ("driver = appendfile\ndirectry = /x", "unknown .*did you mean 'directory'"),
        (
            "driver = appendfile\nfile = /x\ndirectory = /y",
            'only one of "file" or "directory" can be specified',
        ),
        (
            "driver = appendfile\nfile = /x\nno_use_lockfile\nno_use_fcntl_lock",
            "no locking configured",
        ),
        (
            "driver = appendfile\ndirectory = /x\nmaildir_format\nmailstore_format",
            "only one of maildir and mailstore may be specified",
        ),
        (
            "driver = appendfile\nfile = /x\nquota = 1M\nquota_filecount = 3",
            'quota_filecount must not be set without "directory"',
        ),
        (
            "driver = appendfile\ndirectory = /x\nquota_filecount = 3",
            "quota must be set if quota_filecount is set",
        ),
        (
            "driver = appendfile\nfile = /x\ncreate_file = elsewhere",
            "invalid value given for create_file: 'elsewhere'",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(
    load: Load, options: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=r"mta\.conf:[3-7]: ") as caught:
        load(options)
    assert re.search(words, str(caught.value))


def test_no_option_is_both_supported_and_announced_for_later() -> None:
    engine.load_all()
    for name, cls in DRIVERS.items():
        assert (
            set(cls.options()) & (later.GENERIC | later.OF_DRIVER.get(name, frozenset()))
            == set()
        )


def test_every_driver_is_named_like_its_file() -> None:
    engine.load_all()
    assert DRIVERS.names() == ["appendfile", "autoreply", "lmtp", "pipe", "smtp"]
