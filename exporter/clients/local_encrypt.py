"""Encrypting under a key's public half here, where the service refuses to wrap: only so that unwrap can still be tried.

Not for: the wrap step itself, which stays failed; nor for any use of a private key.
"""

from __future__ import annotations

from collections.abc import Callable

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from exporter.core.model import KeyFacts

_HASHES: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "RSA-OAEP": hashes.SHA1,  # what the connector uses; SHA-1 is no weakness in this place
    "RSA-OAEP-256": hashes.SHA256,
}


def encrypt_locally(key: KeyFacts, algorithm: str, data: bytes) -> bytes | None:
    """`data` under the public half of a supported key; None where key or algorithm does not allow it."""
    digest = _HASHES.get(algorithm)
    if digest is None or not key.supported:
        return None
    try:
        numbers = rsa.RSAPublicNumbers(int.from_bytes(key.exponent, "big"), int.from_bytes(key.modulus, "big"))
        oaep = padding.OAEP(mgf=padding.MGF1(digest()), algorithm=digest(), label=None)
        return numbers.public_key().encrypt(data, oaep)
    except (ValueError, UnsupportedAlgorithm):
        return None
