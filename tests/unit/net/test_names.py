"""The hosts file: what it says, and what is made of a bad one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mta.net.names import HostsFile

TEXT = """
127.0.0.1\tlocalhost  # us
::1 localhost ip6-localhost
192.0.2.7  Host.Example host
2001:DB8::7 host.example
::ffff:192.0.2.8 mapped.example
192.0.2.9
not-an-address host.example
192.0.2.10 # host.example
"""


@pytest.fixture
def file(tmp_path: Path) -> HostsFile:
    (tmp_path / "hosts").write_text(TEXT)
    return HostsFile(str(tmp_path / "hosts"))


@pytest.mark.parametrize(
    ("name", "addresses"),
    [
        ("localhost", ["127.0.0.1", "::1"]),
        ("HOST.example", ["192.0.2.7", "2001:db8::7"]),
        ("host.example.", ["192.0.2.7", "2001:db8::7"]),
        ("mapped.example", ["192.0.2.8"]),
        ("ost.example", []),
        ("192.0.2.7", []),
        ("us", []),
        ("", []),
        ("#", []),
    ],
)
def test_addresses_of_names(file: HostsFile, name: str, addresses: list[str]) -> None:
    assert file.addresses(name) == addresses


@pytest.mark.parametrize(
    ("address", "names"),
    [
        ("192.0.2.7", ["host.example", "host"]),
        ("2001:db8::7", ["host.example"]),
        ("2001:0db8:0::7", ["host.example"]),
        ("192.0.2.8", ["mapped.example"]),
        ("192.0.2.9", []),
        ("192.0.2.1", []),
    ],
)
def test_names_of_addresses(file: HostsFile, address: str, names: list[str]) -> None:
    assert file.names(address) == names


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    file = HostsFile(str(path))
    assert file.addresses("a.example") == []
    path.write_text("192.0.2.1 a.example\n")
    assert file.addresses("a.example") == ["192.0.2.1"]
    path.write_text("192.0.2.2 a.example\n")
    os.utime(path, ns=(1, 1))
    assert file.addresses("a.example") == ["192.0.2.2"]
    path.unlink()
    assert file.addresses("a.example") == []


def test_one_host_has_only_so_many_addresses(tmp_path: Path) -> None:
    lines = [f"192.0.2.{number} many.example" for number in range(100)]
    (tmp_path / "hosts").write_text("\n".join(lines))
    assert len(HostsFile(str(tmp_path / "hosts")).addresses("many.example")) == 32
