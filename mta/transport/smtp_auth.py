"""Telling a server who we are: which servers, with which authenticators, and what came of it.

As in Exim: the authenticators are tried in their order, as far as the server offers their
mechanisms; one that it refuses for good is followed by the next.  Where no one succeeds, the
message is sent all the same to a server of hosts_try_auth, and deferred at one of
hosts_require_auth.

What is said to the server is no part of any text that comes from here, not even where the
server says it.

Raises:   Unable if the server cannot be used now.
"""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from mta.auth.api import Abandoned, Authenticator, forgotten, holds
from mta.base.errors import ExpansionFail, MtaError, TempFail
from mta.base.text import SPACES, lower, to_bytes, to_text
from mta.config.template import Template
from mta.expand.context import Context
from mta.expand.run import expand
from mta.match.host import match_host
from mta.smtp.client import Answer, Broken, Client, command_line

# The numbers that Exim's retry records have for these.
AUTH_FAIL = -42
AUTH_PROBLEM = -48

_STARS = "*" * 16
_SHORTEST = 3  # of a secret that is looked for in what a server says


@dataclass(frozen=True, slots=True)
class Wish:
    """A server is to be told who we are: it has to be, or it may be."""

    ctx: Context = field(repr=False)
    authenticators: tuple[Authenticator, ...]
    required: bool


class Unable(MtaError):
    """The server cannot be used now: why, and Exim's number for that; or its answer, or how
    the conversation broke, to what was `said`."""

    def __init__(
        self,
        text: str,
        code: int = 0,
        *,
        said: str = "",
        answer: Answer | None = None,
        broken: Broken | None = None,
    ) -> None:
        self.text = text
        self.code = code
        self.said = said
        self.answer = answer
        self.broken = broken
        super().__init__(text)


def wish_for(
    ctx: Context,
    authenticators: Sequence[Authenticator],
    wanted: Template | None,
    required: Template | None,
) -> Wish | None:
    """Whether the server that the context names is to be told who we are.

    Raises TempFail.
    """
    name, address = ctx.place.host, ctx.place.host_address
    if required is not None and match_host(ctx, required, address, name) is not None:
        return Wish(ctx, tuple(authenticators), required=True)
    if wanted is not None and match_host(ctx, wanted, address, name) is not None:
        return Wish(ctx, tuple(authenticators), required=False)
    return None


def identity(wish: Wish | None) -> bytes:
    """The same for two wishes by which a server would be told the same."""
    if wish is None:
        return b""
    digest = hashlib.sha256(b"required" if wish.required else b"wanted")
    for each in wish.authenticators:
        try:
            texts = each.identity(wish.ctx) if holds(wish.ctx, each.client_condition) else ()
        except (ExpansionFail, TempFail):
            texts = ()  # it is found again, and told, when it is used
        for text in (each.name, *texts):
            octets = to_bytes(text)
            digest.update(b"%d %b" % (len(octets), octets))
    return digest.digest()


