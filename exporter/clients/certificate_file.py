"""Read a certificate file, PEM or PFX: a certificate to sign in with, or a fault.

azure-identity raises the same ValueError for every defect of the file, so this module finds the defect itself. Call it on a
thread: OpenSSL checks the numbers of a key, which takes as long as many probes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12

from exporter.clients.certificate_details import (
    key_type,
    owner_of_key,
    pem_blocks,
    pem_certificates,
    same_key,
    unopened_key,
    unopened_pfx,
)
from exporter.core.faults import Fault


@dataclass(frozen=True, slots=True)
class _FaultsOfFormat:
    """The faults of one file format."""

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
SHA256 = hashes.SHA256()
PS256 = padding.PSS(padding.MGF1(SHA256), hashes.SHA256.digest_size)  # the signature that Entra ID requires


class Signer(NamedTuple):
    """A private key and its certificate."""

    key: RSAPrivateKey
    certificate: x509.Certificate


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A certificate with its private key, or a fault."""

    fault: Fault = Fault.NONE
    signer: Signer | None = field(default=None, repr=False)
    detail: str = ""  # what the file contains instead; not masked


@dataclass(frozen=True, slots=True)
class PublicPart:
    """Public facts of a certificate: expiry (Unix time) and SHA-1 (lower-case hex)."""

    not_after: float
    thumbprint: str


def load_certificate(data: bytes, password: str | None) -> ClientCertificate:
    """Return the certificate of a file. Never raises for its content."""
    secret = password.encode() if password else None
    return _load_pem(data, secret) if b"-----BEGIN " in data else _load_pfx(data, secret)


def read_public_part(data: bytes, password: str | None) -> tuple[Fault, PublicPart | None]:
    """Return the public facts of a file's sign-in certificate.

    A PEM file needs no password for them. Never raises for the content.
    """
    if b"-----BEGIN " in data:
        certificate, fault = _pem_certificate(data), _PEM.no_certificate
    else:
        certificate, _, fault = _open_pfx(data, password.encode() if password else None)
    if certificate is None:
        return fault, None
    thumbprint = certificate.fingerprint(hashes.SHA1())  # noqa: S303 - Entra's identifier of a certificate, not a protection
    return Fault.NONE, PublicPart(certificate.not_valid_after_utc.timestamp(), thumbprint.hex())


def _load_pfx(data: bytes, password: bytes | None) -> ClientCertificate:
    certificate, key, fault = _open_pfx(data, password)
    if fault is Fault.PFX_UNREADABLE:
        return ClientCertificate(fault, detail=unopened_pfx(data, password))
    if fault is Fault.PFX_KEY_UNUSABLE:
        return ClientCertificate(fault, detail="an encryption that is not supported here")
    if certificate is None:
        return ClientCertificate(fault, detail="no certificate" if key is None else f"{key_type(key)} and no certificate")
    return _assess([certificate], key, _PFX)


def _open_pfx(data: bytes, password: bytes | None) -> tuple[x509.Certificate | None, object, Fault]:
    """Return the certificate, the key, and the fault if there is no certificate."""
    try:
        key, certificate, others = pkcs12.load_key_and_certificates(data, password)
    except ValueError:  # not a PFX, or a wrong password
        return None, None, Fault.PFX_UNREADABLE
    except UnsupportedAlgorithm:
        return None, None, Fault.PFX_KEY_UNUSABLE
    # Without a key, every certificate is listed among the others.
    found = certificate or next(iter(others), None)
    return found, key, Fault.NONE if found is not None else _PFX.no_certificate


def _pem_certificate(data: bytes) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(data)
    except ValueError:
        return None


def _load_pem(data: bytes, password: bytes | None) -> ClientCertificate:
    certificate = _pem_certificate(data)
    if certificate is None:
        return ClientCertificate(_PEM.no_certificate, detail=f"{pem_blocks(data)}; no readable certificate")
    if b"PRIVATE KEY-----" not in data:
        return ClientCertificate(_PEM.no_private_key, detail=f"{pem_blocks(data)}; no private key")
    try:
        key = load_pem_private_key(data, password if b"ENCRYPTED" in data else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: the key is encrypted and no password was given
        return ClientCertificate(_PEM.key_unusable, detail=unopened_key(data, password))
    return _assess(pem_certificates(data) or [certificate], key, _PEM)


def _assess(certificates: Sequence[x509.Certificate], key: object, faults: _FaultsOfFormat) -> ClientCertificate:
    """Check the key against the first of the certificates."""
    certificate = certificates[0]
    if key is None:
        return ClientCertificate(faults.no_private_key, detail="a certificate and no private key")
    if not isinstance(key, RSAPrivateKey):
        return ClientCertificate(faults.not_rsa, detail=key_type(key))
    if not same_key(certificate, key):
        return ClientCertificate(faults.key_unusable, detail=owner_of_key(key, certificates))
    try:
        key.sign(b"", PS256, SHA256)
    except ValueError:  # the key is too short for the signature
        return ClientCertificate(faults.cannot_sign, detail=key_type(key))
    return ClientCertificate(signer=Signer(key, certificate))
