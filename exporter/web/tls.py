"""A checked web configuration, the certificates and names of its `tls_server_config`, and the TLS context."""

from __future__ import annotations

import contextlib
import os
import ssl
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from ssl import TLSVersion

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from exporter.config.tree import Location


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTls:
    """TLS settings.

    `certificate`, `key` and `client_ca` are PEM.
    """

    certificate: bytes
    key: bytes = field(repr=False)
    client_certificate: ssl.VerifyMode = ssl.CERT_NONE
    client_ca: bytes | None = None
    allowed_names: frozenset[str] | None = None
    minimum: TLSVersion = TLSVersion.TLSv1_2
    maximum: TLSVersion = TLSVersion.TLSv1_3
    ciphers: str = ""  # OpenSSL's names, for TLS 1.2; "" for OpenSSL's own choice
    server_preference: bool = True
    curve: str = ""  # OpenSSL's name; "" for OpenSSL's own choice


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """A token bucket: one request per `interval` seconds, at most `burst` at once."""

    interval: float
    burst: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WebConfig:
    tls: ServerTls | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    users: Mapping[str, str] = field(default_factory=dict, repr=False)  # bcrypt hashes by name
    rate_limit: RateLimit | None = None

    @property
    def authenticates_every_client(self) -> bool:
        """Whether every client needs a password or a verified certificate."""
        return bool(self.users) or (self.tls is not None and self.tls.client_certificate is ssl.CERT_REQUIRED)


def certificates(data: bytes, location: Location) -> list[x509.Certificate]:
    """Parse the certificates in `data`, in order. Report an error and return none if one is invalid."""
    try:
        return x509.load_pem_x509_certificates(data)
    except (ValueError, UnsupportedAlgorithm):
        location.error("does not contain a certificate in PEM")
        return []


def check_pair(certificate: bytes, key: bytes, certificate_location: Location, key_location: Location) -> None:
    """Report a certificate and key that do not match. Warn outside the certificate's validity."""
    chain, public = certificates(certificate, certificate_location), None
    try:
        public = _public_bytes(load_pem_private_key(key, None))
    except TypeError:
        key_location.error("is encrypted: store it without a password, in a file that only the exporter can read")
    except (ValueError, UnsupportedAlgorithm):
        key_location.error("does not contain a private key in PEM")
    if not chain:
        return
    leaf, now = chain[0], datetime.now(UTC)
    if leaf.not_valid_after_utc < now:
        certificate_location.warn(f"expired on {leaf.not_valid_after_utc:%Y-%m-%d}: clients will refuse it")
    elif leaf.not_valid_before_utc > now:
        certificate_location.warn(f"not valid before {leaf.not_valid_before_utc:%Y-%m-%d}: clients will refuse it")
    try:
        its_public = _public_bytes(leaf)
    except (ValueError, UnsupportedAlgorithm):
        certificate_location.error("contains a certificate with an unsupported type of key")
        return
    if public is not None and public != its_public:
        key_location.error("is not the key of the first certificate")


def _public_bytes(holder: x509.Certificate | PrivateKeyTypes) -> bytes:
    return holder.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@contextlib.contextmanager
def as_file(data: bytes) -> Iterator[str]:
    """Provide `data` as a path for OpenSSL. The file is in memory if possible, else a private temporary one."""
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
    """Return the alternative names of a DER certificate; none if it is invalid."""
    try:
        extension = x509.load_der_x509_certificate(certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension):
        return frozenset()
    kinds = (x509.DNSName, x509.RFC822Name, x509.UniformResourceIdentifier, x509.IPAddress)
    return frozenset(str(name) for kind in kinds for name in extension.value.get_values_for_type(kind))


def context_of(tls: ServerTls) -> ssl.SSLContext:
    """Return the server's TLS context. Raises ssl.SSLError if OpenSSL refuses a setting."""
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
        # With an empty password, OpenSSL never prompts. Encrypted keys are refused earlier.
        context.load_cert_chain(certificate, key, password="")
    context.verify_mode = tls.client_certificate
    if tls.client_ca is not None:
        context.load_verify_locations(cadata=tls.client_ca.decode("ascii"))
    return context
