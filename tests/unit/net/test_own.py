"""Which addresses are this machine's."""

from __future__ import annotations

from types import SimpleNamespace

import psutil
import pytest

from mta.base import clock
from mta.base.errors import TempFail
from mta.net import own
from mta.net.own import OwnAddresses


@pytest.fixture
def interfaces(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[SimpleNamespace]]:
    found = {
        "lo": [SimpleNamespace(family=2, address="127.0.0.1")],
        "eth0": [
            SimpleNamespace(family=2, address="192.0.2.1"),
            SimpleNamespace(family=10, address="fe80::1%eth0"),
            SimpleNamespace(family=10, address="2001:db8::1"),
            SimpleNamespace(family=17, address="00:11:22:33:44:55"),
        ],
    }
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: found)
    return found


@pytest.mark.parametrize(
    ("address", "ours"),
    [
        ("127.0.0.1", True),
        ("127.0.0.2", False),
        ("192.0.2.1", True),
        ("192.0.2.2", False),
        ("2001:db8::1", True),
        ("2001:DB8:0:0:0:0:0:1", True),
        ("fe80::1", True),
        ("::ffff:192.0.2.1", True),
        ("0.0.0.0", True),
        ("::", True),
        ("", False),
        ("no address", False),
    ],
)
def test_what_interfaces_have_is_ours(interfaces: object, address: str, ours: bool) -> None:
    assert (address in OwnAddresses()) is ours


def test_the_system_is_asked_again_after_a_while(
    interfaces: dict[str, list[SimpleNamespace]], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])
    addresses = OwnAddresses()
    assert "198.51.100.1" not in addresses
    interfaces["eth1"] = [SimpleNamespace(family=2, address="198.51.100.1")]
    assert "198.51.100.1" not in addresses
    now[0] += own.KEPT
    assert "198.51.100.1" in addresses


def test_without_an_answer_of_the_system_nothing_is_guessed(
    interfaces: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> None:
        raise OSError(24, "Too many open files")

    addresses, late = OwnAddresses(), OwnAddresses()
    assert "192.0.2.1" in addresses
    monkeypatch.setattr(psutil, "net_if_addrs", none)
    addresses._until = 0.0
    assert "192.0.2.1" in addresses
    with pytest.raises(TempFail, match="Too many open files"):
        assert "192.0.2.1" in late
