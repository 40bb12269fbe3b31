"""PLAIN and LOGIN, and whatever else sends names and passwords as they are.  RFC 4616.

As a server: the client's strings are collected, those that came with AUTH first, then one
answer for each of the remaining prompts, and server_condition judges them.  As a client: the
first item of client_send goes with AUTH, the others answer the server's prompts.
"""

from __future__ import annotations

import re

from mta.auth.api import (
    MOST_STRINGS,
    Abandoned,
    Ask,
    Authenticator,
    Tell,
    decode,
    expanded,
    not_challenged,
    show,
    split,
)
from mta.auth.engine import authenticator
from mta.base.text import to_bytes, to_text
from mta.config import kinds
from mta.config.option import Option
from mta.expand.context import Context
from mta.expand.run import expand
from mta.expand.split import split_list

_CIRCUMFLEX = re.compile(r"\^\^|\^")


@authenticator("plaintext")
class Plaintext(Authenticator):
    """Names and passwords as they are: PLAIN, LOGIN and their like."""

    server_prompts = Option(
        kinds.expanded, "", "What the client is asked, one item for each string, as a list."
    )
    client_send = Option(
        kinds.expanded,
        "",
        "What is said to a server, one item for each step; ^ is NUL and ^^ is ^.",
    )
    client_ignore_invalid_base64 = Option(
        kinds.boolean, "false", "As a client, put up with prompts that are no base 64."
    )

    secret = frozenset({"client_send", "server_condition"})

    @property
    def is_server(self) -> bool:
        """True if there is a condition to judge by."""
        return self.server_condition is not None

    @property
    def is_client(self) -> bool:
        """True if there is something to send."""
        return self.client_send is not None

    def serve(self, ctx: Context, given: bytes | None, ask: Ask) -> None:
        """Ask for what did not come with AUTH, and judge.  Raises Denied."""
        strings = [] if given is None else split(given)
        show(ctx, strings)
        for number, prompt in enumerate(self._prompts(ctx)):
            if number >= len(strings) and len(strings) < MOST_STRINGS:
                strings += split(ask(to_bytes(prompt)))
                show(ctx, strings)
        self.accept(ctx)

    def _prompts(self, ctx: Context) -> list[str]:
        if self.server_prompts is None:
            return []
        return split_list(expand(ctx, self.server_prompts))

    def answer(self, ctx: Context, tell: Tell) -> None:
        """Send one string after another.  Raises Abandoned, ExpansionFail, TempFail."""
        prompts: list[str] = []
        for number, item in enumerate(self._items()):
            text = self._expanded(ctx, item)
            octets = to_bytes(_CIRCUMFLEX.sub(_meant, text))
            challenge = tell(octets if number or octets else None)
            if challenge is None:
                return
            prompts.append(self._prompt(challenge))
            show(ctx, prompts)
        raise Abandoned(f"Too few items in client_send in {self.name} authenticator")

    def identity(self, ctx: Context) -> tuple[str, ...]:
        """All that would be sent if the prompts were empty."""
        return tuple(self._expanded(ctx, item) for item in self._items())

    def _items(self) -> list[str]:
        return [] if self.client_send is None else split_list(self.client_send.text) or [""]

    def _expanded(self, ctx: Context, item: str) -> str:
        assert self.client_send is not None
        return expanded(ctx, item, self.client_send.where)

    def _prompt(self, challenge: bytes) -> str:
        if (octets := decode(challenge)) is not None:
            return to_text(octets)
        if self.client_ignore_invalid_base64:
            return ""
        raise not_challenged(challenge)


def _meant(found: re.Match[str]) -> str:
    return "^" if found[0] == "^^" else "\0"
