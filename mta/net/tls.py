"""TLS over any stream, for both roles; the one user of pyOpenSSL.

    stream = TlsStream(stream, contexts.get(settings), server=True)
    stream.handshake()

TLS works in memory here: what it has to say goes out over the stream below, whose deadlines
hold, so a socket, a pipe and a connection of ours to another host are all the same to it.

A context is complete before its first connection and never changed after; when a file that
it was made of is another one, a new context is made.  Contexts that exist before a fork are
shared by the children, and with them the keys by which sessions are resumed.

Raises:   TlsError, which is a ConnectionError, when the other side breaks the rules or ends in
the middle; TimeoutError and OSError as the stream below does; TempFail for files.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import socket
from dataclasses import dataclass, field
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL, crypto

from mta.base import clock
from mta.base.errors import TempFail, describe
from mta.base.text import lower, one_line
from mta.net.socket import family_of

RECORD = 16 << 10
# Weak ones are off; what is left is ordered by OpenSSL.
USUAL_CIPHERS = "DEFAULT:!aNULL:!eNULL:!EXPORT:!RC4:!3DES:!MD5"
SELF_SIGNED_DAYS = 365
SYSTEM = "system"  # in place of a file: the authorities that the system trusts
MOST_ERROR = 200  # characters of OpenSSL's words


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

    def __str__(self) -> str:
        return f"{self.version}:{self.cipher}:{self.bits}"


@dataclass(slots=True)
class _Judgement:
    """What the check of one connection's certificates said."""

    trouble: str = ""


class TlsStream:
    """A stream whose other side speaks TLS."""

    __slots__ = ("_below", "_connection", "_judgement")

    def __init__(
        self, below: Below, context: SSL.Context, *, server: bool, name: str = ""
    ) -> None:
        """`name` is the host that a client wants to talk to."""
        self._below = below
        self._connection = SSL.Connection(context, None)
        self._judgement = _Judgement()
        self._connection.set_app_data(self._judgement)
        if server:
            self._connection.set_accept_state()
        else:
            self._connection.set_connect_state()
            if name and name.isascii() and not family_of(name):
                self._connection.set_tlsext_host_name(name.encode("ascii"))

    def handshake(self) -> Facts:
        """Agree on keys; what was agreed on."""
        while True:
            try:
                self._connection.do_handshake()
            except SSL.WantReadError:
                self._feed()
            except SSL.Error as error:
                # The alert that says why goes out before the end.
                with contextlib.suppress(OSError):
                    self._flush()
                raise TlsError(_words(error)) from None
            else:
                self._flush()
                return self._facts()

    def _facts(self) -> Facts:
        made = self._connection
        certificate = made.get_peer_certificate()
        trouble = self._judgement.trouble
        return Facts(
            made.get_protocol_version_name().replace("TLSv", "TLS"),
            made.get_cipher_name() or "",
            made.get_cipher_bits() or 0,
            (made.get_servername() or b"").decode("ascii", "replace"),
            "" if certificate is None else _subject(certificate.to_cryptography()),
            certificate is not None and not trouble,
            trouble,
        )

    def peer_names(self) -> list[str]:
        """The host names in the other side's certificate, in lower case."""
        certificate = self._connection.get_peer_certificate()
        return [] if certificate is None else _names(certificate.to_cryptography())

    def set_timeout(self, seconds: float) -> None:
        """From now on no wait takes longer than this."""
        self._below.set_timeout(seconds)

    def read(self, size: int) -> bytes:
        """At most this many octets as soon as there are any; b"" when the other side ended."""
        while True:
            try:
                return self._connection.recv(size)
            except SSL.WantReadError:
                self._feed()
            except SSL.ZeroReturnError:
                return b""
            except SSL.Error as error:
                raise TlsError(_words(error)) from None

    def write(self, octets: bytes) -> None:
        """Write everything."""
        rest = memoryview(octets)
        while rest:
            try:
                sent = self._connection.send(rest[:RECORD])
            except SSL.WantReadError:
                self._feed()
                continue
            except SSL.Error as error:
                raise TlsError(_words(error)) from None
            rest = rest[sent:]
            self._flush()

    def readable(self) -> bool:
        """True if `read` would not wait: for a record that has come in part it would."""
        while True:
            try:
                self._connection.recv(1, socket.MSG_PEEK)
            except SSL.WantReadError:
                if not self._below.readable():
                    return False
                try:
                    self._feed()
                except TlsError:
                    return True
            except SSL.Error:
                return True
            else:
                return True

    def wait(self, seconds: float) -> None:
        """Wait this long, or until the other side has gone."""
        self._below.wait(seconds)

    def close(self) -> None:
        """Say that this is the end, if it can still be said, and close."""
        with contextlib.suppress(OSError, SSL.Error):
            self._connection.shutdown()
            self._flush()
        self._below.close()

    def _feed(self) -> None:
        """Take what comes next; the end of the stream here is no end of the conversation."""
        self._flush()
        octets = self._below.read(RECORD)
        if not octets:
            raise TlsError("the connection was cut off")
        self._connection.bio_write(octets)

    def _flush(self) -> None:
        """Send what TLS has to say."""
        while True:
            try:
                octets = self._connection.bio_read(RECORD * 4)
            except SSL.WantReadError:
                return
            self._below.write(octets)


def _words(error: SSL.Error) -> str:
    """OpenSSL's words for an error: the reason of the last one."""
    queue = error.args[0] if error.args and isinstance(error.args[0], list) else []
    reason = queue[-1][-1] if queue else ""
    return (reason or type(error).__name__)[:MOST_ERROR]


def _subject(certificate: x509.Certificate) -> str:
    shown = [f"{each.rfc4514_attribute_name}={each.value!s}" for each in certificate.subject]
    return "".join(f"/{one_line(each)}" for each in shown)


