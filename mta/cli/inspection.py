"""Looking at a configuration: is it right, what does it say, what do its strings become.

Nothing here needs a daemon, privileges beyond reading the file, or packages of third parties:
sendmail runs without them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence

from mta.base.errors import ConfigError, ExpansionFail, MtaError, TempFail, Where
from mta.base.registry import suggestion
from mta.base.text import one_line, to_text
from mta.cli import place
from mta.cli.options import Request
from mta.cli.say import as_it_is, complain
from mta.config import load
from mta.config import show as settings
from mta.config.model import Block, Configuration
from mta.config.template import template
from mta.expand.compile import compile_template
from mta.expand.context import Context
from mta.expand.run import expand
from mta.lookup.api import Tables
from mta.match.check import GRAMMARS
from mta.unix import users

# The conditions match_domain and its relatives are declared where lists are.
assert GRAMMARS

NOT_ADMIN = "those command-line flags are set to require admin"
FROM_TERMINAL = Where("command line", 1)


def run(name: str, request: Request) -> int:
    """The modes -bP, -be, -bd and -bdf of the sendmail command; the exit code."""
    try:
        if request.mode == "daemon":
            return _daemon(name, request)
        conf = load.load(*place.configuration(request.config, request.macros))
        if not may_inspect(conf):
            return complain(name, NOT_ADMIN, 1)
        if request.mode == "expand":
            ctx = about(conf, request.about) if request.about else Context(conf, Tables())
            if ctx is None:
                return complain(name, f"Failed to load message {request.about}", 1)
            return _expand_all(ctx, request.operands)
        sys.stdout.writelines(f"{line}\n" for line in shown(conf, request.operands))
    except (ConfigError, place.Unplaced) as error:
        return complain(name, str(error), os.EX_CONFIG)
    return os.EX_OK


def _daemon(name: str, request: Request) -> int:
    from mta.cli import start

    file = os.path.abspath(request.config or place.SYSTEM_CONFIG)
    arguments = ["-C", file, *(f"-D{each}" for each in request.macros)]
    if request.background:
        return start.start_off(name, arguments)
    from mta.proc import master

    return master.main(arguments)


def shown(conf: Configuration, names: Sequence[str]) -> Iterator[str]:
    """The lines of options, +LISTs, `router NAME`, `routers` and so on; all options for none.

    Raises ConfigError for a name that is unknown.
    """
    admin = os.geteuid() == 0
    if not names:
        yield from settings.all_options(conf, admin=admin)
    blocks = {
        "router": conf.routers,
        "transport": conf.transports,
        "authenticator": conf.authenticators,
    }
    words = iter(names)
    for word in words:
        if word in blocks:
            wanted = next(words, "")
            chosen = [each for each in blocks[word] if each.name == wanted]
            if not chosen:
                known = [each.name for each in blocks[word]]
                raise ConfigError(None, f"no {word} {wanted!r}", suggestion(wanted, known))
            yield from _block(word, chosen[0], admin=admin)
        elif word.removesuffix("s") in blocks:
            for each in blocks[word.removesuffix("s")]:
                yield from (*_block(word.removesuffix("s"), each, admin=admin), "")
        elif (line := settings.one_option(conf, word, admin=admin)) is not None:
            yield line
        else:
            raise ConfigError(
                None, f"no option {word!r}", suggestion(word, list(load.OPTIONS))
            )


def _block(kind: str, each: Block, *, admin: bool) -> Iterator[str]:
    """A block; the passwords in authenticators are for administrators only."""
    secret: frozenset[str] = frozenset()
    if kind == "authenticator" and not admin:
        from mta.auth.engine import secret_options

        secret = secret_options(each.driver)
    return settings.block(each, admin=admin, secret=secret)


def may_inspect(conf: Configuration) -> bool:
    """False if commandline_checks_require_admin is set and the caller is no administrator."""
    local = conf.local
    if not local.commandline_checks_require_admin or place.may_start(
        conf.queue.spool_directory
    ):
        return True
    return users.is_in(os.geteuid(), local.admin_groups.text if local.admin_groups else "")


def about(conf: Configuration, message_id: str) -> Context | None:
    """What expansions may speak of where they are about a message that waits."""
    from mta.cli.mailq import open_spool
    from mta.deliver.context import context_of
    from mta.spool.ids import is_id
    from mta.spool.reader import Message

    if not is_id(message_id):
        raise ConfigError(None, f"malformed message id {message_id} after -Mset option")
    try:
        message = Message.open(open_spool(conf.queue.spool_directory), message_id, lock=False)
    except (MtaError, OSError):
        message = None
    return None if message is None else context_of(conf, Tables(), message)


def _expand_all(ctx: Context, texts: Sequence[str]) -> int:
    as_it_is()
    source = texts or (to_text(line).rstrip("\n") for line in sys.stdin.buffer)
    for text in source:
        sys.stdout.write(f"{one_line(expanded_in(ctx, text))}\n")
    return os.EX_OK


def expanded(conf: Configuration, text: str) -> str:
    """What a string becomes, or "Failed: " and why."""
    return expanded_in(Context(conf, Tables()), text)


def expanded_in(ctx: Context, text: str) -> str:
    """The same, where there is something to speak of."""
    unexpanded = template(text, FROM_TERMINAL)
    if (error := compile_template(unexpanded)) is not None:
        return f"Failed: {error.reason}"
    try:
        return expand(ctx, unexpanded)
    except (ExpansionFail, TempFail) as failed:
        return f"Failed: {failed.text}"


def examine(file: str, macros: dict[str, str]) -> tuple[str, list[str]]:
    """What makes a configuration unusable ("" for nothing), and what else is to be said."""
    from mta.proc import reach, roles
    from mta.proc.checker import compile_all

    try:
        conf = load.load(file, macros)
        # A string that cannot be compiled fails when it is used, as in Exim; better said now.
        failing = compile_all(conf)
        if os.geteuid() == 0:
            reach.require(roles.identities(conf))
    except ConfigError as error:
        return str(error), []
    remarks = [f"{remark.where}: {remark.text}" for remark in conf.remarks]
    return "", remarks + failing
