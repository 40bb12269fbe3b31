"""All processes of a generation read the same lines, which nobody can change."""

from __future__ import annotations

import fcntl
import os

import pytest

from mta.base.errors import ProtocolError, Where
from mta.config import snapshot
from mta.config.line import Line

LINES = [
    Line("primary_hostname = é", Where("/etc/mta/mta.conf", 3)),
    Line("x = a\n\udcff", Where("/etc/mta/more\nconf", 12)),
]


def test_lines_come_back_as_they_were() -> None:
    fd = snapshot.write(LINES)
    assert snapshot.read(fd) == LINES
    assert snapshot.read(fd) == LINES
    os.close(fd)


def test_an_empty_configuration_comes_back_empty() -> None:
    fd = snapshot.write([])
    assert snapshot.read(fd) == []
    os.close(fd)


def test_nobody_can_write_to_it() -> None:
    fd = snapshot.write(LINES)
    for change in (lambda: os.write(fd, b"x"), lambda: os.ftruncate(fd, 1)):
        with pytest.raises(PermissionError):
            change()
    os.close(fd)


def test_it_is_closed_when_another_program_is_executed() -> None:
    fd = snapshot.write(LINES)
    assert not os.get_inheritable(fd)
    os.close(fd)


def memory(octets: bytes, *, seals: int = snapshot._SEALS) -> int:
    fd = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, octets)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"", "cut short"),
        (b"mta-configuration 1\0a\x001", "cut short"),
        (b"mta-configuration 1\0a\x001\0", "damaged"),
        (b"mta-configuration 1\0a\0b\0c\0", "damaged"),
        (b"mta-configuration 1\0a\x00" + b"1" * 5000 + b"\0c\0", "damaged"),
        (b"mta-configuration 1\0a\0+1\0c\0", "damaged"),
        (b"mta-configuration 1\0a\x001_0\0c\0", "damaged"),
        (b"mta-configuration 2\0", "damaged"),
    ],
)
def test_what_is_no_snapshot_is_refused(octets: bytes, reason: str) -> None:
    fd = memory(octets)
    with pytest.raises(ProtocolError, match=reason):
        snapshot.read(fd)
    os.close(fd)


def test_what_is_not_sealed_is_refused() -> None:
    fd = memory(b"mta-configuration 1\0", seals=0)
    with pytest.raises(ProtocolError, match="not sealed"):
        snapshot.read(fd)
    os.close(fd)


def test_a_file_that_cannot_be_sealed_is_refused() -> None:
    fd = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    with pytest.raises(ProtocolError, match="cannot be read"):
        snapshot.read(fd)
    os.close(fd)
