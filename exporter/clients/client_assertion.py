"""The proof of a client certificate: a JWT with the signature of its key, as azure-identity's `CertificateCredential` makes it.

That class reads the key twice for each object, on the event loop. Reading a key takes as long as many probes, a signature a
hundredth of that.
"""

from __future__ import annotations

import base64
import json
import time
from uuid import uuid4

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from exporter.clients.certificate_file import PS256, SHA256, Signer

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
