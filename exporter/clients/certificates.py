"""A certificate to sign in with: read its file, PEM or PFX, and sign an assertion with its key.

azure-identity raises the same ValueError for every defect of the file, so this module finds the defect itself. Call it on a
thread: OpenSSL checks the numbers of a key, which takes as long as many probes. No text contains a part of a key or password.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import uuid4

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key, pkcs12

from exporter.core.values import Fault

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----")
_DER_SEQUENCE = b"\x30"


def pem_blocks(data: bytes) -> str:
    """Return the blocks of a PEM file: `2 x CERTIFICATE, 1 x PRIVATE KEY`."""
    counts = Counter(name.decode("ascii") for name in _BLOCK.findall(data))
    return ", ".join(f"{count} x {name}" for name, count in counts.items()) or "no block"


def pem_certificates(data: bytes) -> list[x509.Certificate]:
    """Return the certificates of a PEM file; none if one of them is unreadable."""
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError:
        return []


def unopened_key(data: bytes, password: bytes | None) -> str:
    """Return why the private key of a PEM file does not load."""
    if b"ENCRYPTED" not in data:
        return "the key block is damaged, or its format is not supported"
    return "the key is encrypted, and no password is configured" if password is None else "the password does not open the key"


def unopened_pfx(data: bytes, password: bytes | None) -> str:
    """Return why a PFX file does not open."""
    if not data.startswith(_DER_SEQUENCE):
        return "the file is empty" if not data else "the file does not start as a PFX file does"
    if password is None:
        return "the file is damaged, or it needs a password and none is configured"
    return "the file is damaged, or the password is wrong"


def key_type(key: object) -> str:
    """Return type and size of a private key."""
    if isinstance(key, RSAPrivateKey):
        return f"an RSA key of {key.key_size} bits"
    if isinstance(key, EllipticCurvePrivateKey):
        return f"an EC key ({key.curve.name})"
    return f"a key of type {type(key).__name__.strip('_')}"


def owner_of_key(key: object, certificates: Sequence[x509.Certificate]) -> str:
    """Return which certificate of the file the private key belongs to."""
    numbers = [number for number, each in enumerate(certificates, 1) if same_key(each, key)]
    first = f"the first certificate is {_subject(certificates[0])}" if certificates else "the file has no certificate"
    if not numbers:
        return f"{first}; the key belongs to no certificate in the file"
    return f"{first}; the key belongs to certificate {numbers[0]} of {len(certificates)}"


def same_key(certificate: x509.Certificate, key: object) -> bool:
    """Return whether the private key is that of the certificate."""
    public = getattr(key, "public_key", None)
    return public is not None and _public(certificate.public_key()) == _public(public())


def _public(key: object) -> bytes:
    encode = getattr(key, "public_bytes", None)
    return encode(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) if encode is not None else b""


def _subject(certificate: x509.Certificate) -> str:
    name = certificate.subject.rfc4514_string()[:80]
    return f"that of the authority {name}" if _is_authority(certificate) else name


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return bool(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except (x509.ExtensionNotFound, ValueError):
        return False


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


# The proof of a client certificate: a JWT with the signature of its key, as azure-identity's `CertificateCredential` makes it.
#
# That class reads the key twice for each object, on the event loop. Reading a key takes as long as many probes, a signature a
# hundredth of that.

_LIFE_SECONDS = 30 * 60
_RS256 = padding.PKCS1v15()
_SHA1 = hashes.SHA1()  # noqa: S303 - the name of a certificate in AD FS, not a protection


def make_assertion(signer: Signer, *, authority: str, tenant: str, client_id: str) -> str:
    """Return a new assertion for the token request to a tenant; AD FS, tenant `adfs`, knows only an older signature."""
    key, certificate = signer
    now = int(time.time())
    is_adfs = tenant.lower() == "adfs"
    algorithm, name, digest, scheme = ("RS256", "x5t", _SHA1, _RS256) if is_adfs else ("PS256", "x5t#S256", SHA256, PS256)
    header = {"typ": "JWT", "alg": algorithm, name: _encoded(certificate.fingerprint(digest))}
    audience = f"{authority.rstrip('/')}/{tenant}/oauth2/v2.0/token"
    claims = {"jti": str(uuid4()), "aud": audience, "iss": client_id, "sub": client_id, "nbf": now, "exp": now + _LIFE_SECONDS}
    signed = f"{_encoded(json.dumps(header).encode())}.{_encoded(json.dumps(claims).encode())}"
    return f"{signed}.{_encoded(key.sign(signed.encode(), scheme, SHA256))}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii")