class Login:
    """One attempt to tell a server who we are.

    `who` is for A= in the log, "" if the server does not know us; `remarks` are lines for the
    log.
    """

    __slots__ = ("_client", "_seconds", "_secrets", "_wish", "remarks", "who")

    def __init__(self, client: Client, wish: Wish, seconds: float) -> None:
        self._client = client
        self._wish = wish
        self._seconds = seconds
        self._secrets: set[str] = set()
        self.who = ""
        self.remarks: list[str] = []

    def attempt(self) -> None:
        """Try what can be tried.  Raises Unable."""
        offered = self._offered()
        why = "server did not advertise AUTH support"
        if offered is not None:
            why = "no common mechanisms were found"
            for each in self._wish.authenticators:
                if lower(each.mechanism) in offered and self._try(each):
                    return
            if self.remarks:
                why = "authentication attempt(s) failed"
        if self._wish.required:
            raise Unable(f"authentication required but {why}", AUTH_FAIL)

    def _offered(self) -> list[str] | None:
        for keyword, parameter in self._client.features.keywords:
            if keyword == "AUTH":
                return [lower(word) for word in parameter.split(" ") if word]
            # What servers of the last century wrote.
            if keyword[:5] == "AUTH=":
                words = f"{keyword[5:]} {parameter}".split(" ")
                return [lower(word) for word in words if word]
        return None

    def _try(self, each: Authenticator) -> bool:
        """Use one authenticator; True if the server knows us now.  Raises Unable."""
        ctx = self._wish.ctx
        exchange = _Exchange(self._client, each.mechanism, self._seconds, self._secrets)
        with forgotten(ctx):
            try:
                if not holds(ctx, each.client_condition):
                    return False
                each.answer(ctx, exchange.tell)
            except ExpansionFail as error:
                return self._not_expanded(each, exchange, error)
            except TempFail as error:
                raise self._unable(each, error.text) from None
            except Abandoned as error:
                return self._cancel(each, exchange, error.text)
            answer = exchange.answer
            if answer is None or answer.kind == 3:
                return self._cancel(each, exchange, "too many questions")
            if answer.kind == 2:
                self.who = self._name(each)
                return True
        if answer.kind != 5:
            shown = Answer(answer.code, answer.status, exchange.without_secrets(answer.text))
            raise Unable("", said=exchange.said, answer=shown)
        where = f"H={ctx.place.host} [{ctx.place.host_address}]"
        said = exchange.without_secrets(answer.text).replace("\n", "\\n")
        self.remarks.append(f"{each.name} authenticator failed {where} {said}")
        return False

    def _not_expanded(
        self, each: Authenticator, exchange: _Exchange, error: ExpansionFail
    ) -> bool:
        if not error.forced:
            raise self._unable(each, error.text) from None
        if exchange.answer is not None:
            exchange.cancel()
        return False

    def _unable(self, each: Authenticator, text: str) -> Unable:
        return Unable(f"expansion failed in {each.name} authenticator: {text}", AUTH_PROBLEM)

    def _cancel(self, each: Authenticator, exchange: _Exchange, why: str) -> bool:
        exchange.cancel()
        place = self._wish.ctx.place
        self.remarks.append(
            f"{each.name} authenticator cancelled authentication"
            f" H={place.host} [{place.host_address}] {exchange.without_secrets(why)}"
        )
        return False

    def _name(self, each: Authenticator) -> str:
        """For A=: the authenticator and what client_set_id says."""
        if each.client_set_id is None:
            return each.name
        try:
            text = expand(self._wish.ctx, each.client_set_id)
        except (ExpansionFail, TempFail):
            return each.name
        return f"{each.name}:{text}" if text else each.name


class _Exchange:
    """One exchange with a server: what is sent, what it answers."""

    __slots__ = ("_client", "_mechanism", "_seconds", "_secrets", "answer", "said")

    def __init__(
        self, client: Client, mechanism: str, seconds: float, secrets: set[str]
    ) -> None:
        self._client = client
        self._mechanism = mechanism
        self._seconds = seconds
        self._secrets = secrets
        self.answer: Answer | None = None
        self.said = ""

    def tell(self, octets: bytes | None) -> bytes | None:
        """Send the next string; the challenge that comes back, None if it is no challenge.

        Raises Unable.
        """
        coded = ""
        if octets is not None:
            coded = binascii.b2a_base64(octets, newline=False).decode("ascii")
            pieces = [coded, *(to_text(part) for part in octets.split(b"\0"))]
            self._secrets.update(piece for piece in pieces if len(piece) >= _SHORTEST)
        if self.answer is None:
            # RFC 4954 4: an empty string that comes with AUTH is written as "=".
            first = "" if octets is None else f" {coded or '='}"
            self._send(f"AUTH {self._mechanism}{first}")
            self.said = f"AUTH {self._mechanism}{f' {_STARS}' if first else ''}"
        else:
            self._send(coded)
            self.said = _STARS
        self.answer = self._await()
        if self.answer.kind != 3:
            return None
        return to_bytes(self.answer.text[4:].strip(SPACES))

    def cancel(self) -> None:
        """Go no further.  Raises Unable."""
        if self.answer is not None and self.answer.kind == 3:
            self._send("*")
            self.answer = self._await()

    def _send(self, line: str) -> None:
        try:
            self._client.send([command_line(line)], self._seconds)
        except Broken as broken:
            raise Unable(
                "", said=self.said or f"AUTH {self._mechanism}", broken=broken
            ) from None

    def _await(self) -> Answer:
        try:
            return self._client.answer(self._seconds)
        except Broken as broken:
            shown = Broken(broken.trouble, self.without_secrets(broken.text), broken.number)
            raise Unable("", said=self.said, broken=shown) from None

    def without_secrets(self, text: str) -> str:
        """What a server said, without what we have said to it."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text
