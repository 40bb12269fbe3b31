"""The manual pages of what administrators write and read: configuration, logs, spool."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import TypeVar

from mta.acl import registry as acl_registry
from mta.acl.phase import OPTIONS as ACL_OPTIONS
from mta.acl.phase import Phase
from mta.auth import drivers as authenticator_drivers
from mta.auth.api import Authenticator
from mta.base.registry import Registry
from mta.base.version import VERSION
from mta.cli import timeouts
from mta.cli.roff import Page
from mta.config import load
from mta.config.main import later
from mta.config.option import Configured, Option
from mta.expand import registry as language
from mta.log import events
from mta.lookup import drivers as lookup_drivers
from mta.lookup.api import Lookup
from mta.route import drivers as route_drivers
from mta.route.router import Router
from mta.transport import drivers as transport_drivers
from mta.transport.engine import Transport

T = TypeVar("T")


def pages() -> Iterator[Page]:
    """The five pages."""
    yield configuration()
    yield expansion()
    yield access()
    yield log()
    yield spool()


def _see_also(page: Page, *names: str) -> None:
    page.section_("see also")
    page.raw(
        ", ".join(f"\\fB{name[:-3]}\\fP{name[-3:]}".replace("-", "\\-") for name in names)
    )


def _doc(thing: object) -> str:
    # None has a docstring of its own since Python 3.13.
    return "" if thing is None else inspect.cleandoc(getattr(thing, "__doc__", None) or "")


# ---- mta.conf(5)


def configuration() -> Page:
    """The main options by topic, and every driver with its options."""
    page = Page("mta.conf", 5, "configuration of the mail transfer agent mta", VERSION)
    page.section_("description")
    page.prose(_CONFIGURATION)
    for topic in load.TOPICS:
        name = topic.__module__.rpartition(".")[2].replace("_", " ")
        page.section_(f"main options: {name}")
        page.prose(_doc(topic))
        _options(page, topic)
    _families(page)
    page.section_("time-outs of smtp sessions")
    page.prose(timeouts.TEXT)
    for option, waits in timeouts.rows():
        page.term(option)
        page.about(waits)
    page.section_("not yet")
    page.prose(
        "These options of Exim are recognised.  Setting one to anything but what is done"
        " anyway is an error that says so:"
    )
    page.prose(", ".join(sorted(later.LATER)))
    _see_also(page, "mta-expand(5)", "mta-acl(5)", "mta-spool(5)", "mta-log(5)", "mta(1)")
    return page


_CONFIGURATION = """\
The file is in Exim's language.  It begins with the options of the main section and goes on
with sections that start with a line `begin` NAME: acl, routers, transports, retry, rewrite
and authenticators.

    primary_hostname = mail.example.org
    domainlist local_domains = @ : example.org
    acl_smtp_rcpt = check_rcpt

    begin routers
    local:
      driver = accept
      domains = +local_domains
      transport = mailbox

A line that ends in a backslash goes on with the next one.  A line that begins with # is a
comment.  NAME = VALUE, with a capital first, defines a macro, and every later NAME is replaced
by its value; -D on the command line comes first.  `.include` FILE, `.include_if_exists` FILE,
`.ifdef` NAME, `.ifndef` NAME, `.elifdef` NAME, `.elifndef` NAME, `.else` and `.endif` are
obeyed.  An option may be preceded by `hide`, so that only administrators see its value.

A boolean needs no value: NAME is true, no_NAME and not_NAME are false.  A time is written like
1d12h30m.  A size may end in K, M or G.  A text in double quotes knows backslash escapes.

