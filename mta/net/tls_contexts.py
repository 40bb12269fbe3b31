"""The contexts that TLS works in: certificates, keys, ciphers, whom to trust.

A context is complete before its first connection and never changed after; when a file that
it was made of is another one, a new context is made.  Contexts that exist before a fork are
shared by the children, and with them the keys by which sessions are resumed.  Where clients
are asked for certificates no session is resumed, as nobody would look at those again.

Raises:   TempFail for files and ciphers that cannot be used.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL, crypto

from mta.base.errors import TempFail, describe
from mta.net.certificates import self_signed
from mta.net.tls import Judgement, TlsStream, words
from mta.net.tls_terms import (
    LARGEST,
    SYSTEM,
    UNREADABLE,
    Below,
    ByName,
    ClientSettings,
    Facts,
    ServerSettings,
    Settings,
    TlsError,
    stamp,
)

MOST_CONTEXTS = 100  # names of hosts may be in the names of files

_Stamp = tuple[tuple[int, int, int], ...]


@dataclass(slots=True)
class Contexts:
    """The contexts of a process, each made once, and anew when its files have changed.

    `given` are files that were read by somebody else, by name.
    """

    given: Mapping[str, bytes] = field(default_factory=dict)
    _known: dict[Settings, tuple[_Stamp, SSL.Context]] = field(default_factory=dict)

    def get(self, settings: Settings) -> SSL.Context:
        """The context for these settings.  Raises TempFail when a file cannot be used.

        While new files cannot be used, being written for instance, the old ones serve on.
        """
        now = self._stamp(settings)
        known = self._known.get(settings)
        if known is not None and known[0] == now:
            return known[1]
        try:
            made = self._make(settings)
        except TempFail:
            if known is None:
                raise
            return known[1]
        if len(self._known) >= MOST_CONTEXTS:
            self._known.clear()
        self._known[settings] = (now, made)
        return made

    def prepare(self, settings: Settings) -> None:
        """Make what these settings need.  Raises TempFail."""
        self.get(settings)

    def serve(
        self,
        below: Below,
        settings: ServerSettings,
        seconds: float,
        by_name: ByName | None = None,
    ) -> tuple[TlsStream, Facts]:
        """Be the server of a handshake that may take this long.  Raises TempFail, OSError."""
        stream = TlsStream(below, self.get(settings), server=True, by_name=by_name)
        facts = stream.handshake(seconds)
        _insist(facts, settings)
        return stream, facts

    def connect(
        self, below: Below, settings: ClientSettings, seconds: float, name: str
    ) -> tuple[TlsStream, Facts]:
        """Be the client; `name` is the host that is wanted.  Raises TempFail, OSError."""
        stream = TlsStream(below, self.get(settings), server=False, name=name)
        facts = stream.handshake(seconds)
        _insist(facts, settings)
        return stream, facts

    def _stamp(self, settings: Settings) -> _Stamp:
        names = [settings.certificate, settings.key, settings.authorities, settings.revoked]
        if isinstance(settings, ServerSettings):
            names.append(settings.parameters)
        return tuple(
            stamp(name) for name in names if name.startswith("/") and name not in self.given
        )

    def _make(self, settings: Settings) -> SSL.Context:
        is_server = isinstance(settings, ServerSettings)
        context = SSL.Context(SSL.TLS_SERVER_METHOD if is_server else SSL.TLS_CLIENT_METHOD)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        _limit(context, settings)
        _trust(context, settings.authorities)
        if settings.revoked:
            _refuse_revoked(context, self._read(settings.revoked), settings.revoked)
        if settings.certificate:
            self._use_files(
                context, settings.certificate, settings.key or settings.certificate
            )
        if isinstance(settings, ServerSettings):
            self._be_server(context, settings)
        else:
            context.set_verify(SSL.VERIFY_PEER, _insisting if settings.require else _noting)
        return context

    def _be_server(self, context: SSL.Context, settings: ServerSettings) -> None:
        if not settings.certificate:
            key, certificate = self_signed(settings.host)
            context.use_privatekey(key)
            context.use_certificate(certificate)
        if settings.parameters:
            _use_parameters(context, settings.parameters)
        if settings.curve:
            _use_curve(context, settings.curve)
        context.set_session_id(b"mta")
        context.set_tlsext_servername_callback(self._other_name)
        if settings.require:
            mode = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT
        else:
            mode = SSL.VERIFY_PEER if settings.ask else SSL.VERIFY_NONE
        if mode != SSL.VERIFY_NONE:
            context.set_options(SSL.OP_NO_TICKET)
        context.set_verify(mode, _insisting if settings.require else _noting)

    def _other_name(self, connection: SSL.Connection) -> None:
        """A client has said which host it wants: serve it as that one."""
        judgement = connection.get_app_data()
        if not isinstance(judgement, Judgement) or judgement.by_name is None:
            return
        name = (connection.get_servername() or b"").decode("ascii", "replace")
        by_name, judgement.by_name = judgement.by_name, None
        try:
            settings = by_name(name)
            if settings is not None:
                connection.set_context(self.get(settings))
        except TempFail:
            pass  # it gets what all others get

    def _read(self, path: str) -> bytes:
        """What is in a file.  Raises TempFail."""
        if path in self.given:
            return self.given[path]
        try:
            with open(path, "rb") as file:
                return file.read(LARGEST)
        except OSError as error:
            raise TempFail(f"cannot read {path}: {describe(error)}") from error

    def _use_files(self, context: SSL.Context, certificate: str, key: str) -> None:
        chain = self._read(certificate)
        secret = self._read(key)
        try:
            first, *others = x509.load_pem_x509_certificates(chain)
            context.use_certificate(first)
            for each in others:
                context.add_extra_chain_cert(each)
        except (ValueError, TypeError, SSL.Error, x509.InvalidVersion) as error:
            raise TempFail(f"{certificate} holds no certificate: {_said(error)}") from None
        try:
            # It is the administrator's: to prove it prime again would take a while.
            loaded = load_pem_private_key(secret, None, unsafe_skip_rsa_key_validation=True)
            context.use_privatekey(loaded)  # type: ignore[arg-type]  # others are a TypeError
            context.check_privatekey()
        except (ValueError, TypeError, SSL.Error) as error:
            raise TempFail(
                f"{key} does not hold the key of {certificate}: {_said(error)}"
            ) from None


def _said(error: Exception) -> str:
    return words(error) if isinstance(error, SSL.Error) else str(error).partition("\n")[0]


def _insist(facts: Facts, settings: Settings) -> None:
    """A certificate that is required must be one that can be read."""
    if settings.require and facts.trouble.startswith(UNREADABLE):
        raise TlsError(facts.trouble)


_VERSIONS = {"TLS1.2": SSL.OP_NO_TLSv1_2, "TLS1.3": SSL.OP_NO_TLSv1_3}
# What tls_terms.OPTIONS are to OpenSSL; what is not here it does anyhow, or knows no longer.
_OPTIONS = {
    "all": SSL.OP_ALL,
    "cipher_server_preference": SSL.OP_CIPHER_SERVER_PREFERENCE,
    "dont_insert_empty_fragments": SSL.OP_DONT_INSERT_EMPTY_FRAGMENTS,
    "legacy_server_connect": SSL.OP_LEGACY_SERVER_CONNECT,
    "no_compression": SSL.OP_NO_COMPRESSION,
    "no_renegotiation": SSL.OP_NO_RENEGOTIATION,
    "no_sslv2": SSL.OP_NO_SSLv2,
    "no_sslv3": SSL.OP_NO_SSLv3,
    "no_ticket": SSL.OP_NO_TICKET,
    "no_tlsv1": SSL.OP_NO_TLSv1,
    "no_tlsv1_1": SSL.OP_NO_TLSv1_1,
    "no_tlsv1_2": SSL.OP_NO_TLSv1_2,
    "no_tlsv1_3": SSL.OP_NO_TLSv1_3,
    "single_dh_use": SSL.OP_SINGLE_DH_USE,
    "single_ecdh_use": SSL.OP_SINGLE_ECDH_USE,
}


def _limit(context: SSL.Context, settings: Settings) -> None:
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    for version in settings.without:
        context.set_options(_VERSIONS[version])
    for option in settings.options:
        context.set_options(_OPTIONS.get(option, 0))
    try:
        context.set_cipher_list(settings.ciphers.encode("ascii"))
    except (SSL.Error, UnicodeEncodeError):
        raise TempFail(f'no cipher is left of "{settings.ciphers}"') from None


def _trust(context: SSL.Context, authorities: str) -> None:
    if authorities == SYSTEM:
        context.set_default_verify_paths()
    elif authorities and authorities != os.devnull:
        try:
            if os.path.isdir(authorities):
                context.load_verify_locations(None, authorities)
            else:
                context.load_verify_locations(authorities)
        except SSL.Error as error:
            raise TempFail(f"cannot read {authorities}: {words(error)}") from None


_PEM_END = b"-----END X509 CRL-----"


def _refuse_revoked(context: SSL.Context, octets: bytes, path: str) -> None:
    """Take nothing that is on these lists; every authority of a chain must have one."""
    store = context.get_cert_store()
    lists = [part + _PEM_END for part in octets.split(_PEM_END)[:-1]]
    try:
        for each in lists:
            if store is not None:
                store.add_crl(x509.load_pem_x509_crl(each.lstrip(b"\r\n")))
    except (ValueError, crypto.Error) as error:
        raise TempFail(f"{path} holds no CRL: {error}") from None
    if store is None or not lists:
        raise TempFail(f"{path} holds no CRL")
    flags = crypto.X509StoreFlags
    store.set_flags(flags.CRL_CHECK | flags.CRL_CHECK_ALL)


def _use_parameters(context: SSL.Context, path: str) -> None:
    try:
        context.load_tmp_dh(path)
    except (SSL.Error, OSError) as error:
        raise TempFail(f"cannot use tls_dhparam {path}: {_said(error)}") from None


_CURVES: dict[str, type[ec.EllipticCurve]] = {
    "prime256v1": ec.SECP256R1,
    "P-256": ec.SECP256R1,
    "secp256r1": ec.SECP256R1,
    "secp384r1": ec.SECP384R1,
    "P-384": ec.SECP384R1,
    "secp521r1": ec.SECP521R1,
    "P-521": ec.SECP521R1,
}


def _use_curve(context: SSL.Context, name: str) -> None:
    curve = _CURVES.get(name)
    if curve is None:
        known = ", ".join(_CURVES)
        raise TempFail(f'tls_eccurve "{name}" is none of auto, {known}')
    context.set_tmp_ecdh(curve())


# X509_V_ERR_… of OpenSSL's x509_vfy.h that are met in practice.
_REASONS = {
    2: "unable to get issuer certificate",
    3: "unable to get certificate CRL",
    7: "certificate signature failure",
    9: "certificate is not yet valid",
    10: "certificate has expired",
    12: "CRL has expired",
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
    if isinstance(judgement, Judgement):
        judgement.was_asked = True
        if not good and not judgement.trouble:
            judgement.trouble = _REASONS.get(error, f"certificate error {error}")
    return True


def _insisting(
    connection: SSL.Connection, certificate: crypto.X509, error: int, depth: int, good: int
) -> bool:
    """Note what is wrong and end the handshake."""
    return _noting(connection, certificate, error, depth, good) and bool(good)
