"""Variables of encryption: $tls_in_… of the client's connection, $tls_out_… of ours to others.

The names without in or out are Exim's old ones and mean the client's connection.
"""

from __future__ import annotations

from collections.abc import Callable

from mta.expand.context import Context
from mta.expand.registry import variable
from mta.net.tls_terms import Facts


def _facts(ctx: Context, *, is_in: bool) -> Facts | None:
    return ctx.connection.tls if is_in else ctx.tls_out


def _declare(
    name: str, doc: str, tell: Callable[[Facts], str], *, absent: str = "", trusted: bool
) -> None:
    """Declare a variable for both directions."""

    def declare(names: tuple[str, ...], *, is_in: bool) -> None:
        def read(ctx: Context) -> str:
            facts = _facts(ctx, is_in=is_in)
            return absent if facts is None else tell(facts)

        read.__doc__ = doc
        variable(*names, trusted=trusted)(read)

    old = () if name in ("cipher_std", "ver") else (f"tls_{name}",)
    declare((f"tls_in_{name}", *old), is_in=True)
    declare((f"tls_out_{name}",), is_in=False)


_declare("cipher", "What was agreed on: version, cipher, bits.", str, trusted=True)
_declare(
    "cipher_std",
    "IANA's name of the cipher suite.",
    lambda facts: facts.standard_cipher,
    trusted=True,
)
_declare("ver", "The version of TLS, as in TLS1.3.", lambda facts: facts.version, trusted=True)
_declare(
    "bits",
    "How many bits the key of the cipher has, 0 without encryption.",
    lambda facts: str(facts.bits),
    absent="0",
    trusted=True,
)
_declare(
    "certificate_verified",
    "1 if the other side's certificate comes from somebody whom we trust, else 0.",
    lambda facts: str(int(facts.verified)),
    absent="0",
    trusted=True,
)
_declare(
    "peerdn",
    "The subject of the other side's certificate, as in /C=GB/CN=mx.example.org.",
    lambda facts: facts.peer,
    trusted=False,
)


@variable("tls_in_sni", "tls_sni")
def tls_in_sni(ctx: Context) -> str:
    """The host that the client asked for; known while tls_certificate is expanded."""
    return ctx.connection.tls_sni


@variable("tls_out_sni")
def tls_out_sni(ctx: Context) -> str:
    """The host that we asked for."""
    return "" if ctx.tls_out is None else ctx.tls_out.server_name