What is wrong with a configuration is said with file, line, reason and, where a name is
nearly right, what was perhaps meant.  `mta check` does that without a daemon; a daemon that is
told to read a wrong one goes on with the old one."""


def _options(
    page: Page, cls: type[Configured], *, without: type[Configured] | None = None
) -> None:
    inherited = set(without.options()) if without is not None else set()
    for name, option in sorted(cls.options().items()):
        if name not in inherited or not _same(cls, without, name):
            _option(page, name, option)


def _same(cls: type[Configured], base: type[Configured] | None, name: str) -> bool:
    return base is not None and cls.options()[name] is base.options()[name]


def _option(page: Page, name: str, option: Option[object]) -> None:
    default = option.default
    shown = "unset" if default in (None, "") else f'"{default}"'
    if option.kind.is_boolean or (default and " " not in default):
        shown = default or "false"
    page.term(name, f"= {option.kind.name}; default {shown}")
    page.about(option.doc)


def _families(page: Page) -> None:
    page.section_("options of every router")
    page.prose(_doc(Router))
    _options(page, Router)
    for name, cls in drivers(route_drivers, Router):
        page.section_(f"router driver {name}")
        page.prose(_doc(cls))
        _options(page, cls, without=Router)
    page.section_("options of every transport")
    page.prose(_doc(Transport))
    _options(page, Transport)
    for name, cls in drivers(transport_drivers, Transport):
        page.section_(f"transport driver {name}")
        page.prose(_doc(cls))
        _options(page, cls, without=Transport)
    page.section_("options of every authenticator")
    page.prose(_doc(Authenticator))
    _options(page, Authenticator)
    for name, cls in drivers(authenticator_drivers, Authenticator):
        page.section_(f"authenticator driver {name}")
        page.prose(_doc(cls))
        _options(page, cls, without=Authenticator)


def drivers(package: ModuleType, base: type) -> Iterator[tuple[str, type]]:
    """The drivers of a package, by name: a driver has the name of its file."""
    for module in sorted(iter_modules(package.__path__), key=lambda each: each.name):
        found = import_module(f"{package.__name__}.{module.name}")
        for cls in vars(found).values():
            if (
                isinstance(cls, type)
                and issubclass(cls, base)
                and cls.__module__ == found.__name__
            ):
                yield module.name, cls
                break


# ---- mta-expand(5)


def expansion() -> Page:
    """Items, operators, conditions, variables, look-ups, with their examples."""
    page = Page("mta-expand", 5, "strings that are expanded when they are used", VERSION)
    page.section_("description")
    page.prose(_EXPANSION)
    page.section_("items")
    _entries(page, language.ITEMS, "${%s ...}", lambda entry: entry.function)
    page.section_("operators")
    page.prose("An operator is written before the text that it works on: ${lc:TEXT}.")
    _entries(page, language.OPERATORS, "${%s:...}", lambda entry: entry.function)
    page.section_("conditions")
    page.prose("A condition stands in ${if CONDITION {YES}{NO}}; ! before it negates it.")
    _entries(page, language.CONDITIONS, "%s", lambda entry: entry.function)
    page.section_("variables")
    _entries(page, language.VARIABLES, "$%s", lambda entry: entry.read)
    page.section_("look-ups")
    page.prose(
        "A look-up stands in ${lookup{KEY}TYPE{FILE}{YES}{NO}}, and in lists as TYPE;FILE."
        "  What it finds is trusted: it stands in the administrator's own tables."
    )
    for name, cls in drivers(lookup_drivers, Lookup):
        page.term(name)
        page.about(_doc(cls))
    _see_also(page, "mta.conf(5)", "mta-acl(5)", "mta(1)")
    return page


_EXPANSION = """\
Most options are expanded: what begins with $ is replaced when the option is used.
`mta expand` shows what a string becomes, and a string that cannot be expanded says why.

Text that strangers chose, such as $local_part or a header, is not trusted.  It can be
compared, logged and sent, but it cannot name a file, a command or a query, nor be expanded
again.  Text that the administrator wrote, or that was found in one of his tables, can:
$local_part_data and $domain_data are what a list matched, and $value is what a look-up found.
A result is trusted if everything that went into it was.

An item that fails makes the whole string fail.  Where the manual of an option says so, `fail`
in place of {NO} means that the option shall be as if it were not set.

