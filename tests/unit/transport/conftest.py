"""What the tests of transports share: configurations, and parcels with a body on disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mta.base.errors import Where
from mta.base.trust import Trusted
from mta.config.line import Line
from mta.config.load import parse
from mta.config.model import Configuration
from mta.expand.context import Context
from mta.lookup.api import Tables
from mta.transport.api import Outcome, Parcel, ParcelRecipient
from mta.transport.context import context_for
from mta.transport.engine import Transport, carry, load_transports
from tests.unit.transport.scripted import Servers

MakeParcel = Callable[..., Parcel]
Deliver = Callable[[Transport, Parcel], list[Outcome]]
Together = Callable[[Transport, list[Parcel]], list[list[Outcome]]]

ALICE = ParcelRecipient(
    "alice@example.org",
    "postmaster@example.org",
    "alice",
    "example.org",
    local_part_data=Trusted("alice"),
    domain_data=Trusted("example.org"),
)


def configuration(text: str) -> Configuration:
    lines = text.split("\n")
    return parse(
        [
            Line(line.strip(" "), Where("mta.conf", n))
            for n, line in enumerate(lines, 1)
            if line
        ],
        "mta.conf",
    )


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transports go to the home of their user; the tests stay where they are."""
    monkeypatch.chdir(".")


@pytest.fixture
def load() -> Callable[[str], Transport]:
    """The transport t1 of `begin transports`, from the lines of its options."""

    def make(options: str) -> Transport:
        text = "primary_hostname = mx.example.org\nbegin transports\nt1:\n" + options
        return load_transports(configuration(text))["t1"]

    return make


@pytest.fixture
def parcel(tmp_path: Path) -> Iterator[MakeParcel]:
    opened: list[int] = []

    def make(body: bytes = b"hello\n", **changes: Any) -> Parcel:
        path = tmp_path / f"body{len(opened)}-D"
        path.write_bytes(b"ID-D\n" + body)
        opened.append(os.open(path, os.O_RDONLY))
        plain = Parcel(
            message_id="1vNcbb-000000000Ab-1234",
            transport="t1",
            router="r1",
            sender="bob@example.com",
            recipients=(ALICE,),
            headers=b"Subject: hi\nBcc: c@example.net\n",
            body=opened[-1],
            body_offset=5,
            body_size=len(body),
            received_time=1763910421.0,
        )
        return replace(plain, **changes)

    yield make
    for fd in opened:
        os.close(fd)


@pytest.fixture
def together() -> Together:
    """Deliver several in one round, as the process for transports does."""

    def run(transport: Transport, given: list[Parcel]) -> list[list[Outcome]]:
        conf = configuration("primary_hostname = mx.example.org")

        def context(each: Parcel) -> Context:
            return context_for(conf, Tables(), each, each.recipients[0])

        made: dict[int, list[Outcome]] = {}
        carry(transport, given, context, made)
        return [made[number] for number in range(len(given))]

    return run


@pytest.fixture
def deliver(together: Together) -> Deliver:
    """Deliver one."""
    return lambda transport, given: together(transport, [given])[0]


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Servers:
    """Servers in place of the network: the next connections lead to them."""
    made = Servers(tmp_path)
    monkeypatch.setattr("mta.net.socket.connect", made.connect)
    return made
