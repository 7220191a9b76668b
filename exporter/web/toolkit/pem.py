"""Certificates and keys as bytes: are they what they should be, do they belong together, how long are they good?

For: saying at its place in the file what OpenSSL would say of none, and giving OpenSSL bytes where it wants a file.
Not for: building a TLS context (see `tls`).
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from exporter.config.problems import Spot


def certificates(data: bytes, spot: Spot) -> list[x509.Certificate]:
    """The certificates in `data`, in order; none of them after a complaint."""
    try:
        return x509.load_pem_x509_certificates(data)
    except (ValueError, UnsupportedAlgorithm):
        spot.error("holds no certificate in PEM")
        return []


def check_pair(certificate: bytes, key: bytes, certificate_spot: Spot, key_spot: Spot, now: datetime | None = None) -> None:
    """Complain where the two cannot serve together; warn where the certificate's time has not come or has gone."""
    chain = certificates(certificate, certificate_spot)
    public = _public_half(key, key_spot)
    if not chain:
        return
    leaf, now = chain[0], now or datetime.now(UTC)
    if leaf.not_valid_after_utc < now:
        certificate_spot.warn(f"expired on {leaf.not_valid_after_utc:%Y-%m-%d}: clients will refuse it")
    elif leaf.not_valid_before_utc > now:
        certificate_spot.warn(f"not valid before {leaf.not_valid_before_utc:%Y-%m-%d}: clients will refuse it")
    try:
        its_public = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        certificate_spot.error("holds a certificate with a key of a kind that is not known")
        return
    if public is not None and public != its_public:
        key_spot.error("is not the key of the first certificate")


def _public_half(key: bytes, spot: Spot) -> bytes | None:
    try:
        private = load_pem_private_key(key, None)
    except TypeError:
        spot.error("is encrypted: a key has to stand without a password, in a file that only the exporter may read")
        return None
    except (ValueError, UnsupportedAlgorithm):
        spot.error("holds no private key in PEM")
        return None
    return private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@contextlib.contextmanager
def as_file(data: bytes) -> Iterator[str]:
    """A path at which OpenSSL finds `data` while this lasts: in memory where the system can, else a file that only we may read."""
    if sys.platform == "linux":
        descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, data)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        descriptor, path = tempfile.mkstemp()
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
            yield path
        finally:
            Path(path).unlink()
