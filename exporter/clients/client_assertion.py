"""The proof of a client certificate: a JWT with the signature of its key, as azure-identity's `CertificateCredential` makes it.

That class reads the key twice for each object, on the event loop. Reading a key takes as long as many probes: OpenSSL checks its
numbers. Here each key is read once and kept in memory. Call `make_assertion` on a thread.
"""

from __future__ import annotations

import base64
import json
import time
from functools import lru_cache
from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from exporter.clients.certificate_file import PS256, SHA256

_LIFE_SECONDS = 30 * 60
_KEPT = 256  # keys


def make_assertion(pem: bytes, *, client_id: str, audience: str) -> str:
    """Return a new assertion of the key and certificate in `pem`, for the URL that issues the token."""
    key, thumbprint = _read(pem)
    now = int(time.time())
    header = {"typ": "JWT", "alg": "PS256", "x5t#S256": thumbprint}
    claims = {"jti": str(uuid4()), "aud": audience, "iss": client_id, "sub": client_id, "nbf": now, "exp": now + _LIFE_SECONDS}
    signed = f"{_encoded(json.dumps(header).encode())}.{_encoded(json.dumps(claims).encode())}"
    return f"{signed}.{_encoded(key.sign(signed.encode(), PS256, SHA256))}"


@lru_cache(maxsize=_KEPT)
def _read(pem: bytes) -> tuple[RSAPrivateKey, str]:
    """Return the key, and the thumbprint of the certificate."""
    key = load_pem_private_key(pem, None)
    assert isinstance(key, RSAPrivateKey)  # noqa: S101 - `load_certificate` has checked it
    return key, _encoded(x509.load_pem_x509_certificate(pem).fingerprint(hashes.SHA256()))


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii")
