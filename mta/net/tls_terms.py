"""What is asked of TLS and what comes of it, in words that cost nothing to load.

Whoever asks for TLS needs these; OpenSSL itself is loaded by mta.net.secrecy.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from mta.base.text import is_number, lower, words

USUAL_CIPHERS = "DEFAULT:!aNULL:!eNULL:!EXPORT:!RC4:!3DES:!MD5"
SYSTEM = "system"  # in place of a file: the authorities that the system trusts
LARGEST = 1 << 20  # octets of a file with certificates or a key
# The names that openssl_options may have.
OPTIONS = tuple(
    words("""
    all allow_unsafe_legacy_renegotiation cipher_server_preference
    dont_insert_empty_fragments ephemeral_rsa legacy_server_connect no_compression
    no_renegotiation no_session_resumption_on_renegotiation no_sslv2 no_sslv3 no_ticket
    no_tlsv1 no_tlsv1_1 no_tlsv1_2 no_tlsv1_3 safari_ecdhe_ecdsa_bug single_dh_use
    single_ecdh_use tls_block_padding_bug tls_d5_bug tls_rollback_bug
    """)
)
UNREADABLE = "the certificate cannot be read"


class TlsError(ConnectionError):
    """The other side does not do TLS, or not as it must."""


class Below(Protocol):
    """The stream that TLS runs over: mta.smtp.stream.Stream, or a link to another host."""

    def set_timeout(self, seconds: float) -> None: ...
    def read(self, size: int) -> bytes: ...
    def write(self, octets: bytes) -> None: ...
    def readable(self) -> bool: ...
    def wait(self, seconds: float) -> None: ...
    def close(self) -> None: ...


class Secured(Below, Protocol):
    """The stream that TLS makes of it."""

    def last_words(self, octets: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class Facts:
    """What was agreed on in a handshake."""

    version: str  # TLS1.3
    cipher: str  # OpenSSL's name
    bits: int
    server_name: str = ""  # what the client asked for (SNI)
    peer: str = ""  # the subject of the other side's certificate, as /C=…/CN=…
    verified: bool = False  # that certificate comes from somebody whom we trust
    trouble: str = ""  # why not
    names: tuple[str, ...] = ()  # of hosts in that certificate
    has_certificate: bool = False  # the other side showed one

    def __str__(self) -> str:
        return f"{self.version}:{self.cipher}:{self.bits}"

    @property
    def standard_cipher(self) -> str:
        """The name of the cipher suite as IANA has it."""
        return standard_name(self.cipher)


def recorded(cipher: str, peer: str, sni: str, *, verified: bool) -> Facts | None:
    """The facts of a connection that is over, from what was kept: `str` of them first."""
    version, _, rest = cipher.partition(":")
    name, _, bits = rest.rpartition(":")
    if not name:
        return None
    size = int(bits) if is_number(bits) and len(bits) < 5 else 0
    return Facts(version, name, size, sni, peer, verified)


_WITHOUT_EXCHANGE = ("AES", "CAMELLIA", "ARIA", "CHACHA20", "DES", "RC4", "NULL", "SEED")


def standard_name(cipher: str) -> str:
    """IANA's name for OpenSSL's name of a cipher suite.

    ECDHE-RSA-AES256-GCM-SHA384 is TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384; the suites of TLS 1.3
    have one name only.
    """
    if not cipher or cipher.startswith("TLS_"):
        return cipher
    parts = cipher.split("-")
    at = next(
        (n for n, part in enumerate(parts) if part.startswith(_WITHOUT_EXCHANGE)), len(parts)
    )
    exchange = "_".join(parts[:at]) or "RSA"
    rest = "_".join(parts[at:])
    for name in ("AES", "CAMELLIA", "ARIA"):
        rest = rest.replace(f"{name}128", f"{name}_128").replace(f"{name}256", f"{name}_256")
    if rest.count("_") == 2 and "_GCM" not in rest and "CCM" not in rest:
        head, _, tail = rest.rpartition("_")
        rest = f"{head}_CBC_{tail}"
    if rest.startswith("CHACHA20"):
        rest += "_SHA256"
    return f"TLS_{exchange}_WITH_{rest}"


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What a server's side is made of.  Without a certificate it makes one of its own."""

    host: str  # for whom such a one is made
    certificate: str = ""  # a file: the certificate, and those that lead to its root
    key: str = ""  # a file; "" is the same one
    ciphers: str = USUAL_CIPHERS
    authorities: str = ""  # a file, a directory or SYSTEM: who may vouch for clients
    ask: bool = False  # ask clients for certificates
    require: bool = False  # and turn away those without a good one
    revoked: str = ""  # a file of CRLs, for all in a chain
    parameters: str = ""  # a file of Diffie-Hellman's
    curve: str = ""
    options: tuple[str, ...] = ()  # of OpenSSL
    without: tuple[str, ...] = ()  # versions that are not spoken


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """What a client's side is made of."""

    certificate: str = ""
    key: str = ""
    ciphers: str = USUAL_CIPHERS
    authorities: str = SYSTEM
    require: bool = False  # have nothing to do with servers that nobody vouches for
    revoked: str = ""
    options: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    resume: bool = False  # sessions may be kept and taken up again


Settings = ServerSettings | ClientSettings
# What a server is made of when a client asks for a name (SNI); None: as before.
ByName = Callable[[str], ServerSettings | None]


class Maker(Protocol):
    """What makes streams secret: mta.net.tls.Contexts."""

    def prepare(self, settings: Settings) -> None:
        """Make what these settings need.  Raises TempFail."""

    def serve(
        self,
        below: Below,
        settings: ServerSettings,
        seconds: float,
        by_name: ByName | None = None,
    ) -> tuple[Secured, Facts]:
        """Be the server of a handshake that may take this long.  Raises TempFail, OSError."""

    def connect(
        self, below: Below, settings: ClientSettings, seconds: float, name: str
    ) -> tuple[Secured, Facts]:
        """Be the client; `name` is the host that is wanted.  Raises TempFail, OSError."""


def stamp(path: str) -> tuple[int, int, int]:
    """What changes when a file is replaced or written; zeros for none."""
    try:
        found = os.stat(path)
    except OSError:
        return (0, 0, 0)
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def is_for(listed: tuple[str, ...] | list[str], host: str) -> bool:
    """True if a certificate with these names is for this host (RFC 6125 6.4.3).

    A star stands for the whole first label and no other, with two labels at least behind it.
    """
    wanted = lower(host.removesuffix("."))
    _, _, above = wanted.partition(".")
    return any(
        name == wanted or (name.startswith("*.") and name[2:] == above and "." in above)
        for name in listed
    )
