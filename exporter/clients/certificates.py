"""A certificate to sign in with: read its file, PEM or PFX, and sign an assertion with its key.

azure-identity raises the same ValueError for every defect of the file, so this module finds the defect itself. Call it on a
thread: OpenSSL checks the numbers of a key, which takes as long as many probes. No text contains a part of a key or password.
"""

from __future__ import annotations

import base64
import contextlib
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import uuid4

import jwt
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12

from exporter.core.values import Fault

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----")
_DER_SEQUENCE = b"\x30"
_UNREADABLE = (ValueError, x509.InvalidVersion)  # what the parser of certificates raises
SHA256 = hashes.SHA256()
_SHA1 = hashes.SHA1()  # noqa: S303 - the name of a certificate in Entra ID and AD FS, not a protection
PS256 = padding.PSS(padding.MGF1(SHA256), hashes.SHA256.digest_size)  # the signature that Entra ID requires


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A certificate with its private key, or a fault."""

    fault: Fault = Fault.NONE
    key: RSAPrivateKey | None = field(default=None, repr=False)  # that can sign
    certificate: x509.Certificate | None = field(default=None, repr=False)  # also without a key that can sign
    detail: str = ""  # what the file contains instead; not masked


def load_certificate(data: bytes, password: str | None) -> ClientCertificate:
    """Return the certificate of a file. Never raises for its content.

    An expiry needs no private key, and no password of a PEM file.
    """
    load = _load_pem if b"-----BEGIN " in data else _load_pfx
    return load(data, password.encode() if password else None)


def _load_pfx(data: bytes, password: bytes | None) -> ClientCertificate:
    try:
        key, certificate, others = pkcs12.load_key_and_certificates(data, password)
    except _UNREADABLE:
        if not data.startswith(_DER_SEQUENCE):
            why = "the file does not start as a PFX file does" if data else "the file is empty"
        elif password is None:
            why = "the file is damaged, or it needs a password and none is configured"
        else:
            why = "the file is damaged, or the password is wrong"
        return ClientCertificate(Fault.PFX_UNREADABLE, detail=why)
    except UnsupportedAlgorithm:
        return ClientCertificate(Fault.PFX_KEY_UNUSABLE, detail="an encryption that is not supported here")
    # Without a key, every certificate is listed among the others.
    found = certificate or next(iter(others), None)
    if found is None:
        detail = "no certificate" if key is None else f"{_key_type(key)} and no certificate"
        return ClientCertificate(Fault.PFX_NO_CERTIFICATE, detail=detail)
    if key is None:
        return ClientCertificate(Fault.PFX_NO_PRIVATE_KEY, certificate=found, detail="a certificate and no private key")
    return _assess([found], key, Fault.PFX_NOT_RSA, Fault.PFX_KEY_UNUSABLE, Fault.PFX_REQUEST)


def _load_pem(data: bytes, password: bytes | None) -> ClientCertificate:
    counts = Counter(name.decode("ascii") for name in _BLOCK.findall(data))
    blocks = ", ".join(f"{count} x {name}" for name, count in counts.items()) or "no block"
    try:
        certificates = [x509.load_pem_x509_certificate(data)]
    except _UNREADABLE:
        return ClientCertificate(Fault.PEM_NO_CERTIFICATE, detail=f"{blocks}; no readable certificate")
    if b"PRIVATE KEY-----" not in data:
        return ClientCertificate(Fault.PEM_NO_PRIVATE_KEY, certificate=certificates[0], detail=f"{blocks}; no private key")
    is_encrypted = b"ENCRYPTED" in data
    try:
        key = load_pem_private_key(data, password if is_encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: the key is encrypted and no password was given
        why = "the key block is damaged, or its format is not supported"
        if is_encrypted:
            missing = "the key is encrypted, and no password is configured"
            why = missing if password is None else "the password does not open the key"
        return ClientCertificate(Fault.PEM_KEY_UNUSABLE, certificate=certificates[0], detail=why)
    with contextlib.suppress(*_UNREADABLE):  # a later one is unreadable: the first counts alone
        certificates = x509.load_pem_x509_certificates(data)
    return _assess(certificates, key, Fault.PEM_NOT_RSA, Fault.PEM_KEY_UNUSABLE, Fault.PEM_REQUEST)


def _assess(
    certificates: Sequence[x509.Certificate], key: object, not_rsa: Fault, other_key: Fault, cannot_sign: Fault
) -> ClientCertificate:
    """Check the key against the first of the certificates."""
    first = certificates[0]
    if not isinstance(key, RSAPrivateKey):
        return ClientCertificate(not_rsa, certificate=first, detail=_key_type(key))
    owners = [number for number, each in enumerate(certificates, 1) if _owns(each, key)]
    if 1 not in owners:
        owner = f"certificate {owners[0]} of {len(certificates)}" if owners else "no certificate in the file"
        detail = f"the first certificate is {_subject(first)}; the key belongs to {owner}"
        return ClientCertificate(other_key, certificate=first, detail=detail)
    try:
        key.sign(b"", PS256, SHA256)
    except ValueError:  # the key is too short for the signature
        return ClientCertificate(cannot_sign, certificate=first, detail=_key_type(key))
    return ClientCertificate(key=key, certificate=first)


def _owns(certificate: x509.Certificate, key: RSAPrivateKey) -> bool:
    try:
        return certificate.public_key() == key.public_key()
    except (ValueError, UnsupportedAlgorithm):  # a chain may have a key of any type
        return False


def _key_type(key: object) -> str:
    """Return type and size of a private key."""
    if isinstance(key, RSAPrivateKey):
        return f"an RSA key of {key.key_size} bits"
    if isinstance(key, EllipticCurvePrivateKey):
        return f"an EC key ({key.curve.name})"
    return f"a key of type {type(key).__name__.strip('_')}"


def _subject(certificate: x509.Certificate) -> str:
    name = certificate.subject.rfc4514_string()[:80]
    try:
        is_authority = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        is_authority = False
    return f"that of the authority {name}" if is_authority else name


def thumbprint(certificate: x509.Certificate) -> str:
    """Return Entra's identifier of a certificate: SHA-1 in lower-case hex."""
    return certificate.fingerprint(_SHA1).hex()


# The proof of a client certificate: a JWT with the signature of its key, as azure-identity's `CertificateCredential` makes it.
#
# That class reads the key twice for each object, on the event loop. Reading a key takes as long as many probes, a signature a
# hundredth of that.

_LIFE_SECONDS = 30 * 60


def make_assertion(key: RSAPrivateKey, certificate: x509.Certificate, *, authority: str, tenant: str, client_id: str) -> str:
    """Return a new assertion for the token request to a tenant; AD FS, tenant `adfs`, knows only an older signature."""
    is_adfs, now = tenant.lower() == "adfs", int(time.time())
    algorithm, name, digest = ("RS256", "x5t", _SHA1) if is_adfs else ("PS256", "x5t#S256", SHA256)
    audience = f"{authority.rstrip('/')}/{tenant}/oauth2/v2.0/token"
    claims = {"jti": str(uuid4()), "aud": audience, "iss": client_id, "sub": client_id, "nbf": now, "exp": now + _LIFE_SECONDS}
    mark = base64.urlsafe_b64encode(certificate.fingerprint(digest)).decode("ascii")
    return jwt.encode(claims, key, algorithm, headers={name: mark})