def _names(certificate: x509.Certificate) -> list[str]:
    """DNS names, or where there are none at all the common name (RFC 6125 6.4.4)."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return [lower(str(common[-1].value))] if common else []
    return [lower(each) for each in found.value.get_values_for_type(x509.DNSName)]


def is_for(names: list[str], host: str) -> bool:
    """True if a certificate with these names is for this host (RFC 6125 6.4.3).

    A star stands for the whole first label and no other, with two labels at least behind it.
    """
    wanted = lower(host.removesuffix("."))
    _, _, above = wanted.partition(".")
    return any(
        name == wanted or (name.startswith("*.") and name[2:] == above and "." in above)
        for name in names
    )


# Contexts.


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


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """What a client's side is made of."""

    certificate: str = ""
    key: str = ""
    ciphers: str = USUAL_CIPHERS
    authorities: str = SYSTEM
    require: bool = False  # have nothing to do with servers that nobody vouches for


Settings = ServerSettings | ClientSettings
_Stamp = tuple[tuple[int, int, int], ...]


@dataclass(slots=True)
class Contexts:
    """The contexts of a process, each made once, and anew when its files have changed."""

    _known: dict[Settings, tuple[_Stamp, SSL.Context]] = field(default_factory=dict)

    def get(self, settings: Settings) -> SSL.Context:
        """The context for these settings.  Raises TempFail when a file cannot be used.

        While new files cannot be used, being written for instance, the old ones serve on.
        """
        stamp = _stamp(settings)
        known = self._known.get(settings)
        if known is not None and known[0] == stamp:
            return known[1]
        try:
            made = _make(settings)
        except TempFail:
            if known is None:
                raise
            return known[1]
        self._known[settings] = (stamp, made)
        return made


def _stamp(settings: Settings) -> _Stamp:
    found = []
    for name in (settings.certificate, settings.key, settings.authorities):
        try:
            seen = os.stat(name) if name.startswith("/") else None
        except OSError:
            seen = None
        if seen is not None:
            found.append((seen.st_ino, seen.st_size, seen.st_mtime_ns))
    return tuple(found)


def _make(settings: Settings) -> SSL.Context:
    is_server = isinstance(settings, ServerSettings)
    context = SSL.Context(SSL.TLS_SERVER_METHOD if is_server else SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    try:
        context.set_cipher_list(settings.ciphers.encode("ascii"))
    except (SSL.Error, UnicodeEncodeError):
        raise TempFail(f'no cipher is left of "{settings.ciphers}"') from None
    _trust(context, settings.authorities)
    if settings.certificate:
        _use_files(context, settings.certificate, settings.key or settings.certificate)
    mode = SSL.VERIFY_PEER
    if isinstance(settings, ServerSettings):
        if not settings.certificate:
            key, certificate = self_signed(settings.host)
            context.use_privatekey(key)
            context.use_certificate(certificate)
        context.set_session_id(b"mta")
        if settings.require:
            mode |= SSL.VERIFY_FAIL_IF_NO_PEER_CERT
        elif not settings.ask:
            mode = SSL.VERIFY_NONE
    context.set_verify(mode, _insisting if settings.require else _noting)
    return context


def _use_files(context: SSL.Context, certificate: str, key: str) -> None:
    for file in (certificate, key):
        try:
            os.close(os.open(file, os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            raise TempFail(f"cannot read {file}: {describe(error)}") from error
    try:
        context.use_certificate_chain_file(certificate)
    except SSL.Error as error:
        raise TempFail(f"{certificate} holds no certificate: {_words(error)}") from None
    try:
        context.use_privatekey_file(key)
        context.check_privatekey()
    except SSL.Error as error:
        raise TempFail(
            f"{key} does not hold the key of {certificate}: {_words(error)}"
        ) from None


def _trust(context: SSL.Context, authorities: str) -> None:
    if authorities == SYSTEM:
        context.set_default_verify_paths()
    elif authorities:
        try:
            if os.path.isdir(authorities):
                context.load_verify_locations(None, authorities)
            else:
                context.load_verify_locations(authorities)
        except SSL.Error as error:
            raise TempFail(f"cannot read {authorities}: {_words(error)}") from None


# X509_V_ERR_… of OpenSSL's x509_vfy.h that are met in practice.
_REASONS = {
    2: "unable to get issuer certificate",
    7: "certificate signature failure",
    9: "certificate is not yet valid",
    10: "certificate has expired",
    18: "self-signed certificate",
    19: "self-signed certificate in certificate chain",
    20: "unable to get local issuer certificate",
    21: "unable to verify the first certificate",
    23: "certificate revoked",
    24: "invalid CA certificate",
    26: "unsuitable certificate purpose",
}


def _noting(
    connection: SSL.Connection, certificate: crypto.X509, error: int, depth: int, good: int
) -> bool:
    """Note what is wrong and go on: encrypted to a stranger is better than open to all."""
    judgement = connection.get_app_data()
    if not good and isinstance(judgement, _Judgement) and not judgement.trouble:
        judgement.trouble = _REASONS.get(error, f"certificate error {error}")
    return True


def _insisting(
    connection: SSL.Connection, certificate: crypto.X509, error: int, depth: int, good: int
) -> bool:
    """Note what is wrong and end the handshake."""
    return _noting(connection, certificate, error, depth, good) and bool(good)


def self_signed(host: str) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """A key and a certificate that nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64])])
    start = datetime.datetime.fromtimestamp(clock.now(), datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - datetime.timedelta(hours=1))
        .not_valid_after(start + datetime.timedelta(days=SELF_SIGNED_DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return key, made
