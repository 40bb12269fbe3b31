"""The manualroute router: sends mail for listed domains to listed hosts.

    route_list = *.example.com "relay.example : 192.0.2.9" ; example.org "<+ [2001:db8::1]:26"
    route_data = ${lookup{$domain}lsearch{/etc/mail/routes}}

Hosts are looked up here, unless the transport is a local one: that gets their names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from mta.base.errors import ConfigError, ExpansionFail, TempFail, Where
from mta.base.text import BLANKS, SPACES
from mta.config import kinds
from mta.config.option import Option
from mta.config.template import Template, template
from mta.expand.context import Context
from mta.expand.run import expand
from mta.expand.split import split_list
from mta.match.domain import match_domain
from mta.net.exchangers import Way
from mta.route import host_lookup, ourselves
from mta.route.api import DECLINED, Accepted, Address, Verdict
from mta.route.host_list import parse_hosts
from mta.route.host_lookup import Manner
from mta.route.router import Router, router

_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_UNESCAPED = re.compile(r"\\(.)", re.DOTALL)
_WAYS = {"byname": Way.NAME, "bydns": Way.DNS}
_REMOTE = "smtp"  # the driver of transports that go to hosts by address
_BAD_ROUTE = -17


@dataclass(frozen=True, slots=True)
class Rule:
    """One item of route_list."""

    pattern: Template
    hosts: Template | None
    options: tuple[str, ...]


def _word(text: str) -> tuple[str, str]:
    """The first word, quoted or not, and the rest."""
    text = text.lstrip(SPACES)
    if quoted := _QUOTED.match(text):
        return _UNESCAPED.sub(r"\1", quoted[1]), text[quoted.end() :]
    end = 0
    depth = 0
    # A blank inside braces belongs to an expansion.
    while end < len(text) and (depth or text[end] not in SPACES):
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        end += 1
    return text[:end], text[end:]


def _options(text: str) -> tuple[str, ...]:
    words: list[str] = []
    while text.strip(SPACES):
        word, text = _word(text)
        words.append(word)
    return tuple(words)


def parse_rule(item: str, where: Where) -> Rule:
    """Pattern, hosts and options of one item.  Raises ConfigError."""
    if _QUOTED.sub("", item).count('"'):
        raise ConfigError(
            where,
            f"a quote is not closed in the item {item} of route_list",
            'semicolons divide the items, also within quotes; write "<+ one + two" there',
        )
    pattern, rest = _word(item)
    if not pattern:
        raise ConfigError(where, "an item of route_list has no domain")
    hosts, rest = _word(rest)
    return Rule(
        template(pattern, where),
        template(hosts, where) if hosts else None,
        _options(rest),
    )


@router("manualroute")
class ManualRoute(Router):
    """Sends mail for domains that it is given to hosts that it is given.

    A domain that no item of route_list matches, or whose route_data is empty, is declined.
    The transport is the router's, or one named behind the hosts.
    """

    route_list = Option(
        kinds.string_list, "", "Items with semicolons between: domain, hosts, options."
    )
    route_data = Option(kinds.expanded, "", "Hosts and options, expanded for each address.")
    hosts_randomize = Option(kinds.boolean, "false", "Try the hosts in random order.")

    host_find_failed = Option(
        kinds.string,
        "freeze",
        "What to do where a host does not exist: defer, fail, freeze, pass, decline, ignore.",
    )
    host_all_ignored = Option(
        kinds.string, "defer", "What to do where all hosts were ignored for that."
    )
    same_domain_copy_routing = Option(
        kinds.boolean, "false", "Changes nothing: what was looked up is remembered anyway."
    )

    def check(self) -> None:
        ourselves.check(self)
        for option, may_ignore in (("host_find_failed", True), ("host_all_ignored", False)):
            where, value = self.where.get(option, self.place), getattr(self, option)
            host_lookup.check(self.name, option, value, where, may_ignore=may_ignore)
        if (self.route_list is None) == (self.route_data is None):
            raise ConfigError(
                self.place,
                f"{self.name} router: route_list or route_data (but not both) must be set",
            )
        self.rules: tuple[Rule, ...] = ()
        if self.route_list is not None:
            place = self.route_list.where
            text = self.route_list.text
            # Here semicolons divide, unless the list itself says otherwise.
            items = split_list(text if text.startswith("<") else f"<;{text}")
            self.rules = tuple(parse_rule(item, place) for item in items if item)

    def route(self, ctx: Context, address: Address) -> Verdict:
        if self.route_data is not None:
            hosts, rest = _word(expand(ctx, self.route_data).strip(BLANKS))
            return self._accepted(ctx, address, hosts, _options(rest))
        for rule in self.rules:
            found = match_domain(ctx, rule.pattern, address.domain)
            if found is not None:
                ctx.values["value"] = found.data or ""
                try:
                    hosts = expand(ctx, rule.hosts) if rule.hosts else ""
                finally:
                    del ctx.values["value"]
                return self._accepted(ctx, address, hosts, rule.options)
        return DECLINED

    def _accepted(
        self, ctx: Context, address: Address, hosts: str, options: tuple[str, ...]
    ) -> Verdict:
        manner = Manner(not_found=self.host_find_failed, all_ignored=self.host_all_ignored)
        shuffle, transport = self.hosts_randomize, ""
        for word in options:
            if word in ("randomize", "no_randomize"):
                shuffle = word == "randomize"
            elif word in _WAYS:
                manner = replace(manner, way=_WAYS[word])
            elif word in ("ipv4_only", "ipv4_prefer"):
                manner = replace(
                    manner, ipv4_only=word == "ipv4_only", ipv4_first=word == "ipv4_prefer"
                )
            elif any(block.name == word for block in ctx.conf.transports):
                transport = word
            else:
                raise TempFail(
                    f'error in router: unknown routing option or transport name "{word}"',
                    code=_BAD_ROUTE,
                )
        found = parse_hosts(hosts, shuffle=shuffle)
        if not found and self.route_data is not None:
            return DECLINED
        if not self._is_remote(ctx, transport):
            return Accepted(transport, found)
        verdict = host_lookup.look_up(self, ctx, address, found, manner)
        return (
            replace(verdict, transport=transport) if isinstance(verdict, Accepted) else verdict
        )

    def _is_remote(self, ctx: Context, transport: str) -> bool:
        """True unless the transport is a local one, to which hosts are only names."""
        if not transport and self.transport is not None:
            try:
                transport = expand(ctx, self.transport)
            except (ExpansionFail, TempFail):
                return True  # what is wrong with it will be said elsewhere
        drivers = {block.name: block.driver for block in ctx.conf.transports}
        return drivers.get(transport, _REMOTE) == _REMOTE
