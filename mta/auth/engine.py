"""The authenticators of a configuration: finding their drivers, and what is wrong with them.

`driver = plaintext` means mta/auth/drivers/plaintext.py; only the drivers that the
configuration names are loaded.

Raises:   ConfigError.  No text of an option is part of it, as it may hold a password.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from mta.auth import drivers, later
from mta.auth.api import Authenticator
from mta.base.errors import ConfigError
from mta.base.registry import Registry, suggestion
from mta.base.text import lower
from mta.config.model import Block, Configuration
from mta.config.template import Template
from mta.expand.compile import compiled

DRIVERS: Registry[type[Authenticator]] = Registry("authenticator driver")
T = TypeVar("T", bound=Authenticator)
# RFC 4422 3.1 has capitals only; Exim takes names as they are.
_MECHANISM = re.compile(r"[A-Za-z0-9_-]{1,64}")


def authenticator(name: str) -> Callable[[type[T]], type[T]]:
    """Declare a class as the authenticator driver of this name."""

    def declare(cls: type[T]) -> type[T]:
        DRIVERS.add(name, cls, cls.__doc__)
        return cls

    return declare


def load_authenticators(conf: Configuration) -> tuple[Authenticator, ...]:
    """All authenticators of a configuration in their order, compiled.  Raises ConfigError."""
    made = tuple(_make(block) for block in conf.authenticators)
    for side, chosen in (("server", servers(made)), ("client", clients(made))):
        _check_names(side, chosen)
    complaints(made)  # which compiles them
    return made


def servers(all_: Sequence[Authenticator]) -> tuple[Authenticator, ...]:
    """Those that clients can be asked with."""
    return tuple(each for each in all_ if each.is_server)


def clients(all_: Sequence[Authenticator]) -> tuple[Authenticator, ...]:
    """Those that we can answer servers with."""
    return tuple(each for each in all_ if each.is_client)


def complaints(all_: Sequence[Authenticator]) -> list[ConfigError]:
    """Which options of authenticators are no expansions; not what stands in them."""
    return [
        ConfigError(value.where, f"failed to expand {name} of {each.name} authenticator")
        for each in all_
        for name in type(each).options()
        if isinstance(value := getattr(each, name), Template)
        and compiled(value).error is not None
    ]


def load_all() -> None:
    """Load every driver there is: for the manual and for tests."""
    for name in _available():
        importlib.import_module(f"{drivers.__name__}.{name}")


def secret_options(driver: str) -> frozenset[str]:
    """The options of a driver that hold passwords."""
    if driver in _available():
        importlib.import_module(f"{drivers.__name__}.{driver}")
    cls = DRIVERS.get(driver)
    return cls.secret if cls else frozenset()


def _available() -> list[str]:
    return [module.name for module in pkgutil.iter_modules(drivers.__path__)]


def _make(block: Block) -> Authenticator:
    made = _driver(block)(block)
    if not _MECHANISM.fullmatch(made.mechanism):
        raise ConfigError(
            made.where.get("public_name", block.where),
            f'authenticator {block.name}: "{made.mechanism}" cannot be a mechanism\'s name',
            "letters, digits, - and _ only",
        )
    return made


def _driver(block: Block) -> type[Authenticator]:
    name, available = block.driver, _available()
    if name in later.DRIVERS:
        reason = f'driver "{name}" is not supported yet'
        raise ConfigError(block.where, f"authenticator {block.name}: {reason}")
    if name in later.NEVER:
        reason = f'driver "{name}" is not supported: {later.NEVER[name]}'
        raise ConfigError(block.where, f"authenticator {block.name}: {reason}")
    if name in available:
        importlib.import_module(f"{drivers.__name__}.{name}")
    cls = DRIVERS.get(name)
    if cls is None:
        raise ConfigError(
            block.where,
            f'authenticator {block.name}: cannot find authenticator driver "{name}"',
            suggestion(name, available + list(later.DRIVERS)),
        )
    return cls


def _check_names(side: str, chosen: Sequence[Authenticator]) -> None:
    known: dict[str, Authenticator] = {}
    for each in chosen:
        other = known.setdefault(lower(each.mechanism), each)
        if other is not each:
            raise ConfigError(
                each.block.where,
                f"two {side} authenticators ({other.name} and {each.name})"
                f" have the same public name ({each.mechanism})",
            )
