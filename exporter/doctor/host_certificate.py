"""Reads a server certificate: subject, issuer, validity, revocation URLs.

The DER may come from an untrusted host; its content raises no exception.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from exporter.core.masking import mask
from exporter.doctor.evidence import HostCertificate

MOST_URLS = 6
_URL = re.compile(r"http://[A-Za-z0-9.-]{1,253}(?::[1-5]?[0-9]{1,4})?(?:/[!-~]{0,500})?")


def read_certificate(der: bytes) -> HostCertificate | None:
    """Parse a certificate; None if that is not possible."""
    try:
        found = x509.load_der_x509_certificate(der)
        return HostCertificate(
            subject=_name(found.subject),
            issuer=_name(found.issuer),
            organization=_part(found.issuer, NameOID.ORGANIZATION_NAME),
            not_before=found.not_valid_before_utc.timestamp(),
            not_after=found.not_valid_after_utc.timestamp(),
            revocation=tuple(dict.fromkeys(_urls(found)))[:MOST_URLS],
        )
    except ValueError:
        return None


def _name(name: x509.Name) -> str:
    return _part(name, NameOID.COMMON_NAME) or mask(name.rfc4514_string()) or "no name"


def _part(name: x509.Name, oid: x509.ObjectIdentifier) -> str:
    attributes = name.get_attributes_for_oid(oid)
    return mask(str(attributes[0].value), limit=100) if attributes else ""


def _urls(certificate: x509.Certificate) -> Iterator[str]:
    for general in _general_names(certificate):
        if isinstance(general, x509.UniformResourceIdentifier) and _URL.fullmatch(general.value):
            yield general.value


def _general_names(certificate: x509.Certificate) -> Iterator[x509.GeneralName]:
    for extension in certificate.extensions:
        value = extension.value
        if isinstance(value, x509.CRLDistributionPoints):
            for point in value:
                yield from point.full_name or ()
        elif isinstance(value, x509.AuthorityInformationAccess):
            yield from (one.access_location for one in value if one.access_method == AuthorityInformationAccessOID.OCSP)
