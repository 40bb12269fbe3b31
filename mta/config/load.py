"""Makes a Configuration of a file or of lines: reads, sorts, fills in what follows from it.

`read` obeys files, macros and conditionals and gives the resolved lines; `parse` makes a
configuration of such lines and needs nothing but them and this host's name, so that every
process of a generation comes to the same result from the same snapshot.  `load` does both.

What Exim finds out at its start is found out here: the host's name, the domains that follow
from it, the paths that follow from spool_directory.  Exim expands spool_directory,
log_file_path and pid_file_path when it starts; here they are literal, as they nearly always
are: the paths are needed by processes that carry no expansion engine, and before anything
that an expansion could speak of is there.  A "$" in them is an error that says so.

Raises:   ConfigError.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace

from mta.base.errors import ConfigError, Where
from mta.base.registry import suggestion
from mta.base.text import SPACES, lower, to_text, upper, words
from mta.config.line import Line
from mta.config.main import later
from mta.config.main.delivery import Delivery
from mta.config.main.dns import Dns
from mta.config.main.local import Local
from mta.config.main.logging import Logging
from mta.config.main.message import Fields
from mta.config.main.naming import Naming
from mta.config.main.own import Own
from mta.config.main.policy import Policy
from mta.config.main.queue import Queue
from mta.config.main.smtp_in import SmtpIn
from mta.config.main.tls import Tls
from mta.config.model import Configuration, ListKind, Remark
from mta.config.option import DEFAULT, Configured, Option, Setting
from mta.config.reader import Reader
from mta.config.sections import Sections, sort

TOPICS: tuple[type[Configured], ...] = (
    Naming,
    SmtpIn,
    Tls,
    Policy,
    Dns,
    Fields,
    Local,
    Queue,
    Delivery,
    Logging,
    Own,
)
OPTIONS: dict[str, tuple[type[Configured], Option[object]]] = {
    name: (topic, option) for topic in TOPICS for name, option in topic.options().items()
}
_PATHS = ("spool_directory", "log_file_path", "pid_file_path")
_LITERAL = (*_PATHS, "primary_hostname", "qualify_domain", "qualify_recipient")
_HOSTS_FILE = "/etc/hosts"
_LARGEST_HOSTS_FILE = 1 << 20


def _no_names() -> frozenset[str]:
    return frozenset()


def builtin_macros() -> frozenset[str]:
    """The macros that tell which main options there are; other packages know of more."""
    return frozenset(f"_OPT_MAIN_{upper(name)}" for name in OPTIONS)


def load(
    path: str,
    macros: dict[str, str] | None = None,
    *,
    builtins: Callable[[], frozenset[str]] = _no_names,
) -> Configuration:
    """The configuration in a file, with the macros of the command line."""
    reader = open_configuration(path, macros, builtins=builtins)
    conf = parse(reader, path)
    doubts = tuple(Remark(where, text) for where, text in reader.doubts)
    return replace(conf, macros=dict(reader.macros), remarks=doubts + conf.remarks)


def open_configuration(
    path: str,
    macros: dict[str, str] | None = None,
    *,
    builtins: Callable[[], frozenset[str]] = _no_names,
) -> Reader:
    """The lines of a configuration, one by one; `macros` of the reader has them all after."""
    return Reader(
        path,
        macros,
        builtins=lambda: builtin_macros() | builtins(),
        check_writers=os.geteuid() == 0,
    )


def read(path: str, macros: dict[str, str] | None = None) -> list[Line]:
    """The resolved lines of a configuration: for a snapshot, and for `parse`."""
    return list(open_configuration(path, macros))


def parse(
    lines: Iterable[Line], file: str, macros: dict[str, str] | None = None
) -> Configuration:
    """The configuration that resolved lines make."""
    sections = sort(lines, _check_name)
    remarks: list[Remark] = []
    chosen = _by_topic(sections, remarks)
    naming = Naming(_names(chosen[Naming], remarks))
    queue = Queue(chosen[Queue])
    logging = Logging(_paths(chosen[Logging], queue.spool_directory))
    _check_literals(naming, queue, logging)
    _check_paths(queue, logging)
    smtp_in, local, own = SmtpIn(chosen[SmtpIn]), Local(chosen[Local]), Own(chosen[Own])
    delivery = Delivery(chosen[Delivery])
    _check_unbuilt((smtp_in, local, queue, delivery, logging, own), remarks)
    return Configuration(
        file=file,
        naming=naming,
        smtp_in=smtp_in,
        tls=Tls(chosen[Tls]),
        policy=Policy(chosen[Policy]),
        dns=Dns(chosen[Dns]),
        fields=Fields(chosen[Fields]),
        local=local,
        queue=queue,
        delivery=delivery,
        logging=logging,
        own=own,
        lists=sections.lists,
        acls={name: tuple(acl) for name, acl in sections.acls.items()},
        routers=tuple(sections.routers),
        transports=tuple(sections.transports),
        authenticators=tuple(sections.authenticators),
        retry=tuple(sections.retry),
        rewrite=tuple(sections.rewrite),
        macros=dict(macros or {}),
        remarks=tuple(remarks),
    )


# Options of the main section


def _bare(name: str) -> str:
    """The option that a name with or without "no_" is about."""
    if name not in OPTIONS:
        for prefix in ("no_", "not_"):
            if name.startswith(prefix) and name.removeprefix(prefix) in OPTIONS:
                return name.removeprefix(prefix)
    return name


def _check_name(name: str, where: Where) -> None:
    if _bare(name) in OPTIONS or later.known(name):
        return
    near = suggestion(lower(name), [*OPTIONS, *later.NAMES, *_LISTS])
    raise ConfigError(where, f'main option "{name}" unknown', near)


_LISTS = tuple(kind.value for kind in ListKind)


def _by_topic(
    sections: Sections, remarks: list[Remark]
) -> dict[type[Configured], list[Setting]]:
    chosen: dict[type[Configured], list[Setting]] = {topic: [] for topic in TOPICS}
    for setting in sections.settings:
        name = later.SYNONYMS.get(setting.name, setting.name)
        if (bare := _bare(name)) in OPTIONS:
            chosen[OPTIONS[bare][0]].append(replace(setting, name=name))
        elif name in later.IGNORED:
            remarks.append(
                Remark(setting.where, f'option "{name}" has no effect: {later.IGNORED[name]}')
            )
        elif refusal := later.refusal(setting):
            raise ConfigError(setting.where, refusal)
    return chosen


def _check_unbuilt(topics: Iterable[Configured], remarks: list[Remark]) -> None:
    """Refuse, or remark upon, values of options that are declared but do not work yet."""
    for topic in topics:
        values = dict(topic.shown())
        for name, where in topic.where.items():
            option = OPTIONS[name][1]
            if values[name] == option.kind.show(option.initial):
                continue
            if name in later.DEFAULT_ONLY:
                reason = f'option "{name}" is Exim\'s but only its default is supported yet'
                raise ConfigError(where, reason, f"remove {name} = {values[name]}")
            if name in later.NO_EFFECT_YET:
                why = later.NO_EFFECT_YET[name]
                remarks.append(Remark(where, f'option "{name}" has no effect yet: {why}'))


# What follows from the system and from other options


def _names(settings: list[Setting], remarks: list[Remark]) -> list[Setting]:
    """The settings of names with those added that were left out."""
    given = {setting.name: setting.value or "" for setting in settings}
    name = given.get("primary_hostname") or host_name()
    if "." not in name:
        remarks.append(
            Remark(DEFAULT, f'this host\'s name "{name}" has no domain: set primary_hostname')
        )
    domain = given.get("qualify_domain") or name
    defaults = {
        "primary_hostname": name,
        "qualify_domain": domain,
        "qualify_recipient": given.get("qualify_recipient") or domain,
    }
    return _completed(settings, defaults)


def _paths(settings: list[Setting], spool: str) -> list[Setting]:
    return _completed(
        settings,
        {"log_file_path": f"{spool}/log/%slog", "pid_file_path": f"{spool}/exim-daemon.pid"},
    )


def _completed(settings: list[Setting], defaults: dict[str, str]) -> list[Setting]:
    """The settings, and these for what is not set or set to nothing."""
    kept = [each for each in settings if each.value != "" or each.name not in defaults]
    names = {setting.name for setting in kept}
    added = [
        Setting(name, value, DEFAULT) for name, value in defaults.items() if name not in names
    ]
    return kept + added


def host_name() -> str:
    """The canonical name of this host, asking nobody who could keep us waiting.

    The name that the kernel has, or, if that is without a domain, the longer one that the
    hosts file gives to it.
    """
    name = os.uname().nodename
    if "." in name:
        return name
    try:
        with open(_HOSTS_FILE, "rb") as file:
            lines = to_text(file.read(_LARGEST_HOSTS_FILE)).split("\n")
    except OSError:
        return name
    for line in lines:
        names = words(line.partition("#")[0])[1:]
        if name in names:
            for other in names:
                if lower(other).startswith(f"{lower(name)}."):
                    return other
    return name


def _check_literals(*topics: Configured) -> None:
    for topic in topics:
        for name, value in topic.shown():
            if name not in _LITERAL:
                continue
            where = topic.where.get(name, DEFAULT)
            if "$" in value:
                raise ConfigError(
                    where, f'"$" in {name} is not expanded', "write the text itself"
                )
            if name not in _PATHS and any(character in SPACES for character in value):
                raise ConfigError(where, f"there is white space in {name}")


def _check_paths(queue: Queue, logging: Logging) -> None:
    if not queue.spool_directory.startswith("/"):
        raise ConfigError(
            queue.where["spool_directory"],
            f'spool_directory "{queue.spool_directory}" is not an absolute path',
        )
    path = logging.log_file_path
    where = logging.where["log_file_path"]
    if not path.startswith("/") or ":" in path:
        raise ConfigError(
            where,
            f'log_file_path "{path}" is not one absolute path',
            "syslog and lists are not supported yet",
        )
    if path.replace("%s", "", 1).find("%") >= 0:
        raise ConfigError(
            where, f'log_file_path "{path}": %s may stand there once, and no other "%"'
        )
    if not logging.pid_file_path.startswith("/"):
        raise ConfigError(
            logging.where["pid_file_path"],
            f'pid_file_path "{logging.pid_file_path}" is not an absolute path',
        )
