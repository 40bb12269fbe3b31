"""Checking the lists of a configuration when it is loaded."""

from __future__ import annotations

from collections.abc import Iterator

from mta.base.errors import ConfigError
from mta.config.model import Configuration, ListKind
from mta.config.option import Configured
from mta.config.template import Template
from mta.match.address import ADDRESSES
from mta.match.domain import DOMAINS
from mta.match.host import HOSTS
from mta.match.lists import Grammar, check_template
from mta.match.localpart import LOCAL_PARTS

GRAMMARS: dict[ListKind, Grammar] = {
    ListKind.DOMAIN: DOMAINS,
    ListKind.HOST: HOSTS,
    ListKind.ADDRESS: ADDRESSES,
    ListKind.LOCAL_PART: LOCAL_PARTS,
}
_BY_KIND: dict[str, Grammar] = {
    "domain list": DOMAINS,
    "host list": HOSTS,
    "address list": ADDRESSES,
    "local part list": LOCAL_PARTS,
}


def check_lists(conf: Configuration, *groups: Configured) -> list[ConfigError]:
    """What is wrong with the named lists, and with the lists among these groups of options.

    Unknown named lists, look-ups that do not exist, patterns that are none, names of hosts.
    Only lists without variables can be checked before they are used.
    """
    found: list[ConfigError] = []
    for (kind, _), wanted in conf.lists.items():
        found += check_template(conf, GRAMMARS[kind], wanted.template)
    for group in groups:
        found += check_options(conf, group)
    return found


def check_options(conf: Configuration, group: Configured) -> list[ConfigError]:
    """What is wrong with the lists among one group of options."""
    return [
        error
        for grammar, template in _lists(group)
        for error in check_template(conf, grammar, template)
    ]


def _lists(group: Configured) -> Iterator[tuple[Grammar, Template]]:
    for name, option in type(group).options().items():
        grammar = _BY_KIND.get(option.kind.name)
        value = getattr(group, name, None)
        if grammar is not None and isinstance(value, Template):
            yield grammar, value
