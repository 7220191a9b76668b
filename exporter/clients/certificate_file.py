"""A service principal's certificate file, PEM or PFX: from bytes to what azure-identity can sign with, or a fault.

Judged here because the SDK answers every mistake with the same ValueError. Blocks (a PFX derives its key slowly): to be
called on a thread.
Not for: sending anything (see `entra`), what follows from a certificate's end.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    pkcs12,
)

from exporter.core.faults import Fault


@dataclass(frozen=True, slots=True)
class _FaultsOfFormat:
    """What the same mistake is called in either format."""

    no_certificate: Fault
    no_private_key: Fault
    not_rsa: Fault
    key_unusable: Fault
    cannot_sign: Fault


_PFX = _FaultsOfFormat(
    Fault.PFX_NO_CERTIFICATE, Fault.PFX_NO_PRIVATE_KEY, Fault.PFX_NOT_RSA, Fault.PFX_KEY_UNUSABLE, Fault.PFX_REQUEST
)
_PEM = _FaultsOfFormat(
    Fault.PEM_NO_CERTIFICATE, Fault.PEM_NO_PRIVATE_KEY, Fault.PEM_NOT_RSA, Fault.PEM_KEY_UNUSABLE, Fault.PEM_REQUEST
)
_SHA256 = hashes.SHA256()
_PS256 = padding.PSS(padding.MGF1(_SHA256), hashes.SHA256.digest_size)  # PS256


@dataclass(frozen=True, slots=True)
class Certificate:
    """`pem` is certificate and key without a password, in memory only; None where `fault` says why."""

    fault: Fault = Fault.NONE
    pem: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class PublicPart:
    """What is told of the certificate to anybody: its end (a Unix time) and its SHA-1 in lower-case hex."""

    not_after: float
    thumbprint: str


def load_certificate(data: bytes, password: str | None) -> Certificate:
    """What a certificate file holds. Never raises for its content."""
    secret = password.encode() if password else None
    return _load_pem(data, secret) if b"-----BEGIN " in data else _load_pfx(data, secret)


def read_public_part(data: bytes, password: str | None) -> tuple[Fault, PublicPart | None]:
    """Of the certificate that a file would sign in with, what needs no private key: in PEM it can be read without the password.

    Never raises for the content.
    """
    if b"-----BEGIN " in data:
        certificate, fault = _pem_certificate(data), _PEM.no_certificate
    else:
        certificate, _, fault = _open_pfx(data, password.encode() if password else None)
    if certificate is None:
        return fault, None
    thumbprint = certificate.fingerprint(hashes.SHA1())  # noqa: S303 - a name, as Entra has it, and no protection
    return Fault.NONE, PublicPart(certificate.not_valid_after_utc.timestamp(), thumbprint.hex())


def _load_pfx(data: bytes, password: bytes | None) -> Certificate:
    certificate, key, fault = _open_pfx(data, password)
    return _assess(certificate, key, _PFX) if fault is Fault.NONE else Certificate(fault)


def _open_pfx(data: bytes, password: bytes | None) -> tuple[x509.Certificate | None, object, Fault]:
    """Certificate, key, and why there is no certificate."""
    try:
        key, certificate, others = pkcs12.load_key_and_certificates(data, password)
    except ValueError:  # no PFX at all, or another password
        return None, None, Fault.PFX_UNREADABLE
    except UnsupportedAlgorithm:
        return None, None, Fault.PFX_KEY_UNUSABLE
    # Without a key, no certificate is "the" one: they all stand among the others.
    found = certificate or next(iter(others), None)
    return found, key, Fault.NONE if found is not None else _PFX.no_certificate


def _pem_certificate(data: bytes) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(data)
    except ValueError:
        return None


def _load_pem(data: bytes, password: bytes | None) -> Certificate:
    certificate = _pem_certificate(data)
    if certificate is None:
        return Certificate(_PEM.no_certificate)
    if b"PRIVATE KEY-----" not in data:
        return Certificate(_PEM.no_private_key)
    try:
        key = load_pem_private_key(data, password if b"ENCRYPTED" in data else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it has a password and none was given
        return Certificate(_PEM.key_unusable)
    return _assess(certificate, key, _PEM)


def _assess(certificate: x509.Certificate | None, key: object, faults: _FaultsOfFormat) -> Certificate:
    if certificate is None:
        return Certificate(faults.no_certificate)
    if key is None:
        return Certificate(faults.no_private_key)
    if not isinstance(key, RSAPrivateKey):
        return Certificate(faults.not_rsa)
    if _public(certificate.public_key()) != _public(key.public_key()):
        return Certificate(faults.key_unusable)  # the key of another certificate
    try:
        key.sign(b"", _PS256, _SHA256)
    except ValueError:  # too short a key for that signature
        return Certificate(faults.cannot_sign)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Certificate(pem=private + certificate.public_bytes(Encoding.PEM))


def _public(key: object) -> bytes:
    encode = getattr(key, "public_bytes", None)
    return encode(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) if encode is not None else b""