The lines with an arrow are examples; each of them is tried by the test suite."""


def _entries(
    page: Page, registry: Registry[T], form: str, function: Callable[[T], object]
) -> None:
    """Everything in a registry; several names for the same thing share an entry."""
    groups: dict[object, list[str]] = {}
    for name, entry in registry.items():
        groups.setdefault(function(entry), []).append(name)
    for thing, names in groups.items():
        page.term(", ".join(form % name for name in names))
        page.about(_doc(thing))


# ---- mta-acl(5)


def access() -> Page:
    """Verbs, conditions, modifiers, controls, and where each may be used."""
    page = Page("mta-acl", 5, "access control lists: which mail is taken", VERSION)
    page.section_("description")
    page.prose(_ACL)
    words = list(acl_registry.WORDS.items())
    for title, wanted in (("conditions", False), ("modifiers", True)):
        page.section_(title)
        for name, word in words:
            if word.is_modifier is wanted:
                page.term(name, _phases(word.phases))
                page.about(_word_doc(name, word))
    page.section_("controls")
    page.prose("A control is written as `control = NAME`, with options after slashes.")
    groups: dict[object, list[str]] = {}
    for name, control in acl_registry.CONTROLS.items():
        groups.setdefault(control.switch, []).append(name)
    for switch, names in groups.items():
        page.term(", ".join(names))
        page.about(_doc(switch))
    _see_also(page, "mta.conf(5)", "mta-expand(5)")
    return page


_ACL = """\
An ACL is a list of statements.  The options acl_smtp_connect, acl_smtp_helo, acl_smtp_mail,
acl_smtp_rcpt, acl_smtp_predata, acl_smtp_data and acl_not_smtp say which ACL is run when.
Without acl_smtp_rcpt no recipient is taken; where another one is unset, everything passes.

A statement is a verb with conditions and modifiers, which are looked at in their order until a
condition is not true.  When all are true the verb acts; otherwise the next statement is tried.
At the end of an ACL there is an implicit deny.

    accept   it is taken; with endpass, a condition that fails after that denies
    defer    it is refused for now (4xx)
    deny     it is refused for good (5xx)
    discard  it is taken and thrown away
    drop     as deny, and the connection is closed
    require  all conditions must be true, or it is refused
    warn     nothing is decided; its modifiers act

A ! before a condition negates it.  A condition that cannot be decided now refuses with 4xx.

    check_rcpt:
      accept hosts   = :
      deny   message = no such domain here
             domains = ! +local_domains
             hosts   = ! +relay_from_hosts
      accept"""


def _phases(phases: Phase) -> str:
    if phases == Phase.ANY:
        return ""
    names = [
        name.removeprefix("acl_smtp_").removeprefix("acl_")
        for name, phase in ACL_OPTIONS.items()
        if phase & phases
    ]
    return f"(at {', '.join(names)})"


def _word_doc(name: str, word: acl_registry.Word) -> str:
    if name in acl_registry.ENGINE_WORDS:
        return acl_registry.ENGINE_WORDS[name]
    return _doc(word.test or word.act) or "Give acl_c... or acl_m... a value."


# ---- mta-log(5), mta-spool(5)


def log() -> Page:
    """Every kind of line."""
    page = Page("mta-log", 5, "log files of the mail transfer agent mta", VERSION)
    page.section_("description")
    page.prose(_LOG)
    page.prose(_doc(events))
    page.section_("lines")
    for name, function in vars(events).items():
        if inspect.isfunction(function) and "log" in _parameters(function):
            page.term(name)
            page.about(_doc(function))
    _see_also(page, "mta.conf(5)", "mta-spool(5)", "mta(8)")
    return page


_LOG = """\
There are three files; log_file_path says where.  mainlog has a line for everything that
happens to a message, rejectlog one for everything that was refused, with the headers where
they are known, and paniclog what somebody has to look at; it should be empty.

    2026-11-23 15:07:01 1xVW5F-000000000tB-2FH8 <= a@x.example H=mx [192.0.2.1] P=esmtp S=268
    2026-11-23 15:07:01 1xVW5F-000000000tB-2FH8 => b@y.example R=local T=mailbox
    2026-11-23 15:07:01 1xVW5F-000000000tB-2FH8 Completed

Times are local.  Control characters are shown as escapes, so that nobody can forge a line.
USR1 to the master makes all processes open the files again."""


def _parameters(function: Callable[..., object]) -> list[str]:
    return list(inspect.signature(function).parameters)


def spool() -> Page:
    """The layout, as the package itself explains it."""
    page = Page("mta-spool", 5, "where mail waits: files, states, owners", VERSION)
    page.section_("description")
    for name in ("mta.spool", "mta.spool.layout", "mta.spool.dropbox"):
        text = _doc(import_module(name))
        first, _, rest = text.partition("\n")
        if name != "mta.spool":
            page.section_(first.partition(":")[0].rstrip("."))
        page.prose(f"{first}\n{rest}")
    _see_also(page, "mta.conf(5)", "mta-log(5)", "mta(8)", "mailq(1)")
    return page
