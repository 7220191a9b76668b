"""Encrypt locally with a public key, to test unwrap after a failed wrap.

The wrap step stays failed.
"""

from __future__ import annotations

from collections.abc import Callable

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from exporter.core.model import KeyFacts

_HASHES: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "RSA-OAEP": hashes.SHA1,  # the connector's algorithm; SHA-1 is no weakness in OAEP
    "RSA-OAEP-256": hashes.SHA256,
}


def encrypt_locally(key: KeyFacts, algorithm: str, data: bytes) -> bytes | None:
    """Encrypt `data` with the public key; None if key or algorithm is unsupported."""
    digest = _HASHES.get(algorithm)
    if digest is None or not key.supported:
        return None
    try:
        numbers = rsa.RSAPublicNumbers(int.from_bytes(key.exponent, "big"), int.from_bytes(key.modulus, "big"))
        oaep = padding.OAEP(mgf=padding.MGF1(digest()), algorithm=digest(), label=None)
        return numbers.public_key().encrypt(data, oaep)
    except (ValueError, UnsupportedAlgorithm):
        return None
