"""CRAM-MD5: the password is proved with a digest of it and of a challenge.  RFC 2195.

The server has to know the password itself; it never travels.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from mta.auth.api import (
    Abandoned,
    Ask,
    Authenticator,
    Denied,
    Tell,
    decode,
    expanded,
    hidden,
    not_challenged,
    not_now,
    show,
    wrong,
)
from mta.auth.engine import authenticator
from mta.base import clock
from mta.base.errors import ExpansionFail, TempFail
from mta.base.text import to_bytes, to_text
from mta.config import kinds
from mta.config.option import Option
from mta.expand.context import Context


@authenticator("cram_md5")
class CramMd5(Authenticator):
    """Proof of a password that does not travel, with MD5."""

    server_secret = Option(kinds.expanded, "", "The password of the user $auth1.")
    client_name = Option(
        kinds.expanded, "$primary_hostname", "As a client, the name that we give."
    )
    client_secret = Option(kinds.expanded, "", "As a client, the password.")

    secret = frozenset({"server_secret", "client_secret", "server_condition"})

    @property
    def is_server(self) -> bool:
        """True if the passwords of users are known."""
        return self.server_secret is not None

    @property
    def is_client(self) -> bool:
        """True if we have a password."""
        return self.client_secret is not None

    def serve(self, ctx: Context, given: bytes | None, ask: Ask) -> None:
        """Send a challenge and judge the answer.  Raises Denied."""
        if given is not None:
            # RFC 2195 2: the server speaks first.
            raise Denied(553, "5.7.0", "Initial data not expected")
        name = ctx.conf.naming.primary_hostname
        challenge = f"<{secrets.randbits(64)}.{int(clock.now())}@{name}>".encode()
        answer = ask(challenge)
        user, blank, said = answer.rpartition(b" ")
        show(ctx, [to_text(user if blank else answer)])
        if not blank or len(said) != 32:
            raise wrong()
        # An empty password is that of a user whom a table does not have.
        password = self._password(ctx)
        if not password or not hmac.compare_digest(said, _digest(password, challenge)):
            raise wrong()
        self.accept(ctx)

    def _password(self, ctx: Context) -> str:
        assert self.server_secret is not None
        try:
            return expanded(ctx, self.server_secret.text, self.server_secret.where)
        except ExpansionFail as error:
            raise wrong() if error.forced else not_now(hidden(ctx, error.text)) from None
        except TempFail as error:
            raise not_now(hidden(ctx, error.text)) from None

    def answer(self, ctx: Context, tell: Tell) -> None:
        """Answer the challenge.  Raises Abandoned, ExpansionFail, TempFail."""
        name, password = self.identity(ctx)
        challenge = tell(None)
        if challenge is None:
            return
        if (octets := decode(challenge)) is None:
            raise not_challenged(challenge)
        if tell(to_bytes(name) + b" " + _digest(password, octets)) is not None:
            raise Abandoned("the server asks for more than CRAM-MD5 has to say")

    def identity(self, ctx: Context) -> tuple[str, ...]:
        """Name and password."""
        options = (self.client_name, self.client_secret)
        name, password = (
            "" if each is None else expanded(ctx, each.text, each.where) for each in options
        )
        return name, password


def _digest(password: str, challenge: bytes) -> bytes:
    return hmac.new(to_bytes(password), challenge, hashlib.md5).hexdigest().encode("ascii")
