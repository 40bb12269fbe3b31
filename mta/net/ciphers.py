"""tls_require_ciphers: OpenSSL's cipher lists, and the GnuTLS priority strings that are usual.

    ECDHE+AESGCM:!aNULL                     OpenSSL's; handed to it, underscores as hyphens
    NORMAL:-VERS-TLS1.0:%SERVER_PRECEDENCE  GnuTLS's, as Debian's Exim has them; translated

Of priority strings those words are known that say which versions and how strong; any other is
an error that names it, since to leave it out could let through what it shuts out.

Raises:   TempFail.
"""

from __future__ import annotations

from dataclasses import dataclass

from mta.base.errors import TempFail
from mta.base.text import upper, words
from mta.net.tls_terms import USUAL_CIPHERS

_STRONG = "!aNULL:!eNULL:!EXPORT:!RC4:!3DES:!MD5"
# The first word of a priority string.
_BASES = {
    "NORMAL": USUAL_CIPHERS,
    "PERFORMANCE": USUAL_CIPHERS,
    "LEGACY": USUAL_CIPHERS,
    "SYSTEM": USUAL_CIPHERS,
    "SECURE": f"HIGH:{_STRONG}",
    "SECURE128": f"HIGH:{_STRONG}",
    "SECURE192": f"AES256:CHACHA20:!SHA1:{_STRONG}",
    "SECURE256": f"AES256:CHACHA20:!SHA1:{_STRONG}",
    "SUITEB128": "SUITEB128",
    "SUITEB192": "SUITEB192",
    "PFS": f"ECDHE:DHE:{_STRONG}",
}
# What is never spoken here, so that to forbid it changes nothing.
_NEVER = frozenset(
    words(
        "-VERS-SSL3.0 -VERS-TLS1.0 -VERS-TLS1.1 -VERS-DTLS-ALL -ARCFOUR-128 -ARCFOUR-40 -MD5"
        " -3DES-CBC -DES-CBC -RC2-40 -COMP-DEFLATE +COMP-NULL"
    )
)
_VERSIONS = ("TLS1.2", "TLS1.3")
_WITHOUT = {
    "-RSA": "!kRSA",
    "-DHE-RSA": "!DHE",
    "-SHA1": "!SHA1",
    "-AES-128-CBC": "!AES128+SHA1",
}
# How GnuTLS goes about it, which OpenSSL does in its own way.
_MANNERS = frozenset(("%COMPAT", "%SAFE_RENEGOTIATION", "%PARTIAL_RENEGOTIATION"))
_HARMLESS = frozenset(("%LATEST_RECORD_VERSION", "%NO_TICKETS_TLS12", "%PROFILE_MEDIUM"))


@dataclass(frozen=True, slots=True)
class Choice:
    """What may be agreed on: OpenSSL's cipher list, versions left out, options of OpenSSL."""

    ciphers: str = USUAL_CIPHERS
    without: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


USUAL = Choice()


def choose(text: str) -> Choice:
    """What a value of tls_require_ciphers asks for; "" is the usual."""
    named = [word for word in text.replace(" ", ":").replace(",", ":").split(":") if word]
    if not named:
        return USUAL
    first = upper(named[0])
    if first.startswith("@"):
        # @KEYWORD of GnuTLS: what the administrator of the system wants.
        first = "SYSTEM"
    if first == "NONE":
        raise _unknown(named[0], text)
    if first not in _BASES:
        return Choice(":".join(named).replace("_", "-"))
    return _translated(first, named[1:], text)


def _translated(base: str, words: list[str], text: str) -> Choice:
    ciphers = [_BASES[base]]
    versions = set(_VERSIONS)
    options: list[str] = []
    for word in words:
        name = upper(word).replace("-VERS-ALL", "-VERS-TLS-ALL")
        if name.startswith("!"):
            name = f"-{name[1:]}"
        if name.startswith("-VERS-TLS-ALL"):
            versions.clear()
        elif name[1:6] == "VERS-" and name[6:] in _VERSIONS:
            (versions.add if name[0] == "+" else versions.discard)(name[6:])
        elif name == "%SERVER_PRECEDENCE":
            options.append("cipher_server_preference")
        elif name in _WITHOUT:
            ciphers.append(_WITHOUT[name])
        elif name not in _NEVER and name not in _MANNERS and name not in _HARMLESS:
            raise _unknown(word, text)
    if not versions:
        raise TempFail(f'no version of TLS is left of "{text}"')
    without = tuple(each for each in _VERSIONS if each not in versions)
    return Choice(":".join(ciphers), without, tuple(options))


def _unknown(word: str, text: str) -> TempFail:
    return TempFail(
        f'"{word}" in the GnuTLS priority string "{text}" has no counterpart here; '
        "write a cipher list as OpenSSL has it, see ciphers(1)"
    )
