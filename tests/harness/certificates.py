"""Certificates for tests: an authority, and what it vouches for, expired and revoked if asked.

authority = Authority(directory)
pair = authority.issue("mx.example.test")          # .certificate and .key are paths
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, in files."""

    certificate: str
    key: str
    serial: int


def name_of(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


@dataclass(slots=True)
class Authority:
    """Somebody who vouches for others."""

    directory: Path
    name: str = "Test Authority"
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    certificate: str = field(init=False)

    def __post_init__(self) -> None:
        made = self._sign(self.name, self.key, (), is_authority=True, days=30)
        self.certificate = self._write(f"{self.name}.crt".replace(" ", "-"), made)

    def issue(
        self, host: str, *, names: Iterable[str] | None = None, days: int = 30, file: str = ""
    ) -> Pair:
        """A certificate for a host; with negative `days` one that is over."""
        key = ec.generate_private_key(ec.SECP256R1())
        listed = [host] if names is None else list(names)
        made = self._sign(host, key, listed, is_authority=False, days=days)
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        base = file or host
        (self.directory / f"{base}.key").write_bytes(pem)
        return Pair(
            self._write(f"{base}.crt", made),
            str(self.directory / f"{base}.key"),
            made.serial_number,
        )

    def revoke(self, *pairs: Pair) -> str:
        """A list of those that are not good any more, in a file."""
        now = datetime.datetime.now(datetime.UTC)
        listed = x509.CertificateRevocationListBuilder().issuer_name(name_of(self.name))
        listed = listed.last_update(now - DAY).next_update(now + DAY)
        for pair in pairs:
            entry = x509.RevokedCertificateBuilder().serial_number(pair.serial)
            listed = listed.add_revoked_certificate(entry.revocation_date(now - DAY).build())
        made = listed.sign(self.key, hashes.SHA256())
        path = self.directory / "revoked.pem"
        path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        return str(path)

    def _sign(
        self,
        common: str,
        key: ec.EllipticCurvePrivateKey,
        hosts: Iterable[str],
        *,
        is_authority: bool,
        days: int,
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(name_of(common))
            .issuer_name(name_of(self.name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 90 * DAY)
            .not_valid_after(now + days * DAY)
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        )
        if listed := [x509.DNSName(host) for host in hosts]:
            made = made.add_extension(x509.SubjectAlternativeName(listed), critical=False)
        return made.sign(self.key, hashes.SHA256())

    def _write(self, name: str, made: x509.Certificate) -> str:
        path = self.directory / name
        path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        return str(path)
