"""Prints a configuration as -bP does: options of the main section, named lists, blocks.

    primary_hostname = mail.example.org
    no_queue_only
    domainlist local_domains = @ : example.org

What was set with `hide` is shown to administrators only.  Options of drivers are shown as they
are written: their defaults are known to the drivers alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from mta.config.load import OPTIONS
from mta.config.model import Block, Configuration, NamedList
from mta.config.option import Configured

SECRET = "<value not displayable>"


def topics(conf: Configuration) -> tuple[Configured, ...]:
    """The options of the main section, by topic."""
    return (
        conf.naming,
        conf.smtp_in,
        conf.tls,
        conf.policy,
        conf.dns,
        conf.fields,
        conf.local,
        conf.queue,
        conf.delivery,
        conf.logging,
        conf.own,
    )


def all_options(conf: Configuration, *, admin: bool) -> Iterator[str]:
    """A line for each option of the main section, sorted by name, then the named lists."""
    lines = {
        name: _line(topic, name, value, admin=admin)
        for topic in topics(conf)
        for name, value in topic.shown()
    }
    yield from (line for _, line in sorted(lines.items()))
    for each in conf.lists.values():
        yield _named_list(each, admin=admin)


def one_option(conf: Configuration, name: str, *, admin: bool) -> str | None:
    """The line of one option, or of the named lists +NAME; None if there is no such thing."""
    if name.startswith("+"):
        found = [
            _named_list(each, admin=admin)
            for (_, list_name), each in conf.lists.items()
            if list_name == name[1:]
        ]
        return "\n".join(found) or None
    for topic in topics(conf):
        for option, value in topic.shown():
            if option == name:
                return _line(topic, name, value, admin=admin)
    return None


def block(each: Block, *, admin: bool, secret: frozenset[str] = frozenset()) -> Iterator[str]:
    """The lines of a router, transport or authenticator, sorted by name.

    Options that are `secret` are hidden whether that was written or not.
    """
    lines = {"driver": f"driver = {each.driver}"}
    for setting in each.settings:
        hidden = setting.hidden or setting.name in secret
        shown = SECRET if hidden and not admin else setting.value
        line = setting.name if shown is None else f"{setting.name} = {shown}"
        lines[setting.name] = f"{lines.get(setting.name, '')}\n{line}".lstrip("\n")
    return (line for _, line in sorted(lines.items()))


def _line(topic: Configured, name: str, value: str, *, admin: bool) -> str:
    if OPTIONS[name][1].kind.is_boolean:
        return name if value == "true" else f"no_{name}"
    if name in topic.hidden and not admin:
        value = SECRET
    return f"{name} = {_printable(value)}"


def _named_list(each: NamedList, *, admin: bool) -> str:
    value = each.template.text if admin or not each.hidden else SECRET
    kind = f"{each.kind.value}{'_cache' if each.cached else ''}"
    return f"{kind} {each.name} = {_printable(value)}"


def _printable(value: str) -> str:
    return value.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
