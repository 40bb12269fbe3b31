"""What certificates say, and one that nobody vouches for.

A stranger made what is read here: for what cannot be read there is CertificateError, and
nothing else is raised.
"""

from __future__ import annotations

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mta.base import clock
from mta.base.errors import MtaError
from mta.base.text import lower, one_line

SELF_SIGNED_DAYS = 365
LONGEST_NAME = 64  # a common name has no more characters (RFC 5280 appendix A)
LONGEST_SUBJECT = 256
MOST_NAMES = 100
_MAIL = NameOID.EMAIL_ADDRESS


class CertificateError(MtaError):
    """A certificate that cannot be read."""


def subject(certificate: x509.Certificate) -> str:
    """For whom a certificate is, as /C=…/CN=…  Raises CertificateError."""
    try:
        shown = [f"{_short(each)}={each.value!s}" for each in certificate.subject]
    except (ValueError, TypeError, UnicodeError) as error:
        raise CertificateError(f"the subject cannot be read: {error}") from error
    return "".join(f"/{one_line(each)}" for each in shown)[:LONGEST_SUBJECT]


def _short(attribute: x509.NameAttribute[str | bytes]) -> str:
    return "emailAddress" if attribute.oid == _MAIL else attribute.rfc4514_attribute_name


def names(certificate: x509.Certificate) -> tuple[str, ...]:
    """The hosts it is for, in lower case: DNS names, or where there is no such extension the
    common name (RFC 6125 6.4.4).  Raises CertificateError."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        listed = found.value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        listed = _common_name(certificate)
    except (ValueError, TypeError, UnicodeError) as error:
        # What names a certificate has nobody knows then; the common name is none of them.
        raise CertificateError(f"the names cannot be read: {error}") from error
    return tuple(lower(each) for each in listed[:MOST_NAMES])


def _common_name(certificate: x509.Certificate) -> list[str]:
    try:
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except (ValueError, TypeError, UnicodeError) as error:
        raise CertificateError(f"the subject cannot be read: {error}") from error
    return [str(common[-1].value)] if common else []


def self_signed(host: str) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """A key and a certificate that nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:LONGEST_NAME])])
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
