"""Certificates, keys and allowed names of `tls_server_config`, and the TLS context of the server.

For: checking certificates at their place in the file; the alternative names of client certificates, compared as exporter-toolkit does.
Not for: reading files (see `load`).
"""

from __future__ import annotations

import contextlib
import os
import ssl
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from exporter.config.problems import Location
from exporter.web.webconfig.model import Tls


def certificates(data: bytes, location: Location) -> list[x509.Certificate]:
    """The certificates in `data`, in order; none of them after a complaint."""
    try:
        return x509.load_pem_x509_certificates(data)
    except (ValueError, UnsupportedAlgorithm):
        location.error("holds no certificate in PEM")
        return []


def check_pair(
    certificate: bytes, key: bytes, certificate_location: Location, key_location: Location, now: datetime | None = None
) -> None:
    """Complain where the two cannot serve together; warn where the certificate's time has not come or has gone."""
    chain = certificates(certificate, certificate_location)
    public = _public_half(key, key_location)
    if not chain:
        return
    leaf, now = chain[0], now or datetime.now(UTC)
    if leaf.not_valid_after_utc < now:
        certificate_location.warn(f"expired on {leaf.not_valid_after_utc:%Y-%m-%d}: clients will refuse it")
    elif leaf.not_valid_before_utc > now:
        certificate_location.warn(f"not valid before {leaf.not_valid_before_utc:%Y-%m-%d}: clients will refuse it")
    try:
        its_public = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        certificate_location.error("holds a certificate with a key of a kind that is not known")
        return
    if public is not None and public != its_public:
        key_location.error("is not the key of the first certificate")


def _public_half(key: bytes, location: Location) -> bytes | None:
    try:
        private = load_pem_private_key(key, None)
    except TypeError:
        location.error("is encrypted: a key has to stand without a password, in a file that only the exporter may read")
        return None
    except (ValueError, UnsupportedAlgorithm):
        location.error("holds no private key in PEM")
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


def names_of(certificate: bytes) -> frozenset[str]:
    """The alternative names of a DER certificate; none where it has none or cannot be read."""
    try:
        extension = x509.load_der_x509_certificate(certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension):
        return frozenset()
    names = extension.value
    plain = [
        *names.get_values_for_type(x509.DNSName),
        *names.get_values_for_type(x509.RFC822Name),
        *names.get_values_for_type(x509.UniformResourceIdentifier),
    ]
    return frozenset([*plain, *(str(address) for address in names.get_values_for_type(x509.IPAddress))])


def has_allowed_name(certificate: bytes | None, allowed: frozenset[str] | None) -> bool:
    """True where nothing is asked of names; False for no certificate at all."""
    return allowed is None or (certificate is not None and not allowed.isdisjoint(names_of(certificate)))


_VERIFY = {None: ssl.CERT_NONE, False: ssl.CERT_OPTIONAL, True: ssl.CERT_REQUIRED}


def context_of(tls: Tls) -> ssl.SSLContext:
    """A context for the server's side. Raises ssl.SSLError where OpenSSL refuses what was configured."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version, context.maximum_version = tls.minimum, tls.maximum
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    if not tls.server_preference:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if tls.ciphers:
        context.set_ciphers(tls.ciphers)
    if tls.curve:
        context.set_ecdh_curve(tls.curve)
    context.set_alpn_protocols(["http/1.1"])
    with as_file(tls.certificate) as certificate, as_file(tls.key) as key:
        # With an empty password OpenSSL asks nobody; an encrypted key has been refused before.
        context.load_cert_chain(certificate, key, password="")
    context.verify_mode = _VERIFY[tls.client_certificate]
    if tls.client_ca is not None:
        context.load_verify_locations(cadata=tls.client_ca.decode("ascii"))
    return context
