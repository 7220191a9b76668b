"""Check the client assertion that an application signs in with.

The checks are the signature by a registered certificate (RS256 or PS256), audience, issuer and times.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from exporter.core.parsing.key_vault import decode, encode, read_object
from exporter.simulator.model import Application

BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_SKEW = 300.0  # seconds by which clocks may differ
_SHA256 = hashes.SHA256()
_PADDINGS: dict[str, padding.AsymmetricPadding] = {
    "RS256": padding.PKCS1v15(),
    "PS256": padding.PSS(padding.MGF1(_SHA256), hashes.SHA256.digest_size),
}


@dataclass(frozen=True, slots=True)
class _Parts:
    """The parts of a signed assertion."""

    header: dict[str, Any]
    payload: dict[str, Any]
    signed: bytes
    signature: bytes


def refusal(application: Application, assertion: str, audience: str, now: float) -> str | None:
    """Return the name of Entra's refusal, None if the assertion is good.

    `audience` is the address that received the assertion. `now` is a Unix time.
    """
    parts = _read(assertion)
    certificate = _certificate(application, parts.header) if parts is not None else None
    if parts is None or certificate is None or not _signed_by(certificate, parts):
        return "certificate_unknown"
    if {parts.payload.get("iss"), parts.payload.get("sub")} != {application.client_id}:
        return "assertion_application"
    if parts.payload.get("aud") != audience:
        return "assertion_audience"
    starts, ends = parts.payload.get("nbf", now), parts.payload.get("exp")
    if not isinstance(starts, int | float) or not isinstance(ends, int | float) or not starts - _SKEW <= now < ends + _SKEW:
        return "assertion_outside_validity"
    valid = certificate.not_valid_before_utc.timestamp() <= now < certificate.not_valid_after_utc.timestamp()
    return None if valid else "certificate_expired"


def _read(assertion: str) -> _Parts | None:
    """Parse the assertion, None if it is malformed."""
    signed, _, signature = assertion.rpartition(".")
    header, payload = (read_object(decode(part) or b"") for part in [*signed.split(".", 1), ""][:2])
    sealed = decode(signature)
    return _Parts(header, payload, signed.encode(), sealed) if header and payload and sealed else None


def _certificate(application: Application, header: dict[str, Any]) -> x509.Certificate | None:
    """Return the registered certificate that the header names by either thumbprint."""
    for der in application.certificates:
        # SHA-1 only identifies the certificate, as older clients name it (RFC 7515, 4.1.7)
        sha256, sha1 = hashlib.sha256(der).digest(), hashlib.sha1(der, usedforsecurity=False).digest()
        if _names(header, "x5t#S256", sha256) or _names(header, "x5t", sha1):
            return x509.load_der_x509_certificate(der)
    return None


def _names(header: dict[str, Any], member: str, digest: bytes) -> bool:
    """Return whether a member of the header is this digest."""
    return str(header.get(member, "")).rstrip("=") == encode(digest)


def _signed_by(certificate: x509.Certificate, parts: _Parts) -> bool:
    """Return whether the certificate's key made the signature."""
    key, scheme = certificate.public_key(), _PADDINGS.get(str(parts.header.get("alg")))
    if scheme is None or not isinstance(key, RSAPublicKey):
        return False
    try:
        key.verify(parts.signature, parts.signed, scheme, _SHA256)
    except InvalidSignature:
        return False
    return True
