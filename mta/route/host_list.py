"""Lists of hosts as the administrator writes them: names, addresses, ports, groups.

    mail.example : 192.0.2.1 : backup.example::2525 : <; [2001:db8::1]:25 ; 2001:db8::2

A host may have a port behind a colon, which has to be doubled where the colon separates.
`/MX` behind a name, where it stays here, stands for the hosts that its MX records name.
A `+` between hosts keeps groups apart when the order is random.
"""

from __future__ import annotations

import random

from mta.base.errors import TempFail
from mta.base.text import is_number, lower
from mta.expand.split import split_list
from mta.mail.address import is_ip
from mta.route.api import Host

MOST_HOSTS = 500


def parse_hosts(text: str, *, shuffle: bool) -> tuple[Host, ...]:
    """The hosts of a list, in the order to try.  Raises TempFail for what is no host."""
    groups: list[list[Host]] = [[]]
    count = 0
    for item in split_list(text):
        if item == "+":
            groups.append([])
        elif item:
            count += 1
            if count > MOST_HOSTS:
                raise TempFail(f"more than {MOST_HOSTS} hosts in a list")
            groups[-1].append(parse_host(item))
    if shuffle:
        for group in groups:
            random.shuffle(group)
    return tuple(host for group in groups for host in group)


def parse_host(item: str) -> Host:
    """One host: `name`, `name:port`, `address`, `[address]:port`.  Raises TempFail."""
    name, port = item, 0
    if not is_ip(name):
        head, colon, digits = name.rpartition(":")
        if colon and is_number(digits) and head:
            name, port = head, int(digits) if len(digits) < 6 else 65536
    if name.startswith("[") and name.endswith("]"):
        name = name[1:-1]
    bare = name[:-3] if names_exchangers(name) else name
    if port > 65535 or not bare or any(letter in bare for letter in " \t\r\n\0[]/"):
        raise TempFail(f'"{item}" is not a host')
    return Host(name, name if is_ip(name) else "", port)


def names_exchangers(name: str) -> bool:
    """True if a name stands for the hosts of its MX records."""
    return lower(name[-3:]) == "/mx"
