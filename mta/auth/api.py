"""What an authenticator is: its options, its two sides, and how an exchange ends.

A server's side asks the client through a function that it is given, and returns if the client
is who it says it is; else it raises Denied.  A client's side answers the server through
another.

Raises:   Denied where a client did not succeed, Abandoned where we cannot answer a server.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager

from mta.base.errors import ExpansionFail, MtaError, TempFail, Where
from mta.base.text import lower, to_text, trim
from mta.config import kinds
from mta.config.model import Block
from mta.config.option import Configured, Option
from mta.config.template import Template
from mta.expand.compile import cached
from mta.expand.context import Context
from mta.expand.run import expand, run

# Shows a prompt to the client and returns what it answers; raises Denied.
Ask = Callable[[bytes], bytes]
# Sends AUTH with a first string, or without one, and then one answer after another; returns
# the server's next challenge in base 64 as it came, or None when the exchange is over.
Tell = Callable[[bytes | None], bytes | None]

# How many strings of an exchange are kept: $1 to $20, of which the first have a name, too.
MOST_STRINGS = 20
_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
MOST_NAMED = 4


class Denied(MtaError):
    """An exchange did not succeed: the reply, and for the log what the client is not told."""

    def __init__(self, code: int, status: str, text: str, detail: str = "") -> None:
        self.code = code
        self.status = status
        self.text = text
        self.detail = detail
        super().__init__(f"{code} {text}")


class Abandoned(MtaError):
    """As a client: what the server asks cannot be answered; `text` is for the log."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(text)


def not_challenged(said: bytes) -> Abandoned:
    """What a server has said is no base 64."""
    return Abandoned(f'Invalid base64 string in server response "334 {to_text(said)[:200]}"')


def wrong() -> Denied:
    """The client is not who it says it is.  RFC 4954 6"""
    return Denied(535, "5.7.8", "Incorrect authentication data")


def not_now(detail: str, *, told: bool = False) -> Denied:
    """It cannot be said who the client is; `told` if it may hear why."""
    text = "Unable to authenticate at present"
    # Exim's code; RFC 4954 6 has 454 for this, and clients look at the first digit.
    return Denied(435, "4.7.0", f"{text}: {detail}" if told and detail else text, detail)


def cancelled() -> Denied:
    """The client has thought better of it.  RFC 4954 4"""
    return Denied(501, "5.7.0", "Authentication cancelled")


def not_base64() -> Denied:
    """The client sent something else than base 64.  RFC 4954 4"""
    return Denied(501, "5.5.2", "Invalid base64 data")


def too_long() -> Denied:
    """A line of the exchange is too long.  RFC 4954 4"""
    return Denied(500, "5.5.6", "Authentication exchange line is too long")


