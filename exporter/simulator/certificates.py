"""Mint the certificate authority of one run and its server certificates.

All keys are EC keys, because an RSA key takes long to make. `tls_frontend` chooses the certificate for a host.
"""

from __future__ import annotations

import ipaddress
import ssl
import tempfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from exporter.simulator.faults import ConnectionFault

_DAY = timedelta(days=1)
_LONG = 30 * _DAY  # leaked keys soon expire; pages and alerts warn 14 days before
_VALID = (-_DAY, _LONG)
# The validity of a certificate with each defect, from now.
_DEFECTS: Mapping[ConnectionFault | None, tuple[timedelta, timedelta]] = {
    ConnectionFault.EXPIRED: (-2 * _DAY, -_DAY),
    ConnectionFault.NOT_YET_VALID: (_DAY, 2 * _DAY),
    ConnectionFault.WRONG_NAME: _VALID,
    ConnectionFault.UNTRUSTED: _VALID,
}


class CertificateAuthority:
    """A self-signed certificate authority that exists in memory only."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        usage = x509.KeyUsage(
            digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
            key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        self._certificate = (
            _builder(self._name, self._name, self._key.public_key(), now - _DAY, now + _LONG)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def pem(self) -> bytes:
        """Return the authority's certificate as PEM."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def context(
        self, names: Iterable[str], *, starts: timedelta = -_DAY, ends: timedelta = _LONG, subject: str = "ekm-exporter simulator"
    ) -> ssl.SSLContext:
        """Return a TLS server context with a new certificate for these names or IP addresses.

        The certificate is valid from now + `starts` to now + `ends`. `subject` is its common name.
        """
        key, now, sans = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC), list(dict.fromkeys(names))
        common_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            _builder(common_name, self._name, key.public_key(), now + starts, now + ends)
            .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in sans]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(identifier, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return _server_context(certificate, key)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, starts: datetime, ends: datetime
) -> x509.CertificateBuilder:
    """Return a certificate builder with the fields that every certificate has."""
    serial = x509.random_serial_number()
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key).serial_number(serial)
    return builder.not_valid_before(starts).not_valid_after(ends)


def _server_context(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> ssl.SSLContext:
    """Return a TLS server context that shows this certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with tempfile.TemporaryDirectory(prefix="ekm-simulator-") as folder:  # load_cert_chain reads files only
        path = Path(folder, "server.pem")
        path.touch(mode=0o600)
        path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
        context.load_cert_chain(path)
    return context


class Certificates:
    """The authority of the run, and the TLS contexts that the server can show, each made at first use."""

    def __init__(self, hosts: Iterable[str]) -> None:
        self._names = list(dict.fromkeys(_certificate_name(host.partition(":")[0]) for host in hosts))
        self.authority = CertificateAuthority("ekm-exporter simulator, this run only")
        self._contexts: dict[ConnectionFault | None, ssl.SSLContext] = {}

    def context(self, fault: ConnectionFault | None) -> ssl.SSLContext | None:
        """Return the context of a certificate with this defect, or of a valid one; None for a fault that needs no certificate."""
        if fault is not None and fault not in _DEFECTS:
            return None
        if fault not in self._contexts:
            self._contexts[fault] = self._make(fault)
        return self._contexts[fault]

    def _make(self, fault: ConnectionFault | None) -> ssl.SSLContext:
        untrusted = fault is ConnectionFault.UNTRUSTED
        authority = CertificateAuthority("ekm-exporter simulator, untrusted authority") if untrusted else self.authority
        names = ["another-host.invalid"] if fault is ConnectionFault.WRONG_NAME else self._names
        starts, ends = _DEFECTS.get(fault, _VALID)
        return authority.context(names, starts=starts, ends=ends)


def _certificate_name(host: str) -> str:
    """Return a wildcard for the host's domain, or the host if it has too few labels.

    Clients accept a wildcard with at least two labels after it. Wildcards keep the list of names short for a fleet.
    """
    parent = host.partition(".")[2]
    return f"*.{parent}" if parent.count(".") >= 2 else host
