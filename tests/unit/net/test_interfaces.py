"""Tests of reading listen addresses and of binding to them."""

from __future__ import annotations

import errno
import socket
from socket import AF_INET, AF_INET6

import pytest

from mta.base.errors import ConfigError, Where
from mta.net import interfaces
from mta.net.interfaces import Endpoint, read_interface, read_ports, split

HERE = Where("mta.conf", 7)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (
            "127.0.0.1",
            [Endpoint(AF_INET, "127.0.0.1", 25), Endpoint(AF_INET, "127.0.0.1", 587)],
        ),
        ("0.0.0.0.25", [Endpoint(AF_INET, "0.0.0.0", 25)]),
        ("::1", [Endpoint(AF_INET6, "::1", 25), Endpoint(AF_INET6, "::1", 587)]),
        ("::1.2525", [Endpoint(AF_INET6, "::1", 2525)]),
        ("[::1]:2525", [Endpoint(AF_INET6, "::1", 2525)]),
        ("[127.0.0.1]:2525", [Endpoint(AF_INET, "127.0.0.1", 2525)]),
        ("::0", [Endpoint(AF_INET6, "::", 25), Endpoint(AF_INET6, "::", 587)]),
    ],
)
def test_an_interface_may_carry_a_port(item: str, expected: list[Endpoint]) -> None:
    assert read_interface(item, [25, 587], HERE) == expected


@pytest.mark.parametrize(
    "item", ["localhost", "127.0.0.1.99999", "[::1", "[::1]25", "[::1]:", "1.2.3", "::1%lo"]
)
def test_what_is_no_address_is_refused(item: str) -> None:
    with pytest.raises(ConfigError, match=r"^mta\.conf:7: invalid IP address"):
        read_interface(item, [25], HERE)


def test_a_doubled_colon_stands_for_one_in_a_list_of_colons() -> None:
    assert split("127.0.0.1 : ::::1") == ["127.0.0.1", "::1"]


def test_another_separator_keeps_addresses_readable() -> None:
    assert split("<; 0.0.0.0 ; ::0") == ["0.0.0.0", "::0"]


def test_ports_are_numbers_or_names_even_without_a_services_file() -> None:
    assert read_ports("smtp : 2525 : submission", HERE) == [25, 2525, 587]


def test_a_misspelt_service_is_named_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match="did you mean 'submission'"):
        read_ports("submision", HERE)


def test_an_endpoint_shows_itself_as_people_write_it() -> None:
    assert str(Endpoint(AF_INET6, "::1", 25)) == "[::1]:25"
    assert str(Endpoint(AF_INET, "192.0.2.1", 25)) == "192.0.2.1:25"


def test_a_busy_port_is_named_and_nothing_stays_bound() -> None:
    with interfaces.bind(Endpoint(AF_INET, "127.0.0.1", 0), 5) as busy:
        taken = Endpoint(AF_INET, "127.0.0.1", busy.getsockname()[1])
        with pytest.raises(OSError, match="in use") as caught:
            interfaces.bind_all([Endpoint(AF_INET, "127.0.0.1", 0), taken], 5)
        assert caught.value.errno == errno.EADDRINUSE
        assert caught.value.filename == str(taken)


def test_both_wildcards_are_bound_to_one_port() -> None:
    first, second = interfaces.bind_all(
        [Endpoint(AF_INET6, "::", 0), Endpoint(AF_INET, "0.0.0.0", 0)], 5
    )
    with first, second:
        assert first.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