class Authenticator(Configured):
    """The options of every authenticator."""

    public_name = Option(
        kinds.string, "", "The name of the mechanism; unset, that of the authenticator."
    )
    server_advertise_condition = Option(
        kinds.expanded, "", "Offer it only where this is true; a failure counts as no."
    )
    server_condition = Option(
        kinds.expanded,
        "",
        "The client is accepted if this is true; with anything but yes or no it has to try "
        "again later.",
    )
    server_set_id = Option(
        kinds.expanded,
        "",
        "What $authenticated_id becomes; after a failure, $authenticated_fail_id.",
    )
    server_mail_auth_condition = Option(
        kinds.expanded, "", "AUTH= of MAIL is believed only where this is true."
    )
    server_debug_print = Option(kinds.expanded, "", "Shown when debugging; it never is.")
    client_condition = Option(
        kinds.expanded, "", "As a client, skip this one where this is false."
    )
    client_set_id = Option(kinds.expanded, "", "As a client, who the log says that we are.")

    keeps_secrets = True
    # Options whose values are nobody's business but the administrator's.
    secret: frozenset[str] = frozenset()

    def __init__(self, block: Block) -> None:
        super().__init__(list(block.settings))
        self.name = block.name
        self.driver = block.driver
        self.block = block

    @property
    def mechanism(self) -> str:
        """The name that the other side knows."""
        return self.public_name or self.name

    @property
    def is_server(self) -> bool:
        """True if clients can be asked with this."""
        raise NotImplementedError

    @property
    def is_client(self) -> bool:
        """True if we can answer a server with this."""
        raise NotImplementedError

    def serve(self, ctx: Context, given: bytes | None, ask: Ask) -> None:
        """Ask a client who it is; `given` came along with AUTH.  Raises Denied.

        What it said stands in the context's $auth1 … and $1 … until `forgotten` ends.
        """
        raise NotImplementedError

    def answer(self, ctx: Context, tell: Tell) -> None:
        """Say to a server who we are.  Raises Abandoned, ExpansionFail, TempFail."""
        raise NotImplementedError

    def identity(self, ctx: Context) -> tuple[str, ...]:
        """What would be said to a server, to tell two logins from each other.

        Raises ExpansionFail, TempFail.
        """
        raise NotImplementedError

    def accept(self, ctx: Context) -> None:
        """Ask server_condition.  Raises Denied unless it is true."""
        option = self.server_condition
        if option is None:
            return
        try:
            text = trim(expand(ctx, option))
        except ExpansionFail as error:
            raise wrong() if error.forced else not_now(hidden(ctx, error.text)) from None
        except TempFail as error:
            raise not_now(hidden(ctx, error.text)) from None
        word = lower(text)
        if word in ("", "0", "no", "false"):
            raise wrong()
        if word not in ("1", "yes", "true"):
            raise not_now(hidden(ctx, text), told=True)


def holds(ctx: Context, condition: Template | None) -> bool:
    """True unless a condition is there and says no; forced failure is no.

    Raises ExpansionFail, TempFail.
    """
    if condition is None:
        return True
    try:
        return lower(trim(expand(ctx, condition))) not in ("", "0", "no", "false")
    except ExpansionFail as error:
        if error.forced:
            return False
        raise


def decode(octets: bytes) -> bytes | None:
    """What base 64 says, None for what is none.  RFC 4648 4; nothing else may be in it."""
    return binascii.a2b_base64(octets) if _BASE64.fullmatch(octets) else None


def expanded(ctx: Context, text: str, where: Where) -> str:
    """A text that may hold a password, expanded.

    Raises TempFail, and ExpansionFail whose text shows nothing of it.
    """
    program = cached(ctx, text, where)
    if program.error is not None:
        raise ExpansionFail(f"the string at {where} is no expansion")
    return run(ctx, program)


def split(octets: bytes) -> list[str]:
    """The strings of a message, with NULs between them; one behind the last is dropped."""
    parts = octets.split(b"\0")
    if len(parts) > 1 and not parts[-1]:
        del parts[-1]
    return [to_text(part) for part in parts]


def show(ctx: Context, strings: list[str]) -> None:
    """Let expansions see the strings of an exchange, as $auth1 … and $1 …"""
    del strings[MOST_STRINGS:]
    for number, text in enumerate(strings[:MOST_NAMED], 1):
        ctx.values[f"auth{number}"] = text
    ctx.captures = ("", *strings)


@contextmanager
def forgotten(ctx: Context) -> Generator[None]:
    """What expansions could see of an exchange is gone at the end of this."""
    values, captures = ctx.values, ctx.captures
    ctx.values = {name: text for name, text in values.items() if name[:4] != "auth"}
    ctx.captures = ()
    try:
        yield
    finally:
        ctx.values, ctx.captures = values, captures


def hidden(ctx: Context, text: str, *, but: str = "") -> str:
    """A text without anything that came or went in the exchange, except `but`."""
    for secret in sorted(set(ctx.captures), key=len, reverse=True):
        if secret and secret != but:
            text = text.replace(secret, "***")
    return text
